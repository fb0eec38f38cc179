"""Messages of every convention as parts: who, what sort of part, which words, which call. Tolerant, and pure.

Instrumentations write one conversation in many shapes, and all of them arrive in the content fields `input` and
`output` (or, for frameworks that never say more, in `events`):

    [{"role", "parts": [{"type": "text", "content"}, {"type": "tool_call", "id", "name", "arguments"}, ...]}]
    [{"role", "content": "..."}]            and  content as a list of parts, or of {"text"}, {"toolUse"}, {"toolResult"}
    [{"key": "llm.output_messages.0.message.content", "value": {...}}, ...]      flattened, as the attributes were
    [{"name": "gen_ai.choice", "attributes": [{"key": "message", "value": {...}}]}, ...]           span events
    {"generations": [[{"message": {"kwargs": {"content", "tool_calls"}}}]]}                         LangChain
    {"choices": [{"message": {...}}]}, {"output": [{"type": "function_call", ...}]}            OpenAI
    {"type": "ai", "data": {...}}, {"raw": "...", "messages": [...]}, {"approvals": [...]}     results of frameworks
    "Thought: ...\\nAction: lookup\\nAction Input: {...}"                                       ReAct, as text

What is not understood is no message, never an error: the words themselves are in the record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from counterfoil.trails.words import parsed, plain

MAX_PARTS = 4_096
"""Parts of one value that are read; a longer history says nothing new about this step."""

TEXT, THOUGHT, CALL, RESPONSE, REQUESTED, VERDICT, REFUSAL = (
    *("text", "thought", "call", "response", "approval_request", "approval_response"),
    "refusal",
)
_SORTS = {
    **dict.fromkeys(("text", "output_text", "input_text", "message"), TEXT),
    **dict.fromkeys(("reasoning", "thinking", "reasoning_content"), THOUGHT),
    **dict.fromkeys(("tool_call", "function_call", "tool_use", "toolUse", "tool-call"), CALL),
    **dict.fromkeys(
        ("tool_call_response", "function_call_output", "tool_result", "toolResult", "tool-return"), RESPONSE
    ),
    "function_approval_request": REQUESTED,
    "function_approval_response": VERDICT,
    "refusal": REFUSAL,
}
_WORDS = ("content", "text", "reasoning", "thinking", "refusal")
_RESULTS = ("response", "result", "content", "output")
_FLAT = re.compile(r"(?:llm\.(?:input|output)_messages|gen_ai\.(?:prompt|completion))\.(\d{1,4})\.(?:message\.)?(.+)")
_FLAT_CALL = re.compile(r"tool_calls\.(\d{1,4})\.(?:tool_call\.)?(.+)")
_FLAT_CONTENT = re.compile(r"contents\.(\d{1,4})\.message_content\.(.+)")
_REACT = re.compile(
    r"\s*Thought:(?P<thought>.*?)\nAction:\s*(?P<tool>[\w.:/+-]{1,128})[ \t]*(?:\nAction Input:(?P<input>[^\n]*))?",
    re.DOTALL,
)
"""A turn written as ReAct: CrewAI and others put thought, call and result into one text."""
_EVENT_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
    "gen_ai.choice": "assistant",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a message. `text` are its words, `call_id` and `name` the tool call it is or answers."""

    message: int
    role: str
    sort: str
    text: str = ""
    call_id: str = ""
    name: str = ""
    arguments: Any = None
    approved: bool | None = None
    request_id: str = ""
    finish: str = ""


def parts_of(value: Any) -> list[Part]:
    """Every part of a value of messages, in order; nothing where it is none."""
    found: list[Part] = []
    try:
        for number, message in enumerate(_messages(parsed(value))):
            for part in _parts(number, message):
                found.append(part)
                if len(found) == MAX_PARTS:
                    return found
    except RecursionError:  # JSON inside a string may be nested deeper than any message is
        return []
    return found


def _event_message(event: Mapping[str, Any]) -> dict[str, Any]:
    attributes = pairs_of(event.get("attributes"))
    body = parsed(attributes.get("message", attributes.get("content", "")))
    finish = attributes.get("finish_reason", "")
    return {"role": _EVENT_ROLES[event["name"]], "content": body, "finish_reason": finish}


