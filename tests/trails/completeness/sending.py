"""What producers send, as the mapping hands it to the log, and a site whose clock stands where a test puts it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from counterfoil.identity.principal import Principal
from counterfoil.identity.roles import Role
from counterfoil.log.batch import Batch
from counterfoil.log.configuration import Configuration
from counterfoil.mapping.draft import Draft, Item
from counterfoil.trails.check_index import check_index
from counterfoil.trails.completeness.schemas import CompletenessOut, ProducerOut
from counterfoil.trails.completeness.service import Completeness
from counterfoil.trails.completeness.watch import SilenceWatcher
from tests.log.append.making import check_every_log
from tests.trails.site import WRITER, Site, TickingClock, make_site

SECOND_US = 1_000_000
MAPPING = {"name": "counterfoil", "version": "1"}


def numbered(n: int, producer: str = "p", *, span: int | None = None, data: str = "", kind: str = "operation") -> Item:
    """A numbered log event, or span number `span`; other `data` makes it another item."""
    facts: dict[str, Any] = {"mapping": MAPPING}
    trace_id = span_id = b""
    if span is not None:
        trace_id = sha256(f"{producer} {span}".encode()).digest()[:16]
        span_id = trace_id[:8]
        facts |= {"trace_id": trace_id.hex(), "span_id": span_id.hex()}
    signal = "logs" if span is None else "traces"
    source: Any = f"otlp:{signal}"
    identity = f"{n} {span} {data}".encode()
    return Item(signal, trace_id, span_id, (producer, n), identity, 0, [Draft(kind, source, facts, [])])


def plain() -> Item:
    """A log event without a number."""
    draft = Draft("operation", "otlp:logs", {"mapping": MAPPING}, [])
    return Item("logs", b"", b"", None, os.urandom(8), 0, [draft])


def declare(event: str, producer: str = "p", *, n: int | None = None, **facts: Any) -> Item:
    """A record of kind `producer`; `from_` stands for from."""
    own = {"id": producer, "event": event, **{key.rstrip("_"): value for key, value in facts.items()}}
    number = None
    if n is not None:
        own["n"] = n
        number = (producer, n)
    draft = Draft("producer", "otlp:logs", {"mapping": MAPPING, "producer": own}, [])
    return Item("logs", b"", b"", number, os.urandom(8), 0, [draft])


class SetClock(TickingClock):
    """Ticks as the other, and jumps where a test says."""

    def wait(self, seconds: float) -> None:
        self.time_us += int(seconds * SECOND_US)


@dataclass(slots=True)
class Counted:
    """A site, with what asks for completeness."""

    site: Site
    clock: SetClock
    configuration: Configuration
    completeness: Completeness
    name: str = "p"
    """The producer that a test is about, where it does not say."""

    def numbered(self, n: int, **more: Any) -> Item:
        return numbered(n, self.name, **more)

    def declare(self, event: str, **facts: Any) -> Item:
        return declare(event, self.name, **facts)

    def send(self, *items: Item, writer: str = WRITER) -> list[int]:
        """Append as one request, and index; the `seq` of each item."""
        answer = self.site.logs.append(self.site.log.id, Batch(writer, list(items))).result(30)
        assert not answer.refused
        self.site.projector.run_once()
        return [given.first for given in answer.seqs if given is not None]

    def ask(self, role: Role = Role.AUDITOR, **parameters: str | Sequence[str]) -> CompletenessOut:
        """The answer to a question; `from_` stands for from."""
        pairs = [
            (name.rstrip("_"), value)
            for name, values in parameters.items()
            for value in ([values] if isinstance(values, str) else values)
        ]
        reader = Principal(self.site.log.tenant_id, "default", "k-reader", role, None, "reader")
        return CompletenessOut.of(self.completeness.report(reader, pairs))

    def one(self, producer: str | None = None) -> ProducerOut:
        (item,) = self.ask(producer=producer or self.name).items
        return item

    def watcher(self, listening_since_us: int = 0) -> SilenceWatcher:
        return SilenceWatcher(self.site.logs, self.site.stores, listening_since_us)

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        with self.site.attack() as index:
            return sorted(index.execute(f"SELECT * FROM {table}").fetchall(), key=repr)


@contextmanager
def counted_site(path: Path) -> Iterator[Counted]:
    """A fresh site; at the end the index is what the log says, and the log is whole."""
    site = make_site(path, fulltext_fields=())
    clock = SetClock()
    clock.time_us = site.clock.time_us
    site.logs.clock = clock
    yield Counted(
        site, clock, Configuration(site.logs, lambda: clock.time_us / 1e6), Completeness(site.logs, site.stores)
    )
    site.projector.run_once()
    assert list(check_index(site.stores)) == []
    site.close()
    check_every_log(path)
