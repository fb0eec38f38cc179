"""Parcels on disk: private, whole, bounded; what is damaged is set aside and declared, never sent."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import counterfoil.sdk as counterfoil
from counterfoil.sdk.complaints import complaints
from counterfoil.sdk.destination import read_destination
from counterfoil.sdk.parcel import Parcel
from counterfoil.sdk.spool import Damaged, Spool, SpoolFull
from counterfoil.sdk.state import current_sink
from tests.sdk.reading import Reader
from tests.sdk.servers import unused_url
from tests.service.running import RunningService

BODY = b"an OTLP request" * 40


def make(root: Path, producer: str = "py-aaaaaaaaaaaa", *, max_bytes: int = 100_000, max_age_s: float = 60) -> Spool:
    return Spool(root, producer, max_bytes, max_age_s)


def parcel(first: int = 0, last: int = 4, body: bytes = BODY) -> Parcel:
    return Parcel("py-aaaaaaaaaaaa", first, last, body)


def saved(root: Path) -> tuple[Spool, Parcel]:
    spool, made = make(root), parcel()
    spool.save(made)
    return spool, made


def orphans(root: Path) -> dict[str, list[Parcel]]:
    """What another process would find."""
    return {name: list(parcels) for name, parcels in make(root, "py-bbbbbbbbbbbb").orphans()}


def test_a_saved_parcel_is_read_back_and_no_longer_in_memory(tmp_path: Path) -> None:
    spool, made = saved(tmp_path / "spool")
    assert made.body is None
    assert spool.load(made) == BODY
    spool.drop(made)
    assert list((tmp_path / "spool").rglob("*.parcel")) == []


def test_folders_and_files_are_the_user_s_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        saved(tmp_path / "spool")
    finally:
        os.umask(old)
    modes = {path.relative_to(tmp_path).parts[-1]: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes == {
        "spool": 0o700,
        "py-aaaaaaaaaaaa": 0o700,
        "lock": 0o600,
        "0000000000000000-0000000000000004.parcel": 0o600,
    }


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir(mode=0o777)
    (tmp_path / "spool").chmod(0o777)
    with pytest.raises(PermissionError):
        make(tmp_path / "spool")


def test_a_folder_that_another_could_be_put_in_the_place_of_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "everybodys").mkdir()
    (tmp_path / "everybodys").chmod(0o777)
    with pytest.raises(PermissionError, match="everybody"):
        saved(tmp_path / "everybodys" / "spool" / "destination")
    (tmp_path / "everybodys").chmod(0o1777)
    saved(tmp_path / "everybodys" / "spool" / "destination")
    assert stat.S_IMODE((tmp_path / "everybodys" / "spool").stat().st_mode) == 0o700


def test_a_file_that_is_none_of_ours_is_neither_sent_nor_removed(tmp_path: Path) -> None:
    spool, made = saved(tmp_path / "spool")
    assert made.path is not None
    strange, half = made.path.with_name("thesis.tex"), made.path.with_name("0000000000000005-0000000000000006.making")
    strange.write_bytes(b"years of work")
    half.write_bytes(b"half")
    spool.forget()  # as if its process were gone
    assert [len(parcels) for parcels in orphans(tmp_path / "spool").values()] == [1]
    assert strange.read_bytes() == b"years of work"
    assert not half.exists()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "spool").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError):
        make(tmp_path / "spool")


def test_the_bound_counts_what_every_producer_left(tmp_path: Path) -> None:
    first, _ = saved(tmp_path)
    with pytest.raises(SpoolFull):
        make(tmp_path, "py-bbbbbbbbbbbb", max_bytes=200).save(parcel(body=os.urandom(150)))
    first.close()


def test_what_another_process_writes_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterfoil.sdk.spool.MEASURED_AGAIN_S", 0.0)
    first = make(tmp_path / "spool", max_bytes=300)
    second = make(tmp_path / "spool", "py-bbbbbbbbbbbb", max_bytes=300)
    first.save(parcel(0, 4, os.urandom(150)))
    with pytest.raises(SpoolFull):
        second.save(parcel(0, 4, os.urandom(150)))


@pytest.mark.parametrize("where", [0, 22, 60, -1], ids=["header", "digest", "size", "content"])
def test_any_changed_byte_is_damage(tmp_path: Path, where: int) -> None:
    spool, made = saved(tmp_path)
    assert made.path is not None
    data = bytearray(made.path.read_bytes())
    data[where] ^= 1
    made.path.write_bytes(data)
    with pytest.raises(Damaged):
        spool.load(made)


def test_a_file_cut_short_is_damage(tmp_path: Path) -> None:
    spool, made = saved(tmp_path)
    assert made.path is not None
    for size in (0, 10, made.path.stat().st_size - 1):
        os.truncate(made.path, size)
        with pytest.raises(Damaged):
            spool.load(made)


def test_a_living_producer_s_folder_is_left_alone_and_a_dead_one_s_is_found_in_order(tmp_path: Path) -> None:
    spool, _ = saved(tmp_path)
    spool.save(parcel(11, 12))
    spool.save(parcel(5, 10))
    (tmp_path / "py-aaaaaaaaaaaa" / "0000000000000099-0000000000000099.making").write_bytes(b"half")
    assert orphans(tmp_path) == {}
    spool.close()
    (found,) = orphans(tmp_path).values()
    assert [(one.first, one.last) for one in found] == [(0, 4), (5, 10), (11, 12)]
    assert list(tmp_path.rglob("*.making")) == []


def test_an_empty_folder_of_a_dead_producer_is_removed(tmp_path: Path) -> None:
    spool, made = saved(tmp_path)
    spool.drop(made)
    spool.close()
    orphans(tmp_path)
    assert not (tmp_path / "py-aaaaaaaaaaaa").exists()


def test_a_settled_parcel_is_not_written_any_more(tmp_path: Path) -> None:
    spool, made = make(tmp_path), parcel()
    spool.drop(made)
    spool.save(made)
    assert made.path is None


def leave_behind(root: Path, decisions: int) -> str:
    """A producer that is gone before the service came: its id."""
    counterfoil.configure(spool=root, spans=False)
    sink: Any = current_sink()
    for number in range(decisions):
        with counterfoil.decision("left-behind") as d:
            d.choose(f"o{number}")
    assert not counterfoil.shutdown(0)
    producer: str = sink.producer_id
    return producer


def spool_of(root: Path) -> Path:
    (folder,) = root.iterdir()
    return folder


@pytest.fixture
def away_then_back(
    shared_service: RunningService,
    point_at: Callable[[str, str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Callable[[Path], None]], str]:
    """Six decisions are left in the spool, something happens to it, the next process starts: the first's id."""

    def run(happens: Callable[[Path], None]) -> str:
        # The folder is named by the destination: renamed, it is as if that had been the same one.
        url = unused_url()
        point_at(url, shared_service.made.keys["writer"].key)
        producer = leave_behind(tmp_path / "spool", 6)
        folder = spool_of(tmp_path / "spool")
        happens(folder / producer)
        point_at(shared_service.url, shared_service.made.keys["writer"].key)
        folder.rename(folder.parent / read_destination().fingerprint())
        counterfoil.configure(spool=tmp_path / "spool", spans=False)
        return producer

    return run


