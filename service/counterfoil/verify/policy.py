"""The auditor's policy: what may be trusted, handed over apart from any bundle (docs/formats/bundle.md, section 6).

TOML; strict: an unknown table, key or value is InputError("bad_policy"), since a misspelt demand would be no demand.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509

from counterfoil.core import policy as tlog
from counterfoil.core.errors import EvidenceError, InputError
from counterfoil.core.note import ED25519, VerifierKey, format_vkey, parse_vkey
from counterfoil.verify.blame import STEPS
from counterfoil.verify.limits import MAX_POLICY_BYTES

VERSION = 1

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})")


@dataclass(frozen=True, slots=True)
class VerifyPolicy:
    """Trusted logs and witnesses with their quorum; bundle signers; timestamp roots; demanded steps; reference time."""

    tlog: tlog.Policy
    signers: tuple[VerifierKey, ...]
    threshold: int = 1
    roots: tuple[x509.Certificate, ...] = ()
    at_us: int | None = None
    demand: frozenset[int] = frozenset()


def _bad(message: str) -> InputError:
    return InputError("bad_policy", f"policy: {message}", item="policy")


def parse_time(text: str) -> int:
    """Microseconds since the epoch of an RFC 3339 time with at most six fraction digits."""
    try:
        if _TIME.fullmatch(text) is None:
            raise ValueError(text)
        at = datetime.fromisoformat(text).astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InputError("bad_time", f"{text[:64]!r} is no RFC 3339 time such as 2026-11-22T12:00:00Z") from None
    return at.days * 86_400_000_000 + at.seconds * 1_000_000 + at.microseconds


def _take(table: dict[str, Any], key: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
    value = table.get(key, default)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise _bad(f"{key} is missing or of the wrong type")
    return value


def _check_keys(table: dict[str, Any], known: set[str], where: str) -> None:
    if unknown := table.keys() - known:
        raise _bad(f"{where}{min(unknown)!r} is not known")


def _texts(table: dict[str, Any], key: str) -> list[str]:
    values = _take(table, key, list, [])
    if not all(isinstance(value, str) for value in values):
        raise _bad(f"{key} must be an array of text")
    return list(values)


def _signer(text: str) -> VerifierKey:
    try:
        key = parse_vkey(text)
    except EvidenceError as error:
        raise _bad(f"bundle.signers: {error.message}") from None
    if key.algorithm != ED25519:
        raise _bad(f"bundle.signers: {key.name} is not an Ed25519 key")
    return key


def _root(text: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(text.encode())
    except ValueError:
        raise _bad("timestamp.roots: not a certificate in PEM form") from None


def _demand(document: dict[str, Any], timestamp: dict[str, Any]) -> frozenset[int]:
    steps = _take(document, "demand", list, [])
    for step in steps:
        if type(step) is not int or step not in STEPS:
            raise _bad(f"demand: there is no step {step!r}")
    return frozenset(steps) | ({4} if _take(timestamp, "required", bool, False) else set())


def _at(timestamp: dict[str, Any]) -> int | None:
    at = _take(timestamp, "at", (str, datetime), "")
    if isinstance(at, datetime):
        if at.tzinfo is None:
            raise _bad("timestamp.at has no time zone")
        at = at.isoformat()
    return parse_time(at) if at else None


def parse_policy(text: str) -> VerifyPolicy:
    """The policy of its text; InputError("bad_policy") says what is wrong."""
    if len(text) > MAX_POLICY_BYTES:
        raise _bad(f"over the limit of {MAX_POLICY_BYTES} bytes")
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also integers of more digits than Python reads
        raise _bad(f"not TOML: {error}") from None
    _check_keys(document, {"version", "demand", "tlog_policy", "bundle", "timestamp"}, "")
    if _take(document, "version", int) != VERSION:
        raise _bad(f"version must be {VERSION}")
    bundle, timestamp = _take(document, "bundle", dict), _take(document, "timestamp", dict, {})
    _check_keys(bundle, {"signers", "threshold"}, "bundle.")
    _check_keys(timestamp, {"required", "roots", "at"}, "timestamp.")
    signers = tuple(map(_signer, _texts(bundle, "signers")))
    # Two names for one key must not count as two signatures.
    if len({key.public for key in signers}) != len(signers):
        raise _bad("bundle.signers: a public key is listed twice")
    threshold = _take(bundle, "threshold", int, 1)
    if not 1 <= threshold <= len(signers):
        raise _bad(f"bundle.threshold must lie from 1 to the {len(signers)} signers")
    trusted = tlog.parse_policy(_take(document, "tlog_policy", str))
    if not trusted.logs:
        raise _bad("tlog_policy: no log line")
    roots = tuple(map(_root, _texts(timestamp, "roots")))
    return VerifyPolicy(trusted, signers, threshold, roots, _at(timestamp), _demand(document, timestamp))


def format_policy(
    logs: Sequence[str],
    signers: Sequence[str],
    *,
    witness_lines: Sequence[str] = (),
    quorum: str = "none",
    threshold: int = 1,
) -> str:
    """The text of a policy that trusts these logs and bundle signers (vkeys), for `counterfoil policy show`.

    `witness_lines` are lines of a tlog-policy (witness, group) that `quorum` may name. The text is parsed again before
    it is given out: InputError("bad_policy") where the parts do not make one.
    """
    lines = [*(f"log {format_vkey(parse_vkey(vkey))}" for vkey in logs), *witness_lines, f"quorum {quorum}"]
    keys = ",\n".join(f'    "{format_vkey(parse_vkey(vkey))}"' for vkey in signers)
    text = (
        "# What a verifier of Counterfoil bundles may trust. Get it from whom you trust, apart from any bundle.\n"
        f'version = {VERSION}\ntlog_policy = """\n' + "\n".join(lines) + '\n"""\n\n'
        f"[bundle]\nsigners = [\n{keys},\n]\nthreshold = {threshold}\n"
    )
    parse_policy(text)
    return text
