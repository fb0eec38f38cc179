"""`make run` with ONCE=1: the whole story holds, as a newcomer would run it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.service.running import PROGRAM


def test_the_whole_story_holds(tmp_path: Path) -> None:
    done = subprocess.run(
        [PROGRAM, "demo", "--data", tmp_path / "run", "--port", "0", "--once"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout
    for expected in (
        "DECISION refund: DENY",
        "HUMAN OVERRIDES",
        "gpt-5-mini ─timeout→ mistral-small-3 ─low_confidence→ rules-engine ─policy→ tier-2",
        "triage decides to call carrier.track",
        "carrier.track ──unavailable──▶ orders.lookup   (alternative tool, attempt 2)",
        "[derived: transfer_tool, from ",
        "VERIFIED",
        "CLEAN",
        "chain_broken (attack 1)",
        "Every step held.",
    ):
        assert expected in said
