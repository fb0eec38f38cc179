"""Fallback paths that nobody reported: what failed, and what was done instead (CONVENTIONS 4).

A step says what triggered it, from what to what, which attempt it was and how that went. Kinds of path (`path`) are
those of PATHS in conclusion.py.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from counterfoil.trails.derive.conclusion import PATHS, Conclusion
from counterfoil.trails.derive.tree import (
    CALLS,
    Leaf,
    Told,
    Tree,
    agent_of,
    began,
    ended,
    has_failed,
    is_call,
    is_paused,
    parent_of,
    place_of,
    run_of,
    turn_of,
    what,
)

_ACTIONS = (*CALLS, "handoff")


def fallbacks(tree: Tree, handoffs: Sequence[Conclusion], asked: Sequence[Conclusion]) -> list[Conclusion]:
    """Every derived fallback step. `handoffs` and `asked` are what was concluded about those already."""
    steps = [*replaced_calls(tree, handoffs), *nested_attempts(tree), *substituted_models(tree), *refusals(tree)]
    steps += _endings(tree, {seq for step in steps for seq in step.from_seqs}, handoffs, asked)
    return steps


def replaced_calls(tree: Tree, handoffs: Sequence[Conclusion] = ()) -> list[Conclusion]:
    """A failed call followed, in the same place, by the call that replaces it."""
    found = []
    transfers = {step.seq: step for step in handoffs if step.rule in ("transfer_tool", "agent_as_tool")}
    siblings: dict[tuple[str, tuple[str, str]], list[Told]] = {}
    for one in tree.told:
        if one.kind in _ACTIONS and (place := place_of(tree, one)) is not None:
            sort = "model_call" if one.kind == "model_call" else "tool_call"
            siblings.setdefault((sort, place), []).append(one)
    for (sort, _), group in siblings.items():
        attempt = 1
        for failed, following in pairwise(group):
            if not has_failed(failed) or failed.kind == "handoff":
                attempt = 1
                continue
            attempt += 1
            if following.kind == "handoff" or following.seq in transfers or is_paused(following):
                continue  # _endings tells a transfer, and a question to a person
            origin, to = what(failed.leaf), what(following.leaf)
            above = parent_of(tree, following)
            falls_back = above is not None and above.reading.falls_back
            rule = "model_fallback" if falls_back else _rule_of(sort, origin, to)
            found.append(_step(tree, rule, following, failed, origin, to, attempt, following))
    return found


def _rule_of(sort: str, origin: str | None, to: str | None) -> str:
    if origin is None or to is None:
        return "call_replaced"
    if sort == "model_call":
        return "model_retry" if origin == to else "model_fallback"
    return "tool_retry" if origin == to else "alternative_tool"


def nested_attempts(tree: Tree) -> list[Conclusion]:
    """A failed model call inside a model call that went well under another model's name."""
    found = []
    for call in tree.calls:
        if call.kind == "tool_call" or not has_failed(call):
            continue
        outer = parent_of(tree, call)
        if outer is None or outer.kind != "model_call" or has_failed(outer) or what(outer.leaf) == what(call.leaf):
            continue
        found.append(_step(tree, "model_fallback", outer, call, what(call.leaf), what(outer.leaf), 2, outer))
    return found


def other_model(leaf: Leaf) -> str | None:
    """The model that answered, where it is another than the one requested."""
    model = leaf.get("model", {})
    requested, name = model.get("requested"), model.get("name")
    if requested is None or name is None or requested == name:
        return None
    # `openai/gpt-5` and `gpt-5` are one model, and so are `gpt-5` and the release `gpt-5-2026-01-01` of it.
    short, answered = requested.rpartition("/")[2], name.rpartition("/")[2]
    rest = answered[len(short) :] if answered.startswith(short) else None
    if rest is not None and (not rest or (rest[0] in "-@:" and rest[1:2].isdigit()) or rest == "-latest"):
        return None
    return str(name)


