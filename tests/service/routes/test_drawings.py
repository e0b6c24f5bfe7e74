"""Spectrograms of clips over HTTP: of the whole and of a stretch, limits, conditions."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from earmark.model.audio.decode import SoundReader
from earmark.model.audio.stretch import Stretch
from earmark.model.drawing.spectrogram import Canvas, Spectrogram
from tests.model.tiny import RATE
from tests.service.routes.test_stretches import SECONDS, address
from tests.service.server_process import Server


def get(server: Server, **query: object) -> httpx.Response:
    return server.client.get(f"{address(server)}/spectrogram", params=query)


def pixels(response: httpx.Response) -> np.ndarray:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(response.content)) as image:
        return np.asarray(image)


def expected(stretch: Stretch, width: int, height: int, seconds: float) -> np.ndarray:
    spectrogram = Spectrogram(Canvas(width, height, seconds), RATE)
    for block in SoundReader(stretch, RATE).blocks():
        spectrogram.add(block)
    return spectrogram.image()


def test_the_whole_and_a_stretch(server: Server, sounds: Path) -> None:
    whole = pixels(get(server, width=60, height=30))
    assert np.array_equal(whole, expected(Stretch(sounds / "long.wav"), 60, 30, SECONDS))
    part = get(server, width=60, height=30, start=12.5, end=13.25)
    stretch = Stretch(sounds / "long.wav", 12.5, 13.25)
    assert np.array_equal(pixels(part), expected(stretch, 60, 30, 0.75))
    assert pixels(get(server)).shape == (160, 800)


def test_what_a_client_has_is_not_sent_again(server: Server) -> None:
    first = get(server, width=50)
    assert first.headers["cache-control"] == "no-cache"
    tags = {get(server, **query).headers["etag"] for query in ({}, {"height": 9}, {"start": 1})}
    assert first.headers["etag"] not in tags
    assert len(tags) == 3
    again = server.client.get(first.request.url, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"width": 0}, "width: Input should be greater than or equal to 1"),
        ({"width": 2_001}, "width: Input should be less than or equal to 2000"),
        ({"height": 513}, "height: Input should be less than or equal to 512"),
        ({"end": 0.001}, "sound: expected at least 5 ms of sound"),
    ],
)
def test_sizes_that_are_none(server: Server, query: dict[str, object], says: str) -> None:
    server.problem(get(server, **query), 422, says)
    refused = server.client.patch(f"{address(server)}/spectrogram", json={})
    server.problem(refused, 405, "read-only")
