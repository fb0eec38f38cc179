"""Step 10: whatever is said to be erased or expired is explained by a record of the log that covers exactly that.

The record that a state names with `by` comes after the record concerned, is of the right kind, is present (among the
leaves or the related records, so steps 7 and 8 have passed over it), and its ranges and fields cover this seq and
field. Withheld fields are the maker's choice and need no record.
"""

from counterfoil.core.errors import EvidenceError
from counterfoil.core.state import ContentState
from counterfoil.verify.blame import blame
from counterfoil.verify.content import STATE_LINE
from counterfoil.verify.reader import Bundle
from counterfoil.verify.unit import STATES, Covering

_KINDS = {ContentState.ERASED: "erasure", ContentState.EXPIRED: "expiry"}


def check_states(bundle: Bundle, covering: dict[int, Covering]) -> int:
    """Step 10. The number of fields explained; every line has passed step 9."""
    explained = 0
    with blame(10, STATES):
        for block in bundle.blocks(STATES):
            for line in STATE_LINE.finditer(block):
                if line[1] is None:
                    continue
                by, field, seq, state = int(line[1]), line[2].decode(), int(line[3]), ContentState(line[4].decode())
                record = covering.get(by)
                if record is None or record.kind != _KINDS[state]:
                    raise EvidenceError(
                        "covering", f"record {seq}, field {field}: record {by} is no {_KINDS[state]} here"
                    )
                if by <= seq or not record.covers(seq, field):
                    raise EvidenceError("covering", f"record {seq}, field {field}: record {by} does not cover that")
                explained += 1
    return explained
