"""Stretches of clips over HTTP: cut out, drawn, and asked with."""

from __future__ import annotations

import io
from pathlib import Path
from urllib.parse import urlencode

import httpx
import numpy as np
import pytest
import soundfile

from earmark.model.audio.decode import SoundReader
from earmark.model.audio.stretch import Stretch
from earmark.model.drawing.waveform import peaks
from earmark.service.workers.cuts import MAX_CUTS
from tests.model import tiny
from tests.model.tiny import RATE
from tests.service import sounds as made
from tests.service.server_process import Server

TITLE = "Waves for a long time"
SECONDS = 14.0
EMBEDDED = "earmark_batch_size_count"
WRONG = [
    ({"start": 5, "end": 5}, "end: expected seconds after the start, 5, got 5"),
    ({"start": 5, "end": 4.5}, "end: expected seconds after the start, 5, got 4.5"),
    ({"start": -1}, "start: Input should be greater than or equal to 0, got '-1'"),
    ({"end": 0}, "end: Input should be greater than 0, got '0'"),
    ({"end": "-2"}, "end: Input should be greater than 0, got '-2'"),
    ({"start": 14}, "start: expected less than the sound's 14 s, got 14"),
    ({"start": 15, "end": 16}, "start: expected less than the sound's 14 s, got 15"),
    ({"start": "nan"}, "start: Input should be a finite number, got 'nan'"),
    ({"end": "inf"}, "end: Input should be a finite number, got 'inf'"),
    ({"start": "soon"}, "start: Input should be a valid number"),
    ({"start": 5, "end": 5.00001}, "start, end: expected a sample between them, at 22000 Hz"),
]


def address(server: Server, title: str = TITLE) -> str:
    """The address of a clip."""
    hits = server.client.get("/v1/search", params={"q": title}).json()["hits"]
    return next(str(hit["audio"]) for hit in hits if hit["title"] == title).removesuffix("/audio")


def cut(server: Server, **query: object) -> httpx.Response:
    return server.client.get(f"{address(server)}/audio", params=query)


def samples(data: bytes, start: int = 0, stop: int | None = None) -> np.ndarray:
    """16-bit samples of a file."""
    found, rate = soundfile.read(io.BytesIO(data), start=start, stop=stop, dtype="int16")
    assert rate == RATE
    return np.asarray(found)


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_a_stretch_is_cut_out(server: Server, sounds: Path, kind: str) -> None:
    response = cut(server, start=2.5, end=5, format=kind)
    assert response.status_code == 200
    expected = samples((sounds / "long.wav").read_bytes(), 55_000, 110_000)
    np.testing.assert_array_equal(samples(response.content), expected)
    assert response.headers["content-type"] == f"audio/{kind}"
    name = f'inline; filename="{TITLE} 2.5-5.0 s.{kind}"'
    assert response.headers["content-disposition"] == name
    assert response.headers["accept-ranges"] == "none"
    assert response.headers["cache-control"] == "no-cache"
    length = response.headers.get("content-length")
    assert length == (str(len(response.content)) if kind == "wav" else None)
    assert soundfile.info(io.BytesIO(response.content)).frames == 55_000


def test_what_is_not_given_is_the_start_the_end_and_wav(server: Server, sounds: Path) -> None:
    whole = (sounds / "long.wav").read_bytes()
    for query, stop, name in (
        ({"end": 1.0}, slice(0, 22_000), "0.0-1.0 s.wav"),
        ({"start": 13.9}, slice(305_800, None), "13.9-14.0 s.wav"),
        ({"start": 13.9, "end": 99}, slice(305_800, None), "13.9-14.0 s.wav"),
        ({"start": 5, "end": 5.0001}, slice(110_000, 110_002), "5.0-5.0001 s.wav"),
    ):
        response = cut(server, **query)
        assert response.headers["content-disposition"].endswith(f'{TITLE} {name}"')
        np.testing.assert_array_equal(samples(response.content), samples(whole)[stop])
    response = cut(server, format="flac")
    assert response.headers["content-disposition"] == f'inline; filename="{TITLE}.flac"'
    np.testing.assert_array_equal(samples(response.content), samples(whole))


def test_the_whole_is_sent_as_it_was(server: Server, sounds: Path) -> None:
    whole = server.client.get(f"{address(server)}/audio", headers={"Range": "bytes=0-9"})
    assert (whole.status_code, whole.headers["accept-ranges"]) == (206, "bytes")
    assert whole.content == (sounds / "long.wav").read_bytes()[:10]


