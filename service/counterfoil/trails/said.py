"""Who said what, of the messages in a record's input and output, in every shape that messages.py reads. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from counterfoil.trails.derive.wording import output_parts
from counterfoil.trails.messages import TEXT, THOUGHT, Part, parts_of
from counterfoil.trails.words import Said


def said_in_call(values: Mapping[str, Any]) -> list[Said]:
    """What a model call was given to read, and what it answered."""
    return _said([*parts_of(values.get("input")), *output_parts(values.get("output"))])


def asked_of_run(values: Mapping[str, Any]) -> list[Said]:
    """What the customer said to a run that nobody else started; of others it would be the words of an agent."""
    return [words for words in _said(parts_of(values.get("input"))) if words.role == "user"]


def answer_of_run(value: Any) -> list[Said]:
    """What a run's output ends with."""
    parts = output_parts(value)
    last = parts[-1].message if parts else None
    return [words for words in _said([part for part in parts if part.message == last]) if words.role != "user"]


def thoughts_in(value: Any) -> str | None:
    """The reasoning parts of an output, joined; None where there are none."""
    return "\n".join(part.text for part in output_parts(value) if part.sort == THOUGHT and part.text) or None


def _said(parts: list[Part]) -> list[Said]:
    return [Said(part.role, part.text) for part in parts if part.sort == TEXT and part.text]
