"""Full text: words of leaf facts, and words of the content fields that a log opens (`fulltext_fields`).

On SQLite each log has one FTS5 table `text_<log_id>`: without stored text (the words are in the log), rows numbered by
`seq`, column `facts` and column `content`. A table of its own for each log means that one log can be made again alone.

A question `q` is ours, not FTS5's: words, "phrases" and prefix*, all of which must occur. What a person types is split
here and handed over as quoted strings only, so nothing in it is ever an operator:

    refund "goodwill budget" R-12 warrant*   ->   "refund" "goodwill budget" "R-12" "warrant" *

A word with punctuation (`policy_limit`, `gpt-5-mini`) is the phrase of its parts. Case and accents do not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, TableClause, column, literal_column
from sqlalchemy import table as sql_table

from counterfoil.core.errors import InputError

MAX_QUERY_CHARS = 512
MAX_TERMS = 32
MAX_CONTENT_CHARS = 65_536
"""Characters of opened content that one record adds; what lies behind them is not found by words."""

_BLOCK = 8_192
_PLACE_BITS = 20
"""Room for a word's place in its record and its column: 2^19 words are more than MAX_CONTENT_CHARS can hold."""

_OPTIONS = "content='', columnsize=0, tokenize='unicode61 remove_diacritics 2'"


def table_name(log_id: int) -> str:
    """The FTS5 table of a log."""
    return f"text_{int(log_id)}"


def create(connection: Connection, log_id: int) -> None:
    """Make the table of a log, empty."""
    connection.exec_driver_sql(
        f"CREATE VIRTUAL TABLE IF NOT EXISTS {table_name(log_id)} USING fts5(facts, content_words, {_OPTIONS})"
    )


def drop(connection: Connection, log_id: int) -> None:
    """Remove every word of a log."""
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {table_name(log_id)}")


def drop_all(connection: Connection) -> None:
    """Remove the words of every log."""
    found = connection.exec_driver_sql(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%'"
    )
    for (name,) in found.fetchall():
        connection.exec_driver_sql(f'DROP TABLE "{name}"')


def insert(connection: Connection, log_id: int, rows: Sequence[tuple[int, str, str]]) -> None:
    """Add the words of records: (seq, words of facts, words of opened content)."""
    if rows:
        connection.exec_driver_sql(
            f"INSERT INTO {table_name(log_id)} (rowid, facts, content_words) VALUES (?, ?, ?)",  # noqa: S608 - our own name
            list(rows),
        )


def parse_words(q: str) -> str:
    """`q` as an FTS5 expression of quoted strings; InputError("bad_query") says what is wrong with it."""
    if len(q) > MAX_QUERY_CHARS:
        raise _bad(f"at most {MAX_QUERY_CHARS} characters, not {len(q)}")
    terms = []
    for number, part in enumerate(q.split('"')):
        # Odd parts stand between quotation marks.
        if number % 2:
            terms.append(_phrase(part))
        else:
            terms.extend(_word(word) for word in part.split())
    if q.count('"') % 2:
        raise _bad("a quotation mark is not closed")
    if not terms:
        raise _bad("no word in it")
    if len(terms) > MAX_TERMS:
        raise _bad(f"at most {MAX_TERMS} words and phrases, not {len(terms)}")
    return " ".join(terms)


def _word(word: str) -> str:
    stem = word.rstrip("*")
    if len(word) - len(stem) > 1 or "*" in stem:
        raise _bad(f"{word!r}: one asterisk, at the end of a word")
    return _phrase(stem) + (" *" if stem != word else "")


def _phrase(text: str) -> str:
    if not any(character.isalnum() for character in text):
        raise _bad(f"{text!r} has no letter or digit")
    if "\x00" in text:
        raise _bad("a NUL character")
    return f'"{text}"'


def _bad(why: str) -> InputError:
    return InputError("bad_query", f"q: {why}", item="q")


def table(log_id: int) -> TableClause:
    """The text table of a log for a statement; its `rowid` is the `seq`."""
    return sql_table(table_name(log_id), column("rowid", BigInteger))


def matches(log_id: int, expression: str) -> ColumnElement[bool]:
    """The condition that a record of the log has the words of an expression (`parse_words`)."""
    return literal_column(table_name(log_id)).op("MATCH", is_comparison=True)(expression)


def postings(connection: Connection, log_id: int) -> Iterator[list[tuple[Any, ...]]]:
    """Every (term, seq, column: 0 facts or 1 content, place) of a log in that order, in blocks."""
    yield from _vocabulary(connection, log_id, "instance", "term, doc, col = 'content_words', offset")


def same_postings(connection: Connection, other: Connection, log_id: int) -> bool:
    """Whether two indexes have the same words of a log.

    Both give their postings in order of term, so it is enough that each term occurs as often in both and that the
    places, without the terms, are the same sequence: a third of the work of looking at `postings`.
    """
    place = f"(doc << {_PLACE_BITS}) | (offset << 1) | (col = 'content_words')"
    for what, columns in (("row", "term, doc, cnt"), ("instance", place)):
        mine, theirs = (_vocabulary(side, log_id, what, columns) for side in (connection, other))
        if any(block != other_block for block, other_block in zip_longest(mine, theirs)):
            return False
    return True


def _vocabulary(connection: Connection, log_id: int, what: str, columns: str) -> Iterator[list[tuple[Any, ...]]]:
    view = f"temp.vocabulary_{int(log_id)}_{what}"
    source = f"fts5vocab('main', '{table_name(log_id)}', '{what}')"
    connection.exec_driver_sql(f"CREATE VIRTUAL TABLE IF NOT EXISTS {view} USING {source}")
    cursor = connection.connection.cursor()
    try:
        cursor.execute(f"SELECT {columns} FROM {view}")  # noqa: S608 - our own names
        while rows := cursor.fetchmany(_BLOCK):
            yield list(rows)
    finally:
        cursor.close()
        connection.exec_driver_sql(f"DROP TABLE {view}")


def join_content(values: Iterable[object]) -> str:
    """The words of content values: every text inside them, cut at MAX_CONTENT_CHARS."""
    words: list[str] = []
    room = MAX_CONTENT_CHARS
    for text in _texts(values):
        if room <= 0:
            break
        words.append(text[:room])
        room -= len(text) + 1
    return " ".join(words).replace("\x00", " ")


def _texts(values: Iterable[object]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from _texts(value.values())
        elif isinstance(value, list):
            yield from _texts(value)
