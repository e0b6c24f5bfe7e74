"""The collector is off while anyone needs it off, and then as it was."""

from __future__ import annotations

import gc

import pytest

from earmark.model.core.collector import no_collection


def test_the_last_one_switches_it_on_again() -> None:
    assert gc.isenabled()
    first, second = no_collection(), no_collection()
    with first:
        second.__enter__()
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()


def test_it_stays_off_where_it_was_off_and_errors_pass() -> None:
    gc.disable()
    try:
        with pytest.raises(ZeroDivisionError), no_collection():
            _ = 1 / 0
        assert not gc.isenabled()
    finally:
        gc.enable()
