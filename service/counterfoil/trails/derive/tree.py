"""The records that rules look at, as what they are to one another: parents, runs of agents, order in time.

One record is `Told`: its leaf and what its words say (reading.py). A tree holds those of one trace or of one trail.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from counterfoil.trails.derive.names import CYCLES, WRAPPERS, is_interrupt
from counterfoil.trails.derive.reading import NOTHING, Reading

Leaf = Mapping[str, Any]
CALLS = ("model_call", "tool_call")
_DEEPEST = 64
"""Parents of one record that are followed: spans may name each other in a circle."""


class Told(NamedTuple):
    """A record, and what its words say."""

    leaf: Leaf
    reading: Reading = NOTHING

    @property
    def seq(self) -> int:
        seq: int = self.leaf["seq"]
        return seq

    @property
    def kind(self) -> str:
        kind: str = self.leaf["kind"]
        return kind


@dataclass(slots=True)
class Tree:
    """Records in the order in which they began. Where two have one span (an item split into parts), part 0 stands."""

    told: list[Told]
    by_span: dict[tuple[str, str, str], Told] = field(default_factory=dict)
    """By trace, span and writer; and with an empty writer the first of any. Span ids are no secret: whoever writes into
    the same log may use one that is another's."""
    deciding: set[str | None] = field(default_factory=set)
    """Traces in which a decision is reported."""
    telling: set[str | None] = field(default_factory=set)
    """Traces in which a fallback is reported."""
    _runs: dict[int, Told | None] = field(default_factory=dict)
    _turns: dict[tuple[str | None, str, str], list[Told]] | None = None

    @property
    def calls(self) -> list[Told]:
        """Calls of models and tools."""
        return [one for one in self.told if is_call(one.leaf)]


def tree_of(records: Iterable[Told]) -> Tree:
    """The tree of the records, in any order."""
    tree = Tree(sorted(records, key=_began))
    for one in tree.told:
        leaf = one.leaf
        if "span_id" in leaf and not leaf.get("producer", {}).get("part"):
            for writer in (leaf.get("writer", ""), ""):
                tree.by_span.setdefault((leaf.get("trace_id", ""), leaf["span_id"], writer), one)
        if leaf["kind"] == "decision":
            tree.deciding.add(leaf.get("trace_id"))
        elif leaf["kind"] == "fallback":
            tree.telling.add(leaf.get("trace_id"))
    return tree


def _began(one: Told) -> tuple[str, int]:
    return one.leaf.get("started_at", ""), one.seq


def began(one: Told) -> str:
    """When it began, as the producer said; empty where it did not."""
    at: str = one.leaf.get("started_at", "")
    return at


def ended(one: Told) -> str:
    """When it ended, as the producer said; else when it began."""
    at: str = one.leaf.get("ended_at") or began(one)
    return at


def is_call(leaf: Leaf) -> bool:
    """Whether a record is a call of a model or a tool (some frameworks emit attempts as spans of no known kind)."""
    return leaf["kind"] in CALLS or (leaf["kind"] == "operation" and "requested" in leaf.get("model", {}))


def has_failed(one: Told) -> bool:
    """Whether a call failed, by its status, its error type or its result. An interrupt is a pause, no failure."""
    if is_paused(one):
        return False
    return one.leaf.get("status") == "error" or "error_type" in one.leaf or bool(one.reading.said_error)


def is_paused(one: Told) -> bool:
    """Whether it stopped to ask a person."""
    return one.reading.interrupted or is_interrupt(one.leaf.get("error_type"))


def what(leaf: Leaf) -> str | None:
    """The tool or model that a record calls."""
    if leaf["kind"] == "tool_call":
        tool: Mapping[str, str] = leaf.get("tool", {})
        return tool.get("name")
    if leaf["kind"] == "handoff":
        to: str | None = leaf.get("handoff", {}).get("to") or leaf.get("tool", {}).get("name")
        return to
    model: Mapping[str, str] = leaf.get("model", {})
    return model.get("requested") or model.get("name")


