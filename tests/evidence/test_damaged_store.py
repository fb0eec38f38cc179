"""A damaged store is never exported as a sound one: the job fails by name, and no file is left."""

from __future__ import annotations

import sqlite3

import pytest

from counterfoil.evidence.jobs import ExportJob
from counterfoil.evidence.policy import bundle_signer
from counterfoil.log.signing import create_signer, key_path
from tests.evidence.house import House, fill


def tamper(house: House, *statements: str) -> None:
    """What an owner of the database could do: drop the triggers, change what they protect."""
    connection = sqlite3.connect(house.directory.ledger_file)
    triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for (name,) in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        assert connection.execute(statement, {"log": house.log.id}).rowcount > 0, statement
    connection.commit()
    connection.close()


def attempt(house: House, **given: object) -> ExportJob:
    """An export of the store as it is now, with the checkpoint that it had before."""
    principal = house.principal()
    job, _ = house.evidence.request(principal, {"log": "main", "purpose": "after the damage", **given})
    assert house.evidence.run_next()
    return house.evidence.job(principal, job.id)[0]


CHANGE_A_LEAF = (
    "UPDATE records SET leaf = CAST(replace(leaf, '\"degraded\"', '\"fail_open\"') AS BLOB) "
    "WHERE log_id = :log AND seq = 4"
)
CASES: dict[str, tuple[str, str]] = {
    "content deleted": ("DELETE FROM contents WHERE log_id = :log AND seq = 5", "content_missing: "),
    "content of another record": (
        "UPDATE contents SET sealed = (SELECT sealed FROM contents WHERE log_id = :log AND seq = 9), key_id = "
        "(SELECT key_id FROM contents WHERE log_id = :log AND seq = 9) WHERE log_id = :log AND seq = 5",
        "content_mismatch: ",
    ),
    "one byte of sealed content": (
        "UPDATE contents SET sealed = CAST(substr(sealed, 1, 20) || x'00' || substr(sealed, 22) AS BLOB) "
        "WHERE log_id = :log AND seq = 5",
        "content_mismatch: ",
    ),
    "a leaf deleted": ("DELETE FROM records WHERE log_id = :log AND seq = 7", "leaf_missing: "),
    "the last leaf deleted": ("DELETE FROM records WHERE log_id = :log AND seq = 25", "leaf_missing: "),
    "a leaf replaced by no record": ("UPDATE records SET leaf = x'7b7d' WHERE log_id = :log AND seq = 7", "record: "),
    "a word of a leaf": (CHANGE_A_LEAF, "inclusion_root: "),
    "an outcome of a leaf": (
        "UPDATE records SET leaf = CAST(replace(leaf, '\"approve\"', '\"deny\"') AS BLOB) "
        "WHERE log_id = :log AND seq = 5",
        "inclusion_root: ",
    ),
    "a decision that is text": (
        'UPDATE records SET leaf = CAST(replace(leaf, \'"decision":{\', \'"decision":"x","d":{\') AS BLOB) '
        "WHERE log_id = :log AND seq = 5",
        "record: ",
    ),
    "the checkpoint's signature": (
        "UPDATE checkpoints SET note = CAST(substr(note, 1, length(note) - 9) || 'AAAA' || substr(note, -5) AS BLOB) "
        "WHERE log_id = :log",
        "note_signature: ",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_damage_stops_the_export_by_name(fresh_house: House, case: str) -> None:
    statement, error = CASES[case]
    tamper(fresh_house, statement)
    job = attempt(fresh_house)
    assert job.status == "failed"
    assert (job.error or "").startswith(error), job.error
    assert list(fresh_house.directory.exports.iterdir()) == []


def test_a_bundle_that_does_not_verify_is_not_released_and_the_job_says_which_step(fresh_house: House) -> None:
    # Under a full tile, whose hashes are stored: the proof of the last leaf still holds, and the chain does not.
    fill(fresh_house, 70, first=6)
    tamper(fresh_house, CHANGE_A_LEAF)
    job = attempt(fresh_house, content="none")
    assert (job.status, job.step) == ("failed", 8)
    assert "step 8" in (job.error or "")
    assert job.digest is None


def test_a_bundle_signed_by_another_key_than_the_deployments_is_not_released(fresh_house: House) -> None:
    house = fresh_house
    name = bundle_signer(house.logs).name
    key_path(house.directory.keys, name).unlink()
    create_signer(house.directory.keys, name)
    house.checkpoint()
    job = attempt(house)
    assert (job.status, job.step) == ("failed", 3)
    assert list(house.directory.exports.iterdir()) == []


def test_damage_outside_what_is_disclosed_does_not_stop_an_export_of_facts(fresh_house: House) -> None:
    tamper(fresh_house, "DELETE FROM contents WHERE log_id = :log AND seq = 5")
    assert attempt(fresh_house, content="none").status == "released"