def test_what_a_process_left_is_sent_by_the_next_under_its_own_numbers(
    away_then_back: Callable[[Callable[[Path], None]], str], reader: Reader
) -> None:
    producer = away_then_back(lambda _: None)
    said = reader.producer(producer, "complete")
    assert (said["produced"], said["delivered"]) == (8, 8)


def test_a_damaged_file_is_set_aside_and_its_numbers_are_declared_lost(
    away_then_back: Callable[[Callable[[Path], None]], str],
    reader: Reader,
    tmp_path: Path,
    soon: Callable[[Callable[[], bool], str], None],
) -> None:
    def damage(folder: Path) -> None:
        for path in folder.glob("*.parcel"):
            path.write_bytes(path.read_bytes()[:-1] + b"?")

    producer = away_then_back(damage)
    soon(lambda: len(list(tmp_path.rglob("damaged/*"))) > 0, "a file set aside")
    (loss,) = reader.leaves(1, producer=producer)
    assert loss["producer"] == {"id": producer, "event": "loss", "from": 0, "to": 7, "count": 8, "part": 0}
    assert counterfoil.shutdown(10)
    (aside,) = tmp_path.rglob("damaged/*")
    assert aside.name == f"{producer}.0000000000000000-0000000000000007.parcel"


def test_a_file_past_the_age_bound_is_declared_lost_and_removed(
    away_then_back: Callable[[Callable[[Path], None]], str],
    reader: Reader,
    tmp_path: Path,
    soon: Callable[[Callable[[], bool], str], None],
) -> None:
    def age(folder: Path) -> None:
        for path in folder.glob("*.parcel"):
            os.utime(path, (time.time() - 30 * 86_400,) * 2)

    producer = away_then_back(age)
    (loss,) = reader.leaves(1, producer=producer)
    assert loss["producer"]["event"] == "loss"
    soon(lambda: not list(tmp_path.rglob("*.parcel")), "the old file to be gone")


def test_without_a_folder_to_write_to_records_are_sent_all_the_same(
    configure: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    configure(spool=tmp_path / "file")
    with counterfoil.decision("refund") as d:
        d.choose("deny")
    assert counterfoil.flush(10)
    assert complaints.counts()["no_spool"] == 1
