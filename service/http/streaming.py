"""Answers to uploads: cancelled when the client disconnects, or streamed with their progress.

With `Accept: text/event-stream` a client gets events: `progress` with the seconds of the sound
that have been decoded, then `result` or `problem` with the body of the plain answer.
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
from starlette.types import Scope

from earmark.model.inference.decode_pool import Block
from earmark.service.http.problems import ClientGoneError, problem_response
from earmark.service.observability.metrics import Metrics

Result = TypeVar("Result")
OnBlock = Callable[[Block], None]  # called with each block of a sound's windows

EVENTS = "text/event-stream"
BREAK_OFF = "earmark.break_off"  # a scope's extension, whose "call" ends an answer early
HEAD_ALONE = "earmark.head_alone"  # in a scope: the body of the answer is not sent


async def while_connected(
    request: Request, work: Coroutine[Any, Any, Result], metrics: Metrics
) -> Result:
    """The result of work on a request whose body has been read.

    Raises ClientGoneError where the client disconnects before the end.
    """
    task = asyncio.ensure_future(work)
    disconnect = asyncio.ensure_future(disconnected(request))
    try:
        await asyncio.wait({task, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        metrics.count_cancellation()
        raise ClientGoneError
    finally:
        _abandon(task)
        disconnect.cancel()


def _abandon(task: asyncio.Future[Any]) -> None:
    """Cancel a task; asyncio must not complain that nobody retrieved its exception."""
    task.add_done_callback(_log_fault)
    task.cancel()


def _log_fault(task: asyncio.Future[Any]) -> None:
    if not task.cancelled() and isinstance(error := task.exception(), Exception):
        problem_response(error)  # logs an unexpected error


async def disconnected(request: Request) -> None:
    """Wait until the client of a request has disconnected."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def break_off(scope: Scope) -> None:
    """End an answer that has begun and cannot be sent to its end: the client can tell."""
    if BREAK_OFF in (extensions := scope.get("extensions", {})):
        extensions[BREAK_OFF]["call"]()


async def respond(
    request: Request,
    run: Callable[[OnBlock], Coroutine[Any, Any, BaseModel]],
    seconds: Callable[[Block], float],
    metrics: Metrics,
) -> Response:
    """The result of `run`, as a body or as events. `seconds`: where a block ends in its sound."""
    if EVENTS in request.headers.get("accept", ""):
        return EventSourceResponse(_events(run, seconds))
    body = await while_connected(request, run(lambda _: None), metrics)
    with metrics.stage("render"):
        return Response(body.model_dump_json(), media_type="application/json")


async def _events(
    run: Callable[[OnBlock], Awaitable[BaseModel]], seconds: Callable[[Block], float]
) -> AsyncIterator[ServerSentEvent]:
    """The server closes this when the client has gone; that cancels `run`."""
    loop = asyncio.get_running_loop()
    progress: asyncio.Queue[float | None] = asyncio.Queue()

    def on_block(block: Block) -> None:
        loop.call_soon_threadsafe(progress.put_nowait, seconds(block))

    task = asyncio.ensure_future(run(on_block))
    task.add_done_callback(lambda _: progress.put_nowait(None))
    try:
        while (decoded := await progress.get()) is not None:
            yield ServerSentEvent(orjson.dumps({"seconds": decoded}).decode(), event="progress")
        try:
            body = task.result().model_dump_json()
        except Exception as error:  # noqa: BLE001 (answered as the plain request would be)
            yield ServerSentEvent(bytes(problem_response(error).body).decode(), event="problem")
        else:
            yield ServerSentEvent(body, event="result")
    finally:
        _abandon(task)