def substituted_models(tree: Tree) -> list[Conclusion]:
    """A response from another model than the one requested."""
    return [
        Conclusion(
            "other_model_answered",
            "fallback",
            call.seq,
            {
                "path": "model_fallback",
                "trigger": "other",
                "from": call.leaf["model"]["requested"],
                "to": answered,
                "attempt": 1,
                "outcome": "ok",
            },
            agent=agent_of(tree, call),
        )
        for call in tree.calls
        if call.kind == "model_call" and not has_failed(call) and (answered := other_model(call.leaf)) is not None
    ]


def refusals(tree: Tree) -> list[Conclusion]:
    """A model that refused, or whose answer was filtered."""
    return [
        Conclusion(
            "model_refused",
            "fallback",
            call.seq,
            {"path": "refusal", "trigger": "policy", **_named("from", what(call.leaf)), "attempt": 1, "outcome": "ok"},
            agent=agent_of(tree, call),
        )
        for call in tree.calls
        if call.kind == "model_call" and call.reading.refuses
    ]


def _endings(
    tree: Tree, replaced: set[int], handoffs: Sequence[Conclusion], asked: Sequence[Conclusion]
) -> Iterable[Conclusion]:
    """A failed call that no call replaced: what the run did then. Agents that tell their own path are left alone."""
    failures = [one for one in tree.calls if has_failed(one) and one.seq not in replaced]
    failures += [one for one in tree.told if one.kind == "agent_run" and _ends_with_failure(one)]
    failures = [one for one in failures if one.leaf.get("trace_id") not in tree.telling]
    if not failures:
        return
    at = {one.seq: one for one in tree.told}
    moving = {step.seq for step in handoffs}
    next_steps = (_NextSteps(tree, at, handoffs), _NextSteps(tree, at, asked))
    calls: dict[int, list[Told]] = {}
    for one in tree.told:
        if one.kind in CALLS and (run := run_of(tree, one)) is not None:
            calls.setdefault(run.seq, []).append(one)
    for failed in failures:
        if (run := run_of(tree, failed)) is None:
            if (step := _in_graph(tree, at, failed, moving, next_steps[0])) is not None:
                yield step
            continue
        if failed is run and run.seq in calls:
            continue  # its calls have records of their own
        later = [one for one in calls.get(run.seq, ()) if began(one) > began(failed)]
        if any(one.kind == failed.kind and one.seq not in moving and not is_paused(one) for one in later):
            continue
        yield _ending(tree, at, failed, run, later, next_steps)


def _in_graph(
    tree: Tree, at: dict[int, Told], failed: Told, moving: set[int], transfers: _NextSteps
) -> Conclusion | None:
    """A transfer by the agent whose model chose a failed tool call, where a graph calls tools in nodes of their own."""
    turn = turn_of(tree, failed)
    run = None if turn is None else run_of(tree, turn)
    if run is None or failed.kind != "tool_call":
        return None
    transfer = transfers.after(tree, failed, run)
    if transfer is None or transfer.agent != agent_of(tree, failed):
        return None
    shown = at[transfer.seq]
    first = bisect_right(tree.told, began(failed), key=began)
    for place in range(first, bisect_left(tree.told, began(shown), key=began)):
        one = tree.told[place]
        if one.kind == "tool_call" and one.seq not in moving and agent_of(tree, one) == transfer.agent:
            return None
    step = _step(tree, "transfer_after_failure", shown, failed, what(failed.leaf), transfer.facts.get("to"), 2, shown)
    if transfer.facts.get("to_kind") in ("human", "queue"):
        step.facts["path"] = "human_escalation"
    return step


def _ends_with_failure(run: Told) -> bool:
    """Whether the last call that a run's output tells is one that it says failed."""
    last = run.reading.calls[-1].name if run.reading.calls else None
    return bool(run.reading.failed) and last in (None, run.reading.failed[-1])


