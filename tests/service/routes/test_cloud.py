"""Sounds of a store over HTTP: played by range, drawn, cut, heard and packed; gone and unreachable;
and nothing that a client sends makes the service fetch an address."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import Iterator
from email.message import Message as Mail
from email.parser import BytesParser
from pathlib import Path

import pytest
from starlette.types import Message

from earmark.index.ingest import bulk
from earmark.index.library import Library
from earmark.model.cloud.cloud_file import CloudFile
from earmark.model.encoders.load import load_embedder
from earmark.service.http.sound_response import PIECE, sound_response
from earmark.service.http.streaming import BREAK_OFF
from tests import object_store
from tests.index import made
from tests.object_store import BUCKET, SECRETS, ObjectStore
from tests.service.server_process import Server, serving
from tests.service.sounds import noise

pytestmark = pytest.mark.slow  # starts a store and a service
UPLOAD = noise(0.5)
NAMES = ("one", "gone", "unread")


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with object_store.running() as store:
        yield store


@pytest.fixture(scope="module")
def content(store: ObjectStore) -> bytes:
    """The bytes of `one.wav`: 14 seconds."""
    for seed, name in enumerate(NAMES):
        store.put(f"{name}.wav", noise(14.0, seed))
    return bytes(store.client.get_object(Bucket=BUCKET, Key="one.wav")["Body"].read())


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, model_folder: Path, store: ObjectStore, content: bytes
) -> Iterator[Server]:
    """A server of a library whose sounds lie in the store."""
    folder = tmp_path_factory.mktemp("cloud") / "library"
    with Library.open(folder, load_embedder(model_folder), create=True) as library:
        report = bulk.add(library, [CloudFile(f"s3://{BUCKET}")], made.embed_here)
        assert (len(report.added), report.failed) == (len(NAMES), {})
    store.delete("gone.wav")
    log = folder.parent / "log"
    arguments = ("--library", folder, "--model", model_folder)
    with serving(log, *arguments, EARMARK_LOG_LEVEL="debug") as server:
        yield server
        text = log.read_text()
        assert "Traceback" not in text
        assert not any(secret in text for secret in SECRETS)


@pytest.fixture(scope="module")
def clips(served: Server) -> dict[str, str]:
    """The clips' addresses by their titles."""
    found = served.client.get("/v1/clips").json()["clips"]
    return {clip["title"]: f"/v1/clips/{clip['id']}" for clip in found}


def test_only_what_is_asked_for_is_fetched(
    served: Server, clips: dict[str, str], store: ObjectStore, content: bytes
) -> None:
    audio, size = f"{clips['one']}/audio", len(content)
    store.asked.clear()
    whole = served.client.get(audio)
    assert (whole.status_code, whole.content) == (200, content)
    assert whole.headers["content-type"] == "audio/wav"
    assert whole.headers["accept-ranges"] == "bytes"
    for asked, first, end in (
        ("bytes=100-199", 100, 200),
        ("bytes=-50", size - 50, size),
        (f"bytes={size - 10}-", size - 10, size),
        ("bytes=0-9,5-19", 0, 20),
    ):
        store.asked.clear()
        part = served.client.get(audio, headers={"Range": asked})
        assert (part.status_code, part.content) == (206, content[first:end])
        assert part.headers["content-range"] == f"bytes {first}-{end - 1}/{size}"
        assert store.ranges_of("one.wav") == [f"bytes={first}-{end - 1}"]
    store.asked.clear()
    head = served.client.head(audio)
    assert (head.status_code, head.headers["content-length"]) == (200, str(size))
    kept = {"If-None-Match": whole.headers["etag"]}
    assert served.client.get(audio, headers=kept).status_code == 304
    served.problem(served.client.get(audio, headers={"Range": f"bytes={size}-"}), 416, str(size))
    assert store.ranges_of("one.wav") == []


def test_several_ranges_come_in_parts(
    served: Server, clips: dict[str, str], content: bytes
) -> None:
    ranges = {"Range": "bytes=0-3,100-199"}
    answer = served.client.get(f"{clips['one']}/audio", headers=ranges)
    assert answer.status_code == 206
    kind = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    parts = BytesParser().parsebytes(kind + answer.content).get_payload()
    assert isinstance(parts, list)
    told = [part.get("Content-Range") for part in parts if isinstance(part, Mail)]
    assert told == [f"bytes 0-3/{len(content)}", f"bytes 100-199/{len(content)}"]
    assert content[100:200] in answer.content


