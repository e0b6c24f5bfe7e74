"""The Python client, plain and awaited, at a real server that also refuses."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from earmark.index.ingest import bulk
from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from earmark.service.auth.api_keys import KeyFile
from earmark.service.client.client import AsyncClient, Client
from earmark.service.client.errors import ProblemError
from earmark.service.client.events import Event, EventReader, Retries
from tests.conftest import ROOT
from tests.service import sounds as made
from tests.service.server_process import serving

SOUND = made.noise(1.0, seed=33)
LONG = made.noise(60.0, seed=4)


@pytest.fixture(scope="module")
def base(
    tmp_path_factory: pytest.TempPathFactory, model_folder: Path, sounds: Path
) -> Iterator[tuple[str, str]]:
    """Where a server is that wants a key for writing and has little patience, and the key."""
    folder = tmp_path_factory.mktemp("client")
    with Library.open(folder / "library", load_embedder(model_folder), create=True) as library:
        bulk.add(library, [sounds / "dog.wav", sounds / "rain.wav", sounds / "bell.wav"])
    settings = {
        "EARMARK_KEYS": str(folder / "keys"),
        "EARMARK_REQUIRE_KEY": "always",
        "EARMARK_RATE_SEARCHES": "20/second",
    }
    key = KeyFile(folder / "keys").add("client", "write")
    arguments = ("--library", folder / "library", "--model", model_folder)
    log = folder / "log"
    with serving(log, *arguments, **settings) as server:
        yield f"http://127.0.0.1:{server.port}", key
        assert "Traceback" not in log.read_text()


@pytest.fixture
def client(base: tuple[str, str]) -> Iterator[Client]:
    with Client(*base) as client:
        yield client


def test_words_and_sounds(client: Client, sounds: Path) -> None:
    found = client.search("dog", k=2, max_duration=60)
    assert found.hits[0].title == "dog"
    assert found.understood == ["dog"]
    clip_id = found.hits[0].id
    weighted = client.search("dog", tags={"rain": -1.0}, k=1, distinct=True)
    assert weighted.without == ["rain"]
    assert client.search_audio(sounds / "dog.wav", k=1).hits[0].id == clip_id
    assert clip_id not in [hit.id for hit in client.similar(clip_id).hits]
    assert client.search("dog", tag=["nothing"]).hits == []
    half = [client.search("engi", typing=typing).guessed for typing in (False, True)]
    assert half == [{}, {"engi": "engine"}]


def test_an_id_is_one_part_of_a_path(client: Client) -> None:
    for name in (".", "..", "../x", "%2e", "?"):
        for call in (client.clip, client.clip_tags):
            with pytest.raises(ProblemError, match=r"no clip '[.%?]"):
                call(name)
    for call in (client.collection, client.collection_page):
        with pytest.raises(ProblemError, match=r"none has the id '\.\.'"):
            call("..")


def test_stretches_of_sounds(client: Client) -> None:
    added = client.upload(LONG, title="A long one")
    part = client.audio(added.id, start=20.0, end=23.5)
    found, rate = soundfile.read(io.BytesIO(part), dtype="int16")
    whole, _ = soundfile.read(io.BytesIO(LONG), dtype="int16")
    np.testing.assert_array_equal(found, whole[20 * rate : round(23.5 * rate)])
    assert client.audio(added.id, start=20, end=20.5, format="flac")[:4] == b"fLaC"
    drawn = client.waveform(added.id, points=5, start=59.0)
    assert (len(drawn.peaks), drawn.duration) == (5, pytest.approx(1.0))
    by_part = client.search_audio(part, k=5, tag=["nothing"], min_probability=0)
    assert by_part.hits == []
    alike = [hit.id for hit in client.search_audio(part).hits]
    heard: list[float] = []
    again = client.search_audio(LONG, start=20.0, end=23.5, progress=heard.append)
    assert [hit.id for hit in again.hits] == alike
    assert max(heard) < 5
    similar = client.similar(added.id, start=20.0, end=23.5)
    assert [hit.id for hit in similar.hits] == [name for name in alike if name != added.id]
    found_moments = [client.search_audio(part, k=1, moments=n).hits[0].moments for n in (0, 1)]
    assert [len(moments) for moments in found_moments] == [0, 1]
    assert len(client.search("dog", tags={"rain": 0.5}, moments=0).hits[0].moments) == 0
    with pytest.raises(ProblemError, match="end: expected seconds after the start, 2, got 1"):
        client.similar(added.id, start=2, end=1)
    client.delete(added.id)


def test_many_are_edited_and_what_was_done_is_undone(client: Client) -> None:
    ids = [clip.id for clip in client.clips()][:2]
    done = client.edit_many(ids, add_tags=["old reel"], author="Fay")
    assert (done.changed, done.unchanged) == (2, 0)
    again = client.edit_many(where={"tag": ["old-reel"]}, author="Gus")
    assert (again.changed, client.edits(k=1).edits[0].number) == (2, again.number)
    past = client.history(ids[0], k=1).changes[0]
    assert (past.made_by, past.means) == ("client", "bulk-edit")
    assert (past.before.author, past.after.author) == ("Fay", "Gus")
    assert [client.undo(edit.number).conflicts for edit in client.edits(k=2).edits] == [0, 0]
    assert "old-reel" not in client.clip(ids[0]).tags


def test_collections_are_kept_and_handed_over(client: Client) -> None:
    dog, rain = (client.search(word).hits[0].id for word in ("dog", "rain"))
    made = client.create_collection("Wet dogs", description="For Ann", clips=[dog])
    assert (made.id, made.clips, made.follows) == ("wet-dogs", 1, None)
    assert client.change_collection("wet-dogs", add=[rain], before=dog).clips == 2
    assert [clip.id for clip in client.collection_page("wet-dogs").clips] == [rain, dog]
    assert client.edit_collection("wet-dogs", name="Wet").name == "Wet"
    follows = {"q": "bell", "collection": ["wet-dogs"]}
    assert client.create_collection("Bells", follows=follows).follows is not None
    listed = client.collections().collections
    assert [one.id for one in listed] == ["favourites", "bells", "wet-dogs"]
    assert {clip.id for clip in client.clips(collection=["wet-dogs"])} == {dog, rain}
    packed = b"".join(client.export_collection("wet-dogs"))
    assert packed.startswith(b"PK") and client.collection("wet-dogs").clips == 2
    assert b"".join(client.export_collection("wet-dogs", "csv")).startswith(b"path,id,title")
    for collection_id in ("bells", "wet-dogs"):
        client.delete_collection(collection_id)
    with pytest.raises(ProblemError, match="none has the id"):
        client.collection("wet-dogs")


def test_suggesting_and_classifying(client: Client) -> None:
    heard: list[float] = []
    suggested = client.tags(LONG, k=3, known=["dog"], progress=heard.append)
    assert suggested == client.tags(LONG, k=3, known=["dog"])
    assert suggested.known == ["dog"]
    assert heard == sorted(heard)
    assert 0 < heard[0] <= heard[-1] <= 61
    classes = client.classify(SOUND, ["dog", "rain"]).classes
    assert sum(each.probability for each in classes) == pytest.approx(1.0)
    several = client.classify(SOUND, {"pet": ["dog", "cat"]}, multiple=True)
    assert [each.label for each in several.classes] == ["pet"]


def test_a_problem_among_events_is_raised(client: Client) -> None:
    with pytest.raises(ProblemError, match="not a sound") as caught:
        client.tags(b"text " * 100, progress=lambda _: None)
    assert (caught.value.type, caught.value.status) == ("not-a-sound", 422)


def test_a_clip_from_upload_to_removal(client: Client) -> None:
    added = client.upload(SOUND, name="a/b ü?.wav", tags=["glass", "break"], licence="CC0-1.0")
    assert (added.title, added.tags, added.twin) == ("b ü?", ["glass", "break"], None)
    assert client.clip(added.id).licence == "CC0-1.0"
    assert client.edit(added.id, title="Glass", tags=[]).tags == []
    assert client.audio(added.id) == SOUND
    assert len(client.waveform(added.id, points=7).peaks) == 7
    assert client.spectrogram(added.id, width=7, start=0.2).startswith(b"\x89PNG")
    heard = client.timeline(added.id, tags=["dog", "rain"])
    assert ([lane.tag for lane in heard.tags], heard.duration) == (["dog", "rain"], 1.0)
    table = client.label_file(added.id, "csv", tags=["dog"])
    assert table.startswith(b"onset,offset,tag,score")
    assert len(client.clip_tags(added.id, k=2).tags) == 2
    assert [each.label for each in client.classify_clip(added.id, ["dog"], multiple=True).classes]
    given = client.feedback(added.id, accepted=["glass"])
    assert client.feedback_given(k=1).feedback == [given]
    assert client.feedback(SOUND, rejected=["dog"]).clip is None
    assert client.delete(added.id) is None
    with pytest.raises(ProblemError, match=added.id) as caught:
        client.clip(added.id)
    assert (caught.value.type, caught.value.status) == ("unknown-clip", 404)


def test_all_clips_page_by_page(client: Client) -> None:
    ids = [clip.id for clip in client.clips(k=1, sort="id")]
    assert ids == sorted(ids)
    assert len(ids) == len(set(ids)) == client.clips_page(k=1).total
    assert [clip.title for clip in client.clips(tag=["nothing"])] == []


def test_many_at_once(client: Client) -> None:
    job = client.submit([made.noise(0.5, seed=8), b"text"], source="Tapes")
    events = list(client.events(job.id))
    assert (events[-1].kind, events[-1].data["state"]) == ("done", "done")
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert list(client.events(job.id, after=len(events) - 1)) == events[-1:]
    ended = client.job(job.id)
    assert (len(ended.added), [each.part for each in ended.failed]) == (1, [1])
    assert client.cancel(job.id).state == "done"
    with pytest.raises(ProblemError, match="404 not-found"):
        next(client.events(job.id))
    client.delete(ended.added[0])


def test_a_refused_call_is_tried_again(base: tuple[str, str]) -> None:
    with Client(*base, retries=Retries(0)) as impatient:
        with pytest.raises(ProblemError, match="429 too-many-requests") as caught:
            for _ in range(60):
                impatient.model()
        assert caught.value.retry_after is not None
        assert caught.value.retry_after >= 1
    with Client(*base) as patient:
        for _ in range(25):
            assert patient.model().dim > 0


def test_no_key(base: tuple[str, str]) -> None:
    with Client(base[0]) as client, pytest.raises(ProblemError, match="401 unauthorized"):
        client.upload(SOUND)
    with Client("http://127.0.0.1:1") as client, pytest.raises(httpx.ConnectError):
        client.model()


def test_awaited(base: tuple[str, str]) -> None:
    async def run() -> None:
        async with AsyncClient(*base) as client:
            found, card = await asyncio.gather(client.search("dog", k=1), client.model())
            assert found.hits[0].title == "dog"
            assert card.dim > 0
            heard: list[float] = []
            suggested = await client.tags(LONG, k=2, progress=heard.append)
            assert heard
            assert suggested == await client.tags(LONG, k=2)
            assert len([clip async for clip in client.clips(k=1)]) == 3
            job = await client.submit([made.noise(0.5, seed=9)])
            events = [event async for event in client.events(job.id)]
            assert events[-1].kind == "done"
            await client.delete((await client.job(job.id)).added[0])
            with pytest.raises(ProblemError, match="unknown-clip"):
                await client.audio("nothing")
            with pytest.raises(ProblemError, match="not-found"):
                _ = [event async for event in client.events("nothing")]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "retry_after", "tries", "safe", "wait"),
    [
        (429, 2.0, 1, False, 2.0),
        (429, None, 3, True, 2.0),
        (429, 61.0, 1, True, None),
        (429, 1.0, 4, True, None),
        (503, None, 1, True, 0.5),
        (503, 1.0, 1, False, None),
        (500, 1.0, 1, True, None),
    ],
)
def test_what_is_tried_again(
    status: int, retry_after: float | None, tries: int, safe: bool, wait: float | None
) -> None:
    problem = ProblemError("busy", status, "Busy", "busy", retry_after)
    assert Retries().wait(problem, tries, safe) == wait


def test_events_from_lines() -> None:
    reader = EventReader()
    lines = [": ping", "", "id: 4", "event:failed", 'data: {"a": 1}', "", 'data: {"b": 2}', ""]
    assert [event for line in lines if (event := reader.feed(line))] == [
        Event("failed", {"a": 1}, 4),
        Event("message", {"b": 2}),
    ]


def test_an_answer_that_is_no_problem() -> None:
    error = ProblemError.of(502, {"retry-after": "Wed, 21 Oct"}, b"<html>\xff" + b"x" * 900)
    assert (error.type, error.status, error.retry_after) == ("unknown", 502, None)
    assert len(error.detail) == 200


def test_it_is_light() -> None:
    code = (
        "import sys, earmark.service.client.client\n"
        "heavy = {'torch', 'faiss', 'fastapi', 'starlette', 'av', 'librosa'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_a_sound_is_taught(client: Client) -> None:
    dog, rain = (client.search(word).hits[0].id for word in ("dog", "rain"))
    made = client.create_classifier("Client's dog", tag="rex")
    assert client.edit_classifier(made.id, tag="fido").tag == "fido"
    taught = client.teach(made.id, [{"clip": dog, "is": True}, {"clip": rain, "is": False}])
    assert (taught.positives, taught.negatives) == (1, 1)
    assert [label.is_it for label in client.taught_labels(made.id).labels] == [False, True]
    assert client.classifier_hits(made.id, k=1).hits[0].id == dog
    assert {dog, rain}.isdisjoint(hit.id for hit in client.ask_for_labels(made.id).hits)
    other = client.import_classifier(client.export_classifier(made.id), name="Other dog")
    assert [one.id for one in client.classifiers().classifiers] == [made.id, other.id]
    client.delete_classifier(other.id)
    assert client.classifier(made.id).version == taught.version
    client.delete_classifier(made.id)