def pairs_of(value: Any) -> dict[str, Any]:
    """OTLP pairs as a map; the first of two with one key."""
    found: dict[str, Any] = {}
    for pair in _listed(value):
        if isinstance(pair, dict) and isinstance(pair.get("key"), str) and "value" in pair:
            found.setdefault(pair["key"], plain(pair["value"]))
    return found


def _messages(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        yield from _of_framework(value)
        return
    items = _listed(value)
    if items and all(isinstance(item, dict) and "key" in item and "value" in item for item in items):
        yield from _unflattened(pairs_of(items))
        return
    if items and all(isinstance(item, dict) and "name" in item and "attributes" in item for item in items):
        events = [item for item in items if isinstance(item["name"], str) and item["name"] in _EVENT_ROLES]
        yield from (_event_message(event) for event in events)
        return
    for item in items:
        item = parsed(item)
        if isinstance(item, dict):
            yield from [item] if "role" in item else _of_framework(item)
        elif isinstance(item, list):
            yield from _messages(item)


def _of_framework(value: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """One object that stands for a message, or for what a framework makes of one."""
    if isinstance(value.get("raw"), str):
        yield from (one for one in _messages(parsed(value.get("messages", []))) if one.get("role") == "assistant")
        yield {"role": "assistant", "content": value["raw"]}
    elif "messages" in value:
        yield from _messages(parsed(value["messages"]))
    elif "role" in value or "parts" in value:
        yield value
    elif isinstance(value.get("choices"), list):
        for choice in value["choices"]:
            if isinstance(choice, dict) and isinstance(choice.get("message"), dict):
                finish = choice.get("finish_reason", "")
                yield {"role": "assistant", "finish_reason": finish, **choice["message"]}
    elif isinstance(value.get("output"), list):
        yield from _of_items(value["output"])
    elif isinstance(value.get("generations"), list):
        for generation in value["generations"]:
            for answer in _listed(generation):
                if isinstance(answer, dict):
                    message = answer.get("message")
                    spoken = message if isinstance(message, dict) else {"type": "ai", "content": answer.get("text", "")}
                    yield from _of_framework(spoken)
    elif isinstance(value.get("kwargs"), dict):
        yield from _of_framework(value["kwargs"])
    elif (role := _langchain_role(value)) and isinstance(value.get("data"), dict):
        yield from _of_framework({"type": value["type"], **value["data"]})
    elif role and "content" in value:
        yield {"role": role, **value}
    elif isinstance(value.get("approvals"), list):
        requests = [
            {**call, "type": "function_approval_request"} for call in value["approvals"] if isinstance(call, dict)
        ]
        yield {"role": "assistant", "parts": requests}


def _of_items(items: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
    """The items of an OpenAI response: reasoning, calls and messages of one answer."""
    parts: list[Any] = []
    for item in items:
        if isinstance(item, dict) and item.get("type") == "message":
            content = item.get("content")
            parts += content if isinstance(content, list) else [{"type": "text", "content": content}]
        elif isinstance(item, dict):
            parts.append({**item, "content": item.get("summary")} if item.get("type") == "reasoning" else item)
    if parts:
        yield {"role": "assistant", "parts": parts}


_LANGCHAIN_ROLES = {
    "ai": "assistant",
    "human": "user",
    "system": "system",
    "tool": "tool",
    "AIMessageChunk": "assistant",
}


def _langchain_role(value: Mapping[str, Any]) -> str:
    kind = value.get("type")
    return _LANGCHAIN_ROLES.get(kind, "") if isinstance(kind, str) else ""


def _unflattened(pairs: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Messages out of `llm.output_messages.0.message.content` and its like. Indexes may have gaps and any order."""
    messages: dict[int, tuple[dict[str, Any], dict[int, dict[str, Any]], dict[int, dict[str, Any]]]] = {}
    for key, value in pairs.items():
        if (found := _FLAT.fullmatch(key)) is None:
            continue
        message, calls, contents = messages.setdefault(int(found[1]), ({"role": ""}, {}, {}))
        rest = found[2]
        if (call := _FLAT_CALL.fullmatch(rest)) is not None:
            member = call[2].rpartition(".")[2]
            calls.setdefault(int(call[1]), {"type": "tool_call"})[member] = value
        elif (content := _FLAT_CONTENT.fullmatch(rest)) is not None:
            contents.setdefault(int(content[1]), {})[content[2]] = value
        else:
            message[rest] = value
    for _, (message, calls, contents) in sorted(messages.items(), key=lambda entry: entry[0]):
        parts = [part for _, part in sorted(contents.items())]
        if isinstance(message.get("content"), str):
            sort = "tool_call_response" if message.get("tool_call_id") else "text"
            text = {"type": sort, "content": message["content"], "id": message.get("tool_call_id", "")}
            parts = [text, *parts]
        yield {**message, "parts": [*parts, *(call for _, call in sorted(calls.items()))]}


def _parts(number: int, message: Mapping[str, Any]) -> Iterator[Part]:
    role = message.get("role")
    role = role if isinstance(role, str) and role else "unknown"
    finish = message.get("finish_reason")
    finish = finish if isinstance(finish, str) else ""
    inner = parsed(message.get("parts", message.get("content")))
    call_id = message.get("tool_call_id")
    if isinstance(inner, str) or (isinstance(inner, dict) and "type" not in inner):
        text = inner if isinstance(inner, str) else ""
        if isinstance(call_id, str) and call_id:
            yield Part(number, role, RESPONSE, text, call_id, finish=finish)
        elif role == "assistant" and (steps := _REACT.match(text)) is not None:
            yield Part(number, role, THOUGHT, steps["thought"].strip())
            yield Part(number, role, CALL, "", "", steps["tool"], parsed((steps["input"] or "").strip()))
        elif text.strip():
            yield Part(number, role, TEXT, text.strip(), finish=finish)
        inner = []
    for part in [inner] if isinstance(inner, dict) else _listed(inner):
        if isinstance(part, dict):
            yield _part(number, role, part, finish)
        elif isinstance(part, str) and part.strip():
            yield Part(number, role, TEXT, part.strip(), finish=finish)
    if isinstance(message.get("reasoning_content"), str) and message["reasoning_content"].strip():
        yield Part(number, role, THOUGHT, message["reasoning_content"].strip(), finish=finish)
    for call in _listed(parsed(message.get("tool_calls"))):
        if isinstance(call, dict):
            yield _part(number, role, {**call, "type": "tool_call"}, finish)


def _part(number: int, role: str, part: Mapping[str, Any], finish: str) -> Part:
    """One part; `{"text"}`, `{"toolUse"}` and `{"toolResult"}` without a type are as Bedrock writes them."""
    for key in ("toolUse", "toolResult", "reasoningContent"):
        if isinstance(part.get(key), dict):
            part = {"type": "thinking" if key == "reasoningContent" else key, **part[key]}
            if isinstance(part.get("reasoningText"), dict):
                part = {**part, **part["reasoningText"]}
    kind = part.get("type")
    sort = _SORTS.get(kind) if isinstance(kind, str) else TEXT if isinstance(part.get("text"), str) else None
    if sort == CALL:
        function = part.get("function")
        called = {**part, **function} if isinstance(function, dict) else part
        name = _token(called, "name", "tool_name", "toolName")
        return Part(number, role, CALL, "", _call_id(called), name, _arguments(called), finish=finish)
    if sort in (REQUESTED, VERDICT):
        function = part.get("function_call", part)
        called = function if isinstance(function, dict) else part
        approved = part.get("approved")
        return Part(
            number,
            role,
            sort,
            _text(part, ("reason",)),
            _call_id(called),
            _token(called, "name", "tool_name"),
            _arguments(called),
            approved if isinstance(approved, bool) else None,
            _token(part, "id") if "function_call" in part else "",
            finish,
        )
    if sort == RESPONSE:
        return Part(number, role, RESPONSE, _text(part, _RESULTS), _call_id(part), _token(part, "name"), finish=finish)
    return Part(number, role, sort or "other", _text(part, _WORDS), finish=finish)


def _call_id(part: Mapping[str, Any]) -> str:
    return _token(part, "call_id", "tool_call_id", "toolUseId", "toolCallId", "id")


def _token(part: Mapping[str, Any], *keys: str) -> str:
    return next((part[key] for key in keys if isinstance(part.get(key), str)), "")


def _arguments(part: Mapping[str, Any]) -> Any:
    return parsed(next((part[key] for key in ("arguments", "args", "input") if key in part), None))


def _text(part: Mapping[str, Any], keys: Sequence[str]) -> str:
    """The words under the first of the keys that has some; parts inside it are joined."""
    for key in keys:
        value = plain(part.get(key))
        if isinstance(value, list):
            value = "\n".join(
                item["text"] for item in value if isinstance(item, dict) and isinstance(item.get("text"), str)
            )
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
