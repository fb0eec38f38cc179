"""Step 7, second half: a record may supersede only an earlier record of the same writer, trace and span (RECORD 1).

That the target is lower is part of the leaf's form. Where the target is present, its identity is compared. Claims are
collected and resolved many at a time in the order of their targets, so that every file is read at most once for each
`CLAIMS_AT_ONCE`, and memory does not grow with the bundle.
"""

import json
from collections.abc import Iterator

from counterfoil.core.encoding import decode_base64
from counterfoil.core.tiles import TILE_WIDTH, parse_entries
from counterfoil.verify.blame import blame, reject
from counterfoil.verify.limits import CLAIMS_AT_ONCE, MAX_DOCUMENT_BYTES
from counterfoil.verify.reader import Bundle
from counterfoil.verify.unit import Frame, Identity, identity_of, leaves_file

_Claim = tuple[int, int, Identity]
"""Target, seq of the record that supersedes it, identity of the latter."""


class Claims:
    """The supersessions that a pass has met and not yet resolved."""

    def __init__(self, bundle: Bundle, frame: Frame) -> None:
        self._bundle = bundle
        self._frame = frame
        self._waiting: list[_Claim] = []

    def add(self, claims: list[_Claim]) -> None:
        """More claims, in the order of the log."""
        self._waiting += claims
        if len(self._waiting) >= CLAIMS_AT_ONCE:
            self.resolve()

    def resolve(self) -> None:
        """Checks every waiting claim whose target is present."""
        by_target: dict[int, list[_Claim]] = {}
        for claim in self._waiting:
            by_target.setdefault(claim[0], []).append(claim)
        self._waiting = []
        wrong: list[tuple[int, int]] = []
        for target, leaf in self._targets(sorted(by_target)):
            found = identity_of(json.loads(leaf))
            wrong += [(seq, target) for _, seq, identity in by_target[target] if identity != found]
        if wrong:
            seq, target = min(wrong)
            message = f"record {seq} supersedes record {target}, which has another writer, trace or span"
            raise reject(7, self._frame.file_of(seq), "supersedes", message)

    def _targets(self, targets: list[int]) -> Iterator[tuple[int, bytes]]:
        """The leaves among `targets` (ascending) that are present; all of them have passed step 7 already."""
        if not targets:
            return
        if self._frame.file:
            with blame(7, self._frame.file):
                wanted = set(targets)
                for line in self._bundle.lines(self._frame.file):
                    value = json.loads(line)
                    if value["seq"] in wanted:
                        yield value["seq"], decode_base64(value["leaf"])
            return
        name, leaves = "", []
        for target in targets:
            file = leaves_file(target, self._frame.tree_size)
            if file not in self._bundle.files:
                continue
            if file != name:
                name = file
                with blame(7, name):
                    leaves = parse_entries(self._bundle.read(name, MAX_DOCUMENT_BYTES))
            yield target, leaves[target % TILE_WIDTH]
