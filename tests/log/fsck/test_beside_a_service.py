"""A store is checked while it is being written to: nothing of that is a finding."""

import threading

from tests.attacks.store import Store


def test_a_store_that_grows_and_is_signed_meanwhile_is_clean_each_time(store: Store) -> None:
    done = threading.Event()
    trouble: list[BaseException] = []

    def keep_writing() -> None:
        first = 10_000
        checkpointer = store.checkpointer()
        try:
            while not done.is_set():
                store.send(20, first=first, batch=5)
                first += 20
                checkpointer.run_once(store.log.id)
        except BaseException as error:  # noqa: BLE001 - shown by the test
            trouble.append(error)

    before = store.size()
    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        findings = [finding for _ in range(8) for finding in store.fsck()]
    finally:
        done.set()
        writer.join(60)
    assert trouble == []
    assert findings == []
    assert store.size() > before + 100
    assert store.fsck(workers=2) == []
