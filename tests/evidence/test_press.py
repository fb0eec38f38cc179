"""Blocks pressed apart, in worker processes: the same bundle as record by record, and every odd case left to that."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from counterfoil.evidence import bundle
from counterfoil.evidence.archive import ArchiveWriter, Spool, deflate_piece
from counterfoil.evidence.bundle import BuildSettings, build_bundle
from counterfoil.evidence.policy import bundle_signer
from counterfoil.evidence.press import Block, Pressed, Task, press
from counterfoil.evidence.request import parse_request
from counterfoil.evidence.run import RunFacts
from counterfoil.evidence.scope import parse_scope
from counterfoil.evidence.sealed import Sealed
from counterfoil.evidence.snapshot import Snapshot
from counterfoil.evidence.software import running_software
from counterfoil.verify.workers import Workers
from tests.evidence.house import House, unpack

RUN = RunFacts("exp", "anna", "auditor", "now", "2026-11-22T00:00:00.000000Z", False)
EVERYTHING: dict[str, Any] = {}
DECISIONS = {"filter": {"kind": ["decision", "fallback"]}, "content": {"fields": ["rationale", "reason"]}}
NOTHING = {"content": "none"}
REDACTED = {"redactions": [{"field": "output", "reason": "names a third party", "ground": "Art. 15(4)"}]}


def build(house: House, target: Path, given: dict[str, Any], workers: int) -> dict[str, bytes]:
    """The files of a bundle; `workers` 0: record by record."""
    request = parse_request({"log": "main", "purpose": "a test", **given})
    settings = BuildSettings(bundle_signer(house.logs), running_software(), target.parent)
    with (
        Workers(max(1, workers)) as pool,
        house.logs.ledger.read() as connection,
        target.open("wb") as out,
    ):
        snapshot = Snapshot(connection, house.logs, house.log)
        build_bundle(out, snapshot, request, RUN, settings, workers=pool)
    return unpack(target)


@pytest.mark.parametrize(
    "given", [EVERYTHING, DECISIONS, NOTHING, REDACTED], ids=["all", "decisions", "none", "redacted"]
)
def test_workers_and_record_by_record_give_the_same_bundle(
    house: House, tmp_path: Path, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    apart, here = build(house, tmp_path / "apart.zip", given, 2), build(house, tmp_path / "here.zip", given, 1)
    pressed: list[Pressed | None] = []

    def never(task: Task, block: Block) -> None:
        pressed.append(press(task, block))

    monkeypatch.setattr(bundle, "press", never)
    slowly = build(house, tmp_path / "slowly.zip", given, 0)
    assert apart == here == slowly
    assert pressed
    assert None not in pressed  # so the bundles before were pressed, not written record by record
    assert house.verify(tmp_path / "apart.zip").result.value == "VERIFIED"


def block_of(house: House, first: int, count: int) -> tuple[Task, Block]:
    """The task of everything, and a block of the house."""
    with house.logs.ledger.read() as connection:
        snapshot = Snapshot(connection, house.logs, house.log)
        leaves = [leaf for _, leaf in snapshot.leaves(first, first + count)]
        sealed = snapshot.sealed(range(first, first + count))
    request = parse_request({"log": "main", "purpose": "a test"})
    return Task(house.log.origin, 0, 10**9, request.filter, request.scope), Block(first, leaves, sealed)


def test_a_block_that_is_not_the_plain_case_is_left_to_record_by_record(house: House) -> None:
    task, block = block_of(house, 256, 64)
    assert block.sealed is not None
    plain = press(task, block)
    assert plain is not None
    assert plain.counted.count == 64
    seq = max(block.sealed.rows)
    key_id, data = block.sealed.rows[seq][0]
    odd = {
        "no content was read": None,
        "a key was destroyed": Sealed(block.sealed.rows, {}),
        "content is missing": Sealed({}, block.sealed.keys),
        "content was changed": Sealed({**block.sealed.rows, seq: [(key_id, data[:-1] + b"\x00")]}, block.sealed.keys),
        "content of another record": Sealed({**block.sealed.rows, seq: block.sealed.rows[seq - 1]}, block.sealed.keys),
    }
    for what, sealed in odd.items():
        assert press(task, Block(block.first, block.leaves, sealed)) is None, what
    for leaf in (b"{", b"[]", b'{"seq":256}', b'{"seq":256,"kind":7}', block.leaves[1]):
        assert press(task, Block(block.first, [leaf, *block.leaves[1:]], block.sealed)) is None, leaf
    single = parse_scope("all", [{"field": "output", "seqs": [300], "reason": "r", "ground": "g"}])
    assert press(Task(task.origin, task.a, task.b, task.filter, single), block) is None


def test_pieces_between_what_a_spool_writes_itself_are_one_deflate_stream(tmp_path: Path) -> None:
    words = [b"the same words, again and again; " * 40, b"", b"other words " * 3, bytes(range(256)) * 9]
    for plan in ("wwpw", "pwpw", "pppp", "wppw", "ppww", "w", "p", ""):
        spool = Spool("top/file", tmp_path)
        given = b""
        for place, how in enumerate(plan):
            data = words[(place + len(plan)) % 4]
            given += data
            spool.write(data) if how == "w" else spool.splice(deflate_piece(data))
        with (tmp_path / "made.zip").open("wb") as out:
            writer = ArchiveWriter(out)
            entry = writer.add_spool(spool)
            writer.close()
        assert (entry.size, entry.crc) == (len(given), zlib.crc32(given))
        with zipfile.ZipFile(tmp_path / "made.zip") as archive:
            assert archive.read("top/file") == given


def test_a_stored_spool_takes_pieces_too(tmp_path: Path) -> None:
    spool = Spool("top/file", tmp_path, compress=False)
    spool.write(b"one ")
    spool.splice(deflate_piece(b"two"))
    spool.finish()
    assert b"".join(spool.stored_chunks()) == b"one two"
    spool.close()
