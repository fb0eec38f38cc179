"""The verifier as one function: a bundle, a policy, a time in; a report out. EVIDENCE 4, in order.

A step that fails ends the run (what comes after would rest on it); so does one over which something is missing that
later steps need. Steps 7, 8, 9 and 11 are one pass over the leaves, in which the first failure in the order of the log
is the one reported.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from counterfoil.core.encoding import MAX_TIME_US, format_time_us
from counterfoil.core.errors import EvidenceError
from counterfoil.verify.attestation import ATTESTATION, TIMESTAMP, check_attestation
from counterfoil.verify.bag import check_digests, check_manifests
from counterfoil.verify.blame import STEPS, Failure, Stopped, blame
from counterfoil.verify.checkpoints import Opened, check_checkpoints, check_growth
from counterfoil.verify.leaves import BLOBS, Seen, check_leaves, check_related, count_leaves
from counterfoil.verify.limits import MAX_ATTESTATION_BYTES, MAX_TIMESTAMP_BYTES, PARALLEL_LEAVES
from counterfoil.verify.policy import VerifyPolicy
from counterfoil.verify.population import RANGE, Population
from counterfoil.verify.reader import Bundle
from counterfoil.verify.report import NO_POLICY, Outcome, Report, Step, Verdict
from counterfoil.verify.states import check_states, find_named
from counterfoil.verify.timestamp import Stamp, check_timestamp
from counterfoil.verify.totals import check_totals, check_view, is_view, read_view, view_files
from counterfoil.verify.trust import KEYS, Trust, trust_of_bundle, trust_of_policy
from counterfoil.verify.unit import DISCLOSURES, LEAVES, PROOFS, RELATED, STATES
from counterfoil.verify.workers import Workers

Progress = Callable[[int, int, int], None]
"""Called with the step's number, and how much of how much is done."""

LATER = {"data/sample.json": 12, "data/completeness.json": 13}
"""Evidence for steps that this version does not have."""

_KNOWN = {
    *("population.json", "run.json", "checkpoint", "consistency.json", "states_checkpoint", "states_consistency.json"),
    *("proofs.ndjson", "related.ndjson", "disclosures.ndjson", "states.ndjson", "records.ndjson", "redactions.csv"),
    *("custody.ndjson", "report.html", "keys/keys.json"),
}
_TAG_FILES = {
    *("bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt", ATTESTATION, TIMESTAMP),
    *("README.html", "verify/verify.py"),
}
_ALWAYS = (
    "That what agents reported is true, or that a stated rationale was the real one.",
    "That nothing happened which was never sent to the log.",
    "Columns of records.csv and records.ndjson other than seq and leaf_hash, and the HTML pages: views for reading, "
    "signed by their maker; the leaves and disclosures are the evidence.",
)


def _say_nothing(number: int, done: int, total: int) -> None:
    """For callers that do not want to be told."""


def _say_nothing_of(done: int, total: int) -> None:
    """The same, within a step."""


class _Run:
    """One verification under way: the outcomes so far."""

    def __init__(self, policy: VerifyPolicy | None, progress: Progress | None) -> None:
        self.policy = policy
        self.progress = progress or _say_nothing
        self.steps: dict[int, Step] = {}
        self.reasons: list[str] = []
        self.caveats: list[str] = list(_ALWAYS)
        self.found: dict[str, Any] = {}
        self.digests: dict[str, str] = {}
        """SHA-256 (hex) of every file by the manifests, once they are read."""

    def passed(self, number: int, message: str = "") -> None:
        self.steps[number] = Step(number, Outcome.PASSED, message=message)

    def not_checked(self, number: int, message: str) -> None:
        self.steps[number] = Step(number, Outcome.NOT_CHECKED, message=message)

    def incomplete(self, number: int, file: str, message: str) -> None:
        self.steps[number] = Step(number, Outcome.INCOMPLETE, file, message)
        self.reasons.append(f"step {number}: {message}")

    def stopped(self, failure: Failure) -> None:
        """The outcome of the step that ended the run."""
        outcome = Outcome.INCOMPLETE if failure.is_gap else Outcome.FAILED
        self.steps[failure.number] = Step(failure.number, outcome, failure.file, failure.message, failure.check)
        if failure.is_gap:
            self.reasons.append(f"step {failure.number}: {failure.message}")

    def begin_again(self) -> None:
        """Forget what came after step 1, which rested on files that are not those of the manifests."""
        self.steps = {1: self.steps[1]}
        self.reasons = [reason for reason in self.reasons if reason.startswith("step 1:")]
        self.caveats, self.found = list(_ALWAYS), {}

    def report(self) -> Report:
        """The verdict over all outcomes."""
        demanded = self.policy.demand if self.policy else frozenset()
        for number in STEPS:
            if number not in self.steps:
                self.not_checked(number, "the run ended before")
            if number in demanded and self.steps[number].outcome is Outcome.NOT_CHECKED:
                self.incomplete(
                    number, self.steps[number].file, f"demanded by the policy: {self.steps[number].message}"
                )
        if self.policy is None:
            self.reasons.insert(0, NO_POLICY)
            self.caveats.insert(0, "Anything at all: no policy was given, and a forged bundle agrees with itself too.")
        if any(step.outcome is Outcome.FAILED for step in self.steps.values()):
            result = Verdict.REJECTED
        else:
            result = Verdict.INCOMPLETE if self.reasons else Verdict.VERIFIED
        steps = tuple(self.steps[number] for number in STEPS)
        return Report(result, steps, tuple(self.reasons), tuple(self.caveats), **self.found)


