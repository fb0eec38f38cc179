"""`make run`: Counterfoil at its main job, from an agent's first span to a tamperer caught by name.

Everything goes through the commands and addresses that a user has: `init`, `key create`, `serve`, OTLP, the API,
`export`, `counterfoil-verify`, `fsck`. Each step must hold; the first that does not ends the run with exit status 1.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterfoil.demo.tamper import change_one_byte, copy_store
from counterfoil.demo.traffic import PLAIN_CASE, SHOWN_CASE, send
from counterfoil.store.directory import Directory

STEP_TIMEOUT_S = 60
PROGRAMS = Path(sys.executable).parent

Say = Callable[[str], None]


class StepFailed(Exception):
    """A step of the story did not hold."""


@dataclass(frozen=True, slots=True)
class Keys:
    """One key for each reader that the story needs; each is shown once, as `key create` would."""

    administrator: str
    writer: str
    reviewer: str
    auditor: str


def run(data: Path, *, port: int, once: bool, conversations: int, say: Say) -> None:
    """Tell the story on the new directory `data`; serve on until interrupted unless `once`."""
    say(f"1  A fresh embedded directory: {data}")
    keys = _initialise(data)
    with _Service(data, port) as service:
        say(f"2  The service is up at {service.url} (loopback only); sending the traffic of two contact centres ...")
        sent = send(service.url, keys.writer, conversations=conversations)
        if not sent.flushed:
            raise StepFailed("the exporters could not hand over everything in time")
        size = _wait_until_indexed(data, service.url, keys.reviewer)
        say(f"   {sent.conversations} conversations are durable, sealed, chained and indexed: {size} records.\n")

        say(f"3  One decision trail, as a compliance officer reads it (counterfoil trail {SHOWN_CASE}):\n")
        say(_command("counterfoil", "trail", SHOWN_CASE, "--data", str(data)))
        if sent.conversations > 1:
            say(f"   And of an agent that only its framework instruments (counterfoil trail {PLAIN_CASE}):")
            say("   what it chose, which path it took, to whom it handed over: derived, each with its rule.\n")
            say(_command("counterfoil", "trail", PLAIN_CASE, "--data", str(data)))

        say("4  The auditor takes a bundle away and checks it offline, under a policy handed over apart from it.")
        policy = data / "policy.toml"
        policy.write_text(_command("counterfoil", "policy", "show", "--data", str(data)))
        say(f"\n   --- {policy} ---\n{_indent(policy.read_text())}")
        bundle = data / "bundle.zip"
        _export(service.url, keys.auditor, bundle, say)
        say(_command("counterfoil-verify", str(bundle), "--policy", str(policy)))

        say("5  Whoever owns the disk changes one byte of one record, in a copy of the store.")
        _catch_tampering(data, say)
        say(_farewell(service.url, keys, data, bundle))
        if not once:
            service.wait()


def _initialise(data: Path) -> Keys:
    made = json.loads(_command("counterfoil", "init", "--data", str(data), "--json"))
    keys = {}
    for role in ("writer", "reviewer", "auditor"):
        options = ("--log", "main") if role == "writer" else ()
        created = _command(
            "counterfoil",
            "key",
            "create",
            "--data",
            str(data),
            "--role",
            role,
            "--name",
            f"demo {role}",
            "--json",
            *options,
        )
        keys[role] = json.loads(created)["key"]
    return Keys(made["administrator_key"], **keys)


class _Service:
    """`counterfoil serve` as a child process; stopped by its own id at the end."""

    def __init__(self, data: Path, port: int) -> None:
        self._command = [str(PROGRAMS / "counterfoil"), "serve", "--data", str(data), "--port", str(port)]
        self.url = ""

    def __enter__(self) -> _Service:
        quiet = {**os.environ, "COUNTERFOIL_LOG_LEVEL": "WARNING"}
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True, env=quiet)
        assert self._process.stdout is not None  # noqa: S101 - PIPE was asked for two lines up
        for line in self._process.stdout:
            if line.startswith("listening on "):
                self.url = line.removeprefix("listening on ").strip()
                return self
        raise StepFailed(f"the service did not start (exit {self._process.wait()})")

    def wait(self) -> None:
        with suppress(KeyboardInterrupt):
            self._process.wait()

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STEP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _wait_until_indexed(data: Path, url: str, key: str) -> int:
    """Wait until the index has read what was acknowledged and a checkpoint covers it; return the tree size."""
    logs = json.loads(_command("counterfoil", "log", "list", "--data", str(data), "--json"))
    acknowledged = next(log["records"] for log in logs if log["name"] == "main")
    deadline = time.monotonic() + STEP_TIMEOUT_S
    while time.monotonic() < deadline:
        answer = _get(f"{url}/api/v1/records?log=main&limit=1", key)
        indexed = next((entry["tree_size"] for entry in answer["as_of"] if entry["log"] == "main"), 0)
        if indexed >= acknowledged:
            proof = f"{url}/api/v1/records/main/{indexed - 1}/proof"
            with suppress(urllib.error.HTTPError), urllib.request.urlopen(_request(proof, key)) as response:
                if response.status == 200:
                    return int(indexed)
        time.sleep(0.2)
    raise StepFailed("the records were not indexed and signed within a minute")


def _export(url: str, key: str, bundle: Path, say: Say) -> None:
    body = {"log": "main", "form": "range", "purpose": "quarterly sample of refund decisions", "content": "all"}
    job = _get(f"{url}/api/v1/exports", key, body)
    deadline = time.monotonic() + STEP_TIMEOUT_S
    while job["status"] not in ("released", "failed") and time.monotonic() < deadline:
        time.sleep(0.2)
        job = _get(f"{url}/api/v1/exports/{job['id']}", key)
    if job["status"] != "released":
        raise StepFailed(f"the export ended as {job['status']}: {job.get('error')}")
    with urllib.request.urlopen(_request(f"{url}/api/v1/exports/{job['id']}/bundle", key)) as response:
        bundle.write_bytes(response.read())
    say(f"   bundle: {bundle} ({bundle.stat().st_size:,} bytes, verified by the service before it was released)\n")


def _catch_tampering(data: Path, say: Say) -> None:
    say("   fsck of the store as it is:")
    say(_indent(_command("counterfoil", "fsck", "--data", str(data))))
    copy = data / "tampered-copy"
    copy_store(Directory.at(data), Directory.at(copy))
    change = change_one_byte(Directory.at(copy).ledger_file)
    say(
        f"   in the copy: trigger dropped; {change.log} #{change.seq}, byte {change.offset}: "
        f"{change.before} -> {change.after}"
    )
    say("   fsck of the copy:")
    found = _command("counterfoil", "fsck", "--data", str(copy), expect=1)
    say(_indent(found))
    if f"#{change.seq}" not in found and f"seq {change.seq}" not in found:
        raise StepFailed(f"fsck did not name record {change.seq}")


def _farewell(url: str, keys: Keys, data: Path, bundle: Path) -> str:
    return f"""
