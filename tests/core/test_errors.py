"""Errors say who is to blame and what was seen; content states say which of them are failures."""

import pytest

from counterfoil.core.errors import CounterfoilError, EvidenceError, Fault, InputError, UnsupportedError
from counterfoil.core.state import ContentState


def test_every_error_carries_what_its_readers_need() -> None:
    given = InputError("bad_value", "risk: no", item="risk")
    assert (given.code, given.message, given.item, str(given)) == ("bad_value", "risk: no", "risk", "risk: no")
    found = EvidenceError("inclusion_root", "another")
    assert (found.check, found.message, str(found)) == ("inclusion_root", "another", "inclusion_root: another")
    assert UnsupportedError("version 2").message == str(UnsupportedError("version 2")) == "version 2"
    assert Fault("disk").message == str(Fault("disk")) == "disk"


@pytest.mark.parametrize("blame", [InputError("c", "m"), EvidenceError("c", "m"), UnsupportedError("m"), Fault("m")])
def test_no_kind_of_error_is_taken_for_another(blame: CounterfoilError) -> None:
    kinds = (InputError, EvidenceError, UnsupportedError, Fault)
    assert sum(isinstance(blame, kind) for kind in kinds) == 1


def test_only_missing_and_mismatch_are_failures() -> None:
    assert {state for state in ContentState if state.is_failure} == {ContentState.MISSING, ContentState.MISMATCH}
    assert [str(state) for state in ContentState] == [state.name for state in ContentState]
