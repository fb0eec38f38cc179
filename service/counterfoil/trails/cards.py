"""Each kind of step as lines of a story: a card for a decision and for a human's verdict, a few lines for the rest.

Nothing here decides what is told: a step says what was reported, what was concluded by which rule, what is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from counterfoil.trails.canvas import Canvas, Lane, clean
from counterfoil.trails.derive.names import is_interrupt
from counterfoil.trails.steps import NOT_REPORTED, Alternative, Step, Why

_SOURCES = {
    "model_stated": "stated by the model",
    "provider_summary": "summarised by the provider",
    "rule_trace": "from a trace of rules",
    "human": "written by a person",
    "none": "no source",
    "reasoning_part": "the model's reasoning",
    "text_before_call": "said before the call",
    "rationale": "stated by the producer",
    "handoff_arguments": "in the handoff's arguments",
    "answer": "the answer that came from outside",
}
_CAPTURED = {"before_action": "before the action", "after_action": "after the action"}
VERDICTS = {
    "approve": "approves",
    "reject": "rejects",
    "override": "OVERRIDES",
    "amend": "amends",
    "none": "looks at",
}
AGREES = {
    "yes": "as the decision said",
    "no": "not what the decision said",
    "unknown": "unknown whether as decided",
}


def draw_step(canvas: Canvas, step: Step, given_before: Step | None) -> None:
    """One step; each kind has its own form."""
    for said in step.said:
        if said.role == "user" and step.linked is None:
            canvas.event("", "customer", f"“{clean(said.text)}”")
    if step.basis == "derived" and step.kind in _DERIVED:
        _derived(canvas, step)
    elif step.kind == "handoff":
        _handoff(canvas, step, given_before)
    else:
        _FORMS.get(step.kind, _other)(canvas, step)
    for name, added in step.concluded.items():
        if name != "agent":  # told where the agent is named
            canvas.note(f"{name}: {clean(added['value'])}   [derived: {added['rule']}]")
    for gap in step.gaps:
        canvas.note(f"⚠ {clean(gap['message'])}   [derived: {gap['rule']}]")
    if step.superseded_by is not None:
        canvas.note(f"superseded by #{step.superseded_by}")
    if step.linked is not None:
        canvas.note(f"[linked interaction {clean(step.linked)}]")


def _derived(canvas: Canvas, step: Step) -> None:
    """A decision, handoff, approval or guardrail verdict that nobody reported as such: a line and its reasons."""
    facts = step.facts
    lane, text = _DERIVED[step.kind](step)
    canvas.event(_time(step), lane, text)
    if step.why is not None and step.why.rationale is not None:
        source = _SOURCES.get(step.why.source or "", str(step.why.source))
        canvas.note(f"because “{clean(step.why.rationale)}” — {source}", indent=4)
    elif step.why is not None and step.why.state != NOT_REPORTED:
        canvas.note(f"why: [{step.why.state}]", indent=4)
    for said in step.said:
        canvas.quote(said.text)
    at = ", ".join(f"#{seq}" for seq in sorted({step.seq, *step.from_seqs}))
    framework = f", a sentence of {facts['framework']}" if "framework" in facts else ""
    canvas.note(f"[derived: {step.rule}, from {at}{framework}; nobody reported it]", indent=4)


def _derived_decision(step: Step) -> tuple[Lane, str]:
    facts = step.facts
    chosen = clean(facts.get("outcome", "?"))
    match facts["type"]:
        case "tool_call":
            text = f"to call {chosen}"
        case "handoff":
            text = f"to hand over to {chosen}"
        case _:
            text = f"to {chosen}"
    return "agent", f"◇ {_agent(step)} decides {text}"


def _derived_handoff(step: Step) -> tuple[Lane, str]:
    facts = step.facts
    kind = facts.get("to_kind", NOT_REPORTED)
    lane: Lane = "handover" if kind == "human" else "agent"
    return lane, f"⇢ handoff {facts.get('state', '')}: {_agent(step)} to {clean(facts.get('to', '?'))} ({kind})"


def _derived_oversight(step: Step) -> tuple[Lane, str]:
    facts = step.facts
    of = clean(facts.get("tool") or facts.get("of") or "a call")
    if step.rule == "approval_requested":
        return "handover", f"⇢ {_agent(step)} asks a person to approve {of}"
    verdict = {"approve": "approves", "reject": "REFUSES"}.get(facts.get("verdict", ""), "answers")
    return "takeover", f"a person ({NOT_REPORTED}) {verdict} {of}"


def _derived_guardrail(step: Step) -> tuple[Lane, str]:
    return "agent", f"■ guardrail: {step.facts.get('verdict', NOT_REPORTED)}"


_DERIVED: dict[str, Callable[[Step], tuple[Lane, str]]] = {
    "decision": _derived_decision,
    "handoff": _derived_handoff,
    "oversight": _derived_oversight,
    "guardrail": _derived_guardrail,
}


def _decision(canvas: Canvas, step: Step) -> None:
    facts = step.facts
    kind, outcome = facts.get("type", "decision"), facts.get("outcome", f"outcome {NOT_REPORTED}")
    phase = f" ({facts['phase']})" if "phase" in facts else ""
    canvas.top(_time(step), "agent", f"DECISION {kind}: {outcome.upper()}{phase}", f"{step.log} #{step.seq}")
    canvas.field("who", _agent(step) + (f", owner {facts['owner']}" if "owner" in facts else ""))
    if step.why is not None:
        _reason(canvas, "why", step.why)
    if (sure := _confidence(facts)) is not None:
        canvas.field("how sure", sure)
    _alternatives(canvas, step, str(outcome))
    if "policy" in facts:
        policy = facts["policy"]
        canvas.field("policy", " ".join(str(policy[key]) for key in ("id", "version") if key in policy))
    stakes = [f"risk {facts['risk']}"] if "risk" in facts else []
    stakes += [str(facts["autonomy"]).replace("_", " ")] if "autonomy" in facts else []
    stakes += [f"reversible: {facts['reversible']}"] if "reversible" in facts else []
    if stakes:
        canvas.field("stakes", " · ".join(stakes))
    _absent(canvas, step)
    canvas.bottom()


def _confidence(facts: dict[str, Any]) -> str | None:
    confidence, threshold = facts.get("confidence"), facts.get("threshold")
    if confidence is None:
        return None
    text = f"{confidence}"
    if threshold is not None:
        below = float(confidence) < float(threshold)
        text += f", {'BELOW' if below else 'at or above'} its threshold of {threshold}"
    method = facts.get("confidence_method")
    return text + (f" ({str(method).replace('_', ' ')})" if method else "")


def _alternatives(canvas: Canvas, step: Step, outcome: str) -> None:
    """The options in a table: score, and why not."""
    if not step.what_else:
        reported = step.facts.get("alternatives")
        if reported:
            canvas.field("what else", f"{reported} considered; {step.states.get('alternatives', 'not here')}")
        return
    options = list(step.what_else)
    if "outcome" in step.facts and outcome not in (option.option for option in options):
        options.insert(0, Alternative(outcome))
    names = [clean(option.option, 40) for option in options]
    widest = max(len(name) for name in names)
    for number, (option, name) in enumerate(zip(options, names, strict=True)):
        canvas.field("what else" if number == 0 else "", _option(option, name, widest, chosen=name == outcome))


def _option(option: Alternative, name: str, widest: int, *, chosen: bool) -> str:
    score = "" if option.score is None else clean(option.score, 12)
    because = "chosen" if chosen else clean(option.rejected_because, 300) if option.rejected_because else ""
    return f"{'✓' if chosen else '·'} {name:<{widest}}  {score:<6} {because}".rstrip()


def _fallback(canvas: Canvas, step: Step) -> None:
    facts = step.facts
    origin, to = clean(facts.get("from", "?")), clean(facts.get("to", "?"))
    arrow = f"{origin} ──{facts.get('trigger', '?')}──▶ {to}"
    if step.basis == "derived":
        if step.reported_by is not None:
            return  # the record that reports the same is in the trail
        path = str(facts.get("path", "")).replace("_", " ")
        canvas.event(_time(step), "agent", f"↳ fallback  {arrow}   ({path}, attempt {facts.get('attempt', '?')})")
        at = " and ".join(f"#{seq}" for seq in dict.fromkeys((step.failed_seq, step.seq)))
        canvas.note(f"[derived: {step.rule}, from {at}; nobody reported it]", indent=4)
        return
    number = f" step {facts['step']}" if "step" in facts else ""
    marks = [str(facts["mode"]).replace("_", " ")] if "mode" in facts else []
    marks += ["planned" if facts["planned"] else "not planned"] if "planned" in facts else []
    if "evaluated" in facts:
        marks.append("after evaluating the decision" if facts["evaluated"] else "before evaluating the decision")
    marks += ["no further fallback"] if facts.get("exhausted") else []
    lane = "handover" if facts.get("mode") == "human" else "agent"
    canvas.event(_time(step), lane, f"↳ FALLBACK{number}  {arrow}   #{step.seq}")  # type: ignore[arg-type]  # both are lanes
    if marks:
        canvas.note(", ".join(marks), indent=4)
    if step.why is not None and step.why.rationale is not None:
        canvas.quote(step.why.rationale, indent=4)


def _handoff(canvas: Canvas, step: Step, given_before: Step | None) -> None:
    facts = step.facts
    to = clean(facts.get("to", facts.get("to_kind", "?")))
    kind = f" ({facts['to_kind']})" if "to_kind" in facts and "to" in facts else ""
    reason = str(facts.get("reason", f"reason {NOT_REPORTED}")).replace("_", " ")
    lane = "agent" if facts.get("to_kind") == "agent" else "handover"
    state = str(facts.get("state", "state " + NOT_REPORTED)).upper()
    text = f"⇢ HANDOFF {state}: {_agent(step)} to {to}{kind}, because: {reason}   #{step.seq}"
    canvas.event(_time(step), lane, text)  # type: ignore[arg-type]  # both are lanes
    if given_before is not None:
        canvas.note(f"with the same context as in #{given_before.seq}", indent=4)
        return
    for name, value in step.words.items():
        canvas.field(name.replace("_", " "), clean(_listed(value)), bar=" ", label_chars=18)
    given = facts.get("context", [])
    if given and not step.words:
        canvas.note(f"context given: {', '.join(given)}", indent=4)
    if not given and not step.words:
        canvas.note("no context was handed over, as far as reported", indent=4)


def _oversight(canvas: Canvas, step: Step) -> None:
    facts = step.facts
    who = " ".join(part for part in (facts.get("role"), facts.get("person")) if part) or f"a person ({NOT_REPORTED})"
    verdict = VERDICTS.get(facts.get("verdict", ""), f"verdict {NOT_REPORTED} on")
    target = facts.get("of", {})
    what = f"decision {target['id']}" if "id" in target else f"#{target['seq']}" if "seq" in target else "the decision"
    canvas.top(_time(step), "takeover", f"HUMAN {verdict} {what}", f"{step.log} #{step.seq}")
    canvas.field("who", clean(who))
    if step.why is not None:
        _reason(canvas, "why", step.why)
    if "shown" in step.words:
        canvas.field("was shown", clean(_listed(step.words["shown"])))
    if "could_still_change" in facts:
        canvas.field("in time", "could still change it" if facts["could_still_change"] else "could no longer change it")
    _absent(canvas, step)
    canvas.bottom()


def _outcome(canvas: Canvas, step: Step) -> None:
    facts = step.facts
    agrees = f" ({AGREES[facts['agrees']]})" if facts.get("agrees") in AGREES else ""
    canvas.event(_time(step), "none", f"■ OUTCOME {facts.get('status', NOT_REPORTED)}{agrees}   #{step.seq}")
    if "effect" in step.words:
        canvas.quote(_listed(step.words["effect"]), indent=4)


def _notice(canvas: Canvas, step: Step) -> None:
    kind = str(step.facts.get("type", "notice")).replace("_", " ")
    shown = "" if step.facts.get("shown", True) else ", NOT shown"
    canvas.event(_time(step), "agent", f"notice: {kind}{shown}")
    if "text" in step.words:
        canvas.quote(_listed(step.words["text"]))


def _phase(canvas: Canvas, step: Step) -> None:
    canvas.event(_time(step), "none", f"── {step.what} ──")


def _model_call(canvas: Canvas, step: Step) -> None:
    usage = step.facts
    tokens = ""
    if "input_tokens" in usage or "output_tokens" in usage:
        tokens = f", {usage.get('input_tokens', '?')} → {usage.get('output_tokens', '?')} tokens"
    other = step.who.model_requested
    asked = f" (asked for {other})" if other and other != step.who.model else ""
    canvas.event(_time(step), "agent", f"{_agent(step)}: model {clean(step.what)}{asked}{_took(step)}{tokens}")
    _failure(canvas, step)
    if step.why is not None and step.why.rationale:
        canvas.note(f"thinks: {clean(step.why.rationale)}")
    for said in step.said:
        if said.role != "user":
            canvas.quote(said.text)
        elif step.linked is not None:  # asked by another agent, not by the customer
            canvas.note(f"asked: “{clean(said.text)}”")


def _tool_call(canvas: Canvas, step: Step) -> None:
    arguments = step.words.get("arguments")
    called = "" if arguments is None else f"({clean(_listed(arguments), 160)})"
    canvas.event(_time(step), "agent", f"{_agent(step)}: tool {clean(step.what)}{called}{_took(step)}")
    _failure(canvas, step)
    if "result" in step.words:
        canvas.note(f"→ {clean(_listed(step.words['result']), 300)}")


def _agent_run(canvas: Canvas, step: Step) -> None:
    canvas.event(_time(step), "agent", f"▸ {_agent(step)} at work{_took(step)}")
    _failure(canvas, step)


def _other(canvas: Canvas, step: Step) -> None:
    canvas.event(_time(step), "agent", f"{step.kind.replace('_', ' ')}: {clean(step.what)}{_took(step)}")
    _failure(canvas, step)
    for name, value in step.words.items():
        canvas.note(f"{name}: {clean(_listed(value), 300)}")


def _failure(canvas: Canvas, step: Step) -> None:
    if step.status != "error" and step.error_type is None:
        return
    if is_interrupt(step.error_type):
        canvas.note(f"‖ stopped to ask a person, {clean(step.error_type)}")
        return
    what = step.error_type or "error"
    said = f": {clean(step.error, 300)}" if step.error and step.error != what else ""
    canvas.note(f"✗ FAILED, {clean(what)}{said}")


def _reason(canvas: Canvas, label: str, why: Why) -> None:
    if why.rationale is not None:
        canvas.field(label, f"“{clean(why.rationale)}”")
        about = [_SOURCES.get(why.source or "", ""), _CAPTURED.get(why.captured or "", "")]
        if any(about):
            canvas.field("", f"— {', '.join(part for part in about if part)}")
    else:
        canvas.field(label, why.state.replace("_", " ") if why.state == NOT_REPORTED else f"[{why.state}]")


def _absent(canvas: Canvas, step: Step) -> None:
    unsaid = [name for name, reason in step.absent.items() if reason == NOT_REPORTED and name != "rationale"]
    if unsaid:
        canvas.field("not said", ", ".join(unsaid))
    for name, reason in step.absent.items():
        if reason != NOT_REPORTED:
            canvas.field("absent", f"{name}: {reason.replace('_', ' ')}")


def _agent(step: Step) -> str:
    acting = step.concluded.get("agent", {}).get("value")
    name = clean(acting or step.who.agent or "an agent (not reported)")
    return f"{name} {clean(step.who.agent_version)}" if step.who.agent_version and step.kind == "decision" else name


def _listed(value: Any) -> str:
    """Lists as a; b; c, maps as k: v, k: v."""
    if isinstance(value, list):
        return "; ".join(_listed(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_listed(item)}" for key, item in value.items())
    return str(value)


def _time(step: Step) -> str:
    return step.at[11:23]


def _took(step: Step) -> str:
    if step.duration_ms is None or step.duration_ms < 0:
        return ""
    return f", {step.duration_ms} ms" if step.duration_ms < 1_000 else f", {step.duration_ms / 1_000:.1f} s"


_FORMS: dict[str, Callable[[Canvas, Step], None]] = {
    "decision": _decision,
    "fallback": _fallback,
    "oversight": _oversight,
    "outcome": _outcome,
    "notice": _notice,
    "interaction": _phase,
    "model_call": _model_call,
    "tool_call": _tool_call,
    "agent_run": _agent_run,
}
