"""`Client` for synchronous programs, `AsyncClient` for asyncio.

Both have the same methods with the same arguments, made from the functions of
`earmark.service.client.requests`; those of `AsyncClient` are awaited. Answers are the service's own
pydantic models. Problems are raised as `ProblemError`, and where no answer comes, httpx's errors.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Generic, ParamSpec, Self, TypeVar, Unpack, overload

import httpx

import earmark.service.client.collection_requests as collection_calls
import earmark.service.client.requests as calls
from earmark.service.client.errors import ProblemError
from earmark.service.client.events import Event, EventReader, Retries
from earmark.service.client.requests import Call, Where
from earmark.service.schemas.clips import ClipBody
from earmark.service.schemas.curation.collections import Format
from earmark.service.schemas.limits import ClipSort

Params = ParamSpec("Params")
Body = TypeVar("Body")

TIMEOUT = 60.0  # seconds to connect, to send, and between two pieces of the answer
RETRIES = Retries()


class Method(Generic[Params, Body]):
    """A method of both clients: a coroutine of `AsyncClient`, a plain one of `Client`."""

    def __init__(self, make: Callable[Params, Call[Body]]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, client: None, kind: object) -> Self: ...
    @overload
    def __get__(self, client: Client, kind: object) -> Callable[Params, Body]: ...
    @overload
    def __get__(self, client: AsyncClient, kind: object) -> Callable[Params, Awaitable[Body]]: ...
    def __get__(self, client: Client | AsyncClient | None, kind: object) -> object:
        if client is None:
            return self
        send: Callable[[Call[Body]], object] = client.send

        def method(*args: Params.args, **kwargs: Params.kwargs) -> object:
            return send(self._make(*args, **kwargs))

        method.__doc__ = self.__doc__
        return method


class Methods:
    """The methods that both clients have."""

    search = Method(calls.search)
    search_audio = Method(calls.search_audio)
    similar = Method(calls.similar)
    tags = Method(calls.tags)
    classify = Method(calls.classify)
    clips_page = Method(calls.clips_page)
    clip = Method(calls.clip)
    upload = Method(calls.upload)
    edit = Method(calls.edit)
    edit_many = Method(calls.edit_many)
    edits = Method(calls.edits)
    history = Method(calls.history)
    undo = Method(calls.undo)
    delete = Method(calls.delete)
    audio = Method(calls.audio)
    waveform = Method(calls.waveform)
    spectrogram = Method(calls.spectrogram)
    timeline = Method(calls.timeline)
    clip_tags = Method(calls.clip_tags)
    classify_clip = Method(calls.classify_clip)
    label_file = Method(calls.label_file)
    feedback = Method(calls.feedback)
    feedback_given = Method(calls.feedback_given)
    classifiers = Method(calls.classifiers)
    classifier = Method(calls.classifier)
    create_classifier = Method(calls.create_classifier)
    edit_classifier = Method(calls.edit_classifier)
    delete_classifier = Method(calls.delete_classifier)
    teach = Method(calls.teach)
    taught_labels = Method(calls.taught_labels)
    ask_for_labels = Method(calls.ask_for_labels)
    classifier_hits = Method(calls.classifier_hits)
    export_classifier = Method(calls.export_classifier)
    import_classifier = Method(calls.import_classifier)
    suggest_all = Method(calls.suggest_all)
    stop_suggesting = Method(calls.stop_suggesting)
    suggesting = Method(calls.suggesting)
    suggested_tags = Method(calls.suggested_tags)
    suggestions = Method(calls.suggestions)
    lease_suggestions = Method(calls.lease_suggestions)
    judge = Method(calls.judge)
    submit = Method(calls.submit)
    job = Method(calls.job)
    cancel = Method(calls.cancel)
    facets = Method(calls.facets)
    collections = Method(collection_calls.collections)
    collection = Method(collection_calls.collection)
    create_collection = Method(collection_calls.create_collection)
    edit_collection = Method(collection_calls.edit_collection)
    delete_collection = Method(collection_calls.delete_collection)
    collection_page = Method(collection_calls.collection_page)
    change_collection = Method(collection_calls.change_collection)
    library = Method(calls.library)
    map = Method(calls.picture)
    model = Method(calls.model)

    def __init__(self, base_url: str, key: str | None, timeout: float, retries: Retries) -> None:
        self._retries = retries
        self._options: dict[str, Any] = {
            "base_url": base_url,
            "timeout": timeout,
            "headers": {} if key is None else {"Authorization": f"Bearer {key}"},
        }

    def _wait(self, call: Call[Body], response: httpx.Response, tries: int) -> float:
        """Seconds to wait before a refused call is repeated. Raises ProblemError to give up."""
        problem = ProblemError.of(response.status_code, response.headers, response.content)
        wait = self._retries.wait(problem, tries, call.safe)
        if wait is None:
            raise problem
        return wait


def _result(call: Call[Body], event: Event | None) -> Body | None:
    """The answer, if this is the event that holds it. Raises ProblemError."""
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
    """A client of the service at `base_url`, with an API key where the service requires one.

    `timeout`: seconds, see `TIMEOUT`; `retries`: when refused calls are repeated.
    """

    def __init__(
        self,
        base_url: str,
        key: str | None = None,
        *,
        timeout: float = TIMEOUT,
        retries: Retries = RETRIES,
    ) -> None:
        super().__init__(base_url, key, timeout, retries)
        self._http = httpx.Client(**self._options)

    def send(self, call: Call[Body]) -> Body:
        """Make a call. Raises ProblemError, httpx.TransportError."""
        with self._stream(call) as response:
            if call.progress is not None:
                return self._last_event_result(call, response)
            return call.read(response.read())

    def clips(
        self, *, sort: ClipSort = "newest", k: int = 100, **where: Unpack[Where]
    ) -> Iterator[ClipBody]:
        """All clips that pass the filters, fetched in pages of `k`."""
        cursor: str | None = ""
        while cursor is not None:
            page = self.clips_page(k=k, cursor=cursor, sort=sort, **where)
            yield from page.clips
            cursor = page.next

    def events(self, job_id: str, *, after: int = 0) -> Iterator[Event]:
        """A job's events after number `after`, as they happen, until the job is over."""
        call, reader = calls.job_events(job_id, after), EventReader()
        with self._stream(call) as response:
            for line in response.iter_lines():
                if (event := reader.feed(line)) is not None:
                    yield event

    def export_collection(self, collection_id: str, format: Format = "zip") -> Iterator[bytes]:
        """A collection as a file, in parts, as they arrive."""
        with self._stream(collection_calls.export_collection(collection_id, format)) as response:
            yield from response.iter_bytes()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _stream(self, call: Call[Body]) -> Iterator[httpx.Response]:
        """A successful answer, whose body is still to be read; refused calls are repeated."""
        tries = 0
        while True:
            tries += 1
            with self._http.stream(call.method, call.path, **call.options()) as response:
                if response.is_success:
                    yield response
                    return
                response.read()
            time.sleep(self._wait(call, response, tries))

    def _last_event_result(self, call: Call[Body], response: httpx.Response) -> Body:
        reader = EventReader()
        for line in response.iter_lines():
            if (answer := _result(call, reader.feed(line))) is not None:
                return answer
        raise httpx.RemoteProtocolError("the events ended before the result")


