"""Stop requests: real signals; the first is a request, Ctrl-C after it ends at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from earmark.training.loop.interrupts import SIGNALS, RunInterrupted, catch_stop_signals


@pytest.fixture(autouse=True)
def earlier_signals() -> Iterator[list[int]]:
    """Signals that reach the handlers installed before, which do not end the tests."""
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


def test_the_signals_are_ctrl_c_and_sigterm() -> None:
    assert set(SIGNALS) == {signal.SIGINT, signal.SIGTERM}


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_a_request(number: int, earlier_signals: list[int]) -> None:
    with catch_stop_signals() as request:
        assert not request.is_set
        send(number)
        assert request.is_set
    assert request.is_set
    assert earlier_signals == []


@pytest.mark.parametrize("first", SIGNALS)
def test_ctrl_c_after_a_request_ends_at_once(first: int) -> None:
    before = handlers()
    with pytest.raises(KeyboardInterrupt) as raised, catch_stop_signals() as request:
        send(first)
        assert request.is_set
        send(signal.SIGINT)
        pytest.fail("the second Ctrl-C was ignored")
    assert raised.type is KeyboardInterrupt
    assert handlers() == before


@pytest.mark.parametrize("first", SIGNALS)
def test_sigterm_stays_a_request_however_often(first: int) -> None:
    with catch_stop_signals() as request:
        for number in (first, signal.SIGTERM, signal.SIGTERM):
            send(number)
        assert request.is_set


def test_handlers_are_put_back(earlier_signals: list[int]) -> None:
    before = handlers()
    with catch_stop_signals() as request:
        assert handlers() == [request, request]
    assert handlers() == before
    with pytest.raises(OSError, match="disk"), catch_stop_signals():
        raise OSError("disk")
    assert handlers() == before
    for number in SIGNALS:
        send(number)
    assert earlier_signals == list(SIGNALS)
    assert not request.is_set


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL, signal.default_int_handler])
def test_the_systems_own_handlers_are_put_back(handler: signal.Handlers) -> None:
    for number in SIGNALS:
        signal.signal(number, handler)
    with catch_stop_signals():
        send(signal.SIGTERM)
    assert handlers() == [handler, handler]


def test_runs_have_separate_requests(earlier_signals: list[int]) -> None:
    with catch_stop_signals() as outer:
        with catch_stop_signals() as inner:
            send(signal.SIGINT)
        assert (inner.is_set, outer.is_set) == (True, False)
        send(signal.SIGINT)
        assert outer.is_set
    with catch_stop_signals() as later:
        assert not later.is_set
    assert earlier_signals == []


def test_outside_the_main_thread_nothing_is_taken(earlier_signals: list[int]) -> None:
    before, inside, done = handlers(), threading.Event(), threading.Event()
    seen: list[bool] = []

    def run() -> None:
        with catch_stop_signals() as request:
            inside.set()
            done.wait(60)
            seen.append(request.is_set)

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
    assert earlier_signals == [signal.SIGTERM]
    assert handlers() == before


def test_a_stopped_run_is_no_mere_exception() -> None:
    """So that nothing that catches errors takes it for one."""
    assert issubclass(RunInterrupted, KeyboardInterrupt)
    assert not issubclass(RunInterrupted, Exception)
