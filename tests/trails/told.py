"""A trail of the API in lines that a person can check against the raw spans; the goldens are written in them.

decisions   triage_agent chose tool_call lookup_order [derived: called_tool]
rationale   lookup_order: "Customer wants refund; look the order up first." (reasoning_part)
fallbacks   agent_transfer: crm_lookup ─error→ billing_agent, attempt 2, ok [derived: transfer_after_failure]
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def lines_of(trail: Json) -> Json:
    """What the goldens state, of one trail: traces, steps, and each topic in lines."""
    steps = trail["steps"]
    reported = [step for step in steps if step["basis"] == "reported"]
    topics = {topic["topic"]: topic for topic in trail["topics"]}
    told: Json = {
        "id": trail["interaction"]["id"] if not trail["interaction"]["derived"] else "",
        "records": trail["total"],
        "traces": len({step["trace_id"] for step in steps if step["trace_id"]}),
        "folded": sum(step["folded"] for step in reported),
        "agents": [f"{item['says']} [{item['basis']}]" for item in topics["agents"]["items"]],
        "steps": [_step(step) for step in reported if not step["folded"]],
        "absent": sorted(topic["topic"] for topic in trail["topics"] if topic["basis"] == "absent"),
    }
    for kind, name in _SECTIONS.items():
        found = [_LINES[kind](step) + _basis(step) for step in steps if step["kind"] == kind and not _silent(step)]
        if found:
            told[name] = found
    for kind, name in (("decision", "rationale"), ("oversight", "reasons")):
        words = [_rationale(step) for step in steps if step["kind"] == kind and _has_words(step)]
        if words:
            told[name] = words
    marks = [
        f"{_name(step)}: {gap['rule']}" for step in reported for gap in step["gaps"] if gap["rule"] == "tool_said_error"
    ]
    if marks:
        told["outcomes"] = marks
    gaps = [f"{gap['rule']}: {_of(steps, gap)}" for gap in trail["gaps"]]
    if gaps:
        told["gaps"] = sorted(gaps)
    return told


_SECTIONS = {
    "decision": "decisions",
    "fallback": "fallbacks",
    "handoff": "handoffs",
    "oversight": "oversight",
    "guardrail": "guardrails",
}


def _silent(step: Json) -> bool:
    return step["kind"] == "guardrail" and step["basis"] == "reported"


def _basis(step: Json) -> str:
    added = "".join(
        f", {name} {found['value']} [derived: {found['rule']}]" for name, found in sorted(step["concluded"].items())
    )
    return f" [derived: {step['rule']}]" if step["basis"] == "derived" else f" [reported]{added}"


def _name(step: Json) -> str:
    return str(step["who"]["tool"] or step["what"])


def _step(step: Json) -> str:
    failed = " FAILED" if step["status"] == "error" or step["error_type"] else ""
    match step["kind"]:
        case "agent_run":
            name = step["who"]["agent"]
        case "tool_call":
            name = step["who"]["tool"]
        case "model_call":
            name = step["who"]["model"]
        case _:
            name = step["what"]
    return f"{step['kind']} {name or '?'}{failed}"


def _decision(step: Json) -> str:
    facts = step["facts"]
    return f"{step['who']['agent'] or '?'} chose {facts['type']} {facts.get('outcome', '?')}"


def _fallback(step: Json) -> str:
    facts = step["facts"]
    ended = f", {facts['outcome']}" if "outcome" in facts else ""
    path = f"{facts['path']}: " if "path" in facts else ""
    attempt = f", attempt {facts['attempt']}" if "attempt" in facts else ""
    return f"{path}{facts.get('from', '?')} ─{facts['trigger']}→ {facts.get('to', '?')}{attempt}{ended}"


def _handoff(step: Json) -> str:
    facts = step["facts"]
    giver = facts.get("from") or step["who"]["agent"] or "?"
    return f"{giver} to {facts.get('to', '?')} ({facts.get('to_kind', '?')}), {facts.get('state', 'state ?')}"


def _oversight(step: Json) -> str:
    facts = step["facts"]
    of = facts.get("of") or facts.get("tool") or "?"
    return f"{facts.get('act', '?')} {facts.get('verdict', 'verdict ?')} of {of}, person {step['who']['person'] or '?'}"


def _guardrail(step: Json) -> str:
    return f"{step['facts'].get('verdict', 'verdict ?')}"


_LINES = {
    "decision": _decision,
    "fallback": _fallback,
    "handoff": _handoff,
    "oversight": _oversight,
    "guardrail": _guardrail,
}


def _has_words(step: Json) -> bool:
    return step["why"] is not None and step["why"]["rationale"] is not None


def _rationale(step: Json) -> str:
    facts = step["facts"]
    about = facts.get("outcome") or facts.get("of") or "?"
    return f"{about}: “{step['why']['rationale']}” ({step['why']['source']}, {step['why']['basis']})"


def _of(steps: list[Json], gap: Json) -> str:
    step = next(step for step in steps if (step["log"], step["seq"]) == (gap["log"], gap["seq"]))
    return _name(next((one for one in steps if one["seq"] == gap["seq"] and one["basis"] == "reported"), step))