class AsyncClient(Methods):
    """A client of the service at `base_url`, with an API key where the service requires one.

    `timeout`: seconds, see `TIMEOUT`; `retries`: when refused calls are repeated; `transport`:
    httpx's, in place of the network.
    """

    def __init__(
        self,
        base_url: str,
        key: str | None = None,
        *,
        timeout: float = TIMEOUT,
        retries: Retries = RETRIES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(base_url, key, timeout, retries)
        self._http = httpx.AsyncClient(**self._options, transport=transport)

    async def send(self, call: Call[Body]) -> Body:
        """Make a call. Raises ProblemError, httpx.TransportError."""
        async with self._stream(call) as response:
            if call.progress is not None:
                return await self._last_event_result(call, response)
            return call.read(await response.aread())

    async def clips(
        self, *, sort: ClipSort = "newest", k: int = 100, **where: Unpack[Where]
    ) -> AsyncIterator[ClipBody]:
        """All clips that pass the filters, fetched in pages of `k`."""
        cursor: str | None = ""
        while cursor is not None:
            page = await self.clips_page(k=k, cursor=cursor, sort=sort, **where)
            for clip in page.clips:
                yield clip
            cursor = page.next

    async def events(self, job_id: str, *, after: int = 0) -> AsyncIterator[Event]:
        """A job's events after number `after`, as they happen, until the job is over."""
        call, reader = calls.job_events(job_id, after), EventReader()
        async with self._stream(call) as response:
            async for line in response.aiter_lines():
                if (event := reader.feed(line)) is not None:
                    yield event

    async def export_collection(
        self, collection_id: str, format: Format = "zip"
    ) -> AsyncIterator[bytes]:
        """A collection as a file, in parts, as they arrive."""
        call = collection_calls.export_collection(collection_id, format)
        async with self._stream(call) as response:
            async for part in response.aiter_bytes():
                yield part

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def _stream(self, call: Call[Body]) -> AsyncIterator[httpx.Response]:
        """A successful answer, whose body is still to be read; refused calls are repeated."""
        tries = 0
        while True:
            tries += 1
            async with self._http.stream(call.method, call.path, **call.options()) as response:
                if response.is_success:
                    yield response
                    return
                await response.aread()
            await asyncio.sleep(self._wait(call, response, tries))

    async def _last_event_result(self, call: Call[Body], response: httpx.Response) -> Body:
        reader = EventReader()
        async for line in response.aiter_lines():
            if (answer := _result(call, reader.feed(line))) is not None:
                return answer
        raise httpx.RemoteProtocolError("the events ended before the result")
