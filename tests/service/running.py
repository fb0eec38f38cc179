"""A real service as a process of its own: made, started, waited for, stopped by its own process id.

    data = make_directory(tmp_path / "audit")
    with start_service(data) as service:
        httpx.get(f"{service.url}/readyz")

Every start takes a free port of loopback, so any number may run side by side (also under pytest-xdist).
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from counterfoil.identity.roles import Role
from counterfoil.log.accounts import Accounts
from counterfoil.log.fsck import Sources, check_ledger
from counterfoil.log.initialise import init_directory, open_logs
from counterfoil.log.masterkey import load_master_key
from counterfoil.log.signing import load_signer
from counterfoil.store.directory import Directory

PROGRAM = Path(sys.executable).parent / "counterfoil"
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 60.0
TENANT, OTHER_TENANT = "default", "other"
LOG, OTHER_LOG = "main", "side"


@dataclass(frozen=True, slots=True)
class Key:
    """A credential: its id, which records name, and the key itself, which is shown once."""

    id: str
    key: str


@dataclass(frozen=True, slots=True)
class Made:
    """An embedded directory with keys for every role, in two tenants that must not see each other.

    Tenant `default` has the log `main`, tenant `other` the log `side`. Writers are scoped to those logs.
    """

    data: Path
    origin: str
    """Origin of the log `main`."""
    keys: Mapping[str, Key]
    """By role, of the tenant `default`."""
    other_keys: Mapping[str, Key]
    """By role, of the tenant `other`."""

    @property
    def directory(self) -> Directory:
        """The directory, to be opened beside the running service."""
        return Directory.at(self.data)


@dataclass(slots=True)
class RunningService:
    """A service that answers."""

    url: str
    made: Made
    process: subprocess.Popen[str]
    log_file: Path
    grpc: str = ""
    """`HOST:PORT` of OTLP/gRPC, `gRPC is off` where it is."""
    _client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self._client = httpx.Client(base_url=self.url, timeout=60)

    @property
    def pid(self) -> int:
        """The process that was started here."""
        return self.process.pid

    @property
    def data(self) -> Path:
        """Its embedded directory."""
        return self.made.data

    @property
    def client(self) -> httpx.Client:
        """An HTTP client without a key."""
        return self._client

    def headers(self, role: str = "writer", *, other: bool = False) -> dict[str, str]:
        """The Authorization header of a role's key, in this or the other tenant."""
        keys = self.made.other_keys if other else self.made.keys
        return {"Authorization": f"Bearer {keys[role].key}"}

    def stop(self) -> int:
        """Ask it to end (SIGTERM) and wait; its exit status. A service that has ended already is left alone."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self._wait()

    def kill(self) -> int:
        """SIGKILL, as a crash."""
        if self.process.poll() is None:
            self.process.kill()
        return self._wait()

    def stderr(self) -> str:
        """What it logged."""
        return self.log_file.read_text(errors="replace")

    def _wait(self) -> int:
        self._client.close()
        try:
            return self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(
                f"the service did not end within {STOP_TIMEOUT_S:g} s: {self.stderr()[-3000:]}"
            ) from None


def make_directory(data: Path, *, fulltext_fields: Sequence[str] = ("rationale",)) -> Made:
    """A fresh embedded directory with two tenants and a key for every role."""
    directory = Directory.at(data)
    made = init_directory(
        directory,
        origin="audit.example.test",
        tenant=TENANT,
        log=LOG,
        region="eu-west-1",
        fulltext_fields=fulltext_fields,
    )
    logs = open_logs(directory)
    try:
        accounts = Accounts(logs)
        accounts.create_tenant(OTHER_TENANT)
        accounts.create_log(OTHER_TENANT, OTHER_LOG)
        keys, other_keys = (
            {
                str(role): Key(
                    *accounts.create_credential(
                        tenant, role, log_name=log if role is Role.WRITER else None, name=f"test {role}"
                    )
                )
                for role in Role
            }
            for tenant, log in ((TENANT, LOG), (OTHER_TENANT, OTHER_LOG))
        )
    finally:
        logs.close()
    return Made(data, made.log.origin, keys, other_keys)


@contextmanager
def start_service(
    made: Made, *, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Iterator[RunningService]:
    """`counterfoil serve` on the directory, ready (`/readyz` answers 200); stopped at the end unless it has ended."""
    service = launch(made, arguments=arguments, environment=environment)
    try:
        yield service
    finally:
        service.stop()


def launch(
    made: Made, *, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> RunningService:
    """Start a service that the caller stops or kills."""
    log_file = made.data.with_name(f"{made.data.name}.stderr")
    with log_file.open("a") as stderr:
        process = subprocess.Popen(
            [PROGRAM, "serve", "--data", made.data, "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, **(environment or {})},
        )
    try:
        url, rpc = _announced(process, log_file)
        service = RunningService(url, made, process, log_file, rpc)
        _wait_until_ready(service)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return service


def check_clean(made: Made) -> None:
    """`counterfoil fsck` finds nothing, whether the service runs or not: every byte read, everything rebuilt.

    The index is compared too, so the directory must have been served once.
    """
    done = subprocess.run([PROGRAM, "fsck", "--data", made.data, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"fsck ended with {done.returncode}: {done.stdout[:3000]} {done.stderr[-3000:]}"


def check_ledger_clean(made: Made) -> None:
    """The same for ledger, keystore and heads alone, in this process: for directories without an index."""
    directory = made.directory
    logs = open_logs(directory)
    try:
        keys = {log.origin: load_signer(directory.keys, log.origin).verifier_key for log in logs.all()}
    finally:
        logs.close()
    sources = Sources(
        directory.ledger_url, directory.heads, keys, directory.keystore_url, load_master_key(directory.keys)
    )
    findings = list(check_ledger(sources))
    assert findings == [], findings[:10]


def _announced(process: subprocess.Popen[str], log_file: Path) -> tuple[str, str]:
    """The URL that it prints once it listens, and the address of gRPC in the line behind it."""
    deadline = time.monotonic() + START_TIMEOUT_S
    assert process.stdout is not None
    while time.monotonic() < deadline:
        if not select.select([process.stdout], [], [], 1.0)[0]:
            continue
        line = process.stdout.readline()
        if line.startswith("listening on "):
            rpc = process.stdout.readline().strip()
            return line.removeprefix("listening on ").strip(), rpc.removeprefix("gRPC listening on ")
        if not line:
            raise AssertionError(f"the service ended with {process.wait()}: {log_file.read_text()[-3000:]}")
    raise AssertionError(f"the service did not listen within {START_TIMEOUT_S:g} s: {log_file.read_text()[-3000:]}")


def _wait_until_ready(service: RunningService) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    answer: object = None
    while time.monotonic() < deadline:
        response = service.client.get("/readyz")
        if response.status_code == 200:
            return
        answer = json.loads(response.content)
        time.sleep(0.1)
    raise AssertionError(f"the service is not ready after {START_TIMEOUT_S:g} s: {answer}")
