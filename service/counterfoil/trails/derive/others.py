"""Verdicts of guardrails, outcomes that a status hides, and what should be there and is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from counterfoil.trails.derive.conclusion import Conclusion
from counterfoil.trails.derive.reading import Leaf
from counterfoil.trails.derive.tree import Told, Tree, agent_of, ancestors, has_failed, run_of, what

_DROPPED = ("droppedAttributesCount", "droppedEventsCount", "droppedLinksCount")
_TRIPWIRE = "tripwire"


def guardrails(tree: Tree) -> Iterator[Conclusion]:
    """Guardrails that stopped a run: once a trace, at the guardrail where there is one."""
    told: set[tuple[str | None, int | None]] = set()
    for one in tree.told:
        if one.kind != "guardrail":
            continue
        above = next((other for other in (one, *ancestors(tree, one)) if _tripped(other)), None)
        # One that broke down (it names what with) has said nothing: what ran on behind it was not stopped by it.
        failed = above or (one if has_failed(one) and "error_type" not in one.leaf else None)
        if failed is None:
            continue
        told.add((one.leaf.get("trace_id"), None))
        from_seqs = () if failed is one else (failed.seq,)
        yield Conclusion(
            "guardrail_tripped", "guardrail", one.seq, {"verdict": "deny"}, from_seqs, agent=agent_of(tree, one)
        )
    for one in tree.told:
        if one.kind != "guardrail" and _tripped(one) and (one.leaf.get("trace_id"), None) not in told:
            told.add((one.leaf.get("trace_id"), None))
            yield Conclusion("guardrail_tripped", "guardrail", one.seq, {"verdict": "deny"}, agent=agent_of(tree, one))


def _tripped(one: Told) -> bool:
    return one.reading.tripped or _TRIPWIRE in str(one.leaf.get("error_type", "")).lower()


def outcomes(tree: Tree) -> Iterator[Conclusion]:
    """Tool calls whose result says that they failed, under a status that does not."""
    for one in tree.told:
        if one.kind == "tool_call" and one.reading.said_error and one.leaf.get("status") != "error":
            if "error_type" in one.leaf:
                continue
            message = f"its status is not error, but its result is: {one.reading.said_error}"
            yield Conclusion(
                "tool_said_error",
                "outcome",
                one.seq,
                {"status": "failed", **({} if what(one.leaf) is None else {"tool": what(one.leaf)})},
                agent=agent_of(tree, one),
                message=message,
            )


def missing_results(leaves: Iterable[Leaf]) -> Iterator[Conclusion]:
    """Tool calls that neither failed nor have a result, though what was sent with them was recorded."""
    for leaf in leaves:
        if lacks_result(leaf):
            message = f"the call of {what(leaf) or 'a tool'} has no result and no error"
            yield Conclusion("no_result", "gap", leaf["seq"], {"what": "result"}, message=message)


def lacks_result(leaf: Leaf) -> bool:
    """Whether a record is a tool call that should have a result and has none."""
    fields = leaf.get("content", {})
    return (
        leaf["kind"] == "tool_call"
        and leaf.get("status") != "error"
        and "error_type" not in leaf
        and "arguments" in fields
        and not {"result", "output", "error"} & fields.keys()
        and not {"result", "output"} & leaf.get("absent", {}).keys()
    )


def missing_parents(leaves: Iterable[Leaf]) -> list[Conclusion]:
    """Parent spans that never arrived, once each, at the first record that names one."""
    leaves = list(leaves)
    present = {(leaf.get("trace_id"), leaf.get("span_id")) for leaf in leaves if "span_id" in leaf}
    found: dict[tuple[str, str], Conclusion] = {}
    for leaf in leaves:
        parent, trace_id = leaf.get("parent_span_id"), leaf.get("trace_id")
        if parent is None or trace_id is None or (trace_id, parent) in present or (trace_id, parent) in found:
            continue
        message = f"parent span {parent} never arrived"
        found[trace_id, parent] = Conclusion("parent_missing", "gap", leaf["seq"], {"what": "parent"}, message=message)
    return list(found.values())


def cut_by_sdk(seq: int, content: Mapping[str, Any]) -> list[Conclusion]:
    """What the producer's SDK says that it dropped before sending."""
    span = content.get("span")
    if not isinstance(span, dict):
        return []
    counts = {name: span[name] for name in _DROPPED if isinstance(span.get(name), int) and span[name] > 0}
    if not counts:
        return []
    parts = (f"{count} {name.removeprefix('dropped').removesuffix('Count').lower()}" for name, count in counts.items())
    message = f"the producer's SDK dropped {', '.join(parts)} before sending"
    return [Conclusion("cut_by_sdk", "gap", seq, {"what": "dropped"}, message=message)]


def acting_agents(tree: Tree) -> Iterator[Conclusion]:
    """Whose calls they are, where the record itself names another agent than the run around it."""
    for one in tree.calls:
        agent, own = agent_of(tree, one), one.leaf.get("agent", {})
        if agent is not None and agent not in (own.get("name"), own.get("id"), one.reading.agent):
            run = run_of(tree, one)
            from_seqs = () if run is None else (run.seq,)
            yield Conclusion("agent_of_run", "agent", one.seq, {"agent": agent}, from_seqs, agent=agent)