def test_a_sound_of_a_store_is_drawn_cut_heard_and_packed(
    served: Server, clips: dict[str, str], content: bytes
) -> None:
    one, client = clips["one"], served.client
    assert client.get(f"{one}/waveform", params={"points": 10}).json()["duration"] == 14.0
    picture = client.get(f"{one}/spectrogram", params={"start": 1, "end": 2})
    assert picture.content.startswith(b"\x89PNG")
    assert client.get(f"{one}/timeline", params={"labels": "rain,dog"}).status_code == 200
    cut = client.get(f"{one}/audio", params={"start": 13, "end": 14})
    assert cut.status_code == 200
    assert cut.content[-2_000:] == content[-2_000:]
    assert client.get(f"{one}/similar", params={"start": 0, "end": 2}).status_code == 200
    ids = [address.rpartition("/")[2] for address in clips.values()]
    collection = client.post("/v1/collections", json={"name": "Packed", "clips": ids}).json()
    packed = client.get(f"/v1/collections/{collection['id']}/export")
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert archive.testzip() is None
        assert archive.read("sounds/one.wav") == content
        assert "gone" in archive.read("MISSING.txt").decode()


def test_what_has_gone_or_cannot_be_asked_is_told(
    served: Server, clips: dict[str, str], store: ObjectStore
) -> None:
    for part in ("audio", "waveform"):
        served.problem(served.client.get(f"{clips['gone']}/{part}"), 410, "not in its store now")
    store.failing.add(f"/{BUCKET}/unread.wav")
    for part in ("audio", "timeline"):
        answer = served.client.get(f"{clips['unread']}/{part}")
        served.problem(answer, 503, "the store of this sound cannot be read now")
        assert answer.headers["retry-after"] == "10"


@pytest.mark.parametrize("ends", ["the store fails", "the client goes", "the sound is replaced"])
def test_an_answer_that_cannot_go_on_ends(store: ObjectStore, ends: str) -> None:
    """Large sounds are sent in pieces, and what nobody takes is not fetched."""
    file = CloudFile(store.put("large.wav", bytes(4 * PIECE)))
    bodies: list[Message] = []
    broken_off: list[None] = []
    gone = asyncio.Event()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            bodies.append(message)
            if ends == "the client goes":
                gone.set()
                await asyncio.sleep(0.05)
            elif ends == "the sound is replaced":
                store.put("large.wav", b"1" * (4 * PIECE))
            else:
                store.failing.add(f"/{BUCKET}/large.wav")

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    scope = {
        "type": "http",
        "method": "GET",
        "headers": [(b"range", b"bytes=1-")],
        "extensions": {BREAK_OFF: {"call": lambda: broken_off.append(None)}},
    }
    store.asked.clear()
    asyncio.run(sound_response(file, file.stat(), '"tag"', "Large")(scope, receive, send))
    store.failing.clear()
    sent = sum(len(message["body"]) for message in bodies)
    assert bool(broken_off) == (ends != "the client goes")
    if ends == "the sound is replaced":
        assert sent == 3 * PIECE, "what ends it is held back"
        return
    assert sent == PIECE
    assert set(store.ranges_of("large.wav")) <= {
        f"bytes=1-{PIECE}",
        f"bytes={PIECE + 1}-{2 * PIECE}",
    }


def test_no_client_can_make_the_service_fetch_an_address(
    served: Server, store: ObjectStore
) -> None:
    address = f"s3://{BUCKET}/one.wav"
    store.asked.clear()
    for data in ({}, {"path": address, "address": address, "url": address, "source": address}):
        files = {"file": (address, UPLOAD)}
        added = served.client.post("/v1/clips", files=files, data=data)
        assert added.status_code == 201
    csv = {"file": (address, f"path,tags\n{address},dog\n".encode())}
    assert served.client.post("/v1/clips", files=csv).status_code == 422
    assert served.client.post("/v1/clips", json={"path": address}).status_code in (415, 422)
    assert store.asked == []
    assert served.client.get(added.headers["location"] + "/audio").content == UPLOAD
    assert store.asked == []
