"""Blame: which numbered step stopped, over which file, why; and whether that refutes the evidence or leaves a hole.

A failure is a value, so that worker processes can hand it back. `Stopped` carries one up to `check.verify_bundle`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from counterfoil.core.errors import CounterfoilError, EvidenceError, UnsupportedError

STEPS: dict[int, str] = {
    1: "archive opened under limits",
    2: "BagIt manifests",
    3: "attestation",
    4: "timestamp",
    5: "checkpoint",
    6: "consistency with an earlier checkpoint",
    7: "every leaf well-formed and in order",
    8: "chain, borders and inclusion",
    9: "disclosures and content states",
    10: "erasures and expiries that explain states",
    11: "filter re-applied, totals",
    12: "sample",
    13: "producers",
}
"""Number and name of every step (EVIDENCE 4)."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Step `number` stopped over `file` (a name inside the bundle). `is_gap`: missing or unknown, not refuted."""

    number: int
    file: str
    check: str
    message: str
    is_gap: bool = False


class Stopped(CounterfoilError):
    """A step stopped."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"step {failure.number}: {failure.message}")
        self.failure = failure


def reject(number: int, file: str, check: str, message: str) -> Stopped:
    """The evidence is refuted: raise this."""
    return Stopped(Failure(number, file, check, message))


def gap(number: int, file: str, check: str, message: str) -> Stopped:
    """Something is missing or of an unknown version: raise this."""
    return Stopped(Failure(number, file, check, message, is_gap=True))


def failure_of(number: int, file: str, error: EvidenceError | UnsupportedError) -> Failure:
    """The failure that an error of `core` means at this step."""
    if isinstance(error, UnsupportedError):
        return Failure(number, file, "unsupported", error.message, is_gap=True)
    return Failure(number, file, error.check, error.message)


@contextmanager
def blame(number: int, file: str) -> Iterator[None]:
    """Errors of `core` inside are failures of step `number` over `file`."""
    try:
        yield
    except (EvidenceError, UnsupportedError) as error:
        raise Stopped(failure_of(number, file, error)) from error
