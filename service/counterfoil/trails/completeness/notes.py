"""The record that a producer fell silent: a `note` of the service in the log itself (RECORD 2 and 3). Pure.

    {"kind": "note", "source": "service", "note": {"meaning": "producer_silent", "of": {"seq": 41}}}

`of` is the last record that was heard of the producer, which names it; nothing else is concluded in the log. The note
says that the service noticed, and when: silence leaves no other trace, and later the clock cannot be asked. It is also
how a restarted service knows that the alarm was raised. There is no note that it ended: the producer's next record is.
"""

from __future__ import annotations

from typing import Any

from counterfoil.mapping.draft import Draft

PRODUCER_SILENT = "producer_silent"


def silence_note(heard_seq: int) -> Draft:
    """The note about the producer whose last record is `heard_seq`."""
    return Draft("note", "service", {"note": {"meaning": PRODUCER_SILENT, "of": {"seq": heard_seq}}}, [])


def silenced_seq(leaf: dict[str, Any]) -> int | None:
    """The last record of the producer that this leaf notes as silent; None where it is no such note of the service."""
    if leaf.get("kind") != "note" or leaf.get("source") != "service":
        return None
    note = leaf.get("note", {})
    seq = note.get("of", {}).get("seq") if note.get("meaning") == PRODUCER_SILENT else None
    return seq if type(seq) is int else None
