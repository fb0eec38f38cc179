"""What a rule concludes, and the table of all rules. Nothing here is ever written to the log.

A conclusion holds tokens, enumerations and `seq` references, no words: the index keeps it, and what it points to is
read from content when a trail is shown, under the reader's permission.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from counterfoil.core.rules import is_token

Kind = Literal["fallback", "decision", "handoff", "oversight", "guardrail", "outcome", "gap", "agent"]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """One thing that nobody reported as such, at the record `seq`.

    `facts` are named as RECORD 3 names them, and have beside that: `path` (the kind of a fallback path), `attempt`,
    `call_id`, `framework`. `from_seqs` are the other records that it was concluded from. `words_seq` is the record
    whose content holds the rationale or reason, `words_in` says where in it.
    """

    rule: str
    kind: Kind
    seq: int
    facts: dict[str, Any] = field(default_factory=dict)
    from_seqs: tuple[int, ...] = ()
    words_seq: int | None = None
    words_in: str = ""
    agent: str | None = None
    message: str = ""

    @property
    def value(self) -> str | None:
        """What a search asks for first: a fallback's trigger, a decision's type, a verdict, a handoff's state."""
        found: str | None = self.facts.get(_FIRST[self.kind])
        return found

    @property
    def detail(self) -> str | None:
        """And second: a fallback's path, what a decision chose, to whom a handoff went."""
        found: str | None = self.facts.get(_SECOND[self.kind])
        return found if found is not None and is_token(found) else None  # the index holds no words


