"""People who approved, refused or were asked, where nobody reported it as oversight (CONVENTIONS 3 and 4).

No framework tried says *who*: the person stays absent. Verdicts come from message parts, from the sentence by which a
framework tells its model that a person refused, and from what became of a call for which approval was asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from counterfoil.trails.derive.conclusion import Conclusion
from counterfoil.trails.derive.tree import Leaf, Told, Tree, agent_of, began, is_paused, what

_INTERRUPTED_KINDS = ("agent_run", "tool_call", "operation")


def oversights(tree: Tree) -> list[Conclusion]:
    """Every derived oversight: what was asked, and what was said to it."""
    asked = list(requests(tree))
    said = list(_verdicts(tree))
    settled = {step.facts.get("of") for step in said}
    return [*asked, *said, *_by_outcome(tree, asked, settled)]


def requests(tree: Tree) -> Iterator[Conclusion]:
    """Approvals that were asked for: once a call, at the first record that says so; and interrupts."""
    seen: set[str] = set()
    for one in tree.told:
        for call_id, tool, request_id in one.reading.requested:
            if (key := request_id or call_id or tool) not in seen:
                seen.add(key)
                yield _step(tree, "approval_requested", one, call_id, {"act": "check", **_some("tool", tool)})
        if is_paused(one) and one.kind in _INTERRUPTED_KINDS and not _within(one, seen):
            seen.add(f"interrupt {one.leaf.get('trace_id')}")
            yield _step(tree, "approval_requested", one, "", {"act": "check"})


def _within(one: Told, seen: set[str]) -> bool:
    """An interrupt climbs through every span around it: it is told once a trace."""
    return f"interrupt {one.leaf.get('trace_id')}" in seen


def _verdicts(tree: Tree) -> Iterator[Conclusion]:
    seen: set[str] = set()
    for one in tree.told:
        for call_id, tool, request_id, approved in one.reading.verdicts:
            if (key := request_id or call_id or tool or f"{one.leaf.get('trace_id')}") not in seen:
                seen |= {key, call_id}
                facts = {"act": "decision", "verdict": "approve" if approved else "reject", **_some("tool", tool)}
                yield _step(tree, "approval_response", one, call_id, facts)
    for one in tree.told:
        for call_id, framework in one.reading.not_approved:
            call_id = call_id or one.leaf.get("tool", {}).get("call_id", "")
            key = call_id or f"{one.leaf.get('trace_id')} {what(one.leaf)}"
            if key not in seen:
                seen.add(key)
                facts = {"act": "decision", "verdict": "reject", "framework": framework.replace(" ", "-")}
                yield _step(tree, "refusal_sentence", one, call_id, facts)


def _by_outcome(tree: Tree, asked: list[Conclusion], settled: set[Any]) -> Iterator[Conclusion]:
    """Calls that somebody outside answered, and what became of calls for which approval was asked."""
    made = {
        call_id: one
        for one in reversed(tree.told)
        if one.kind == "tool_call" and (call_id := one.leaf.get("tool", {}).get("call_id"))
    }
    waiting = {step.facts["of"]: step for step in asked if "of" in step.facts}
    at = {one.seq: one for one in tree.told}
    begun: set[str | None] = set()
    answered: set[str] = set()
    for one in tree.told:
        trace_id = one.leaf.get("trace_id")
        if one.kind != "model_call" or trace_id in begun:
            continue
        begun.add(trace_id)
        for call_id in one.reading.answered:
            if not call_id or call_id in made or call_id in settled or call_id in answered:
                continue
            answered.add(call_id)
            request = waiting.get(call_id)
            asked_in = None if request is None else at[request.seq].leaf
            if request is not None and asked_in is not None and _goes_on(asked_in, one):
                facts = {"act": "decision", "verdict": "reject"}
                yield _step(tree, "refused_call", one, call_id, facts, (request.seq,), "answer")
            else:
                yield _step(tree, "answered_outside", one, call_id, {"act": "decision"}, (), "answer")
    for call_id, request in waiting.items():
        call = made.get(call_id)
        asked_at = at[request.seq]
        if call is None or call_id in settled or not _goes_on(asked_at.leaf, call):
            continue
        if request.facts.get("tool") not in (None, what(call.leaf)):
            continue  # an id as short as `c1` may be another call's too
        if began(call) >= began(asked_at):
            facts = {"act": "decision", "verdict": "approve", **_some("tool", what(call.leaf) or "")}
            yield _step(tree, "approved_call", call, call_id, facts, (request.seq,))


def _goes_on(asked_in: Leaf, one: Told) -> bool:
    """Whether a record can be what became of an approval: in another trace, of the writer that asked."""
    return asked_in.get("trace_id") != one.leaf.get("trace_id") and asked_in.get("writer") == one.leaf.get("writer")


def _step(
    tree: Tree,
    rule: str,
    one: Told,
    call_id: str,
    facts: dict[str, Any],
    from_seqs: tuple[int, ...] = (),
    words_in: str = "",
) -> Conclusion:
    facts = {**facts, **_some("of", call_id)}
    words_seq = one.seq if words_in else None
    return Conclusion(rule, "oversight", one.seq, facts, from_seqs, words_seq, words_in, agent_of(tree, one))


def _some(key: str, value: str) -> dict[str, str]:
    return {key: value} if value else {}
