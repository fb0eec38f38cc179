"""All rules over the records of one trace (for the index) or of one trail (for a reader)."""

from __future__ import annotations

from collections.abc import Iterable

from counterfoil.trails.derive.conclusion import RULES_BY_NAME, Conclusion
from counterfoil.trails.derive.decisions import decisions
from counterfoil.trails.derive.fallbacks import fallbacks
from counterfoil.trails.derive.handoffs import handoffs
from counterfoil.trails.derive.others import acting_agents, guardrails, missing_parents, missing_results, outcomes
from counterfoil.trails.derive.oversights import oversights
from counterfoil.trails.derive.tree import Told, Tree, tree_of


def conclude(records: Iterable[Told]) -> list[Conclusion]:
    """Everything that follows from these records, in order of `seq`."""
    return conclude_tree(tree_of(records))


def conclude_tree(tree: Tree) -> list[Conclusion]:
    """The same, of a tree."""
    leaves = [one.leaf for one in tree.told]
    return _in_order([*_lasting(tree), *missing_parents(leaves), *acting_agents(tree)])


def for_index(records: Iterable[Told]) -> list[Conclusion]:
    """Those that the index keeps: what one trace shows by itself, for good."""
    return _in_order([step for step in _lasting(tree_of(records)) if RULES_BY_NAME[step.rule].indexed])


def _lasting(tree: Tree) -> list[Conclusion]:
    moved = handoffs(tree)
    watched = oversights(tree)
    asked = [step for step in watched if step.rule == "approval_requested"]
    return [
        *moved,
        *watched,
        *fallbacks(tree, moved, asked),
        *decisions(tree, moved),
        *guardrails(tree),
        *outcomes(tree),
        *missing_results(one.leaf for one in tree.told),
    ]


def _in_order(found: list[Conclusion]) -> list[Conclusion]:
    return sorted(found, key=lambda step: (step.seq, step.kind, step.rule, step.from_seqs, step.detail or ""))