_FIRST = {
    "fallback": "trigger",
    "decision": "type",
    "handoff": "state",
    "oversight": "verdict",
    "guardrail": "verdict",
    "outcome": "status",
    "gap": "what",
    "agent": "agent",
}
_SECOND = {
    "fallback": "path",
    "decision": "outcome",
    "handoff": "to",
    "oversight": "of",
    "guardrail": "action",
    "outcome": "said",
    "gap": "of",
    "agent": "of",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: what it is for, what it looks at, and an example."""

    name: str
    kind: Kind
    meaning: str
    example: str
    words: bool = False
    """It needs content: where that is withheld, erased or was never sent, it concludes nothing."""
    indexed: bool = True
    """The index keeps what it concludes; the others look at a whole trail, when that is read."""


RULES: tuple[Rule, ...] = (
    Rule(
        "model_fallback",
        "fallback",
        "a failed model call, then a call of another model under the same parent (or around it)",
        "`model request attempt primary-model` failed inside `chat backup-model`",
    ),
    Rule(
        "model_retry",
        "fallback",
        "a failed model call, then the same model again",
        "`chat gpt-5` timed out, then `chat gpt-5`",
    ),
    Rule(
        "tool_retry",
        "fallback",
        "a failed tool call, then the same tool again in the same run",
        "`crm_lookup` failed, then `crm_lookup`",
    ),
    Rule(
        "alternative_tool",
        "fallback",
        "a failed tool call, then at once another tool in the same run",
        "`crm_lookup` failed, then `kb_search`",
    ),
    Rule(
        "call_replaced",
        "fallback",
        "a failed call, then another in the same place, and nobody names the model or tool of both",
        "two `GenericFakeChatModel` spans under `RunnableWithFallbacks`, the first failed",
    ),
    Rule(
        "other_model_answered",
        "fallback",
        "the response came from another model than the one requested (a dated release of the same model is the same)",
        "`gpt-5` was requested, `gpt-5-mini` answered",
    ),
    Rule(
        "transfer_after_failure",
        "fallback",
        "a failed call, then a handoff by the same agent and no other call between",
        "`crm_lookup` failed, then `transfer_to_billing`",
    ),
    Rule(
        "person_asked_after_failure",
        "fallback",
        "a failed call, then the run stopped to ask a person",
        "`crm_lookup` failed, then a `GraphInterrupt`",
    ),
    Rule(
        "answered_after_failure",
        "fallback",
        "the last call of a run failed, nothing replaced it, and the run ended well all the same",
        "`billing_agent` (a tool) failed, the agent answered",
    ),
    Rule(
        "asked_back_after_failure",
        "fallback",
        "the same, and the answer is a question",
        '`crm_lookup` failed, "Could you give me your order number?"',
        words=True,
    ),
    Rule(
        "aborted_after_failure",
        "fallback",
        "a call failed, nothing replaced it, and the run around it failed too",
        "`explode` raised, `invoke_agent` has status error",
    ),
    Rule(
        "model_refused",
        "fallback",
        "the model refused, or its provider filtered the answer",
        "`finish_reason` is `content_filter`",
        words=True,
    ),
    Rule(
        "called_tool",
        "decision",
        "an agent that reports no decisions called a tool: that is the action it chose",
        "`execute_tool lookup_order`",
    ),
    Rule(
        "chose_tool",
        "decision",
        "a model chose a call for which there is no record of its own",
        "a part `tool_call` in `gen_ai.output.messages`, no `execute_tool`",
        words=True,
    ),
    Rule(
        "handed_over",
        "decision",
        "an agent that reports no decisions handed over: that is the action it chose",
        "`execute_tool transfer_to_billing`",
    ),
    Rule(
        "answered",
        "decision",
        "the last model call of a run, after which nothing was called: the action chosen is the answer",
        "`chat gpt-5` at the end of `invoke_agent triage`",
    ),
    Rule(
        "transfer_tool",
        "handoff",
        "a tool whose name says that it hands over (`transfer_to_*`, `handoff_to_*`, `escalate_to_*`)",
        "`execute_tool handoff_to_agent` with `agent_name` billing_agent",
    ),
    Rule(
        "agent_as_tool",
        "handoff",
        "a tool call inside which another agent runs",
        "`invoke_agent billing_agent` under `execute_tool billing_agent`",
    ),
    Rule(
        "agent_followed",
        "handoff",
        "in one trace an agent's run is followed by the run of another agent",
        "`invoke_agent triage_agent`, then `invoke_agent billing_agent`",
    ),
    Rule(
        "approval_requested",
        "oversight",
        "a run stopped to ask a person whether a call may be made",
        "a part `function_approval_request`; `final_result` with `approvals`; an interrupt",
        words=True,
    ),
    Rule(
        "approval_response",
        "oversight",
        "a message part says whether a person approved a call",
        '`{"type": "function_approval_response", "approved": false}`',
        words=True,
    ),
    Rule(
        "refusal_sentence",
        "oversight",
        "in place of a result stands the sentence by which a framework says that a person refused",
        '"Tool execution was not approved."',
        words=True,
    ),
    Rule(
        "answered_outside",
        "oversight",
        "a run goes on with the answer to a call that no agent made: somebody outside answered it",
        "`tool_call_response` for `c9` as last message of a new trace, no `execute_tool` for `c9`",
        words=True,
    ),
    Rule(
        "refused_call",
        "oversight",
        "an approval was asked for, the call got an answer, and was never made: it was refused",
        "`approvals` names `c9`, its answer comes from outside, no `execute_tool` for `c9`",
        words=True,
        indexed=False,
    ),
    Rule(
        "approved_call",
        "oversight",
        "an approval was asked for in one trace and the call was made in a later one",
        "`approvals` names `c9`, then `execute_tool` for `c9`",
        words=True,
        indexed=False,
    ),
    Rule(
        "guardrail_tripped",
        "guardrail",
        "a guardrail stopped the run: said by its own status, its parent's status text or an error's name",
        "`Guardrail tripwire triggered` in the status of the parent `turn`",
    ),
    Rule(
        "tool_said_error",
        "outcome",
        "a tool call without error status whose result says that it failed",
        '`{"status": "error"}` under status unset',
        words=True,
    ),
    Rule(
        "agent_of_run",
        "agent",
        "a call is that of the agent whose run is around it, where its own record names another (often the service)",
        "`execute_tool crm_lookup` of service `refund-desk` inside `invoke_agent triage_agent`",
        indexed=False,
    ),
    Rule(
        "no_result",
        "gap",
        "a tool call that neither failed nor has a result, though what was sent with it was recorded",
        "`execute_tool issue_refund` with arguments and nothing else",
    ),
    Rule(
        "parent_missing",
        "gap",
        "a parent span that never arrived",
        "`parent_span_id` of a span that is not in the log",
        indexed=False,
    ),
    Rule(
        "numbers_missing",
        "gap",
        "a producer that numbers what it sends gave numbers between those of this trail that are not in the log",
        "records 4 and 7 of a producer are in the trail, 5 and 6 nowhere",
        indexed=False,
    ),
    Rule(
        "cut_by_sdk",
        "gap",
        "the producer's SDK dropped attributes, events or links before sending",
        "`droppedAttributesCount: 12`",
        words=True,
        indexed=False,
    ),
)

RULES_BY_NAME = {rule.name: rule for rule in RULES}

PATHS = {
    "model_fallback": "model_fallback",
    "other_model_answered": "model_fallback",
    "model_retry": "model_retry",
    "tool_retry": "tool_retry",
    "alternative_tool": "alternative_tool",
    "call_replaced": "other",
    "answered_after_failure": "degraded_answer",
    "asked_back_after_failure": "clarification",
    "person_asked_after_failure": "human_escalation",
    "aborted_after_failure": "abort",
    "model_refused": "refusal",
}
"""The kind of path that a rule's fallback is; a transfer is `agent_transfer` or `human_escalation`, by its target."""


def markdown() -> str:
    """The table of rules in docs/trails.md."""
    rows = [
        f"| `{rule.name}` | {rule.meaning} | {rule.example} | {'content' if rule.words else 'facts'} | "
        f"{'yes' if rule.indexed else 'in the trail'} |"
        for rule in sorted(RULES, key=lambda rule: _ORDER.index(rule.kind))
    ]
    head = ("| rule | concludes | example | needs | in search |", "| --- | --- | --- | --- | --- |")
    kinds = [rule.kind for rule in sorted(RULES, key=lambda rule: _ORDER.index(rule.kind))]
    lines: list[str] = []
    for at, (kind, row) in enumerate(zip(kinds, rows, strict=True)):
        if at == 0 or kinds[at - 1] != kind:
            lines += ["", f"### {kind.capitalize()}", "", *head]
        lines.append(row)
    return "\n".join(lines).strip() + "\n"


_ORDER = ("decision", "fallback", "handoff", "oversight", "guardrail", "outcome", "agent", "gap")


if __name__ == "__main__":
    print(markdown(), end="")
