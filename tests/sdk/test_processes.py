"""Processes: exit, SIGKILL, fork, and what the service can say of each."""

from __future__ import annotations

from pathlib import Path

from tests.sdk.programs import environment, run, start
from tests.sdk.reading import Reader
from tests.sdk.servers import gate
from tests.service.running import RunningService

PRELUDE = """
    import os, sys, time
    import counterfoil.sdk as counterfoil
    from counterfoil.sdk.state import current_sink

    def decide(count, first=0):
        for number in range(first, first + count):
            with counterfoil.decision("refund") as d:
                d.choose(f"o{number}")
"""


def test_a_program_that_ends_closes_its_producer(
    shared_service: RunningService, reader: Reader, tmp_path: Path
) -> None:
    out = run(
        PRELUDE
        + """
    counterfoil.configure(agent="refunds")
    decide(3)
    print(current_sink().producer_id)
        """,
        environment(shared_service, tmp_path),
    )
    said = reader.producer(out.strip(), "complete")
    assert (said["produced"], said["delivered"]) == (5, 5)
    assert list(tmp_path.rglob("*.parcel")) == []


def test_after_sigkill_the_next_process_sends_what_was_spooled_and_nothing_twice(
    shared_service: RunningService, reader: Reader, tmp_path: Path
) -> None:
    with gate(shared_service.url) as way:
        mine = environment(shared_service, tmp_path) | {"OTEL_EXPORTER_OTLP_ENDPOINT": way.url}
        process = start(
            PRELUDE
            + """
    counterfoil.configure(agent="refunds")
    decide(10)
    assert counterfoil.flush(20)
    print(current_sink().producer_id, flush=True)
    time.sleep(60)
            """,
            mine,
        )
        assert process.stdout is not None
        producer = process.stdout.readline().strip()
        process.kill()
        process.communicate()

        # While answers get lost: taken by the service, and, as far as the producer knows, not taken.
        way.switch("deaf")
        process = start(
            PRELUDE
            + """
    counterfoil.configure(agent="refunds")
    decide(10)
    root = os.path.join(os.environ["HOME"], ".local")
    while not any(name.endswith(".parcel") for _, _, names in os.walk(root) for name in names):
        time.sleep(0.05)
    print(current_sink().producer_id, flush=True)
    decide(10, 10)
    time.sleep(60)
            """,
            mine,
        )
        assert process.stdout is not None
        second = process.stdout.readline().strip()
        process.kill()
        process.communicate()
        assert way.answers_lost
        way.switch("open")
        third = run(
            PRELUDE
            + """
    counterfoil.configure(agent="refunds")
    decide(1)
    root = os.path.join(os.environ["HOME"], ".local")
    while any(name.endswith(".parcel") for _, _, names in os.walk(root) for name in names):
        time.sleep(0.05)
    print(current_sink().producer_id)
            """,
            mine,
        ).strip()

    assert reader.producer(producer, "open")["delivered"] == 11
    found = reader.producer(second, "open")
    leaves = reader.leaves(found["delivered"], producer=second)
    assert [leaf["producer"]["n"] for leaf in leaves] == list(range(len(leaves)))
    assert len(leaves) >= 11
    assert reader.producer(third, "complete")["delivered"] == 3


def test_each_child_of_a_fork_is_a_producer_of_its_own(
    shared_service: RunningService, reader: Reader, tmp_path: Path
) -> None:
    out = run(
        PRELUDE
        + """
    counterfoil.configure(agent="refunds")
    decide(2)
    print(current_sink().producer_id, flush=True)
    for _ in range(2):
        if os.fork() == 0:
            decide(3)
            print(current_sink().producer_id, flush=True)
            counterfoil.shutdown()
            os._exit(0)
    for _ in range(2):
        os.wait()
    decide(1, 2)
        """,
        environment(shared_service, tmp_path),
    )
    parent, *children = out.split()
    assert len({parent, *children}) == 3
    assert reader.producer(parent, "complete")["delivered"] == 5
    assert [reader.producer(child, "complete")["delivered"] for child in children] == [5, 5]


def test_a_fork_while_the_queue_is_busy_neither_hangs_nor_doubles(
    shared_service: RunningService, reader: Reader, tmp_path: Path
) -> None:
    out = run(
        PRELUDE
        + """
    import threading
    counterfoil.configure(agent="refunds")
    busy = threading.Thread(target=decide, args=(600,))
    busy.start()
    children = []
    for _ in range(5):
        child = os.fork()
        if child == 0:
            decide(1)
            counterfoil.shutdown()
            os._exit(0)
        children.append(child)
    busy.join()
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 5
    assert counterfoil.flush(30)
    print(current_sink().producer_id)
        """,
        environment(shared_service, tmp_path),
    )
    assert reader.producer(out.strip(), "complete")["delivered"] == 602


def test_a_pool_of_processes_closes_its_producers(
    shared_service: RunningService, reader: Reader, tmp_path: Path
) -> None:
    out = run(
        PRELUDE
        + """
    import multiprocessing

    def work(number):
        decide(1, number)
        return current_sink().producer_id

    counterfoil.configure(agent="refunds")
    with multiprocessing.get_context("fork").Pool(1) as pool:
        print(pool.map(work, range(3))[0])
        pool.close()
        pool.join()
        """,
        environment(shared_service, tmp_path),
    )
    assert reader.producer(out.strip(), "complete")["delivered"] == 5


def test_a_program_recording_at_its_very_end_neither_hangs_nor_fails(
    shared_service: RunningService, tmp_path: Path
) -> None:
    run(
        PRELUDE
        + """
    import atexit
    atexit.register(decide, 1)
    counterfoil.configure(agent="refunds")

    class Late:
        def __del__(self):
            decide(1)

    late = Late()
    if os.fork() == 0:
        sys.exit(0)
    os.wait()
        """,
        environment(shared_service, tmp_path),
    )
