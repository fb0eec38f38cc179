"""Export jobs: queued, built one at a time, on record, and taken up again after a crash."""

from __future__ import annotations

import hashlib
import sqlite3
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from counterfoil.core.errors import Fault, InputError
from counterfoil.evidence import jobs
from counterfoil.evidence.canonical import to_json
from counterfoil.evidence.jobs import MAX_ATTEMPTS, Status
from counterfoil.evidence.produce import Producer
from counterfoil.evidence.request import parse_request
from counterfoil.evidence.service import Evidence
from counterfoil.evidence.trace import Asker
from counterfoil.identity.roles import Role
from counterfoil.log.batch import LogInfo
from counterfoil.log.contents import open_contents, parse_leaves
from counterfoil.log.records import head, read_leaves
from counterfoil.store.errors import StorageError
from tests.evidence.house import House, fill, record, unpack

ASKED = {"log": "main", "purpose": "complaint 2026-113"}


def records_of(house: House, log: LogInfo, kind: str) -> list[dict[str, Any]]:
    """Leaf facts and opened content of every record of a kind, in order."""
    with house.logs.ledger.read() as connection:
        size = head(connection, log.id).size
        rows = [row for row in parse_leaves(read_leaves(connection, log.id, 0, size)) if row[1]["kind"] == kind]
        contents = open_contents(connection, house.logs.keystore, log.id, log.origin, rows)
    return [
        {**leaf[kind], "writer": leaf.get("writer"), **{name: field.value for name, field in contents[seq].items()}}
        for seq, leaf in rows
    ]


def set_status(house: House, job_id: str, **values: Any) -> None:
    """What a process that died would leave."""
    with house.logs.ledger.write() as connection:
        jobs.update_job(connection, job_id, **values)


def test_request_and_release_are_records_in_the_exported_log_and_in_the_access_log(fresh_house: House) -> None:
    house = fresh_house
    path = house.export(purpose="complaint 2026-113", filter={"kind": "decision"})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    asked, released = records_of(house, house.log, "export")
    assert (asked["form"], asked["writer"], asked["reason"]) == ("range", "k-acme-auditor", "complaint 2026-113")
    assert asked["scope"]["filter"] == {"kind": ["decision"]}
    assert (released["bundle_digest"], released["writer"]) == (digest, None)
    assert len(released["population"]) == 64
    access = records_of(house, house.logs.access_log(house.log.tenant_id), "access")
    assert [entry["action"] for entry in access] == ["export_request", "export_release"]
    assert access[0]["query"]["filter"] == {"kind": ["decision"]}
    assert access[1]["count"] == 6


def test_a_released_bundle_is_a_private_file_under_its_digest(fresh_house: House) -> None:
    house = fresh_house
    path = house.export()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (job, _), *_ = house.evidence.list(house.principal(), 10, None).jobs
    assert job.digest == hashlib.sha256(path.read_bytes()).digest()
    assert job.size == path.stat().st_size
    assert (job.done, job.total) == (job.tree_size, job.tree_size)


def test_each_download_is_on_record_before_the_first_byte(fresh_house: House) -> None:
    house = fresh_house
    path = house.export()
    reviewer = house.principal(Role.REVIEWER)
    (job, _), *_ = house.evidence.list(reviewer, 10, None).jobs
    _, name, chunks = house.evidence.open_bundle(reviewer, job.id)
    access = records_of(house, house.logs.access_log(house.log.tenant_id), "access")
    assert (access[-1]["action"], access[-1]["writer"]) == ("export_download", "k-acme-reviewer")
    assert b"".join(chunks) == path.read_bytes()
    assert name == f"counterfoil-main-{job.id}.zip"


def test_a_bundle_that_was_changed_after_its_release_does_not_leave_whole(fresh_house: House) -> None:
    house = fresh_house
    path = house.export()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    (job, _), *_ = house.evidence.list(house.principal(), 10, None).jobs
    _, _, chunks = house.evidence.open_bundle(house.principal(), job.id)
    with pytest.raises(Fault, match="is not the bundle that was released"):
        b"".join(chunks)
    path.unlink()
    with pytest.raises(Fault, match="is not where it was put"):
        house.evidence.open_bundle(house.principal(), job.id)


def test_a_row_that_somebody_edited_does_not_choose_which_file_leaves(fresh_house: House) -> None:
    house = fresh_house
    path = house.export()
    (job, _), *_ = house.evidence.list(house.principal(), 10, None).jobs
    secret = house.directory.keys / "master.key"
    digest = hashlib.sha256(secret.read_bytes()).digest()
    set_status(house, job.id, path="../keys/master.key", size=secret.stat().st_size, digest=digest)
    with pytest.raises(Fault, match="is not where it was put"):
        house.evidence.open_bundle(house.principal(), job.id)
    set_status(house, job.id, path="../keys/master.key", size=path.stat().st_size)
    _, _, chunks = house.evidence.open_bundle(house.principal(), job.id)
    with pytest.raises(Fault, match="is not the bundle that was released"):
        b"".join(chunks)


