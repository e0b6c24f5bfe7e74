"""Answers that take a while: given up when the client leaves, told of as they proceed.

A client that asks for `text/event-stream` gets events: `progress` with the seconds heard so far,
then `result` or `problem` with the body that it would have got else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import orjson
from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel
from sse_starlette import EventSourceResponse, ServerSentEvent

from earmark.model.inference.decode_pool import Block
from earmark.service.http.problems import GoneError, answer
from earmark.service.observability.metrics import Metrics

Result = TypeVar("Result")
Told = Callable[[Block], None]

EVENTS = "text/event-stream"


async def while_connected(
    request: Request, work: Coroutine[Any, Any, Result], metrics: Metrics
) -> Result:
    """The result of work on a request whose body has been read. Raises GoneError."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        metrics.cancelled()
        raise GoneError
    finally:
        _give_up(task)
        gone.cancel()


def _give_up(task: asyncio.Future[Any]) -> None:
    """Nobody waits for it now: what it still raises is not for asyncio to complain of."""
    task.add_done_callback(_forgotten)
    task.cancel()


def _forgotten(task: asyncio.Future[Any]) -> None:
    if not task.cancelled() and isinstance(error := task.exception(), Exception):
        answer(error)  # logs a fault of ours


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def answered(
    request: Request,
    run: Callable[[Told], Coroutine[Any, Any, BaseModel]],
    seconds: Callable[[Block], float],
    metrics: Metrics,
) -> Response:
    """What `run` gives, as a body or as events. `seconds`: where in its sound a block ends."""
    if EVENTS in request.headers.get("accept", ""):
        return EventSourceResponse(_events(run, seconds))
    body = await while_connected(request, run(lambda _: None), metrics)
    with metrics.stage("render"):
        return Response(body.model_dump_json(), media_type="application/json")


async def _events(
    run: Callable[[Told], Awaitable[BaseModel]], seconds: Callable[[Block], float]
) -> AsyncIterator[ServerSentEvent]:
    """Ended by the server when the client has gone, and `run` with it."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[float | None] = asyncio.Queue()

    def told(block: Block) -> None:
        loop.call_soon_threadsafe(heard.put_nowait, seconds(block))

    task = asyncio.ensure_future(run(told))
    task.add_done_callback(lambda _: heard.put_nowait(None))
    try:
        while (so_far := await heard.get()) is not None:
            yield ServerSentEvent(orjson.dumps({"seconds": so_far}).decode(), event="progress")
        try:
            body = task.result().model_dump_json()
        except Exception as error:  # noqa: BLE001 (as it would be answered)
            yield ServerSentEvent(bytes(answer(error).body).decode(), event="problem")
        else:
            yield ServerSentEvent(body, event="result")
    finally:
        _give_up(task)
