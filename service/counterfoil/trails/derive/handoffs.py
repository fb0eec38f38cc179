"""Handoffs that nobody reported as such: by a tool's name, by an agent inside a tool call, by who runs next.

A handoff that is reported (kind `handoff`) is never concluded again; where it does not say to whom, the agent that ran
next is concluded beside it (`agent_followed`, with the handoff among `from_seqs`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import Any

from counterfoil.trails.derive.conclusion import Conclusion
from counterfoil.trails.derive.names import is_transfer, plain_name, to_kind, transfer_target
from counterfoil.trails.derive.tree import (
    Told,
    Tree,
    agent_of,
    agent_runs,
    ancestors,
    began,
    ended,
    has_failed,
    parent_of,
    what,
)


def handoffs(tree: Tree) -> list[Conclusion]:
    """Every derived handoff."""
    runs = agent_runs(tree)
    reported = [one for one in tree.told if one.kind == "handoff"]
    found = [*_by_tool(tree, runs), *_inside_tool(tree, runs)]
    return [*found, *_by_order(tree, runs, reported, found)]


def _by_tool(tree: Tree, runs: list[Told]) -> list[Conclusion]:
    """Calls of tools whose name says that they hand over."""
    found = []
    takers = _Takers(runs)
    for one in tree.told:
        name = what(one.leaf) or ""
        if one.kind != "tool_call" or not is_transfer(name):
            continue
        to = one.reading.to or transfer_target(name)
        giver = agent_of(tree, one)
        taker = takers.after(began(one), giver, to)
        facts = _facts(giver, to if taker is None else agent_of(tree, taker) or to)
        facts["state"] = "failed" if has_failed(one) else "accepted" if taker is not None else "offered"
        found.append(
            Conclusion(
                "transfer_tool",
                "handoff",
                one.seq,
                facts,
                () if taker is None else (taker.seq,),
                one.seq if one.reading.gave_reason else None,
                "handoff_arguments" if one.reading.gave_reason else "",
                giver,
            )
        )
    return found


class _Takers:
    """Runs (in order of time) of agents that are named, by who may have taken over."""

    def __init__(self, runs: list[Told]) -> None:
        self._runs = [run for run in runs if _name(run)]
        self._by_name: dict[str, list[Told]] = {}
        for run in self._runs:
            self._by_name.setdefault(plain_name(_name(run)), []).append(run)
        # Where the next run of another agent is, so that no run is looked at once for every transfer.
        self._other = [len(self._runs)] * len(self._runs)
        for at in reversed(range(len(self._runs) - 1)):
            same = _name(self._runs[at]) == _name(self._runs[at + 1])
            self._other[at] = self._other[at + 1] if same else at + 1

    def after(self, time: str, giver: str | None, to: str) -> Told | None:
        """The first run since then of the agent that is named, or (where none is) of any but the giver."""
        runs = self._by_name.get(plain_name(to), []) if to else self._runs
        at = bisect_left(runs, time, key=began)
        if not to and at < len(runs) and _name(runs[at]) == giver:
            at = self._other[at]
        return runs[at] if at < len(runs) else None


def _name(run: Told) -> str:
    return run.reading.agent or run.leaf.get("agent", {}).get("name") or ""


def _inside_tool(tree: Tree, runs: list[Told]) -> list[Conclusion]:
    """Agents that run inside a tool call of another agent."""
    found = []
    for run in runs:
        call = parent_of(tree, run)
        if call is None or call.kind != "tool_call" or is_transfer(what(call.leaf) or ""):
            continue
        giver, taker = agent_of(tree, call), agent_of(tree, run)
        if taker is None or giver == taker:
            continue
        facts = {**_facts(giver, taker), "state": "failed" if has_failed(call) else "accepted"}
        reason = call.seq if call.reading.gave_reason else None
        found.append(
            Conclusion(
                "agent_as_tool",
                "handoff",
                call.seq,
                facts,
                (run.seq,),
                reason,
                "" if reason is None else "handoff_arguments",
                giver,
            )
        )
    return found


def _by_order(tree: Tree, runs: list[Told], reported: list[Told], found: list[Conclusion]) -> list[Conclusion]:
    """In one trace, a run that follows that of another agent, with no other word about it between them."""
    by_trace: dict[str | None, list[Told]] = {}
    acting = {run.seq for run in runs}
    for run in runs:
        if not any(above.kind == "tool_call" or above.seq in acting for above in ancestors(tree, run)):
            by_trace.setdefault(run.leaf.get("trace_id"), []).append(run)
    concluded = []
    at = {one.seq: one for one in tree.told}
    for trace_id, following in by_trace.items():
        said = [one for one in reported if one.leaf.get("trace_id") == trace_id]
        times = [began(one) for one in said]
        told = sorted(began(at[step.seq]) for step in found if at[step.seq].leaf.get("trace_id") == trace_id)
        for before, after in pairwise(following):
            giver, taker = agent_of(tree, before), agent_of(tree, after)
            if giver is None or taker is None or giver == taker or ended(before) > ended(after):
                continue
            start, end = began(before), began(after)
            if bisect_left(told, start) < bisect_right(told, end):
                continue
            between = said[bisect_left(times, start) : bisect_right(times, end)]
            if any(one.leaf.get("handoff", {}).get("to") for one in between):
                continue
            concluded.append(
                Conclusion(
                    "agent_followed",
                    "handoff",
                    after.seq,
                    {**_facts(giver, taker), "state": "accepted"},
                    (before.seq, *(one.seq for one in between)),
                    agent=giver,
                )
            )
    return concluded


def _facts(giver: str | None, to: str) -> dict[str, Any]:
    facts: dict[str, Any] = {} if giver is None else {"from": giver}
    return facts | ({"to": to, "to_kind": to_kind(to)} if to else {})
