"""The clients: `Client` for plain programs, `AsyncClient` for those with an event loop.

Both have the same methods with the same arguments, made from `service.client.requests`; those of
`AsyncClient` are awaited. Answers are the service's own models; problems are raised as
`service.client.errors.ProblemError`, and httpx's errors where no answer came.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Generic, Literal, ParamSpec, Self, TypeVar, Unpack, overload

import httpx

from earmark.service.client import requests
from earmark.service.client.errors import ProblemError
from earmark.service.client.events import Event, EventReader, Retries
from earmark.service.client.requests import Call, Where
from earmark.service.schemas.clips import ClipBody

Given = ParamSpec("Given")
Body = TypeVar("Body")

TIMEOUT = 60.0  # seconds for each step of a call: to connect, to send, to get more of the answer
TRY_AGAIN = Retries()


class Method(Generic[Given, Body]):
    """A method of both clients: awaited of the one, plain of the other."""

    def __init__(self, make: Callable[Given, Call[Body]]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, client: None, kind: object) -> Self: ...
    @overload
    def __get__(self, client: Client, kind: object) -> Callable[Given, Body]: ...
    @overload
    def __get__(self, client: AsyncClient, kind: object) -> Callable[Given, Awaitable[Body]]: ...
    def __get__(self, client: Client | AsyncClient | None, kind: object) -> object:
        if client is None:
            return self
        send: Callable[[Call[Body]], object] = client.send

        def method(*args: Given.args, **kwargs: Given.kwargs) -> object:
            return send(self._make(*args, **kwargs))

        method.__doc__ = self.__doc__
        return method


class Methods:
    """What both clients can do."""

    search = Method(requests.search)
    search_audio = Method(requests.search_audio)
    similar = Method(requests.similar)
    tags = Method(requests.tags)
    classify = Method(requests.classify)
    clips_page = Method(requests.clips_page)
    clip = Method(requests.clip)
    upload = Method(requests.upload)
    edit = Method(requests.edit)
    delete = Method(requests.delete)
    audio = Method(requests.audio)
    waveform = Method(requests.waveform)
    feedback = Method(requests.feedback)
    feedback_given = Method(requests.feedback_given)
    submit = Method(requests.submit)
    job = Method(requests.job)
    cancel = Method(requests.cancel)
    library = Method(requests.library)
    map = Method(requests.picture)
    model = Method(requests.model)

    def __init__(self, base_url: str, key: str | None, timeout: float, retries: Retries) -> None:
        self._retries = retries
        self._options: dict[str, Any] = {
            "base_url": base_url,
            "timeout": timeout,
            "headers": {} if key is None else {"Authorization": f"Bearer {key}"},
        }

    def _wait(self, call: Call[Body], response: httpx.Response, tries: int) -> float:
        """Seconds until another try of what was refused. Raises ProblemError."""
        problem = ProblemError.of(response.status_code, response.headers, response.content)
        wait = self._retries.wait(problem, tries, call.safe)
        if wait is None:
            raise problem
        return wait


def _told(call: Call[Body], event: Event | None) -> Body | None:
    """The answer, if this event has it. Raises ProblemError."""
    if event is None:
        return None
    if event.kind == "progress" and call.progress is not None:
        call.progress(float(event.data["seconds"]))
    if event.kind == "problem":
        raise ProblemError.of(int(event.data["status"]), {}, _bytes(event))
    return call.read(_bytes(event)) if event.kind == "result" else None


def _bytes(event: Event) -> bytes:
    return json.dumps(event.data).encode()


class Client(Methods):
    """A client of the service at `base_url`, with an API key where it wants one.

    `timeout`: seconds; `retries`: of what the service refuses for now.
    """

    def __init__(
        self,
        base_url: str,
        key: str | None = None,
        *,
        timeout: float = TIMEOUT,
        retries: Retries = TRY_AGAIN,
    ) -> None:
        super().__init__(base_url, key, timeout, retries)
        self._http = httpx.Client(**self._options)

    def send(self, call: Call[Body]) -> Body:
        """Make a call. Raises ProblemError, httpx.TransportError."""
        with self._answered(call) as response:
            if call.progress is not None:
                return self._heard(call, response)
            return call.read(response.read())

    def clips(
        self, *, sort: Literal["newest", "id"] = "newest", k: int = 100, **where: Unpack[Where]
    ) -> Iterator[ClipBody]:
        """All clips that pass the filters, `k` of them a call."""
        cursor: str | None = ""
        while cursor is not None:
            page = self.clips_page(k=k, cursor=cursor, sort=sort, **where)
            yield from page.clips
            cursor = page.next

    def events(self, job_id: str, *, after: int = 0) -> Iterator[Event]:
        """A job's events after that number, as they happen, until it is over."""
        call, reader = requests.job_events(job_id, after), EventReader()
        with self._answered(call) as response:
            for line in response.iter_lines():
                if (event := reader.feed(line)) is not None:
                    yield event

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _answered(self, call: Call[Body]) -> Iterator[httpx.Response]:
        """A good answer, still to be read, after as many tries as it takes."""
        tries = 0
        while True:
            tries += 1
            with self._http.stream(call.method, call.path, **call.options()) as response:
                if response.is_success:
                    yield response
                    return
                response.read()
            time.sleep(self._wait(call, response, tries))

    def _heard(self, call: Call[Body], response: httpx.Response) -> Body:
        reader = EventReader()
        for line in response.iter_lines():
            if (answer := _told(call, reader.feed(line))) is not None:
                return answer
        raise httpx.RemoteProtocolError("the events ended before the result")