Every step held.

  service          {url}        API documents: {url}/docs
  directory        {data}
  bundle           {bundle}

  writer key       {keys.writer}
  reviewer key     {keys.reviewer}
  auditor key      {keys.auditor}
  administrator    {keys.administrator}

  Point an agent at it:
    export OTEL_EXPORTER_OTLP_ENDPOINT={url}
    export OTEL_EXPORTER_OTLP_HEADERS=x-api-key={keys.writer}
  Look around:
    curl -H 'x-api-key: {keys.reviewer}' '{url}/api/v1/interactions?limit=5'
"""


def _command(program: str, *arguments: str, expect: int = 0) -> str:
    done = subprocess.run([PROGRAMS / program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != expect:
        raise StepFailed(
            f"{program} {arguments[0]} ended with {done.returncode}, not {expect}\n{done.stdout}{done.stderr}"
        )
    return done.stdout


def _request(url: str, key: str, body: dict[str, Any] | None = None) -> urllib.request.Request:
    data = None if body is None else json.dumps(body).encode()
    # The address is the loopback one that `serve` printed.
    return urllib.request.Request(url, data, {"x-api-key": key, "Content-Type": "application/json"})


def _get(url: str, key: str, body: dict[str, Any] | None = None) -> Any:
    try:
        with urllib.request.urlopen(_request(url, key, body)) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise StepFailed(f"{url} answered {error.code}: {error.read().decode(errors='replace')}") from None


def _indent(text: str) -> str:
    return "".join(f"   {line}\n" for line in text.splitlines())
