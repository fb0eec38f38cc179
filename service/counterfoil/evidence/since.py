"""A checkpoint that the requester kept from an earlier visit: what a bundle then proves consistency with.

It must be a note that the log itself signed, so that a checkpoint of another log, or no checkpoint at all, is refused
when it is handed in and not after a long build.
"""

from __future__ import annotations

from counterfoil.core.checkpoint import Checkpoint, open_checkpoint
from counterfoil.core.errors import EvidenceError, InputError, UnsupportedError
from counterfoil.core.note import parse_vkey


def open_since(since: bytes, origin: str, vkey: str) -> Checkpoint:
    """The checkpoint of the note `since`, signed by the log; InputError `bad_since`."""
    try:
        checkpoint, _ = open_checkpoint(since, origin, [parse_vkey(vkey)])
    except (EvidenceError, UnsupportedError) as error:
        raise InputError("bad_since", f"since is no checkpoint of {origin}: {error}", item="since") from error
    if not checkpoint.size:
        raise InputError("bad_since", "since is a checkpoint of an empty log, which proves nothing", item="since")
    return checkpoint
