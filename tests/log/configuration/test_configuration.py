"""The cadence of a log: set on record, read from the record, the same for every process and after a restart."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from counterfoil.core.errors import EvidenceError, InputError
from counterfoil.log.configuration import DEFAULT_HEARTBEAT_S, Configuration, Heartbeat
from counterfoil.log.initialise import open_logs
from counterfoil.store.directory import Directory
from tests.log.append.making import Made, check_every_log, leaves, make


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    """A fresh directory; at the end every log of it is whole."""
    site = make(tmp_path / "audit")
    yield site
    site.logs.close()
    check_every_log(site.path)


class Watch:
    """A monotonic clock that stands until a test moves it."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def test_without_a_record_the_default_is_in_force(made: Made) -> None:
    configuration = Configuration(made.logs)
    assert configuration.heartbeat_s(made.log.id) == DEFAULT_HEARTBEAT_S
    assert configuration.heartbeat(made.log.id) == Heartbeat(60, None, None)


def test_setting_it_is_a_record_of_the_log_and_of_the_access_log(made: Made) -> None:
    done = Configuration(made.logs).set_heartbeat(made.log, 15, by="k-admin")
    leaf = leaves(made.path, made.log.id)[-1]
    assert leaf["kind"] == "configuration"
    assert leaf["configuration"] == {"setting": "heartbeat", "heartbeat_s": 15}
    assert (leaf["writer"], leaf["source"]) == ("k-admin", "api")
    assert (done.seq, done.recorded_at) == (leaf["seq"], leaf["recorded_at"])
    access = leaves(made.path, made.logs.access_log(made.log.tenant_id).id)[-1]
    wanted = {"setting": "heartbeat", "heartbeat_s": 15, "object": f"{made.log.tenant}/{made.log.name}"}
    assert (access["kind"], access["configuration"]) == ("configuration", wanted)


def test_the_command_line_sets_it_as_the_service_itself(made: Made) -> None:
    Configuration(made.logs).set_heartbeat(made.log, 15)
    leaf = leaves(made.path, made.log.id)[-1]
    assert leaf["source"] == "service"
    assert "writer" not in leaf


def test_it_is_read_from_the_log_after_a_restart(made: Made) -> None:
    Configuration(made.logs).set_heartbeat(made.log, 15)
    Configuration(made.logs).set_heartbeat(made.log, 20)
    made.logs.close()
    logs = open_logs(Directory.at(made.path), made.clock)
    assert Configuration(logs).heartbeat(made.log.id).heartbeat_s == 20
    logs.close()


def test_another_process_is_noticed_within_a_second_and_asked_no_more_often(made: Made) -> None:
    watch = Watch()
    mine, other = Configuration(made.logs, watch), Configuration(made.logs)
    assert mine.heartbeat_s(made.log.id) == 60
    other.set_heartbeat(made.log, 5)
    watch.at = 0.9
    assert mine.heartbeat_s(made.log.id) == 60
    watch.at = 1.0
    assert mine.heartbeat_s(made.log.id) == 5


def test_who_sets_it_reads_it_at_once(made: Made) -> None:
    configuration = Configuration(made.logs, Watch())
    assert configuration.heartbeat_s(made.log.id) == 60
    configuration.set_heartbeat(made.log, 5)
    assert configuration.heartbeat_s(made.log.id) == 5


@pytest.mark.parametrize("heartbeat_s", [-1, 0, 86_401, 2**60])
def test_a_cadence_out_of_range_is_refused_and_leaves_no_record(made: Made, heartbeat_s: int) -> None:
    before = len(leaves(made.path, made.log.id))
    with pytest.raises(InputError, match="from 1 to 86400") as refused:
        Configuration(made.logs).set_heartbeat(made.log, heartbeat_s)
    assert refused.value.code == "bad_heartbeat"
    assert len(leaves(made.path, made.log.id)) == before


@pytest.mark.parametrize("heartbeat_s", [1, 86_400])
def test_both_ends_of_the_range_are_lawful(made: Made, heartbeat_s: int) -> None:
    assert Configuration(made.logs).set_heartbeat(made.log, heartbeat_s).heartbeat_s == heartbeat_s