@pytest.mark.parametrize("part", ["audio", "waveform", "spectrogram", "similar"])
@pytest.mark.parametrize(("query", "says"), WRONG)
def test_times_that_are_no_stretch(
    server: Server, part: str, query: dict[str, object], says: str
) -> None:
    response = server.client.get(f"{address(server)}/{part}", params=query)
    assert str(server.problem(response, 422, says)["type"]).endswith("invalid-request")


def test_other_refusals(server: Server) -> None:
    server.problem(cut(server, format="mp3"), 422, "format: Input should be 'wav' or 'flac'")
    gone = address(server, "A file that goes away")
    for part in ("audio", "waveform", "spectrogram", "similar"):
        response = server.client.get(f"{gone}/{part}", params={"start": 0.1})
        server.problem(response, 410, "not there now")
        response = server.client.get(f"/v1/clips/nothing/{part}", params={"start": 0.1})
        server.problem(response, 404)


def test_conditions_hold_for_a_stretch(server: Server) -> None:
    place = f"{address(server)}/audio?start=1&end=2"
    first = server.client.get(place)
    tag, changed = first.headers["etag"], first.headers["last-modified"]
    for sent, status in (
        ({"If-None-Match": tag}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-Modified-Since": changed}, 304),
        ({"If-Modified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"}, 200),
        ({"Range": "bytes=0-9"}, 200),  # there are no ranges of it
    ):
        answer = server.client.get(place, headers=sent)
        assert (answer.status_code, answer.headers["etag"]) == (status, tag)
    tags = {
        server.client.head(f"{address(server)}/audio?{query}").headers["etag"]
        for query in ("", "start=1", "start=1&end=2", "start=1&end=2.1", "end=2&format=flac")
    }
    assert len(tags) == 5
    same = server.client.head(f"{address(server)}/audio?start=1&end=2.000001")
    assert same.headers["etag"] == tag  # the same samples


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_the_head_is_that_of_get(server: Server, kind: str) -> None:
    place = f"{address(server)}/audio?start=1&format={kind}"
    for _ in range(2):  # over the same connection
        head, whole = server.client.head(place), server.client.get(place)
        assert (head.status_code, head.content) == (200, b"")
        own = {"date", "x-request-id", "transfer-encoding"}
        one, other = (
            {name: value for name, value in answer.headers.items() if name not in own}
            for answer in (head, whole)
        )
        assert one == other


def test_a_stretch_is_drawn(server: Server, sounds: Path) -> None:
    drawn = server.client.get(
        f"{address(server)}/waveform", params={"start": 12.5, "end": 13.25, "points": 30}
    )
    assert drawn.status_code == 200
    reader = SoundReader(Stretch(sounds / "long.wav", 12.5, 13.25), RATE)
    assert drawn.json()["peaks"] == peaks(reader.blocks(), 30).tolist()
    assert drawn.json()["duration"] == pytest.approx(0.75)
    whole = server.client.get(f"{address(server)}/waveform", params={"points": 30})
    assert whole.headers["etag"] != drawn.headers["etag"]
    assert whole.json()["duration"] == pytest.approx(SECONDS)
    short = server.client.get(f"{address(server)}/waveform", params={"end": 0.001})
    server.problem(short, 422, "sound: expected at least 5 ms of sound")


def hits(response: httpx.Response) -> list[tuple[str, float]]:
    """Ids and cosines of the hits."""
    assert response.status_code == 200, response.text
    return [(hit["id"], pytest.approx(hit["cosine"], abs=1e-5)) for hit in response.json()["hits"]]


def test_asking_with_a_stretch_of_a_clip(server: Server) -> None:
    """Finds what its sound alone finds, but for the clip itself."""
    own = address(server).rpartition("/")[2]
    alone = cut(server, start=3, end=6).content
    found = hits(server.client.get(f"{address(server)}/similar", params={"start": 3, "end": 6}))
    expected = hits(server.upload(alone, "/v1/search/audio"))
    assert own in [name for name, _ in expected]
    assert found == [hit for hit in expected if hit[0] != own]
    whole = hits(server.client.get(f"{address(server)}/similar"))
    assert whole != found


def test_pages_of_a_stretch_are_embedded_once(server: Server) -> None:
    def windows() -> float:
        lines = server.client.get("/metrics").text.splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(EMBEDDED))

    place, query = f"{address(server)}/similar", {"start": 7, "end": 8.5, "k": 2}
    whole = hits(server.client.get(place, params={**query, "k": 10}))
    before, pages, cursor = windows(), [], ""
    while cursor is not None:
        page = server.client.get(place, params={**query, "cursor": cursor})
        pages += hits(page)
        cursor = page.json()["next"]
    assert pages == whole
    assert windows() == before
    other = server.client.get(place, params={**query, "k": 2}).json()["next"]
    refused = server.client.get(place, params={**query, "start": 7.1, "cursor": other})
    server.problem(refused, 422, "cursor: expected one of this very query")


