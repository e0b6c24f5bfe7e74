"""Collections as files over HTTP, live: streamed, in ranges, unchanged, refused, broken off."""

from __future__ import annotations

import io
import os
import socket
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from earmark.index.catalogue.catalogue import Catalogue
from earmark.service.workers import handovers
from tests.service import sounds
from tests.service.library_edits import add
from tests.service.server_process import Server

EXPORT = "/v1/collections/hand-over/export"
LARGE = 60_000_000  # bytes of the last sound: more than sockets hold


@pytest.fixture(scope="module")
def files(writable: Server, writable_folder: Path) -> Iterator[list[Path]]:
    """The files of four sounds in the collection `hand-over`, of which the last is large.

    No sound is decoded to hand it over, so that one is filled up with zeros after it was added.
    """
    ids = [
        str(add(writable, sounds.noise(0.3, seed=950 + number), title=str(number))["id"])
        for number in range(4)
    ]
    catalogue = Catalogue.open(writable_folder)
    paths = [Path(catalogue.clip(clip_id).path) for clip_id in ids]
    catalogue.close()
    os.truncate(paths[3], LARGE)
    made = writable.client.post("/v1/collections", json={"name": "Hand over", "clips": ids})
    assert made.status_code == 201, made.text
    yield paths
    for clip_id in ids:
        writable.client.delete(f"/v1/clips/{clip_id}")
    writable.client.delete("/v1/collections/hand-over")


def test_a_zip_arrives_before_its_last_file_is_read(writable: Server, files: list[Path]) -> None:
    """The last file changes when the first bytes are there: it is seen then, and told."""
    large = files[3]
    state = large.stat()
    with writable.client.stream("GET", EXPORT) as response:
        size = int(response.headers["content-length"])
        assert (response.status_code, response.headers["content-type"]) == (200, "application/zip")
        assert response.headers["content-disposition"] == 'attachment; filename="Hand over.zip"'
        pieces = response.iter_raw(10_000)
        assert next(pieces).startswith(b"PK\3\4")
        os.truncate(large, LARGE - 1)
        with pytest.raises(httpx.RemoteProtocolError):
            assert sum(map(len, pieces)) < size
    os.truncate(large, LARGE)
    os.utime(large, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_a_zip_is_whole_and_resumed_where_it_ended(writable: Server, files: list[Path]) -> None:
    whole = writable.client.get(EXPORT)
    tag = whole.headers["etag"]
    with zipfile.ZipFile(io.BytesIO(whole.content)) as opened:
        assert opened.testzip() is None
        names = opened.namelist()
        assert names == ["ATTRIBUTION.txt", "manifest.csv", *(f"sounds/{n}.wav" for n in range(4))]
        assert opened.read("sounds/1.wav") == files[1].read_bytes()
    size = len(whole.content)
    for header, first, last in (
        (f"bytes={size - 300_000}-", size - 300_000, size - 1),
        ("bytes=100-199", 100, 199),
        ("bytes=-10", size - 10, size - 1),
    ):
        part = writable.client.get(EXPORT, headers={"Range": header, "If-Range": tag})
        assert part.status_code == 206
        assert part.headers["content-range"] == f"bytes {first}-{last}/{size}"
        assert part.content == whole.content[first : last + 1]
    for headers, status in (
        ({"If-None-Match": tag}, 304),
        ({"Range": f"bytes={size}-"}, 416),
    ):
        assert writable.client.get(EXPORT, headers=headers).status_code == status
    head = writable.client.head(EXPORT)
    assert (head.headers["content-length"], head.headers["etag"]) == (str(size), tag)
    other = {"Range": "bytes=0-9", "If-Range": '"other"'}
    with writable.client.stream("GET", EXPORT, headers=other) as response:
        assert response.status_code == 200


def test_tables_have_no_paths_and_are_sent_once(writable: Server, files: list[Path]) -> None:
    for kind, media in (("csv", "text/csv; charset=utf-8"),
                        ("parquet", "application/vnd.apache.parquet")):  # fmt: skip
        response = writable.client.get(EXPORT, params={"format": kind})
        assert response.headers["content-type"] == media
        assert f'filename="Hand over.{kind}"' in response.headers["content-disposition"]
        assert str(files[0].parent).encode() not in response.content
        tag = {"If-None-Match": response.headers["etag"]}
        again = writable.client.get(EXPORT, params={"format": kind}, headers=tag)
        assert again.status_code == 304
    for params, status in (({"format": "rar"}, 422), ({"format": ""}, 422)):
        assert writable.client.get(EXPORT, params=params).status_code == status
    assert writable.client.get("/v1/collections/none/export").status_code == 404


def test_one_client_has_two_at_once_and_others_are_answered(
    writable: Server, files: list[Path]
) -> None:
    request = f"GET {EXPORT} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    stalled = [socket.create_connection(("127.0.0.1", writable.port)) for _ in range(2)]
    try:
        for connection in stalled:
            connection.sendall(request)
            assert connection.recv(1_000).startswith(b"HTTP/1.1 200")  # and no more
        refused = writable.client.get(EXPORT)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        assert refused.json()["type"].endswith("/busy")
        assert writable.client.get("/v1/search", params={"q": "dog"}).status_code == 200
    finally:
        for connection in stalled:
            connection.close()
    until = time.monotonic() + 30
    while not writable.client.get(EXPORT, params={"format": "csv"}).is_success:
        assert time.monotonic() < until, "the places of clients that have left are free"


def test_known_checksums_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handovers, "MAX_CHECKSUMS", 2)
    known = handovers.KnownChecksums()
    for name in "abc":
        known[name, 0, 0] = 1
    assert dict(known) == {("c", 0, 0): 1}