def test_an_access_log_hears_no_heartbeat(made: Made) -> None:
    configuration, access = Configuration(made.logs), made.logs.access_log(made.log.tenant_id)
    with pytest.raises(InputError) as refused:
        configuration.set_heartbeat(access, 5)
    assert refused.value.code == "bad_log"
    with pytest.raises(InputError):
        configuration.heartbeat_of(access.tenant_id, access.name)
    with pytest.raises(InputError, match="no log 'nowhere'"):
        configuration.heartbeat_of(access.tenant_id, "nowhere")


def test_the_same_idempotency_key_gives_the_same_record(made: Made) -> None:
    configuration = Configuration(made.logs)
    first = configuration.set_heartbeat(made.log, 15, by="k-admin", idempotency_key="once")
    size, told = len(leaves(made.path, 2)), len(leaves(made.path, 1))
    configuration.set_heartbeat(made.log, 20, by="k-admin", idempotency_key="twice")
    again = configuration.set_heartbeat(made.log, 15, by="k-admin", idempotency_key="once")
    assert again == first
    assert (len(leaves(made.path, 2)), len(leaves(made.path, 1))) == (size + 1, told + 1)
    assert configuration.heartbeat(made.log.id).heartbeat_s == 20, "a repeated answer sets nothing"
    with pytest.raises(InputError) as refused:
        configuration.set_heartbeat(made.log, 16, by="k-admin", idempotency_key="once")
    assert refused.value.code == "idempotency_conflict"
    other = configuration.set_heartbeat(made.log, 15, by="k-other", idempotency_key="once")
    assert other.seq != first.seq, "a key is its caller's own"


@pytest.mark.parametrize("key", ["", "x" * 129, "käse", "a\nb"])
def test_an_idempotency_key_that_is_none_is_refused(made: Made, key: str) -> None:
    with pytest.raises(InputError) as refused:
        Configuration(made.logs).set_heartbeat(made.log, 15, by="k-admin", idempotency_key=key)
    assert refused.value.code == "bad_idempotency_key"


def test_one_key_sent_many_times_at_once_is_one_record(made: Made) -> None:
    configuration = Configuration(made.logs)
    found: list[Heartbeat] = []

    def ask() -> None:
        found.append(configuration.set_heartbeat(made.log, 15, by="k-admin", idempotency_key="race"))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len({one.seq for one in found}) == 1


def test_a_pointer_to_another_record_is_said_and_never_stops_a_request(
    made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever owns the disk moves the pointer: the value comes from the record, and this one says nothing of it."""
    configuration = Configuration(made.logs)
    configuration.set_heartbeat(made.log, 15)
    with made.logs.ledger.write() as ledger:
        ledger.exec_driver_sql("UPDATE configurations SET seq = 0")
    with pytest.raises(EvidenceError, match="configuration"):
        configuration.heartbeat(made.log.id)
    assert configuration.heartbeat_s(made.log.id) == DEFAULT_HEARTBEAT_S
    assert "counterfoil fsck" in caplog.text
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("damaged", [b"{", b"[]", b'{"kind": "configuration", "configuration": 5}', b"\xff"])
def test_a_damaged_record_is_said_and_never_stops_a_request(
    damaged: bytes, made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever owns the disk changes the record itself."""
    configuration = Configuration(made.logs)
    seq = configuration.set_heartbeat(made.log, 15).seq
    with made.logs.ledger.write() as ledger:
        where = f"WHERE log_id = {made.log.id} AND seq = {seq}"
        (before,) = ledger.exec_driver_sql(f"SELECT leaf FROM records {where}").one()
        triggers = ledger.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE tbl_name = 'records'").all()
        for name, sql in triggers:
            if sql is not None and sql.startswith("CREATE TRIGGER"):
                ledger.exec_driver_sql(f"DROP TRIGGER {name}")
        ledger.exec_driver_sql(f"UPDATE records SET leaf = ? {where}", (damaged,))
    with pytest.raises(EvidenceError, match="configuration"):
        configuration.heartbeat(made.log.id)
    assert configuration.heartbeat_s(made.log.id) == DEFAULT_HEARTBEAT_S
    assert "counterfoil fsck" in caplog.text
    with made.logs.ledger.write() as ledger:  # and puts everything back: the log is whole again
        ledger.exec_driver_sql(f"UPDATE records SET leaf = ? {where}", (before,))
        for _, sql in triggers:
            if sql is not None and sql.startswith("CREATE TRIGGER"):
                ledger.exec_driver_sql(sql)
