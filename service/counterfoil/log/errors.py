"""Why the log does not take a record now. All are `Fault`s with a stable `code`; nothing was written.

The caller may send again (429 or 503), except where the code says that evidence is damaged.
"""

from __future__ import annotations

from counterfoil.core.errors import Fault


class Busy(Fault):
    """The queue of this log is full: send again in a second."""

    code = "busy"


class Closing(Fault):
    """The service is stopping, or the writer stopped after a write whose outcome is not known."""

    code = "storage_unavailable"


class ClockBehind(Fault):
    """The clock is further behind the log's last record than it may be; nothing is appended until it catches up."""

    code = "clock_behind"


class LogRolledBack(Fault):
    """The head store has signed more records than the database holds: the database was rolled back or cut."""

    code = "log_rolled_back"


class HeadContradicted(Fault):
    """The head row does not agree with the records beside it: run fsck. Nothing is appended."""

    code = "head_contradicted"
