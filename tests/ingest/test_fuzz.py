"""Whatever is sent, the answer is one that OTLP knows and the log stays whole: real bodies, damaged in every way.

The requests go through everything but the socket, into a real log; the ids of each are its own, so that what survives
the damage is really appended. An error that is not an `ExportError` of the client's making fails the test.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from counterfoil.ingest.media import Encoding
from counterfoil.ingest.service import Call, Ingest
from counterfoil.ingest.signal import Signal
from counterfoil.ingest.status import ExportError
from counterfoil.log.initialise import open_logs
from counterfoil.log.logs import Logs
from tests.ingest.spans import agent_span_files, is_logs
from tests.service.running import LOG, Made, check_ledger_clean

FILES = [*agent_span_files(".bin"), *agent_span_files(".otlp.json")]
ROUNDS = 8
ODD = (b"\x00", b'"', b"{", b"]", b"\\u0000", b"\xed\xa0\x80", b"1e999", b"\x80" * 11)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    from tests.service.running import make_directory

    return make_directory(tmp_path_factory.mktemp("fuzz") / "audit")


@pytest.fixture(scope="module")
def logs(made: Made) -> Iterator[Logs]:
    opened = open_logs(made.directory)
    yield opened
    opened.close()
    check_ledger_clean(made)


def damage(body: bytes, chance: random.Random) -> bytes:
    """One to three changes: bits, bytes, pieces cut out, doubled, moved or made long."""
    changed = bytearray(body)
    for _ in range(chance.randint(1, 3)):
        at, end = sorted(chance.randrange(len(changed) + 1) for _ in range(2))
        end = min(end, at + chance.choice((1, 2, 8, 64, 4096)))
        piece = bytes(changed[at:end])
        match chance.randrange(6):
            case 0:
                changed[at:end] = b""
            case 1:
                changed[at:at] = piece * chance.randint(1, 3)
            case 2:
                changed[at:end] = chance.randbytes(len(piece))
            case 3:
                changed[at:end] = b"\xff" * len(piece)
            case 4:
                changed[at:at] = chance.choice(
                    (b"\x00", b'"', b"{", b"]", b"\\u0000", b"\xed\xa0\x80", b"1e999", b"\x80" * 11)
                )
            case _:
                where = chance.randrange(len(changed) + 1)
                changed[where:where] = piece
        if not changed:
            changed = bytearray(b"\x0a")
    return bytes(changed)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_damaged_requests_are_answered_and_never_a_mistake_of_ours(path: Path, made: Made, logs: Logs) -> None:
    chance = random.Random(path.name)
    ingest = Ingest(logs)
    log_id = next(log.id for log in logs.all() if log.name == LOG)
    body = path.read_bytes()
    encoding = Encoding.JSON if path.suffix == ".json" else Encoding.PROTOBUF
    signal = Signal.LOGS if is_logs(path) else Signal.TRACES

    async def send(number: int) -> ExportError | None:
        async def stream() -> AsyncIterator[bytes]:
            yield damage(body, chance)

        call = Call(signal, encoding, log_id, f"fuzz{number:04}")
        try:
            await ingest.export(call, {}, stream())
        except ExportError as error:
            return error
        return None

    answers = [asyncio.run(send(number)) for number in range(ROUNDS)]
    ingest.close()
    assert ingest.in_flight == (0, 0)
    assert [error for error in answers if error is not None and error.http_status not in (400, 413)] == []