def _is_known(name: str) -> bool:
    if not name.startswith("data/"):
        return name in _TAG_FILES
    known = name in LATER or name.removeprefix("data/") in _KNOWN or is_view(name)
    return known or name.startswith((LEAVES + "/", BLOBS))


def _check_known(run: _Run, bundle: Bundle) -> None:
    """Files that this version does not know are evidence that it cannot judge."""
    unknown = [name for name in sorted(bundle.files) if not _is_known(name)]
    if unknown:
        run.incomplete(1, unknown[0], "a file that this version of the verifier does not know")
    else:
        run.passed(1, f"{len(bundle.files)} files")


def _check_time(run: _Run, bundle: Bundle, at_us: int | None) -> None:
    """Step 4."""
    if TIMESTAMP not in bundle.files:
        run.not_checked(4, "no timestamp in the bundle")
        run.caveats.append("When the bundle was made: there is no timestamp of an independent authority.")
        return
    roots = run.policy.roots if run.policy else ()
    if at_us is None and run.policy is not None:
        at_us = run.policy.at_us
    with blame(4, TIMESTAMP):
        token = bundle.read(TIMESTAMP, MAX_TIMESTAMP_BYTES)
        stamp = check_timestamp(token, bundle.read(ATTESTATION, MAX_ATTESTATION_BYTES), roots)
        if at_us is not None and stamp.at_us > at_us:
            raise EvidenceError("timestamp", f"made at {format_time_us(stamp.at_us)}, after the reference time")
    run.found["timestamp"] = _stamp_facts(stamp)
    if roots:
        run.passed(4, format_time_us(stamp.at_us))
        run.caveats.append("That the authority's certificate was not revoked: that cannot be asked offline.")
    else:
        run.not_checked(4, "the token is sound in itself, but the policy names no timestamp root")


def _stamp_facts(stamp: Stamp) -> dict[str, Any]:
    return {
        "at": format_time_us(stamp.at_us),
        "authority": stamp.authority,
        "serial": str(stamp.serial),
        "policy": stamp.policy,
    }


def _check_leaves(
    run: _Run, bundle: Bundle, path: Path, population: Population, opened: Opened, states: Opened, workers: int
) -> None:
    """Steps 7 to 11."""
    named = find_named(bundle)
    related = check_related(bundle, population, states, named)
    views = view_files(bundle)
    with Workers(workers if count_leaves(population) >= PARALLEL_LEAVES else 1) as pool:
        digests = [{name: run.digests[name] for name in names} for names in views]
        shown = [pool.begin(read_view, path, *view) for view in zip(views, digests, strict=True)]
        seen = check_leaves(bundle, population, opened, named, pool, lambda done, total: run.progress(7, done, total))
        run.passed(7, f"{seen.leaves + related.leaves} leaves")
        run.passed(8, "chained and included" if population.form == RANGE else "each included")
        run.passed(9)
        _check_explained(run, bundle, seen, related)
        check_totals(population, seen)
        for names, view in zip(views, shown, strict=True):
            check_view(names, view(), seen)
    run.passed(11, f"{seen.count} records")
    if population.form != RANGE:
        run.caveats.append("That these are all records of any kind: a selection claims no completeness.")
    elif (population.a, population.b) != (0, population.tree_size):
        run.caveats.append(f"Anything about records before {population.a} or from {population.b} on.")


