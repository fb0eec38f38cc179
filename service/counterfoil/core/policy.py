"""C2SP tlog-policy: which logs and witnesses a verifier trusts, and how many witnesses it takes.

    log <vkey> [url]
    witness <name> <vkey> [url]
    group <name> all|any|<k> <name>...
    quorum <name>|none

One line each, words apart by spaces and tabs; blank lines and lines that begin with ``#`` are skipped. A group or the
quorum names only what stands above it; a name is defined once and is a member of at most one group; one quorum line;
no public key twice among the logs or among the witnesses, even under other names; ``none`` is no name. Octets: tab,
newline, 0x20-0x7E and 0x80-0xFF; those beyond ASCII are opaque. A log's vkey name is its origin. A log signs with
Ed25519 (0x01) or ML-DSA-44 (0x06), a witness cosigns with Ed25519 (0x04) or ML-DSA-44 (0x06).

The policy comes from whoever verifies, so a bad one is InputError("bad_policy", item="line 3"). Check: ``quorum``.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from counterfoil.core.encoding import parse_decimal
from counterfoil.core.errors import EvidenceError, InputError
from counterfoil.core.note import ED25519, ED25519_COSIGNATURE, MLDSA44_COSIGNATURE, VerifierKey, parse_vkey

MAX_POLICY_BYTES = 1_048_576
MAX_POLICY_ITEMS = 1_024
_NONE = "none"
_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_LOG_ALGORITHMS = (ED25519, MLDSA44_COSIGNATURE)
_WITNESS_ALGORITHMS = (ED25519_COSIGNATURE, MLDSA44_COSIGNATURE)


@dataclass(frozen=True, slots=True)
class PolicyLog:
    """A log that is trusted; `key.name` is its origin."""

    key: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class PolicyWitness:
    """A witness, by the name that the policy's groups use."""

    name: str
    key: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class PolicyGroup:
    """A group that has witnessed once `threshold` of its members have."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A parsed policy; groups in the order of their lines, so members come before the groups that hold them."""

    logs: tuple[PolicyLog, ...]
    witnesses: tuple[PolicyWitness, ...]
    groups: tuple[PolicyGroup, ...]
    quorum: str

    @property
    def log_keys(self) -> tuple[VerifierKey, ...]:
        """The keys of the trusted logs."""
        return tuple(log.key for log in self.logs)

    @property
    def witness_keys(self) -> tuple[VerifierKey, ...]:
        """The keys of the known witnesses."""
        return tuple(witness.key for witness in self.witnesses)

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """Every key, as `open_note` takes them."""
        return self.log_keys + self.witness_keys

    def check_quorum(self, verified: Iterable[VerifierKey]) -> None:
        """The keys that verified on a checkpoint are enough witnesses."""
        if self.quorum == _NONE:
            return
        signed = set(verified)
        witnessed = {witness.name for witness in self.witnesses if witness.key in signed}
        names = ", ".join(sorted(witnessed)) or "nobody"
        for group in self.groups:
            if len(witnessed.intersection(group.members)) >= group.threshold:
                witnessed.add(group.name)
        if self.quorum not in witnessed:
            raise EvidenceError("quorum", f"quorum {self.quorum} is not met: cosigned by {names}")


class _Reader:
    """What the lines read so far have defined."""

    def __init__(self) -> None:
        self.logs: list[PolicyLog] = []
        self.witnesses: list[PolicyWitness] = []
        self.groups: list[PolicyGroup] = []
        self.names: set[str] = set()
        self.members: set[str] = set()
        self.quorum: str | None = None

    def read(self, words: list[str]) -> str | None:
        """Takes one line in; says what is wrong with it."""
        match words:
            case ["log", vkey, *url] if len(url) <= 1:
                return self._log(parse_vkey(vkey), url[0] if url else None)
            case ["witness", name, vkey, *url] if len(url) <= 1:
                return self._define(name) or self._witness(name, parse_vkey(vkey), url[0] if url else None)
            case ["group", name, threshold, *members] if members:
                return self._group(name, threshold, members) or self._define(name)
            case ["quorum", name]:
                return self._quorum(name)
        return "not a log, witness, group or quorum line"

    def _define(self, name: str) -> str | None:
        if name == _NONE or name in self.names:
            return f"the name {name} is taken"
        self.names.add(name)
        return None

    def _log(self, key: VerifierKey, url: str | None) -> str | None:
        if key.algorithm not in _LOG_ALGORITHMS:
            return f"a log does not sign with keys of type 0x{key.algorithm:02x}"
        if any(key.public == log.key.public for log in self.logs):
            return "a log with this public key is listed already"
        self.logs.append(PolicyLog(key, url))
        return None

    def _witness(self, name: str, key: VerifierKey, url: str | None) -> str | None:
        if key.algorithm not in _WITNESS_ALGORITHMS:
            return f"a witness does not cosign with keys of type 0x{key.algorithm:02x}"
        if any(key.public == witness.key.public for witness in self.witnesses):
            return "a witness with this public key is listed already"
        self.witnesses.append(PolicyWitness(name, key, url))
        return None

    def _group(self, name: str, threshold: str, members: list[str]) -> str | None:
        for member in members:
            if member not in self.names:
                return f"{member} is not defined above"
            if member in self.members:
                return f"{member} is a member already"
            self.members.add(member)
        shorthand = {"any": 1, "all": len(members)}
        wanted = shorthand[threshold] if threshold in shorthand else parse_decimal(threshold)
        if not 1 <= wanted <= len(members):
            return f"a group of {len(members)} cannot ask for {wanted}"
        self.groups.append(PolicyGroup(name, wanted, tuple(members)))
        return None

    def _quorum(self, name: str) -> str | None:
        if self.quorum is not None:
            return "a second quorum line"
        if name != _NONE and name not in self.names:
            return f"{name} is not defined above"
        self.quorum = name
        return None


def parse_policy(text: str | bytes) -> Policy:
    """The policy of its text."""
    try:
        data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    except UnicodeEncodeError:
        raise InputError("bad_policy", "a policy is bytes, and this is not text that stands for bytes") from None
    if len(data) > MAX_POLICY_BYTES:
        raise InputError("bad_policy", f"a policy of {len(data)} bytes is over the limit of {MAX_POLICY_BYTES}")
    reader = _Reader()
    for number, line in enumerate(data.split(b"\n"), 1):
        item = f"line {number}"
        if _CONTROL.search(line):
            raise InputError("bad_policy", f"{item}: a control character", item=item)
        # bytes.split() would also take other white space; only spaces and tabs are allowed through here.
        words = [word.decode("utf-8", "surrogateescape") for word in line.split()]
        if not words or words[0].startswith("#"):
            continue
        try:
            wrong = reader.read(words)
        except EvidenceError as error:
            wrong = error.message
        if wrong or len(reader.logs) + len(reader.names) > MAX_POLICY_ITEMS:
            raise InputError("bad_policy", f"{item}: {wrong or 'too many lines'}", item=item)
    if reader.quorum is None:
        raise InputError("bad_policy", "no quorum line")
    return Policy(tuple(reader.logs), tuple(reader.witnesses), tuple(reader.groups), reader.quorum)
