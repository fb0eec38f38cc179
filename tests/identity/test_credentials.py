"""Keys: shown once, kept as a hash, ended at once."""

from __future__ import annotations

import hmac
import re
import sqlite3
import time

import pytest

from counterfoil.core.rules import is_token
from counterfoil.identity.credentials import LAST_USED_EVERY_US, authenticate, hash_secret, new_secret
from counterfoil.identity.roles import Role
from counterfoil.store.database import BUSY_TIMEOUT_MS
from tests.identity.conftest import Site
from tests.log.append.making import NOON_US


def last_used(site: Site, credential_id: str) -> int | None:
    row = next(row for row in site.accounts.credentials("default") if row.id == credential_id)
    return row.last_used_us


def test_a_key_has_its_form_and_its_id_is_a_token() -> None:
    for _ in range(500):
        made = new_secret()
        assert re.fullmatch(r"cf_[a-z]{16}_[A-Za-z0-9_-]{43}", made.key)
        assert is_token(made.credential_id)
        assert made.key.startswith(f"cf_{made.credential_id}_")
        assert made.secret_hash == hash_secret(made.key[20:])
    assert is_token(new_secret(bytes).credential_id)


@pytest.mark.parametrize("role", Role)
def test_a_key_proves_tenant_role_and_scope(shared: Site, role: Role) -> None:
    made = shared.keys["other", role]
    principal = authenticate(shared.made.logs.ledger, made.key, NOON_US)
    assert principal is not None
    assert (principal.tenant, principal.role, principal.credential_id) == ("other", role, made.id)
    assert principal.log_id is None


def test_nothing_but_the_exact_key_is_accepted(shared: Site) -> None:
    key = shared.keys["default", Role.WRITER].key
    other = shared.keys["other", Role.WRITER].key
    wrong = [
        "",
        key[:-1],
        key + "A",
        key.upper(),
        f"{key[:20]}{other[20:]}",
        f"{other[:20]}{key[20:]}",
        key.replace("cf_", "cf-"),
        f" {key}",
        f"{key}\n",
        "cf_aaaaaaaaaaaaaaaa_" + "A" * 43,
        key[:-1] + ("A" if key[-1] != "A" else "B"),
    ]
    for attempt in wrong:
        assert authenticate(shared.made.logs.ledger, attempt, NOON_US) is None


def test_an_unknown_key_costs_the_same_comparison_as_a_wrong_secret(
    shared: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def watched(one: bytes, two: bytes) -> bool:
        compared.append((len(one), len(two)))
        return compare(one, two)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    known = shared.keys["default", Role.WRITER].key
    authenticate(shared.made.logs.ledger, "cf_aaaaaaaaaaaaaaaa_" + "A" * 43, NOON_US)
    authenticate(shared.made.logs.ledger, known[:20] + "A" * 43, NOON_US)
    assert compared == [(32, 32), (32, 32)]


def test_a_key_ends_at_its_time(site: Site) -> None:
    made = site.accounts.create_credential("default", Role.AUDITOR, expires_us=NOON_US + 10)
    assert authenticate(site.made.logs.ledger, made.key, NOON_US + 9) is not None
    assert authenticate(site.made.logs.ledger, made.key, NOON_US + 10) is None


def test_a_revoked_key_ends_at_once(site: Site) -> None:
    made = site.keys["default", Role.REVIEWER]
    assert authenticate(site.made.logs.ledger, made.key, NOON_US) is not None
    site.accounts.revoke_credential("default", made.id)
    assert authenticate(site.made.logs.ledger, made.key, NOON_US) is None


def test_the_last_use_is_noted_at_most_once_a_minute(site: Site) -> None:
    made = site.keys["default", Role.REVIEWER]
    ledger = site.made.logs.ledger
    assert last_used(site, made.id) is None
    seen = []
    for offset in (0, 1, LAST_USED_EVERY_US - 1, LAST_USED_EVERY_US):
        authenticate(ledger, made.key, NOON_US + offset)
        seen.append(last_used(site, made.id))
    assert seen == [NOON_US, NOON_US, NOON_US, NOON_US + LAST_USED_EVERY_US]


def test_a_busy_store_does_not_keep_a_key_from_working_nor_waiting(site: Site) -> None:
    made, ledger = site.keys["default", Role.WRITER], site.made.logs.ledger
    writer = sqlite3.connect(site.made.path / "ledger.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    for _ in range(3):
        assert authenticate(ledger, made.key, NOON_US) is not None
    assert time.monotonic() - started < BUSY_TIMEOUT_MS / 1000 / 4
    assert last_used(site, made.id) is None
    writer.execute("ROLLBACK")
    writer.close()
    assert authenticate(ledger, made.key, NOON_US) is not None
    assert last_used(site, made.id) == NOON_US
