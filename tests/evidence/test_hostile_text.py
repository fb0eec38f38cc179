"""What agents and people wrote is text in every view: no markup on a page, no formula in a sheet."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest

from counterfoil.evidence.spreadsheet import CsvBlock, safe_cell
from tests.evidence.house import fill, new_house, record, unpack

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
FORMULA = '=HYPERLINK("http://evil.example","click")'


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, bytes]]:
    """The files of a bundle of records whose every word is hostile."""
    with new_house(tmp_path_factory.mktemp("hostile") / "audit") as house:
        fill(house, 2)
        words = {"rationale": SCRIPT, "alternatives": FORMULA, "output": "+1+1", "reason": "@SUM(1)", "summary": "\t=1"}
        house.append(
            [
                record("decision", 100, words=words, facts={"decision": {"type": "refund"}}),
                record("decision", 101, words={"rationale": "-2+3", "output": "＝1＋1", "reason": " \r\n=1"}),
                record("decision", 102, words={"rationale": "a\x00b\x1b[31mc", "output": "-5", "reason": "- a list"}),
            ]
        )
        yield unpack(house.export(purpose=f"purpose {SCRIPT}", filter={"kind": "decision"}))


class Page(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


@pytest.mark.parametrize("name", ["README.html", "data/report.html"])
def test_pages_have_no_script_and_fetch_nothing(hostile: dict[str, bytes], name: str) -> None:
    html = hostile[name].decode()
    page = Page(html)
    assert not {"script", "img", "link", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "src"]
    targets = [value for name, value in page.attributes if name == "href"]
    assert all(re.fullmatch(r"#[a-z]+|(\.\./)?(README|data/report)\.html", target) for target in targets)
    assert "url(" not in html
    assert "default-src 'none'" in html


def test_hostile_words_stand_on_the_report_as_they_were_written(hostile: dict[str, bytes]) -> None:
    html = hostile["data/report.html"].decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(2)&gt;" in html
    assert "<script" not in html
    assert "purpose &lt;script&gt;" in hostile["README.html"].decode()


def test_no_cell_is_a_formula(hostile: dict[str, bytes]) -> None:
    text = hostile["data/records.csv"].decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    cells = [cell for row in rows for cell in row]
    assert not [cell for cell in cells if re.match(r"\s*[=+@\uff1d\uff0b\uff20]|[\t\r\n]", cell)]
    assert not [cell for cell in cells if cell.startswith("-") and not re.fullmatch(r"-\d+", cell)]
    assert f"'{FORMULA}" in cells
    assert "'- a list" in cells
    assert "-5" in cells
    assert not re.search(r"[\x00-\x08\x1b]", text)


def test_the_exact_value_stands_in_the_ndjson(hostile: dict[str, bytes]) -> None:
    rows = [json.loads(line) for line in hostile["data/records.ndjson"].splitlines()]
    assert [row["content.alternatives"] for row in rows if "content.alternatives" in row][-1] == FORMULA
    assert rows[-1]["content.rationale"] == "a\x00b\x1b[31mc"


def test_every_row_has_every_column(hostile: dict[str, bytes]) -> None:
    rows = list(csv.reader(io.StringIO(hostile["data/records.csv"].decode("utf-8-sig"), newline="")))
    assert rows[0][:4] == ["seq", "leaf_hash", "recorded_at", "kind"]
    assert {len(row) for row in rows} == {len(rows[0])}
    assert len(rows) == 1 + 5


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (17, 17),
        (-17, -17),
        ("", ""),
        ("plain", "plain"),
        ("-1.5", "-1.5"),
        ("=1", "'=1"),
        ("+1", "'+1"),
        ("-a", "'-a"),
        ("@a", "'@a"),
        ("\ta", "'\ta"),
        ("\ra", "'\ra"),
        (" =1", "' =1"),
        ("\u00a0=1", "'\u00a0=1"),
        ("a\x07b", "a\ufffdb"),
        ("\x00=1", "\ufffd=1"),
        ("line\nbreak", "line\nbreak"),
    ],
)
def test_a_cell_never_begins_as_a_formula(value: object, cell: object) -> None:
    assert safe_cell(value) == cell


def test_a_lone_surrogate_does_not_stop_a_sheet() -> None:
    block = CsvBlock()
    block.row(["a\ud800b"])
    assert block.take() == b"a?b\r\n"
