"""Stretches of clips that are asked with: embedded once at a time, and not for who has left."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from urllib.parse import quote

from fastapi import FastAPI
from starlette.types import Message

from earmark.index.ingest.bulk import add
from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from earmark.service.app import create_app
from earmark.service.settings import Settings
from tests.index.made import write_sounds


async def ask(app: FastAPI, way: str, path: str, query: str, gone: asyncio.Event) -> int:
    """The status of an answer to a client that leaves when it is `gone`."""
    messages: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]
    statuses: list[int] = []

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "method": way,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "scheme": "http",
        "root_path": "",
        "http_version": "1.1",
    }
    await app(scope, receive, send)
    return statuses[0]


def test_clients_that_leave_make_room_for_uploads(model_folder: Path, tmp_path: Path) -> None:
    [sound] = write_sounds(tmp_path / "sounds", 1)
    folder = tmp_path / "library"
    with Library.open(folder, load_embedder(model_folder), create=True) as library:
        add(library, [sound])
        [clip] = library.catalogue.clips()
    path = f"/v1/clips/{quote(clip.id, safe='')}/similar"

    async def run() -> None:
        app = create_app(Settings(model=model_folder, library=folder, threads=1, max_waiting=2))
        async with app.router.lifespan_context(app):
            uploads = app.state.services.uploads
            go, gone, never = threading.Event(), asyncio.Event(), asyncio.Event()
            for _ in range(uploads._thread_count):  # others are at work
                uploads._threads.submit(go.wait)
            leaving = [("GET", "start=0.1"), ("HEAD", "start=0.1&k=5"), ("GET", "start=0.2")]
            tasks = [
                asyncio.create_task(ask(app, way, path, query, gone)) for way, query in leaving
            ]
            staying = asyncio.create_task(ask(app, "GET", path, "start=0.2", never))
            while uploads._present < 2:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            assert uploads._present == 2  # and the others share these
            gone.set()
            assert [await task for task in tasks] == [499, 499, 499]
            while uploads._present > 1:
                await asyncio.sleep(0.01)
            go.set()
            assert await staying == 200

    asyncio.run(run())
