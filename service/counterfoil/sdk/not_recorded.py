"""The one error that the SDK raises on purpose: no record, so no act."""

from __future__ import annotations


class NotRecorded(Exception):
    """A durable decision of which the service did not promise, in time, that it is on disk.

        try:
            with counterfoil.decision("refund", durable=True) as d:
                d.choose("approve", rationale="within policy")
        except counterfoil.NotRecorded:
            hand_to_a_person()

    `reason` says why. The record may still arrive later (it stays queued, or in the spool): the log then holds a
    decision that was not acted upon, so say what was done instead with `fall_back`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the decision is not known to be recorded: {reason}")
        self.reason = reason