def parent_of(tree: Tree, one: Told) -> Told | None:
    """The record of the parent span: of the same writer, where that sent one."""
    leaf = one.leaf
    if (parent := leaf.get("parent_span_id")) is None:
        return None
    trace_id = leaf.get("trace_id", "")
    own = tree.by_span.get((trace_id, parent, leaf.get("writer", "")))
    return own if own is not None else tree.by_span.get((trace_id, parent, ""))


def ancestors(tree: Tree, one: Told) -> Iterator[Told]:
    """Parents from the nearest on."""
    for _ in range(_DEEPEST):
        above = parent_of(tree, one)
        if above is None:
            return
        yield above
        one = above


def place_of(tree: Tree, one: Told) -> tuple[str, str] | None:
    """Where siblings stand: the parent span, past spans that only divide a run into turns. None without a parent."""
    trace_id, parent = one.leaf.get("trace_id"), one.leaf.get("parent_span_id")
    if trace_id is None or parent is None:
        return None
    for above in ancestors(tree, one):
        if above.kind != "operation" or above.leaf.get("name") not in CYCLES:
            break
        if "parent_span_id" not in above.leaf:
            break
        parent = above.leaf["parent_span_id"]
    return trace_id, parent


def run_of(tree: Tree, one: Told) -> Told | None:
    """The agent's run that a record belongs to: itself, or the nearest around it; a wrapper only where it is alone."""
    if one.seq not in tree._runs:
        around = (above for above in (one, *ancestors(tree, one)) if above.kind == "agent_run")
        tree._runs[one.seq] = next(around, None)
    return tree._runs[one.seq]


def turn_of(tree: Tree, call: Told) -> Told | None:
    """The model call that chose a tool call of the same trace: by its id, else the last before it that names the tool.

    For calls that stand in no agent's run: a graph calls its tools in a node of their own.
    """
    if tree._turns is None:
        turns: dict[tuple[str | None, str, str], list[Told]] = {}
        for one in tree.told:
            for chosen in one.reading.calls if one.kind == "model_call" else ():
                for key in (("id", chosen.call_id), ("name", chosen.name)):
                    if key[1]:
                        turns.setdefault((one.leaf.get("trace_id"), *key), []).append(one)
        tree._turns = turns
    trace_id, tool = call.leaf.get("trace_id"), call.leaf.get("tool", {})
    for key in (("id", tool.get("call_id", "")), ("name", tool.get("name", ""))):
        found = tree._turns.get((trace_id, *key), [])
        place = bisect_right(found, began(call), key=began)
        if place:
            return found[place - 1]
    return None


def agent_of(tree: Tree, one: Told) -> str | None:
    """Who acts: the agent of the run around a record (or around the turn that chose it), else the one that it names."""
    run = run_of(tree, one)
    if run is None and one.kind == "tool_call" and (turn := turn_of(tree, one)) is not None:
        run = run_of(tree, turn)
    for said in (one,) if run is None else (run, one):
        if (name := own_agent(said)) is not None:
            return name
    return None


def own_agent(one: Told) -> str | None:
    """The agent that a record itself names: in its content where the name is no token, else in its leaf."""
    agent: Mapping[str, str] = one.leaf.get("agent", {})
    return one.reading.agent or agent.get("name") or agent.get("id")


def agent_runs(tree: Tree) -> list[Told]:
    """Runs of agents, without those that only hold others."""
    wrapping = wrappers(tree)
    return [one for one in tree.told if one.kind == "agent_run" and one.seq not in wrapping]


def wrappers(tree: Tree) -> set[int]:
    """The runs (`seq`) that only hold other agents' runs: workflows, swarms, and runs that name no operation."""
    runs = [one for one in tree.told if one.kind == "agent_run"]
    holding = {above.seq for one in runs for above in ancestors(tree, one) if above.kind == "agent_run"}
    return {one.seq for one in runs if one.seq in holding and is_wrapper(one)}


def is_wrapper(run: Told) -> bool:
    """Whether a run holds other agents' runs directly: a workflow, a swarm, or a run that names no operation."""
    name = run.leaf.get("name")
    return name in WRAPPERS or name is None
