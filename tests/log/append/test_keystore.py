"""The keystore: found again, wrapped, committed before use, destroyed for good."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection

from counterfoil.core.errors import Fault
from counterfoil.core.rules import is_token
from counterfoil.log import keystore as module
from counterfoil.log.arrivalkeys import window_end_us
from counterfoil.log.keystore import Keystore, Selector, new_pseudonym
from counterfoil.log.masterkey import FILE_NAME, create_master_key, derive, load_master_key
from counterfoil.store.database import Database, open_keystore
from counterfoil.store.migrate import create_keystore

MASTER = bytes(range(32))
LOG, OTHER_LOG = 1, 2
NOV, DEC = 202611, 202612
CONV = Selector("interaction", b"conv-1", NOV)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = open_keystore(f"sqlite:///{tmp_path / 'keystore.db'}")
    create_keystore(found)
    Keystore(found, MASTER).initialise()
    yield found
    found.dispose()


@pytest.fixture
def keystore(database: Database) -> Keystore:
    return Keystore(database, MASTER)


def raw_bytes(database: Database) -> bytes:
    file = Path(str(database.engine.url.database))
    return b"".join(path.read_bytes() for path in file.parent.glob(file.name + "*"))


def test_a_key_belongs_to_one_interaction_month_class_and_log(keystore: Keystore) -> None:
    others = [
        CONV._replace(name=b"conv-2"),
        CONV._replace(month=DEC),
        CONV._replace(group="trace"),
        CONV._replace(retention="long"),
    ]
    found = keystore.resolve(LOG, [CONV, *others]).keys
    elsewhere = keystore.resolve(OTHER_LOG, [CONV]).keys[CONV]
    every = [*found.values(), elsewhere]
    assert len({key.key for key in every}) == len({key.key_id for key in every}) == 6
    assert {(len(key.key_id), len(key.key)) for key in every} == {(16, 32)}


def test_a_key_is_found_again_by_everybody_who_has_the_master_key(keystore: Keystore, database: Database) -> None:
    first = keystore.resolve(LOG, [CONV]).keys[CONV]
    assert keystore.resolve(LOG, [CONV]).keys[CONV] == first
    assert Keystore(database, MASTER).resolve(LOG, [CONV]).keys[CONV] == first
    assert keystore.open_key(LOG, first.key_id) == first.key


def test_a_key_opens_only_for_its_own_log(keystore: Keystore) -> None:
    first = keystore.resolve(LOG, [CONV]).keys[CONV]
    assert keystore.open_key(OTHER_LOG, first.key_id) is None


def test_the_file_holds_no_key_and_no_name(keystore: Keystore, database: Database) -> None:
    found = keystore.resolve(LOG, [CONV], ["customer Müller"], [("customer Müller", CONV)])
    data = raw_bytes(database)
    assert found.keys[CONV].key_id in data
    for secret in (found.keys[CONV].key, b"conv-1", "customer Müller".encode(), MASTER):
        assert secret not in data


def test_two_processes_that_ask_at_the_same_time_get_the_same_key_and_pseudonym(database: Database) -> None:
    stores = [Keystore(database, MASTER) for _ in range(8)]
    links = [("customer", CONV)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda store: store.resolve(LOG, [CONV], ["customer"], links), stores))
    assert len({answer.keys[CONV] for answer in answers}) == 1
    assert len({answer.tokens["customer"] for answer in answers}) == 1


def test_what_is_remembered_stays_within_its_bound(keystore: Keystore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REMEMBERED", 10)
    for number in range(30):
        name = b"conv-%d" % number
        keystore.resolve(LOG, [CONV._replace(name=name)], [f"person {number}"])
    assert len(keystore._keys) == len(keystore._tokens) == 10
    again = keystore.resolve(LOG, [CONV._replace(name=b"conv-0")], ["person 0"])
    assert keystore.find_pseudonym(LOG, "person 0") == again.tokens["person 0"]


def test_a_destroyed_key_is_gone_for_every_process_and_its_name_gets_a_new_one(
    keystore: Keystore, database: Database
) -> None:
    other = Keystore(database, MASTER)
    links = [("customer", CONV)]
    first = keystore.resolve(LOG, [CONV], ["customer"], links)
    assert other.resolve(LOG, [CONV]).keys[CONV] == first.keys[CONV]
    wrapped = sqlite3.connect(str(database.engine.url.database)).execute("SELECT wrapped FROM data_keys").fetchone()[0]
    assert keystore.keys_of_subject(LOG, first.tokens["customer"]) == [first.keys[CONV].key_id]
    assert keystore.destroy_keys([first.keys[CONV].key_id]) == 1
    assert other.open_key(LOG, first.keys[CONV].key_id) is None
    assert keystore.keys_of_subject(LOG, first.tokens["customer"]) == []
    assert wrapped not in raw_bytes(database)  # overwritten, in the database and in the WAL
    second = other.resolve(LOG, [CONV]).keys[CONV]
    assert second.key_id != first.keys[CONV].key_id
    assert keystore.destroy_keys([first.keys[CONV].key_id]) == 0


def test_one_key_may_be_linked_to_several_subjects_also_later(keystore: Keystore) -> None:
    key = keystore.resolve(LOG, [CONV], ["a"], [("a", CONV)]).keys[CONV]
    later = keystore.resolve(LOG, [CONV], ["a", "b"], [("a", CONV), ("b", CONV)])
    for name in ("a", "b"):
        assert keystore.keys_of_subject(LOG, later.tokens[name]) == [key.key_id]


def test_a_pseudonym_stands_for_one_identifier_in_one_log(keystore: Keystore) -> None:
    first = keystore.pseudonym(LOG, "cust 7")
    assert keystore.pseudonym(LOG, "cust 7") == first
    assert keystore.pseudonym(OTHER_LOG, "cust 7") != first
    assert keystore.pseudonym(LOG, "cust 8") != first
    assert keystore.find_pseudonym(LOG, "cust 7") == first


def test_looking_somebody_up_creates_nothing(keystore: Keystore) -> None:
    assert keystore.find_pseudonym(LOG, "nobody") is None
    assert keystore.find_pseudonym(LOG, "nobody") is None


def test_a_forgotten_pseudonym_is_no_longer_linked(keystore: Keystore, database: Database) -> None:
    other = Keystore(database, MASTER)
    first = keystore.pseudonym(LOG, "cust 7")
    assert other.pseudonym(LOG, "cust 7") == first
    assert keystore.forget_pseudonym(LOG, "cust 7")
    assert not keystore.forget_pseudonym(LOG, "cust 7")
    assert keystore.find_pseudonym(LOG, "cust 7") is None
    assert other.pseudonym(LOG, "cust 7") != first


def test_a_pseudonym_is_always_a_token() -> None:
    for _ in range(2_000):
        assert is_token(new_pseudonym())
    assert is_token(new_pseudonym(bytes))
    draws = [b"\xff" * 52, b"\x19" * 52]  # the first draw gives no letter at all
    assert new_pseudonym(lambda _: draws.pop(0)) == "p_" + "z" * 26


def test_identifiers_of_any_text_have_pseudonyms(keystore: Keystore) -> None:
    for identifier in ("", "\ud800", "x" * 100_000, "+49 170 1234567"):
        assert is_token(keystore.pseudonym(LOG, identifier))


def test_another_master_key_is_noticed_before_it_is_used(database: Database, keystore: Keystore) -> None:
    keystore.check()
    key = keystore.resolve(LOG, [CONV]).keys[CONV]
    stranger = Keystore(database, bytes(32))
    with pytest.raises(Fault, match="not the one"):
        stranger.check()
    with pytest.raises(Fault, match="does not open"):
        stranger.open_key(LOG, key.key_id)


def test_an_empty_keystore_is_never_taken_for_a_new_one(tmp_path: Path) -> None:
    database = open_keystore(f"sqlite:///{tmp_path / 'other.db'}")
    create_keystore(database)
    with pytest.raises(Fault, match="is empty"):
        Keystore(database, MASTER).check()
    with pytest.raises(Fault, match="is empty"):
        Keystore(database, MASTER).resolve(LOG, [CONV])


def test_arrival_keys_are_of_the_month_and_of_earlier_ones_within_the_window(keystore: Keystore) -> None:
    november = window_end_us(NOV) - 1
    first = keystore.arrival_keys(NOV, november)[0]
    both = keystore.arrival_keys(DEC, november)
    assert [key.month for key in both] == [DEC, NOV]
    assert both[1] == first
    assert [key.month for key in keystore.arrival_keys(DEC, november + 1)] == [DEC]
    assert keystore.destroy_arrival_keys(november) == []
    assert keystore.destroy_arrival_keys(november + 1) == [NOV]


def test_the_window_ends_thirty_days_after_its_month() -> None:
    assert window_end_us(202612) - window_end_us(202611) == 31 * 86_400 * 1_000_000
    assert window_end_us(202611) == 1_798_675_200 * 1_000_000  # 2026-12-31T00:00:00Z


def test_the_master_key_file_is_private_and_strict(tmp_path: Path) -> None:
    key = create_master_key(tmp_path)
    path = tmp_path / FILE_NAME
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_master_key(tmp_path) == key
    with pytest.raises(Fault, match="exists already"):
        create_master_key(tmp_path)
    path.chmod(0o640)
    with pytest.raises(Fault, match="0600"):
        load_master_key(tmp_path)
    path.chmod(0o600)
    for content in ("", "counterfoil-master-key-v1 AAAA\n", "x" * 500, "counterfoil-master-key-v1 ****\n", "\xff"):
        path.write_text(content)
        with pytest.raises(Fault, match="not a master key file"):
            load_master_key(tmp_path)
    path.unlink()
    with pytest.raises(Fault, match="missing"):
        load_master_key(tmp_path)
    with pytest.raises(Fault, match="32 bytes"):
        Keystore(open_keystore(f"sqlite:///{tmp_path / 'x.db'}"), b"short")


def test_every_purpose_and_log_has_a_key_of_its_own() -> None:
    keys = {derive(MASTER, purpose, log) for purpose in ("wrap", "selector", "pseudonym") for log in (1, 2, 12)}
    assert len(keys) == 9


class DestroyingDatabase(Database):
    """A keystore beside which somebody destroys a key right after the next snapshot of it was read."""

    then: Callable[[], object] | None = None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with super().read() as connection:
            yield connection
        then, self.then = self.then, None
        if then is not None:
            then()


def test_a_key_that_is_destroyed_while_it_is_looked_up_does_not_come_back(database: Database) -> None:
    watched = DestroyingDatabase(str(database.engine.url))
    keystore = Keystore(watched, MASTER)
    old = keystore.resolve(LOG, [CONV], ["customer"], [("customer", CONV)])
    watched.then = lambda: (keystore.destroy_keys([old.keys[CONV].key_id]), keystore.forget_pseudonym(LOG, "customer"))
    keystore.resolve(LOG, [CONV], ["customer"])
    new = keystore.resolve(LOG, [CONV], ["customer"])
    assert new.keys[CONV].key_id != old.keys[CONV].key_id
    assert new.tokens["customer"] != old.tokens["customer"]
    assert keystore.open_key(LOG, new.keys[CONV].key_id) == new.keys[CONV].key
    watched.dispose()
