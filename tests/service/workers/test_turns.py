"""What is at work in threads at a time is bounded, on every route that writes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack
from types import SimpleNamespace

import anyio
import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute

from earmark.service.app import ROUTES
from earmark.service.auth.authorization import READ_PATHS, SAFE_METHODS
from earmark.service.http.problems import ProblemError
from earmark.service.observability.metrics import Metrics
from earmark.service.routes.dependencies import TURN, FormRoute, take_turn, take_write_turn
from earmark.service.workers.turns import Turns


def test_more_than_may_be_under_way_are_refused() -> None:
    turns = Turns(Metrics(), most_writes=2)
    with ExitStack() as held:
        for _ in range(2):
            held.enter_context(turns.turn("writes"))
        held.enter_context(turns.turn("reads"))
        with pytest.raises(ProblemError, match="2 writes are under way"), turns.turn("writes"):
            pytest.fail("a third write")
    with turns.turn("writes"):
        pass


def test_a_write_that_fails_gives_its_turn_back() -> None:
    turns = Turns(Metrics(), most_writes=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), turns.turn("writes"):
            _ = 1 / 0


def test_every_route_that_writes_takes_a_turn_or_has_a_queue() -> None:
    routes = [
        route
        for module in ROUTES
        for route in module.router.routes
        if isinstance(route, APIRoute) and route.include_in_schema
    ]
    writing = [
        route for route in routes if route.methods - SAFE_METHODS and route.path not in READ_PATHS
    ]
    assert len(writing) > 12
    without = [
        route.path
        for route in writing
        if not isinstance(route, FormRoute)
        and not any(
            each.call in (take_turn, take_write_turn) for each in route.dependant.dependencies
        )
    ]
    assert without == []


def test_a_turn_ends_before_the_answer_is_sent() -> None:
    turns = Turns(Metrics(), most_reads=1)
    app = FastAPI()
    app.state.services = SimpleNamespace(turns=turns)

    @app.get("/", dependencies=[TURN])
    def answer() -> StreamingResponse:
        with pytest.raises(ProblemError), turns.turn("reads"):
            pytest.fail("another turn while this one is at work")

        async def body() -> AsyncIterator[bytes]:
            with turns.turn("reads"):  # it is free again
                yield b"sent"

        return StreamingResponse(body())

    async def ask() -> bytes:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://service"
        ) as client:
            return (await client.get("/")).content

    assert anyio.run(ask) == b"sent"
