"""What became of a content field, for every reader (RECORD 4). MISSING and MISMATCH are failures; ERASED and EXPIRED
count only where the record they name covers this `seq` and field."""

from enum import StrEnum


class ContentState(StrEnum):
    """The state of one content field of one record."""

    DISCLOSED = "DISCLOSED"
    WITHHELD = "WITHHELD"
    ERASED = "ERASED"
    EXPIRED = "EXPIRED"
    MISSING = "MISSING"
    MISMATCH = "MISMATCH"

    @property
    def is_failure(self) -> bool:
        """Whether this state fails verification (EVIDENCE 4, step 9)."""
        return self in (ContentState.MISSING, ContentState.MISMATCH)