def _check_explained(run: _Run, bundle: Bundle, seen: Seen, related: Seen) -> None:
    """Step 10."""
    if not seen.explained:
        run.passed(10, "nothing is said to be erased or expired")
        return
    explained = check_states(bundle, seen.removals | related.removals)
    run.passed(10, f"{explained} fields")


def _time_text(seconds: int | None) -> str:
    """A cosignature's time; one that no calendar has stays a number."""
    us = (seconds or 0) * 1_000_000
    return format_time_us(us) if us <= MAX_TIME_US else f"{seconds} s"


def _check_witnesses(run: _Run, opened: Opened) -> None:
    run.passed(5, "witnessed" if opened.witnesses else "unwitnessed")
    run.found["witnesses"] = tuple(f"{name} at {_time_text(seconds)}" for name, seconds in opened.witnesses)
    if not opened.witnesses:
        run.caveats.append(
            "That the log shows everyone the same history: the checkpoint is unwitnessed, so whoever holds the log's "
            "key could have rewritten it and signed again."
        )


def _is_read_later(name: str) -> bool:
    """Whether steps 7 to 11 read a file from end to end: its digest is compared then."""
    return is_view(name) or name in (DISCLOSURES, PROOFS, RELATED, STATES) or name.startswith((LEAVES + "/", BLOBS))


def _check_bag(run: _Run, bundle: Bundle) -> dict[str, str]:
    """Step 2, but for the files that later steps read."""
    digests = run.digests = check_manifests(bundle)
    now = {name: digest for name, digest in digests.items() if not _is_read_later(name)}
    check_digests(bundle, now, lambda done, total: run.progress(2, done, total))
    # Views are read by `read_view`, which is told their digests.
    bundle.expect({name: digests[name] for name in digests.keys() - now.keys() if not is_view(name)})
    run.passed(2, f"{len(digests)} files")
    return digests


def _verify(run: _Run, bundle: Bundle, path: Path, since: bytes | None, at_us: int | None, workers: int) -> None:
    _check_known(run, bundle)
    digests = _check_bag(run, bundle)
    if run.policy is not None:
        trust = trust_of_policy(run.policy)
    else:
        with blame(3, KEYS):
            trust = trust_of_bundle(bundle)
    population, signed_by = check_attestation(bundle, digests, trust.signers, trust.threshold)
    run.passed(3)
    run.found |= {"population": population.facts(), "signed_by": signed_by}
    _check_time(run, bundle, at_us)
    opened, states = check_checkpoints(bundle, population, trust)
    _check_witnesses(run, opened)
    _check_consistency(run, bundle, opened, states, since, trust)
    _check_leaves(run, bundle, path, population, opened, states, workers)
    check_digests(bundle, {name: digests[name] for name in bundle.unread}, _say_nothing_of)
    for name, number in LATER.items():
        if name in bundle.files:
            run.incomplete(number, name, "this version of the verifier does not have this step")
        else:
            run.not_checked(number, "not part of this version of the verifier")


def _check_consistency(
    run: _Run, bundle: Bundle, opened: Opened, states: Opened, since: bytes | None, trust: Trust
) -> None:
    """Step 6. A missing proof leaves a hole, and the rest is still checked."""
    try:
        shown = check_growth(bundle, opened, states, since, trust)
    except Stopped as stopped:
        if not stopped.failure.is_gap:
            raise
        run.stopped(stopped.failure)
        return
    if shown is None:
        run.not_checked(6, "no earlier checkpoint given (--since)")
    else:
        run.passed(6, shown)


def verify_bundle(
    path: Path,
    *,
    policy: VerifyPolicy | None,
    since: bytes | None = None,
    at_us: int | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Report:
    """Checks the bundle at `path`.

    `since`: the note of a checkpoint that the auditor kept. `at_us`: reference time in microseconds since the epoch,
    before which a timestamp must have been made. `workers`: processes for large bundles. InputError("no_bundle") where
    the file cannot be read; everything else that is wrong is in the report.
    """
    run = _Run(policy, progress)
    try:
        with Bundle.open(path) as bundle, _step_2_first(run, bundle):
            _verify(run, bundle, path, since, at_us, workers)
    except Stopped as stopped:
        run.stopped(stopped.failure)
    return run.report()


@contextmanager
def _step_2_first(run: _Run, bundle: Bundle) -> Iterator[None]:
    """Where a step fails, and the digest of some file was left to a later one: that comes first."""
    try:
        yield
    except Stopped:
        try:
            check_digests(bundle, run.digests, _say_nothing_of)
        except Stopped:
            run.begin_again()
            raise
        raise
