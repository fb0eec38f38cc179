"""The same real stores as the attacks use."""

from tests.attacks.conftest import built, empty_store, store

__all__ = ["built", "empty_store", "store"]
