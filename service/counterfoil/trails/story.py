"""A trail as text that a person reads in a terminal: `print(format_trail(trail))`.

Three lanes show who acts: the customer, the agents, people of the house. A decision is a card: why, how sure, what else
was considered and why not, under which policy. Fallback steps, handoffs and overrides stand in the order in which they
happened. What a rule concluded is marked `derived` with the rule's name; what nobody reported is said to be missing.
"""

from __future__ import annotations

from collections.abc import Sequence

from counterfoil.core.encoding import parse_time_us
from counterfoil.trails.canvas import Canvas, clean
from counterfoil.trails.cards import AGREES, VERDICTS, draw_step
from counterfoil.trails.steps import NOT_REPORTED, Step
from counterfoil.trails.trail import Trail


def format_trail(trail: Trail) -> str:
    """The whole story; a page of it where the trail is longer than that."""
    canvas = Canvas()
    _head(canvas, trail)
    folded = 0
    day = ""
    given: dict[str, Step] = {}
    for step in trail.steps:
        if step.folded and not step.gaps:
            folded += 1
            continue
        if step.at[:10] != day:
            day = step.at[:10]
            canvas.heading(f"{day:<14}C A H  customer, agent, human; times are UTC")
        draw_step(canvas, step, _given_before(step, given))
    _foot(canvas, trail, folded)
    return canvas.text()


def _head(canvas: Canvas, trail: Trail) -> None:
    about = trail.interaction
    title = f"Interaction {clean(about.id)}"
    if about.derived:
        count = len({step.trace_id for step in trail.steps if step.trace_id})
        joined = "one trace" if count < 2 else f"{count} traces that belong together"
        title += f"   (derived: nobody reported one; the records of {joined})"
    canvas.rule()
    canvas.heading(title)
    where = [value for value in (about.type, about.channel, about.region, about.language) if value]
    canvas.labelled("what", " · ".join(where) or f"type, channel and region {NOT_REPORTED}")
    if trail.steps:
        first = min(step.at for step in trail.steps)
        last = max(step.until or step.at for step in trail.steps)
        canvas.labelled("when", f"{_day_time(first)} to {_day_time(last)} UTC ({_span(first, last)})")
    canvas.labelled("agents", ", ".join(clean(name) for name in _agents(trail)) or NOT_REPORTED)
    canvas.labelled("customer", about.subject or NOT_REPORTED)
    counts = (
        (about.decisions, "decision"),
        (about.fallbacks, "fallback step"),
        (about.handoffs, "handoff event"),
        (about.oversights, "human verdict"),
        (about.errors, "error"),
    )
    canvas.labelled("in it", " · ".join(_plural(count, name) for count, name in counts))
    if concluded := _concluded(trail.steps):
        canvas.labelled("derived", f"{concluded} (nobody reported them; each names its rule)")
    traces = {step.trace_id for step in trail.steps if step.trace_id}
    logs = ", ".join(f"{entry['log']} at tree size {entry['tree_size']}" for entry in trail.as_of)
    canvas.labelled("from", f"{_plural(trail.total, 'record')} in {_plural(len(traces), 'trace')}, log {logs}")
    if trail.withheld:
        canvas.labelled("withheld", "your role reads facts, not words")
    canvas.rule()


def _agents(trail: Trail) -> list[str]:
    """The agents as the index has them, and those whose name only content can hold."""
    named = (item.says for topic in trail.topics if topic.topic == "agents" for item in topic.items)
    return list(dict.fromkeys([*trail.interaction.agents, *named]))


def _concluded(steps: Sequence[Step]) -> str:
    """What rules concluded, counted."""
    counts: dict[str, int] = {}
    for step in steps:
        if step.basis == "derived" and step.reported_by is None:
            counts[step.kind] = counts.get(step.kind, 0) + 1
    names = {"fallback": "fallback step", "oversight": "approval step", "guardrail": "guardrail verdict"}
    return " · ".join(_plural(count, names.get(kind, kind)) for kind, count in counts.items())


