"""The report: every step with its outcome, the verdict, and what was *not* shown; as text and as JSON.

Text from a bundle may be hostile: whatever is printed is escaped, so that it cannot move a terminal's cursor, hide a
line or pass for one of ours.
"""

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from counterfoil.verify.blame import STEPS

NO_POLICY = "self-consistent only"


class Verdict(StrEnum):
    """The result, which is also the exit status."""

    VERIFIED = "VERIFIED"
    REJECTED = "REJECTED"
    INCOMPLETE = "INCOMPLETE"

    @property
    def exit_status(self) -> int:
        """0, 1 or 2."""
        return {"VERIFIED": 0, "REJECTED": 1, "INCOMPLETE": 2}[self.value]


class Outcome(StrEnum):
    """Of one step. INCOMPLETE: something that it needs is missing or of an unknown version."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CHECKED = "not checked"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class Step:
    """One numbered step: its outcome, the file at fault, what was seen."""

    number: int
    outcome: Outcome
    file: str = ""
    message: str = ""
    check: str = ""

    @property
    def name(self) -> str:
        """What the step is about."""
        return STEPS[self.number]


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify_bundle` found. `reasons` say why it is INCOMPLETE; `caveats` what is not proven."""

    result: Verdict
    steps: tuple[Step, ...]
    reasons: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    population: dict[str, Any] = field(default_factory=dict)
    signed_by: tuple[str, ...] = ()
    witnesses: tuple[str, ...] = ()
    timestamp: dict[str, Any] = field(default_factory=dict)

    def step(self, number: int) -> Step:
        """The step with this number."""
        return self.steps[number - 1]

    @property
    def failed(self) -> Step | None:
        """The step that refuted the bundle."""
        return next((step for step in self.steps if step.outcome is Outcome.FAILED), None)


def escape(text: str) -> str:
    """`text` with everything but printable characters written as escapes."""
    return "".join(ch if ch.isprintable() else ch.encode("unicode_escape").decode() for ch in text)


def format_json(report: Report) -> str:
    """The report for programs: one JSON object, ASCII."""
    value = asdict(report)
    value["steps"] = [{**asdict(step), "name": step.name} for step in report.steps]
    return json.dumps(value, indent=2, sort_keys=True)


def parse_report(text: str) -> Report:
    """The report that `format_json` printed; ValueError for any other text."""
    try:
        value = json.loads(text)
        steps = tuple(
            Step(step["number"], Outcome(step["outcome"]), step["file"], step["message"], step["check"])
            for step in value["steps"]
        )
        return Report(
            Verdict(value["result"]),
            steps,
            reasons=tuple(value["reasons"]),
            caveats=tuple(value["caveats"]),
            population=dict(value["population"]),
            signed_by=tuple(value["signed_by"]),
            witnesses=tuple(value["witnesses"]),
            timestamp=dict(value["timestamp"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError("not a report of the verifier") from error


def _step_line(step: Step) -> str:
    mark = {"passed": "ok  ", "failed": "FAIL", "not checked": "--  ", "incomplete": "??  "}[step.outcome.value]
    line = f"{step.number:>3}  {mark}  {step.name}: {step.outcome.value}"
    detail = "; ".join(part for part in (step.file, step.message) if part)
    return f"{line} ({escape(detail)})" if detail else line


def _population_lines(population: dict[str, Any]) -> list[str]:
    first, end = population["range"]
    taken = f"records {first} to {end - 1}" if end > first else "no records"
    return [
        f"Log: {population['origin']}, {population['tree_size']} records at the checkpoint, root {population['root']}",
        f"Population: {population['form']}, from {taken}, filter {population['filter'] or '(none: all)'}",
        f"Presented: {population['count']} records, hash total {population['hash_total']}",
    ]


def format_text(report: Report, name: str) -> str:
    """The report for people; `name` is the bundle's."""
    lines = [f"Bundle: {name}"]
    if report.population:
        lines += _population_lines(report.population)
    if report.signed_by:
        lines.append(f"Attested by: {', '.join(report.signed_by)}")
    if report.timestamp:
        lines.append(f"Timestamp: {report.timestamp['at']} by {report.timestamp['authority']}")
    if report.witnesses:
        lines.append(f"Witnesses: {', '.join(report.witnesses)}")
    text = [escape(line) for line in lines]
    text += ["", *map(_step_line, report.steps), ""]
    if report.caveats:
        text += ["Not proven:", *(f"  - {escape(caveat)}" for caveat in report.caveats), ""]
    verdict = report.result.value
    if report.failed is not None:
        verdict += f": step {report.failed.number}"
    elif report.reasons:
        verdict += f": {escape('; '.join(report.reasons))}"
    return "\n".join([*text, verdict, ""])
