"""One promise for a request that went to the log in several groups (RECORD 6).

Each commit group has a promise of its own. A large request is cut into pieces that may be committed in different
groups; its sender asked one question and gets one answer: a promise over all ranges, with the leaf hash of the highest
record and the time of the group that holds it. It says nothing that the single ones do not say together.
"""

from __future__ import annotations

from collections.abc import Sequence

from counterfoil.core.note import parse_vkey
from counterfoil.core.promise import Promise, open_promise, sign_promise
from counterfoil.log.append import merge_ranges
from counterfoil.log.appender import Appender


def join_promises(appender: Appender, notes: Sequence[bytes]) -> bytes:
    """The promise that stands for all of `notes`, each a promise of this log; at least one."""
    if len(notes) == 1:
        return notes[0]
    keys = [parse_vkey(appender.log.vkey)]
    opened = [open_promise(note, keys) for note in notes]
    highest = max(opened, key=lambda promise: promise.ranges[-1][1])
    ranges = merge_ranges([part for promise in opened for part in promise.ranges])
    return sign_promise(Promise(appender.log.origin, ranges, highest.leaf_hash, highest.at_us), appender.signer)
