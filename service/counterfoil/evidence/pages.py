"""The two pages of a bundle, README.html and data/report.html: self-contained, no scripts, nothing fetched.

Templates are in `templates/`, rendered with autoescape and strict undefined, so that hostile text in a record is text
on the page. A content security policy in the page itself forbids everything but its own style.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from counterfoil.core.checkpoint import Checkpoint
from counterfoil.core.encoding import encode_base64
from counterfoil.core.note import parse_note
from counterfoil.evidence.narrative import MAX_ENTRIES, MAX_EXCEPTIONS, MAX_TRAILS, MAX_WORDS_CHARS, Narrative
from counterfoil.evidence.request import RANGE, ExportRequest
from counterfoil.evidence.run import RunFacts
from counterfoil.evidence.scope import Withheld
from counterfoil.evidence.snapshot import LogFacts


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What both pages state."""

    name: str
    log: LogFacts
    checkpoint: Checkpoint
    note: str
    population: dict[str, Any]
    run: RunFacts
    request: ExportRequest
    signer: str
    states: dict[str, int]

    @property
    def is_range(self) -> bool:
        """Whether the bundle claims completeness over its range."""
        return self.request.form == RANGE

    @property
    def root(self) -> str:
        """The tree's root hash in base64."""
        return encode_base64(self.checkpoint.root)

    @property
    def cosignatures(self) -> int:
        """Signature lines that are not the log's own: witnesses, if anybody checks them."""
        _, signatures = parse_note(self.note.encode())
        return sum(signature.name != self.log.origin for signature in signatures)

    @property
    def filter_lines(self) -> list[tuple[str, list[str]]]:
        """The filter as a person reads it."""
        return list(self.population["filter"]["parsed"].items())


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds that the report states beside what it shows."""

    trails: int = MAX_TRAILS
    entries: int = MAX_ENTRIES
    words: int = MAX_WORDS_CHARS
    exceptions: int = MAX_EXCEPTIONS


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("counterfoil.evidence", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render_readme(facts: PageFacts) -> bytes:
    """README.html: what this is, for whom, how to check it, what it does not prove."""
    return _render("README.html.j2", facts=facts)


def render_report(facts: PageFacts, narrative: Narrative, withheld: Sequence[tuple[str, Withheld, int]]) -> bytes:
    """data/report.html: scope, counts, trails, exceptions, redactions, glossary."""
    return _render("report.html.j2", facts=facts, narrative=narrative, withheld=withheld, bounds=Bounds())


def _render(template: str, **context: Any) -> bytes:
    # A lone surrogate, which JSON can carry and UTF-8 cannot, is shown as a question mark.
    return _environment().get_template(template).render(**context).encode("utf-8", "replace")
