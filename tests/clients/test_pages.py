"""The pages of docs/agents say what was run: their tables, snippets, versions and variables are those of the tests."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.clients.clients import CLIENTS, Client
from tests.clients.frameworks import AGENTS, ROOT, otel_variables
from tests.clients.pages import table

PAGES = sorted((ROOT / "docs" / "agents").glob("*.md"))
JAVASCRIPT = ROOT / "tests" / "clients" / "javascript"
LOCK = ROOT / "deploy" / "requirements" / "agents.txt"
PAGE_OF = {
    "pydantic_ai": "pydantic-ai.md",
    "openai_agents": "openai-agents.md",
    "langgraph": "langgraph.md",
    "strands": "strands.md",
    "agent_framework": "ms-agent-framework.md",
    "autogen": "autogen.md",
}
each_page = pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def lines(text: str) -> list[str]:
    """A text without indentation and empty lines."""
    return [line.strip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("client", CLIENTS, ids=[client.name for client in CLIENTS])
def test_a_page_s_table_of_facts_is_what_the_live_run_is_tested_for(client: Client) -> None:
    page = ROOT / "docs" / "agents" / PAGE_OF[client.script.removesuffix("_refunds.py")]
    assert table(client) in page.read_text()


@each_page
def test_every_snippet_of_python_stands_in_a_script_that_is_run(page: Path) -> None:
    scripts = ["\n".join(lines(path.read_text())) for path in sorted(AGENTS.glob("*.py"))]
    for block in blocks(page, "python"):
        wanted = "\n".join(lines(block))
        assert any(wanted in script for script in scripts), block


@each_page
def test_every_snippet_of_javascript_stands_in_a_program_that_is_run(page: Path) -> None:
    programs = [JAVASCRIPT / "refunds.mjs", ROOT / "tests/ingest/javascript/send.mjs"]
    for block in blocks(page, "js"):
        assert any(block in program.read_text() for program in programs), block


@each_page
def test_every_variable_of_the_environment_is_one_that_the_tests_set(page: Path) -> None:
    known = otel_variables("http://127.0.0.1:4318", "cf_...", "refund-desk")
    for client in CLIENTS:
        known |= client.variables
    text = "\n".join(blocks(page, "sh"))
    for name, value in re.findall(r"^export ([A-Z_]+)=(\S+)$", text, re.MULTILINE):
        assert known.get(name) == value
    for name, value in re.findall(r"`([A-Z]+_[A-Z_]+)=(\w+)`", page.read_text()):
        assert known.get(name) == value


@each_page
def test_every_version_that_was_tried_is_the_one_in_the_lock(page: Path) -> None:
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", LOCK.read_text(), re.MULTILINE))
    locked |= json.loads((JAVASCRIPT / "package.json").read_text())["dependencies"]
    claimed = re.findall(r"(?:live with|langchain|`) ?([a-z][a-z-]+)`? (\d[\w.]+\d)", page.read_text())
    recorded = {"google-adk", "openinference-instrumentation-crewai"}
    for package, version in claimed:
        assert package in recorded or locked.get(package) == version, f"{package} {version}"
    if page.name in PAGE_OF.values():
        assert claimed
