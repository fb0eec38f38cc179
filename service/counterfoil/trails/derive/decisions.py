"""Decisions of plain agents: for each turn the action that was chosen (tool call, handoff or answer), and where its
rationale stands.

Only in traces in which no decision is reported: an agent that says what it decides is not second-guessed. Rationale is
words, so a conclusion says only in which record and where in it (`reasoning_part`, `text_before_call`,
`handoff_arguments`); the words are read when a trail is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from counterfoil.trails.derive.conclusion import Conclusion
from counterfoil.trails.derive.names import is_transfer
from counterfoil.trails.derive.reading import Chosen
from counterfoil.trails.derive.tree import (
    Told,
    Tree,
    agent_of,
    agent_runs,
    began,
    has_failed,
    run_of,
    turn_of,
    what,
)

_ACTIONS = ("tool_call", "handoff")


def decisions(tree: Tree, handoffs: Sequence[Conclusion]) -> list[Conclusion]:
    """Every derived decision."""
    plain = [one for one in tree.told if one.leaf.get("trace_id") not in tree.deciding]
    moving = {step.seq: step for step in handoffs if step.rule != "agent_followed"}
    for step in handoffs:  # to whom a reported handoff went
        moving |= {seq: step for seq in step.from_seqs[1:] if step.rule == "agent_followed"}
    turns: dict[int | None, list[Told]] = {}
    for one in plain:
        if one.kind in ("model_call", *_ACTIONS):
            run = run_of(tree, one)
            turns.setdefault(None if run is None else run.seq, []).append(one)
    found: list[Conclusion] = []
    for group in turns.values():
        found += _of_calls(tree, group, moving)
    made = _Made(tree)
    runs = {run.seq for run in agent_runs(tree)}
    for one in plain:
        chosen = list(made.lacks(one)) if one.kind == "model_call" else []
        if one.kind == "agent_run" and one.seq in runs and one.seq not in turns:
            chosen = list(made.lacks(one))
        found += [_chosen(tree, one, call) for call in chosen]
    return [*found, *_answers(tree, plain, turns, runs)]


def _of_calls(tree: Tree, group: Sequence[Told], moving: dict[int, Conclusion]) -> Iterator[Conclusion]:
    """The tool calls of one run, each with the model call that chose it.

    That is the one that names its id, else the last before it that names the tool.
    """
    by_id: dict[str, tuple[Told, Chosen]] = {}
    by_name: dict[str, tuple[Told, Chosen]] = {}
    silent: Told | None = None
    for one in group:
        if one.kind not in _ACTIONS:
            silent = one if not one.reading.calls else None
            by_id |= {call.call_id: (one, call) for call in one.reading.calls if call.call_id}
            by_name |= {call.name: (one, call) for call in one.reading.calls}
            continue
        name, call_id = what(one.leaf), one.leaf.get("tool", {}).get("call_id")
        found = (by_id.get(call_id) if call_id else None) or (by_name.get(name) if name else None)
        if found is not None and call_id and found[1].call_id not in ("", call_id):
            found = None  # the same tool, called another time
        if found is None and run_of(tree, one) is None and (other := turn_of(tree, one)) is not None:
            found = other, next(call for call in other.reading.calls if call.call_id == call_id or call.name == name)
        # A model call without words that came right before may have chosen it: it is shown beside it, with no reason.
        turn, call = found if found is not None else (silent, None)
        reasoned = "" if call is None else call.reasoned
        handoff = moving.get(one.seq)
        facts: dict[str, Any] = {"type": "tool_call", **({} if name is None else {"outcome": name})}
        words_seq = turn.seq if turn is not None and reasoned else None
        if handoff is not None or one.kind == "handoff":
            to = one.leaf.get("handoff", {}).get("to") if handoff is None else handoff.facts.get("to")
            facts = {"type": "handoff", **({} if to is None else {"outcome": to})}
            if words_seq is None and handoff is not None and handoff.words_seq is not None:
                words_seq, reasoned = handoff.words_seq, handoff.words_in
        if call_id is not None:
            facts["call_id"] = call_id
        yield Conclusion(
            "called_tool" if facts["type"] == "tool_call" else "handed_over",
            "decision",
            one.seq,
            facts,
            () if turn is None else (turn.seq,),
            words_seq,
            reasoned,
            agent_of(tree, one),
        )


class _Made:
    """Which calls have a record of their own: by their id; by the tool's name where one of the two has no id."""

    def __init__(self, tree: Tree) -> None:
        tools = [one.leaf for one in tree.told if one.kind == "tool_call"]
        self._ids = {call_id for leaf in tools if (call_id := leaf.get("tool", {}).get("call_id"))}
        self._names = {what(leaf) for leaf in tools}
        self._without_id = {what(leaf) for leaf in tools if "call_id" not in leaf.get("tool", {})}
        self._handing = {one.leaf.get("trace_id") for one in tree.told if one.kind == "handoff"}

    def lacks(self, turn: Told) -> Iterator[Chosen]:
        """The calls that a turn chose and nothing made."""
        for call in turn.reading.calls:
            if is_transfer(call.name) and turn.leaf.get("trace_id") in self._handing:
                continue  # a trace that reports its handoffs tells each by its own record
            named = self._without_id if call.call_id else self._names
            if call.call_id not in self._ids and call.name not in named:
                yield call


def _chosen(tree: Tree, turn: Told, call: Chosen) -> Conclusion:
    moves = is_transfer(call.name)
    facts: dict[str, Any] = {"type": "handoff" if moves else "tool_call"}
    if outcome := call.to if moves else call.name:
        facts["outcome"] = outcome
    if call.call_id:
        facts["call_id"] = call.call_id
    words_seq = turn.seq if call.reasoned else None
    return Conclusion("chose_tool", "decision", turn.seq, facts, (), words_seq, call.reasoned, agent_of(tree, turn))


def _answers(
    tree: Tree, plain: Sequence[Told], turns: dict[int | None, list[Told]], runs: set[int]
) -> Iterator[Conclusion]:
    """What a run ended with, where it ended with words: its last model call after which nothing was called."""
    for group in turns.values():
        models = [one for one in group if one.kind == "model_call" and not has_failed(one)]
        last = models[-1] if models else None
        if last is None or any(one.kind in _ACTIONS and began(one) >= began(last) for one in group):
            continue
        if not last.reading.calls:
            yield _answer(tree, last)
    for run in plain:
        # A run without model calls of its own may say in its output what it answered.
        silent = run.seq in runs and all(one.kind in _ACTIONS for one in turns.get(run.seq, ()))
        if silent and run.reading.answers and not has_failed(run):
            yield _answer(tree, run)


def _answer(tree: Tree, turn: Told) -> Conclusion:
    words_seq = turn.seq if turn.reading.reasoned else None
    facts = {"type": "answer", "outcome": "refuse" if turn.reading.refuses else "answer"}
    return Conclusion(
        "answered", "decision", turn.seq, facts, (), words_seq, turn.reading.reasoned, agent_of(tree, turn)
    )