class _NextSteps:
    """Conclusions by the run that they are about, or by the agent whose run another followed, in order of time."""

    def __init__(self, tree: Tree, at: dict[int, Told], steps: Sequence[Conclusion]) -> None:
        self._found: dict[tuple[str | None, object], list[tuple[str, int, Conclusion]]] = {}
        for step in steps:
            one = at[step.seq]
            run = run_of(tree, one)
            keys: list[object] = [] if run is None else [run.seq]
            if step.rule == "agent_followed" or run is None:
                keys.append(("from", step.facts.get("from")))
            for key in keys:
                self._found.setdefault((one.leaf.get("trace_id"), key), []).append((began(one), step.seq, step))
        for found in self._found.values():
            found.sort(key=lambda entry: entry[:2])

    def after(self, tree: Tree, failed: Told, run: Told) -> Conclusion | None:
        """The first of them after a failure in a run."""
        trace_id = failed.leaf.get("trace_id")
        first: tuple[str, int, Conclusion] | None = None
        for key in (run.seq, ("from", agent_of(tree, failed))):
            found = self._found.get((trace_id, key), [])
            place = bisect_left(found, ended(failed), key=lambda entry: entry[0])
            place += place < len(found) and found[place][1] == failed.seq
            if place < len(found) and (first is None or found[place][:2] < first[:2]):
                first = found[place]
        return None if first is None else first[2]


def _ending(
    tree: Tree,
    at: dict[int, Told],
    failed: Told,
    run: Told,
    later: Sequence[Told],
    next_steps: tuple[_NextSteps, _NextSteps],
) -> Conclusion:
    """How a run went on after its last call failed: it handed over, asked a person, broke off or answered."""
    origin = failed.reading.failed[-1] if failed is run else what(failed.leaf)
    transfers, questions = next_steps
    if (transfer := transfers.after(tree, failed, run)) is not None:
        shown = at[transfer.seq]
        step = _step(tree, "transfer_after_failure", shown, failed, origin, transfer.facts.get("to"), 2, shown)
        if transfer.facts.get("to_kind") in ("human", "queue"):
            step.facts["path"] = "human_escalation"
        return step
    if (question := questions.after(tree, failed, run)) is not None:
        return _step(tree, "person_asked_after_failure", at[question.seq], failed, origin, "human", 2, None)
    if failed is not run and (run.leaf.get("status") == "error" or "error_type" in run.leaf):
        return _step(tree, "aborted_after_failure", run, failed, origin, None, 1, None)
    turns = [one for one in later if one.kind == "model_call" and began(one) >= ended(failed) and not has_failed(one)]
    last = turns[-1] if turns else run
    rule = "asked_back_after_failure" if last.reading.asks else "answered_after_failure"
    return _step(tree, rule, last, failed, origin, "answer", 2, last)


def _step(
    tree: Tree,
    rule: str,
    shown: Told,
    failed: Told,
    origin: str | None,
    to: str | None,
    attempt: int,
    replacement: Told | None,
) -> Conclusion:
    facts: dict[str, Any] = {
        "path": PATHS.get(rule, "agent_transfer"),
        "trigger": trigger_of(failed),
        **_named("from", origin),
        **_named("to", to),
        "attempt": attempt,
    }
    if replacement is not None:
        facts["outcome"] = "failed" if has_failed(replacement) else "ok"
    return Conclusion(rule, "fallback", shown.seq, facts, (failed.seq,), agent=agent_of(tree, failed))


def _named(key: str, value: str | None) -> dict[str, str]:
    return {} if value is None else {key: value}


def trigger_of(call: Told) -> str:
    """The trigger of RECORD 3 that the error type stands for."""
    error = str(call.leaf.get("error_type", "")).lower()
    if "timeout" in error or "deadline" in error or error in ("408", "504"):
        return "timeout"
    if "unavailable" in error or "connection" in error or error in ("502", "503"):
        return "unavailable"
    if "ratelimit" in error.replace("_", "") or "quota" in error or error == "429":
        return "budget"
    if "guardrail" in error or "tripwire" in error:
        return "guardrail"
    return "error"


def is_of_interest(leaf: Leaf) -> bool:
    """Whether a record alone can start a derived fallback: a failed call, or one that another model answered."""
    return is_call(leaf) and (leaf.get("status") == "error" or "error_type" in leaf or other_model(leaf) is not None)
