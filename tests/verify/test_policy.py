"""The auditor's policy: strict, since a misspelt demand would be no demand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from counterfoil.core.errors import EvidenceError, InputError
from counterfoil.verify import policy as policy_module
from counterfoil.verify.policy import format_policy, parse_policy, parse_time
from tests.verify.authority import policy_extra
from tests.verify.build import QUORUM, policy_text
from tests.verify.log import BUNDLES, LOG, WITNESS

GOOD = policy_text()


def test_a_policy_reads_as_it_was_printed() -> None:
    policy = parse_policy(GOOD)
    assert policy.tlog.log_keys == (LOG.verifier_key,)
    assert policy.tlog.witness_keys == (WITNESS.verifier_key,)
    assert (policy.signers, policy.threshold) == ((BUNDLES.verifier_key,), 1)
    assert (policy.roots, policy.at_us, policy.demand) == ((), None, frozenset())


def test_demands_roots_and_reference_time_are_read() -> None:
    extra = policy_extra() + 'required = true\nat = "2026-11-22T12:00:00Z"\n'
    policy = parse_policy("demand = [6, 12]\n" + policy_text(extra=extra))
    assert policy.demand == {4, 6, 12}
    assert [root.subject.rfc4514_string() for root in policy.roots] == ["CN=Test root"]
    assert policy.at_us == parse_time("2026-11-22T12:00:00Z")


def test_a_toml_time_is_taken_too() -> None:
    policy = parse_policy(policy_text(extra="[timestamp]\nat = 2026-11-22T13:00:00.5+01:00\n"))
    assert policy.at_us == parse_time("2026-11-22T12:00:00.5Z")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x" * 2_000_000, "over the limit"),
        ("version", "not TOML"),
        ("version = " + "9" * 5_000, "not TOML"),
        (GOOD + "[extra]\n", "'extra' is not known"),
        (GOOD.replace("threshold", "treshold"), "bundle.'treshold' is not known"),
        (GOOD + "[timestamp]\nrequire = true\n", "timestamp.'require' is not known"),
        (GOOD.replace("version = 1", "version = 2"), "version must be 1"),
        (GOOD.replace("version = 1", "version = true"), "version is missing or of the wrong type"),
        (GOOD.replace("version = 1\n", ""), "version is missing"),
        (GOOD.replace("[bundle]", "[timestamp]"), "bundle is missing"),
        (GOOD.replace("threshold = 1", "threshold = 0"), "threshold must lie from 1 to the 1 signers"),
        (GOOD.replace("threshold = 1", "threshold = 2"), "threshold must lie from 1 to the 1 signers"),
        (GOOD.replace(f'"{BUNDLES.vkey}"', "7"), "signers must be an array of text"),
        (GOOD.replace(BUNDLES.vkey, "x"), "bundle.signers: not of the form"),
        (GOOD.replace(BUNDLES.vkey, WITNESS.vkey), "is not an Ed25519 key"),
        (GOOD.replace(f'"{BUNDLES.vkey}"', f'"{BUNDLES.vkey}", "{BUNDLES.vkey}"'), "listed twice"),
        (GOOD.replace(f"log {LOG.vkey}\n", ""), "no log line"),
        (GOOD.replace("quorum w1", "quorum w2"), "w2 is not defined above"),
        ("demand = [14]\n" + GOOD, "there is no step 14"),
        ("demand = [true]\n" + GOOD, "there is no step True"),
        ("demand = 6\n" + GOOD, "demand is missing or of the wrong type"),
        (GOOD + '[timestamp]\nroots = ["x"]\n', "not a certificate"),
        (GOOD + '[timestamp]\nat = "yesterday"\n', "no RFC 3339 time"),
        (GOOD + "[timestamp]\nat = 2026-11-22T13:00:00\n", "no time zone"),
    ],
)
def test_a_wrong_policy_is_refused_and_says_where(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_policy(text)
    assert message in caught.value.message


@pytest.mark.parametrize(
    "text", ["", "2026-11-22", "2026-13-22T12:00:00Z", "2026-11-22T12:00:00", "0001-01-01T00:00:00+01:00"]
)
def test_a_wrong_time_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no RFC 3339 time"):
        parse_time(text)


def test_times_have_up_to_six_digits_and_any_zone() -> None:
    at = datetime(2026, 11, 22, 12, 0, 0, 250_000, UTC)
    assert parse_time("2026-11-22T14:00:00.25+02:00") == int(at.timestamp() * 1_000_000)


def test_a_policy_of_parts_that_make_none_is_not_printed() -> None:
    with pytest.raises(InputError):
        format_policy([LOG.vkey], [BUNDLES.vkey], quorum="w9")
    with pytest.raises(InputError):
        format_policy([], [BUNDLES.vkey])
    with pytest.raises(InputError):
        format_policy([LOG.vkey], [BUNDLES.vkey], witness_lines=['"""'], quorum="none")
    with pytest.raises(EvidenceError):
        format_policy(["nothing"], [BUNDLES.vkey])


def test_a_printed_policy_needs_no_witness() -> None:
    text = format_policy([LOG.vkey], [BUNDLES.vkey])
    assert text.startswith("# ")
    assert "quorum none\n" in text
    assert parse_policy(text).tlog.witness_keys == ()
    assert QUORUM[0] not in text
    assert policy_module.VERSION == 1