def test_a_stretch_of_an_upload(server: Server, sounds: Path) -> None:
    data = (sounds / "long.wav").read_bytes()
    alone = cut(server, start=3, end=6).content
    expected = hits(server.upload(alone, "/v1/search/audio"))
    assert hits(server.upload(data, "/v1/search/audio", start=3, end=6)) == expected
    assert hits(server.upload(data, "/v1/search/audio?start=3&end=6")) == expected
    assert hits(server.upload(data, "/v1/search/audio?start=9&end=6", start=3)) == expected
    assert hits(server.upload(data, "/v1/search/audio")) != expected
    tail = hits(server.upload(data, "/v1/search/audio", start=11))
    assert tail == hits(server.upload(cut(server, start=11).content, "/v1/search/audio"))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"start": 3, "end": 3}, "end: expected seconds after the start, 3, got 3"),
        ({"start": -3}, "start: Input should be greater than or equal to 0"),
        ({"start": 14.5}, "start: expected less than the sound's 14 s, got 14.5"),
        ({"start": 600}, "start: expected less than 600 s, got 600"),
    ],
)
def test_uploads_without_such_a_stretch(
    server: Server, sounds: Path, fields: dict[str, float], says: str
) -> None:
    data = (sounds / "long.wav").read_bytes()
    response = server.upload(data, "/v1/search/audio", **fields)
    assert response.json() == server.upload(data, f"/v1/search/audio?{urlencode(fields)}").json()
    assert str(server.problem(response, 422, says)["type"]).endswith("invalid-request")


def test_a_file_that_is_shorter_by_now(writable: Server, writable_folder: Path) -> None:
    """What it lacks is an error before the answer begins, and ends it early after that."""
    sound = made.encoded(tiny.noise(40.0, seed=77))
    clip = writable.upload(sound, "/v1/clips", title="Cut short.WAV").json()
    [file] = [path for path in (writable_folder / "uploads").iterdir() if path.suffix == ".wav"
              and path.stat().st_size == len(sound)]  # fmt: skip
    file.write_bytes(sound[: len(sound) // 2])
    for kind in ("wav", "flac"):
        with pytest.raises(httpx.RemoteProtocolError):
            writable.client.get(clip["audio"], params={"start": 1, "end": 39, "format": kind})
    late = writable.client.get(clip["audio"], params={"start": 30})
    writable.problem(late, 422, "start: expected less than the sound's")
    whole = writable.client.get(clip["audio"], params={"start": 1, "end": 2})
    assert len(samples(whole.content)) == RATE
    name = 'inline; filename="Cut short 1.0-2.0 s.wav"'
    assert whole.headers["content-disposition"] == name
    file.unlink()
    writable.problem(writable.client.get(clip["audio"], params={"start": 1}), 410)
    log = writable.log.read_text()
    assert "a stretch is broken off: sound: expected" in log
    assert "ASGI callable" not in log  # an error of uvicorn's
    assert writable.client.delete(f"/v1/clips/{clip['id']}").status_code == 204


@pytest.mark.slow
def test_clients_that_leave_keep_nobody_waiting(writable: Server) -> None:
    noise = np.random.default_rng(0).integers(-9_000, 9_000, (96_000 * 50, 2), dtype=np.int16)
    clip = writable.upload(made.encoded(noise, 96_000), "/v1/clips", title="Left").json()
    address = f"{writable.client.base_url}{clip['audio']}?start=1"
    for _ in range(MAX_CUTS + 2):  # amid more than a connection holds
        with httpx.stream("GET", address, timeout=60) as response:
            assert next(response.iter_bytes())
    whole = writable.client.get(address)
    assert len(whole.content) == int(whole.headers["content-length"]) > 18_000_000
    assert writable.client.delete(f"/v1/clips/{clip['id']}").status_code == 204