def _given_before(step: Step, given: dict[str, Step]) -> Step | None:
    """The earlier step of the same handoff with the same context, so that it is not printed twice."""
    if step.kind != "handoff" or not step.words or "id" not in step.facts:
        return None
    earlier = given.setdefault(step.facts["id"], step)
    return earlier if earlier is not step and earlier.words == step.words else None


def _foot(canvas: Canvas, trail: Trail, folded: int) -> None:
    canvas.rule()
    path = _fallback_path(trail.steps)
    if path:
        canvas.labelled("fallbacks", path)
    for step in trail.steps:
        if step.kind == "oversight" and step.basis == "derived" and "verdict" in step.facts:
            verdict = VERDICTS[step.facts["verdict"]].lower()
            of = clean(step.facts.get("tool") or step.facts.get("of") or "a call")
            canvas.labelled("human", f"a person {verdict} {of} ({step.log} #{step.seq}; derived: {step.rule})")
        if step.kind == "oversight" and step.basis == "reported":
            verdict = VERDICTS.get(step.facts.get("verdict", ""), "looks at").lower()
            who = step.facts.get("role") or "a person"
            canvas.labelled("human", f"{who} {verdict} the decision ({step.log} #{step.seq})")
    if moved := [step for step in trail.steps if "agent" in step.concluded and not step.folded]:
        rule = moved[0].concluded["agent"]["rule"]
        text = f"{_plural(len(moved), 'step')} of the agent whose run is around it"
        canvas.labelled("whose", f"{text}   [derived: {rule}]")
    outcomes = [step for step in trail.steps if step.kind == "outcome"]
    if outcomes:
        facts = outcomes[-1].facts
        agrees = AGREES.get(facts.get("agrees", ""), f"whether as decided: {NOT_REPORTED}")
        canvas.labelled("came out", f"{facts.get('status', NOT_REPORTED)}, {agrees}")
    if trail.gaps:
        canvas.labelled("gaps", "; ".join(f"#{gap['seq']} {gap['message']}" for gap in trail.gaps[:8]))
        if len(trail.gaps) > 8:
            canvas.labelled("", f"… and {len(trail.gaps) - 8} more")
    else:
        canvas.labelled("gaps", "none that a rule could see")
    if trail.linked:
        canvas.labelled("linked", ", ".join(clean(name) for name in trail.linked))
    if folded:
        canvas.labelled("folded", f"{_plural(folded, 'wrapper or messaging span')}, kept in the log")
    if trail.lost:
        canvas.labelled("missing", f"{_plural(trail.lost, 'record')} that the log does not have: run fsck")
    if trail.next is not None:
        canvas.labelled("more", "this is one page of a longer trail")
    canvas.labelled("to check it", "every #n is a record of the log: GET /api/v1/records/LOG/N/proof proves it")
    canvas.rule()


def _fallback_path(steps: Sequence[Step]) -> str:
    """The whole path on one line, as reported: a ─timeout→ b ─low_confidence→ c."""
    path = ""
    last = None
    for step in steps:
        if step.kind != "fallback" or step.reported_by is not None:
            continue
        origin, to = clean(step.facts.get("from", "?")), clean(step.facts.get("to", "?"))
        if origin != last:
            path += (";  " if path else "") + origin
        path += f" ─{step.facts.get('trigger', '?')}→ {to}" + (" (derived)" if step.basis == "derived" else "")
        last = to
    return path


def _day_time(at: str) -> str:
    return at[:19].replace("T", " ")


def _span(first: str, last: str) -> str:
    seconds = max(0, parse_time_us(last) - parse_time_us(first)) / 1_000_000
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"


def _plural(count: int, name: str) -> str:
    if count == 1:
        return f"1 {name}"
    return f"{count} {name[:-1] + 'ies' if name.endswith('y') else name + 's'}"
