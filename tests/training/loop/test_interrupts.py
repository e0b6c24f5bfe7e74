"""A run that is asked to stop: real signals, the first a wish, the second Ctrl-C an end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from earmark.training.loop.interrupts import SIGNALS, Stopped, listening


@pytest.fixture(autouse=True)
def heard() -> Iterator[list[int]]:
    """Signals that reach the handlers from before, which do not end the tests themselves."""
    numbers: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: numbers.append(number))
        for number in SIGNALS
    }
    yield numbers
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: int) -> None:
    """A signal to this process; Python's handler has run when this returns."""
    os.kill(os.getpid(), number)
    time.sleep(0.02)


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in SIGNALS]


def test_ctrl_c_and_the_end_of_a_machine_are_heard() -> None:
    assert set(SIGNALS) == {signal.SIGINT, signal.SIGTERM}


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_a_wish(number: int, heard: list[int]) -> None:
    with listening() as wish:
        assert not wish.there
        send(number)
        assert wish.there
    assert wish.there
    assert heard == []


@pytest.mark.parametrize("first", SIGNALS)
def test_ctrl_c_after_a_wish_ends_at_once(first: int) -> None:
    before = handlers()
    with pytest.raises(KeyboardInterrupt) as raised, listening() as wish:
        send(first)
        assert wish.there
        send(signal.SIGINT)
        pytest.fail("the second Ctrl-C was not heard")
    assert raised.type is KeyboardInterrupt
    assert handlers() == before


@pytest.mark.parametrize("first", SIGNALS)
def test_sigterm_stays_a_wish_however_often(first: int) -> None:
    with listening() as wish:
        for number in (first, signal.SIGTERM, signal.SIGTERM):
            send(number)
        assert wish.there


def test_handlers_are_put_back(heard: list[int]) -> None:
    before = handlers()
    with listening() as wish:
        assert handlers() == [wish, wish]
    assert handlers() == before
    with pytest.raises(OSError, match="disk"), listening():
        raise OSError("disk")
    assert handlers() == before
    for number in SIGNALS:
        send(number)
    assert heard == list(SIGNALS)
    assert not wish.there


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL, signal.default_int_handler])
def test_the_systems_own_handlers_are_put_back(handler: signal.Handlers) -> None:
    for number in SIGNALS:
        signal.signal(number, handler)
    with listening():
        send(signal.SIGTERM)
    assert handlers() == [handler, handler]


def test_each_run_has_its_own_wish(heard: list[int]) -> None:
    with listening() as outer:
        with listening() as inner:
            send(signal.SIGINT)
        assert (inner.there, outer.there) == (True, False)
        send(signal.SIGINT)
        assert outer.there
    with listening() as later:
        assert not later.there
    assert heard == []


def test_outside_the_main_thread_nothing_is_taken(heard: list[int]) -> None:
    before, inside, done = handlers(), threading.Event(), threading.Event()
    seen: list[bool] = []

    def run() -> None:
        with listening() as wish:
            inside.set()
            done.wait(60)
            seen.append(wish.there)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert inside.wait(60)
        assert handlers() == before
        send(signal.SIGTERM)
    finally:
        done.set()
        thread.join(60)
    assert seen == [False]
    assert heard == [signal.SIGTERM]
    assert handlers() == before


def test_a_stopped_run_is_no_mere_exception() -> None:
    """So that nothing that catches errors takes it for one."""
    assert issubclass(Stopped, KeyboardInterrupt)
    assert not issubclass(Stopped, Exception)
