"""Records for tests of rules: leaves in a few words, and what their content says."""

from __future__ import annotations

from typing import Any

from counterfoil.trails.derive.conclude import conclude
from counterfoil.trails.derive.conclusion import Conclusion
from counterfoil.trails.derive.reading import read_words
from counterfoil.trails.derive.tree import Told

TRACE, RUN = "0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7"
FAILED = {"status": "error"}


def told(seq: int, kind: str, *, says: dict[str, Any] | None = None, until: int | None = None, **facts: Any) -> Told:
    """A record that begins at second `seq`; `says` is its content. A fact of None is left out."""
    leaf = {
        "seq": seq,
        "kind": kind,
        "trace_id": TRACE,
        "span_id": f"{seq:016x}",
        "parent_span_id": RUN,
        "started_at": f"2026-11-18T10:00:{seq:02}.000000000Z",
        "ended_at": f"2026-11-18T10:00:{seq if until is None else until:02}.500000000Z",
        **({"content": dict.fromkeys(says, "d" * 43)} if says else {}),
        **facts,
    }
    leaf = {key: value for key, value in leaf.items() if value is not None}
    return Told(leaf, read_words(leaf, says or {}))


def tool(seq: int, name: str | None, *, call_id: str | None = None, **facts: Any) -> Told:
    """A tool call in the run `RUN`."""
    named = {key: value for key, value in (("name", name), ("call_id", call_id)) if value is not None}
    return told(seq, "tool_call", tool=named or None, **facts)


def model(seq: int, requested: str | None = "gpt-5", answered: str | None = None, **facts: Any) -> Told:
    """A model call in the run `RUN`."""
    named = {key: value for key, value in (("requested", requested), ("name", answered)) if value is not None}
    return told(seq, "model_call", model=named or None, **facts)


def run(seq: int, agent: str, until: int, *, span: str = RUN, parent: str | None = None, **facts: Any) -> Told:
    """An agent's run."""
    facts = {"name": "invoke_agent", "agent": {"name": agent}, **facts}
    return told(seq, "agent_run", span_id=span, parent_span_id=parent, until=until, **facts)


def messages(*parts: dict[str, Any], role: str = "assistant") -> list[dict[str, Any]]:
    """One message of these parts."""
    return [{"role": role, "parts": list(parts)}]


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "content": words}


def calls(name: str, call_id: str = "c1", **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_call", "id": call_id, "name": name, "arguments": arguments}


def of_kind(records: list[Told], kind: str) -> list[Conclusion]:
    """What is concluded of one kind; the same whatever the order of the records."""
    found = [step for step in conclude(records) if step.kind == kind]
    assert [step for step in conclude(records[::-1]) if step.kind == kind] == found
    return found
