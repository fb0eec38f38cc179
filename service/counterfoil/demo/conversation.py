"""What an instrumented agent emits during one conversation: GenAI spans, and `counterfoil.*` log events.

Spans follow the OpenTelemetry GenAI conventions (`invoke_agent`, `chat`, `execute_tool`) and would come from any
framework's instrumentation. Events carry what no convention has yet: the decision, its rationale and alternatives, the
fallback step, the handoff, the person who stepped in. Time is a clock of the conversation's own, so that a call of four
seconds takes no four seconds here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from counterfoil.demo.site import Site

NANOSECONDS = 1_000_000_000


@dataclass(slots=True)
class Conversation:
    """One case. `now_ns` moves with `wait`; `subject` is the customer's own identifier, which never reaches a leaf."""

    site: Site
    id: str
    subject: str
    topic: str
    now_ns: int
    language: str = "en"
    messages: list[dict[str, Any]] = field(default_factory=list)
    agent_name: str = ""

    def wait(self, seconds: float) -> None:
        self.now_ns += int(seconds * NANOSECONDS)

    def says(self, role: str, text: str) -> None:
        """The customer or the agent says something; it is part of every later model call."""
        self.messages.append({"role": role, "parts": [{"type": "text", "content": text}]})
        self.wait(2.0 if role == "user" else 0.4)

    @contextmanager
    def agent(self, name: str, version: str) -> Iterator[Span]:
        """An agent works on the case until the block ends."""
        outer, self.agent_name = self.agent_name, name
        attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.provider.name": "openai",
            "gen_ai.agent.name": name,
            "gen_ai.agent.id": f"{name}.{self.site.region}",
            "gen_ai.agent.version": version,
            "user.id": self.subject,
            **self._interaction(),
        }
        with self._span(f"invoke_agent {name}", SpanKind.INTERNAL, attributes) as span:
            yield span
        self.agent_name = outer

    def model(
        self,
        model: str,
        reply: str,
        *,
        seconds: float = 0.9,
        error: str | None = None,
        answered_by: str | None = None,
        reasoning: str | None = None,
        calls: str | None = None,
    ) -> None:
        """One model call; `error` is the type it fails with, `answered_by` another model that the provider used.

        `calls` is a tool that the answer chooses.
        """
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai" if model.startswith("gpt") else "mistral_ai",
            "gen_ai.request.model": model,
            "gen_ai.agent.name": self.agent_name,
            "gen_ai.request.temperature": 0.2,
            "gen_ai.input.messages": json.dumps(self.messages),
            **self._interaction(),
        }
        with self._span(f"chat {model}", SpanKind.CLIENT, attributes) as span:
            self.wait(seconds)
            if error is not None:
                span.set_attribute("error.type", error)
                span.add_event("exception", {"exception.type": error, "exception.message": reply}, self.now_ns)
                span.set_status(Status(StatusCode.ERROR, reply))
                return
            parts: list[dict[str, Any]] = [{"type": "reasoning", "content": reasoning}] if reasoning else []
            parts.append({"type": "text", "content": reply})
            if calls is not None:
                parts.append({"type": "tool_call", "name": calls, "arguments": {}})
            message = {"role": "assistant", "parts": parts, "finish_reason": "stop"}
            span.set_attributes(
                {
                    "gen_ai.response.model": answered_by or model,
                    "gen_ai.response.finish_reasons": ["stop"],
                    "gen_ai.output.messages": json.dumps([message]),
                    "gen_ai.usage.input_tokens": 180 + sum(len(str(m)) for m in self.messages) // 4,
                    "gen_ai.usage.output_tokens": 12 + len(reply) // 4,
                }
            )
            self.messages.append({"role": "assistant", "parts": parts})

    def tool(
        self,
        name: str,
        arguments: Mapping[str, Any],
        result: object,
        *,
        seconds: float = 0.3,
        error: str | None = None,
    ) -> None:
        """One tool call. A tool that answers an error object without failing leaves its status unset, as many do."""
        call_id = f"call_{self.id}_{len(self.messages)}_{self.now_ns // 1_000_000 % 1000}"
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": call_id,
            "gen_ai.tool.call.arguments": json.dumps(arguments),
            "gen_ai.agent.name": self.agent_name,
            **self._interaction(),
        }
        with self._span(f"execute_tool {name}", SpanKind.INTERNAL, attributes) as span:
            self.wait(seconds)
            if error is None:
                span.set_attribute("gen_ai.tool.call.result", json.dumps(result))
            else:
                span.set_attribute("error.type", error)
                span.set_status(Status(StatusCode.ERROR, str(result)))
        self.messages.append({"role": "tool", "parts": [{"type": "tool_call_response", "response": result}]})

    def decide(self, decision_id: str, type_: str, outcome: str, rationale: str, **facts: object) -> None:
        """The agent decides; sent at once as an event, so that it survives a crash that would lose the span."""
        self._event(
            "counterfoil.decision",
            {"id": decision_id, "type": type_, "outcome": outcome, "rationale": rationale, **facts},
        )

    def fall_back(self, decision_id: str, trigger: str, *, to: str, origin: str, **facts: object) -> None:
        self._event(
            "counterfoil.fallback", {"of.id": decision_id, "trigger": trigger, "from": origin, "to": to, **facts}
        )

    def hand_off(self, handoff_id: str, state: str, **facts: object) -> None:
        self._event("counterfoil.handoff", {"id": handoff_id, "state": state, **facts})

    def oversee(self, decision_id: str, act: str, verdict: str, person: str, role: str, **facts: object) -> None:
        self._event(
            "counterfoil.oversight",
            {"of.id": decision_id, "act": act, "verdict": verdict, "person": person, "role": role, **facts},
        )

    def came_out(self, decision_id: str, status: str, agrees: str, effect: str) -> None:
        self._event("counterfoil.outcome", {"of.id": decision_id, "status": status, "agrees": agrees, "effect": effect})

    def notify(self, type_: str, text: str) -> None:
        self._event("counterfoil.notice", {"type": type_, "shown": True, "text": text})

    def mark(self, phase: str) -> None:
        """The conversation starts or ends."""
        self._event("counterfoil.interaction", {"phase": phase})

    def _interaction(self) -> dict[str, Any]:
        return {
            "gen_ai.conversation.id": self.id,
            "counterfoil.interaction.channel": self.site.channel,
            "counterfoil.interaction.region": self.site.region,
            "counterfoil.interaction.type": self.topic,
            "counterfoil.interaction.language": self.language,
            "counterfoil.subject.id": self.subject,
        }

    @contextmanager
    def _span(self, name: str, kind: SpanKind, attributes: Mapping[str, Any]) -> Iterator[Span]:
        with self.site.tracer.start_as_current_span(
            name, kind=kind, attributes=attributes, start_time=self.now_ns, end_on_exit=False
        ) as span:
            try:
                yield span
            finally:
                self.wait(0.02)
                span.end(self.now_ns)

    def _event(self, name: str, facts: Mapping[str, Any]) -> None:
        subject = name.removeprefix("counterfoil.")
        attributes = {f"counterfoil.{subject}.{key}": _plain(value) for key, value in facts.items()}
        if self.agent_name:
            attributes["gen_ai.agent.name"] = self.agent_name
        self.site.logger.emit(
            timestamp=self.now_ns,
            observed_timestamp=self.now_ns,
            event_name=name,
            attributes={**self._interaction(), **attributes},
        )
        self.wait(0.01)


def _plain(value: Any) -> Any:
    """Attribute values as the logs API takes them: lists of maps stay what they are, tuples become lists."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
