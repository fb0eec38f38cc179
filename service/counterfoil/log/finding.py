"""What a check of a store found: one value, with a stable name, so that alarms and tests can rely on it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be.

    `check` is the stable snake_case name of the check that failed, `log` the origin ("" where no log is meant), `seq`
    the record where one is meant, `message` what was seen and what was wanted (never content), `attack` the number in
    the threat table that it is evidence of.
    """

    check: str
    log: str
    seq: int | None
    message: str
    attack: int | None = None

    def text(self) -> str:
        """Return the finding as one line."""
        where = self.log or "store"
        if self.seq is not None:
            where += f" #{self.seq}"
        evidence = "" if self.attack is None else f" (attack {self.attack})"
        return f"{where}: {self.check}{evidence}: {self.message}"
