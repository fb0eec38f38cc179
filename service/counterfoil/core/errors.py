"""Errors by blame, never mixed: the caller's input, the evidence, an unknown version, ourselves.

No message carries a secret or content: it says what was seen, what was wanted, and which item.
"""


class CounterfoilError(Exception):
    """Base of every error that Counterfoil raises on purpose."""


class InputError(CounterfoilError):
    """The caller's input is wrong: `code` is stable snake_case (an API shows it), `item` names what is at fault."""

    def __init__(self, code: str, message: str, *, item: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.item = item


class EvidenceError(CounterfoilError):
    """Hostile or corrupt evidence: the check called `check` (stable snake_case) failed."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(f"{check}: {message}")
        self.check = check
        self.message = message


class UnsupportedError(CounterfoilError):
    """A version or algorithm that we do not know. Not a verdict on the evidence: a verifier says INCOMPLETE."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Fault(CounterfoilError):
    """Our own fault, or an unknown outcome: stop."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
