"""Step 10: whatever is said to be erased or expired is explained by a record of the log that covers exactly that.

The record that a state names with `by` comes after the record concerned, is of the right kind, is present (among the
leaves or the related records, so steps 7 and 8 have passed over it), and its ranges and fields cover this seq and
field. Withheld fields are the maker's choice and need no record.

Which records are named is read before the leaves, so that only those are kept; they are limited in number.
"""

import re
from contextlib import suppress

from counterfoil.core.errors import EvidenceError
from counterfoil.core.removal import covers
from counterfoil.core.state import ContentState
from counterfoil.verify.blame import blame
from counterfoil.verify.content import STATE_LINE
from counterfoil.verify.limits import MAX_EXPLANATIONS
from counterfoil.verify.reader import Bundle
from counterfoil.verify.unit import STATES, Removal

_KINDS = {ContentState.ERASED: "erasure", ContentState.EXPIRED: "expiry"}

_BY = re.compile(rb'^\{"by":([0-9]{1,16}),', re.MULTILINE)


def find_named(bundle: Bundle) -> frozenset[int]:
    """The records that states name as their explanation; a few more than MAX_EXPLANATIONS at most.

    What is wrong with the file is step 9's, in its turn. Of too many, either one is no removal, and step 10 says so
    since it comes to it first; or all are, and keeping them goes over the limit.
    """
    named: set[int] = set()
    with suppress(EvidenceError):
        for block in bundle.blocks(STATES):
            named.update(map(int, _BY.findall(block)))
            if len(named) > MAX_EXPLANATIONS:
                break
    return frozenset(named)


def check_states(bundle: Bundle, removals: dict[int, Removal]) -> int:
    """Step 10. The number of fields explained; every line has passed step 9."""
    explained = 0
    with blame(10, STATES):
        for block in bundle.blocks(STATES):
            for line in STATE_LINE.finditer(block):
                if line[1] is None:
                    continue
                by, field, seq, state = int(line[1]), line[2].decode(), int(line[3]), ContentState(line[4].decode())
                record = removals.get(by)
                if record is None or record["kind"] != _KINDS[state]:
                    raise EvidenceError(
                        "covering", f"record {seq}, field {field}: record {by} is no {_KINDS[state]} here"
                    )
                if not covers(record, seq, field):
                    raise EvidenceError("covering", f"record {seq}, field {field}: record {by} does not cover that")
                explained += 1
    return explained