class AsyncClient(Methods):
    """A client of the service at `base_url`, with an API key where it wants one.

    `timeout`: seconds; `retries`: of what the service refuses for now.
    """

    def __init__(
        self,
        base_url: str,
        key: str | None = None,
        *,
        timeout: float = TIMEOUT,
        retries: Retries = TRY_AGAIN,
    ) -> None:
        super().__init__(base_url, key, timeout, retries)
        self._http = httpx.AsyncClient(**self._options)

    async def send(self, call: Call[Body]) -> Body:
        """Make a call. Raises ProblemError, httpx.TransportError."""
        async with self._answered(call) as response:
            if call.progress is not None:
                return await self._heard(call, response)
            return call.read(await response.aread())

    async def clips(
        self, *, sort: Literal["newest", "id"] = "newest", k: int = 100, **where: Unpack[Where]
    ) -> AsyncIterator[ClipBody]:
        """All clips that pass the filters, `k` of them a call."""
        cursor: str | None = ""
        while cursor is not None:
            page = await self.clips_page(k=k, cursor=cursor, sort=sort, **where)
            for clip in page.clips:
                yield clip
            cursor = page.next

    async def events(self, job_id: str, *, after: int = 0) -> AsyncIterator[Event]:
        """A job's events after that number, as they happen, until it is over."""
        call, reader = requests.job_events(job_id, after), EventReader()
        async with self._answered(call) as response:
            async for line in response.aiter_lines():
                if (event := reader.feed(line)) is not None:
                    yield event

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def _answered(self, call: Call[Body]) -> AsyncIterator[httpx.Response]:
        """A good answer, still to be read, after as many tries as it takes."""
        tries = 0
        while True:
            tries += 1
            async with self._http.stream(call.method, call.path, **call.options()) as response:
                if response.is_success:
                    yield response
                    return
                await response.aread()
            await asyncio.sleep(self._wait(call, response, tries))

    async def _heard(self, call: Call[Body], response: httpx.Response) -> Body:
        reader = EventReader()
        async for line in response.aiter_lines():
            if (answer := _told(call, reader.feed(line))) is not None:
                return answer
        raise httpx.RemoteProtocolError("the events ended before the result")