@pytest.mark.parametrize("status", [Status.BUILDING, Status.VERIFYING])
def test_a_job_that_a_crash_left_half_done_is_built_at_the_next_start(fresh_house: House, status: Status) -> None:
    house = fresh_house
    job, _ = house.evidence.request(house.principal(), ASKED)
    house.checkpoint()
    set_status(house, job.id, status=status.value, attempts=1, done=5, total=9)
    part = house.directory.exports / f"{job.id}.zip.part"
    part.write_bytes(b"half a bundle")
    restarted = Evidence(house.logs, house.directory.exports, checkpoint_wait_s=0.0)
    restarted.start()
    try:
        assert not part.exists()
        assert finished(restarted, house, job.id).status == "released"
    finally:
        restarted.close()


def finished(evidence: Evidence, house: House, job_id: str) -> jobs.ExportJob:
    """The job once nothing more will happen to it."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        job, _ = evidence.job(house.principal(), job_id)
        if job.status.is_final:
            return job
        time.sleep(0.02)
    raise AssertionError("the job did not end")


def test_a_job_that_ends_the_service_each_time_is_given_up(fresh_house: House) -> None:
    house = fresh_house
    job, _ = house.evidence.request(house.principal(), ASKED)
    set_status(house, job.id, status="building", attempts=MAX_ATTEMPTS)
    restarted = Evidence(house.logs, house.directory.exports, checkpoint_wait_s=0.0)
    restarted.start()
    restarted.close()
    left, _ = house.evidence.job(house.principal(), job.id)
    assert left.status == "failed"
    assert (left.error or "").startswith("interrupted: ")


def test_a_service_that_stops_puts_its_job_back_into_the_queue(fresh_house: House) -> None:
    house = fresh_house
    job, _ = house.evidence.request(house.principal(), ASKED)
    house.checkpoint()
    stopping = Evidence(house.logs, house.directory.exports, checkpoint_wait_s=0.0)
    stopping.close()
    assert stopping.run_next()
    left, _ = house.evidence.job(house.principal(), job.id)
    assert (left.status, left.attempts) == ("queued", 0)
    assert list(house.directory.exports.iterdir()) == []


def test_a_disk_that_takes_no_bundle_fails_the_job_by_name(fresh_house: House) -> None:
    house = fresh_house
    job, _ = house.evidence.request(house.principal(), ASKED)
    house.checkpoint()
    house.directory.exports.rmdir()
    assert house.evidence.run_next()
    failed, _ = house.evidence.job(house.principal(), job.id)
    assert (failed.error or "").startswith("storage_unavailable: the bundle cannot be written: No such file")


def refuse_updates(house: House, status: str | None) -> None:
    """A store that takes no row with this status; None: it takes all again."""
    with house.logs.ledger.write() as connection:
        connection.exec_driver_sql("DROP TRIGGER IF EXISTS full_disk")
        if status is not None:
            connection.exec_driver_sql(
                f"CREATE TRIGGER full_disk BEFORE UPDATE OF status ON exports WHEN NEW.status = '{status}' "
                "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
            )


def test_a_release_that_is_on_record_is_not_taken_back_because_its_row_could_not_be_written(fresh_house: House) -> None:
    house = fresh_house
    job, _ = house.evidence.request(house.principal(), ASKED)
    house.checkpoint()
    refuse_updates(house, "released")
    with pytest.raises(StorageError, match="the disk is full"):
        house.evidence.run_next()
    path = house.directory.exports / f"{job.id}.zip"
    digest = hashlib.sha256(path.read_bytes())
    assert house.evidence.job(house.principal(), job.id)[0].status == "verifying"
    refuse_updates(house, None)
    assert not house.evidence.run_next()
    done, _ = house.evidence.job(house.principal(), job.id)
    assert (done.status, done.digest) == ("released", digest.digest())
    assert [entry.get("bundle_digest") for entry in records_of(house, house.log, "export")] == [
        None,
        digest.hexdigest(),
    ]


def test_a_release_whose_row_could_not_be_written_is_made_again_after_a_restart(fresh_house: House) -> None:
    house = fresh_house
    job, _ = house.evidence.request(house.principal(), ASKED)
    house.checkpoint()
    refuse_updates(house, "released")
    with pytest.raises(StorageError):
        house.evidence.run_next()
    refuse_updates(house, None)
    restarted = Evidence(house.logs, house.directory.exports, checkpoint_wait_s=0.0)
    restarted.start()
    try:
        assert finished(restarted, house, job.id).status == "released"
    finally:
        restarted.close()


def test_a_bundle_is_verified_without_holding_the_store(fresh_house: House) -> None:
    house = fresh_house
    taken: list[tuple[int, int, int]] = []

    def take_in_the_wal() -> None:
        fill(house, 1, first=300)
        with sqlite3.connect(house.directory.ledger_file) as connection:
            taken.append(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())

    producer = Producer(house.logs, rollback_visible=False, stores=None)
    producer.produce(
        house.directory.exports / "a.zip",
        house.log,
        parse_request(ASKED),
        Asker(None, "a test", "auditor"),
        export_id="exp",
        requested_us=house.logs.clock.now_us(),
        progress=lambda _done, _total: None,
        verifying=take_in_the_wal,
        wait_s=0.0,
    )
    assert taken == [(0, 0, 0)]  # not busy, and nothing is left in the WAL


def test_the_worker_builds_what_is_asked_for_while_it_runs(fresh_house: House) -> None:
    house = fresh_house
    evidence = Evidence(house.logs, house.directory.exports, checkpoint_wait_s=0.0)
    evidence.start()
    try:
        first, _ = evidence.request(house.principal(), ASKED)
        second, _ = evidence.request(house.principal(), {**ASKED, "form": "selection", "seqs": [1]})
        assert finished(evidence, house, first.id).status == "released"
        assert finished(evidence, house, second.id).status == "released"
    finally:
        evidence.close()


def test_a_job_waits_for_the_checkpoint_that_covers_its_own_request(fresh_house: House) -> None:
    house = fresh_house
    evidence = Evidence(house.logs, house.directory.exports, checkpoint_wait_s=30.0)
    evidence.start()
    try:
        job, _ = evidence.request(house.principal(), ASKED)
        with house.logs.ledger.read() as connection:
            size = head(connection, house.log.id).size
        time.sleep(0.1)
        house.checkpoint()
        assert finished(evidence, house, job.id).tree_size == size
    finally:
        evidence.close()


def test_a_service_that_stops_does_not_wait_for_a_checkpoint(fresh_house: House) -> None:
    house = fresh_house
    evidence = Evidence(house.logs, house.directory.exports, checkpoint_wait_s=60.0)
    job, _ = evidence.request(house.principal(), ASKED)
    evidence.start()
    time.sleep(0.1)
    began = time.monotonic()
    evidence.close()
    assert time.monotonic() - began < 20
    left, _ = evidence.job(house.principal(), job.id)
    assert left.status == "queued"


def test_the_same_idempotency_key_gives_the_same_job_and_one_record(fresh_house: House) -> None:
    house = fresh_house
    first, _ = house.evidence.request(house.principal(), ASKED, idempotency_key="a key")
    again, _ = house.evidence.request(house.principal(), dict(ASKED), idempotency_key="a key")
    assert again.id == first.id
    assert len(records_of(house, house.log, "export")) == 1
    with pytest.raises(InputError) as refused:
        house.evidence.request(house.principal(), {**ASKED, "purpose": "another"}, idempotency_key="a key")
    assert refused.value.code == "idempotency_conflict"
    other, _ = house.evidence.request(house.principal(Role.REVIEWER), ASKED, idempotency_key="a key")
    assert other.id != first.id


def test_a_repeated_request_is_the_same_whatever_pseudonym_its_subject_has_by_then(fresh_house: House) -> None:
    house = fresh_house
    asked = {**ASKED, "filter": {"subject": "customer-77"}}
    first, _ = house.evidence.request(house.principal(), asked, idempotency_key="a key")
    about = record("decision", 900, facts={"decision": {"outcome": "deny"}}, words={"rationale": "no"})
    about = replace(about, drafts=[replace(draft, subject_id="customer-77") for draft in about.drafts])
    house.append([about])
    assert house.logs.keystore.find_pseudonym(house.log.id, "customer-77")
    again, _ = house.evidence.request(house.principal(), asked, idempotency_key="a key")
    assert again.id == first.id
    other = {**ASKED, "filter": {"subject": "customer-78"}}
    with pytest.raises(InputError) as refused:
        house.evidence.request(house.principal(), other, idempotency_key="a key")
    assert refused.value.code == "idempotency_conflict"


def test_what_a_row_keeps_of_a_request_cannot_be_found_by_trying_names(fresh_house: House) -> None:
    request = parse_request({**ASKED, "filter": {"subject": "customer-77"}})
    job, _ = fresh_house.evidence.request(fresh_house.principal(), {**ASKED, "filter": {"subject": "customer-77"}})
    assert len(job.request_digest) == 32
    assert job.request_digest != hashlib.sha256(to_json(request.parsed())).digest()


def test_one_key_sent_many_times_at_once_is_one_job(fresh_house: House) -> None:
    house = fresh_house
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(house.evidence.request, house.principal(), ASKED, idempotency_key="k") for _ in range(8)]
        ids = {future.result()[0].id for future in asked}
    assert len(ids) == 1
    assert [job.id for job, _ in house.evidence.list(house.principal(), 10, None).jobs] == list(ids)


def test_a_bundle_is_of_one_state_of_the_log_while_agents_go_on_writing(fresh_house: House) -> None:
    house = fresh_house
    stop = threading.Event()

    def write() -> None:
        number = 100
        while not stop.is_set():
            fill(house, 4, first=number)
            number += 4

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            paths = [house.export() for _ in range(4)]
        finally:
            stop.set()
        writing.result()
    sizes = [int(unpack(path)["data/checkpoint"].split(b"\n")[1]) for path in paths]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]
    assert all(house.verify(path).result == "VERIFIED" for path in paths)


@pytest.mark.parametrize("key", ["", "x" * 256, "é", "a\nb"])
def test_an_idempotency_key_is_short_printable_text(fresh_house: House, key: str) -> None:
    with pytest.raises(InputError) as refused:
        fresh_house.evidence.request(fresh_house.principal(), ASKED, idempotency_key=key)
    assert refused.value.code == "bad_idempotency_key"


def test_a_list_is_paged_newest_first(fresh_house: House) -> None:
    house = fresh_house
    made = [house.evidence.request(house.principal(), ASKED)[0].id for _ in range(5)]
    first = house.evidence.list(house.principal(), 2, None)
    second = house.evidence.list(house.principal(), 2, first.next)
    third = house.evidence.list(house.principal(), 2, second.next)
    assert [job.id for page in (first, second, third) for job, _ in page.jobs] == made[::-1]
    assert third.next is None
    with pytest.raises(InputError, match="not a cursor"):
        house.evidence.list(house.principal(), 2, "nonsense!")


def test_exports_of_one_tenant_are_not_found_by_another(fresh_house: House) -> None:
    house = fresh_house
    job, _ = house.evidence.request(house.principal(), ASKED)
    stranger = house.principal(log=house.other)
    assert house.evidence.list(stranger, 10, None).jobs == []
    for ask in (lambda: house.evidence.job(stranger, job.id), lambda: house.evidence.open_bundle(stranger, job.id)):
        with pytest.raises(InputError) as refused:
            ask()
        assert refused.value.code == "not_found"


def test_a_bundle_of_a_tenant_names_no_other_tenants_log(fresh_house: House) -> None:
    files = unpack(fresh_house.export())
    assert not any(b"rival" in data for name, data in files.items() if name != "verify/verify.py")
    assert b"rival" not in fresh_house.policy().encode()


def test_a_key_for_one_log_exports_that_log_only(fresh_house: House) -> None:
    house = fresh_house
    access = house.logs.access_log(house.log.tenant_id)
    scoped = house.principal(log=house.log, scoped=True)
    with pytest.raises(InputError) as refused:
        house.evidence.request(scoped, {**ASKED, "log": access.name})
    assert refused.value.code == "not_found"
    assert house.evidence.request(scoped, ASKED)[0].log_id == house.log.id


def test_an_auditor_takes_the_access_log_away_and_a_reviewer_does_not_see_it(fresh_house: House) -> None:
    house = fresh_house
    with pytest.raises(InputError) as refused:
        house.evidence.request(house.principal(Role.REVIEWER), {**ASKED, "log": "access"})
    assert refused.value.code == "forbidden"
    path = house.export(log="access")
    assert house.verify(path).result == "VERIFIED"
    assert house.evidence.list(house.principal(Role.REVIEWER), 10, None).jobs == []
    (job, log), *_ = house.evidence.list(house.principal(), 10, None).jobs
    assert log.purpose == "access"
    with pytest.raises(InputError) as hidden:
        house.evidence.job(house.principal(Role.REVIEWER), job.id)
    assert hidden.value.code == "not_found"


def test_more_waiting_jobs_than_the_limit_are_refused_as_busy(fresh_house: House, monkeypatch: Any) -> None:
    monkeypatch.setattr("counterfoil.evidence.service.MAX_WAITING", 2)
    for _ in range(2):
        fresh_house.evidence.request(fresh_house.principal(), ASKED)
    with pytest.raises(InputError) as refused:
        fresh_house.evidence.request(fresh_house.principal(), ASKED)
    assert refused.value.code == "busy"


def test_the_limit_holds_for_requests_that_come_at_once(fresh_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterfoil.evidence.service.MAX_WAITING", 2)
    begin = threading.Barrier(8)

    def ask() -> str:
        begin.wait()
        try:
            return fresh_house.evidence.request(fresh_house.principal(), ASKED)[0].status
        except InputError as refused:
            return refused.code

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(future.result() for future in [pool.submit(ask) for _ in range(8)])
    assert answers == ["busy"] * 6 + ["queued"] * 2
