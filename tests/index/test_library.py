"""The library: add, search, similar, remove, info; other models, other processes, threads."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.index.catalogue.embedded_sound import SourceFile
from earmark.index.catalogue.metadata import Metadata
from earmark.index.errors import LibraryError, UnknownClipError
from earmark.index.ingest import bulk
from earmark.index.library import SNAPSHOT, Library
from earmark.index.search.moments import MomentFinder
from earmark.index.search.query import parse
from earmark.index.types import Page, SearchRequest
from earmark.model.embedder import Embedder
from earmark.model.encoders.load import load_embedder
from tests.index import made
from tests.model import tiny

WINDOW = 96 * 512 / tiny.RATE  # seconds


def add(library: Library, file: Path, **said: object) -> str:
    return library.add(
        [made.embed_file(library.embedder, SourceFile(file.resolve(), Metadata(**said)))]
    )[0]


def write(file: Path, seconds: float = 1.0, seed: int = 0) -> Path:
    soundfile.write(file, tiny.noise(seconds, seed=seed), tiny.RATE)
    return file


@pytest.fixture
def stocked(library: Library, tmp_path: Path) -> Library:
    """Eight different sounds with titles and tags."""
    for number, word in enumerate("dog rain wind car bell bird song drum".split()):
        file = write(tmp_path / f"file{number}.wav", seed=number)
        add(library, file, title=f"A {word} recording", tags=(word, "loud"))
    return library


def test_a_sound_is_found_by_its_own_sound_first(stocked: Library, tmp_path: Path) -> None:
    for number in range(8):
        embedding = stocked.embedder.embed_audio(tmp_path / f"file{number}.wav")
        hits = stocked.search_by_vector(embedding.vector, 3).hits
        assert hits[0].clip.path == str((tmp_path / f"file{number}.wav").resolve())
        assert hits[0].cosine == pytest.approx(1, abs=1e-5)
        assert (hits[0].vector_rank, hits[0].word_rank, hits[0].matched) == (1, None, ())
        assert [hit.vector_rank for hit in hits] == [1, 2, 3]
        others = stocked.search_by_clip(hits[0].clip.id, 3)
        assert [hit.clip.id for hit in others.hits[:2]] == [hit.clip.id for hit in hits[1:]]
        more = stocked.search_by_clip(hits[0].clip.id, 3, cursor=others.next).hits
        assert len({hit.clip.id for hit in others.hits + more} - {hits[0].clip.id}) == 6


def test_search_orders_by_the_cosines_of_the_model_and_by_words(stocked: Library) -> None:
    found = stocked.search("dog", 8)
    query = stocked.embedder.embed_tags([["dog"]])[0]
    by_vector = sorted(found.hits, key=lambda hit: hit.vector_rank)
    cosines = [float(stocked.catalogue.vector(hit.clip.row) @ query) for hit in by_vector]
    assert [hit.cosine for hit in by_vector] == pytest.approx(cosines, abs=1e-6)
    assert cosines == sorted(cosines, reverse=True)
    dog = next(hit for hit in found.hits if hit.clip.title == "A dog recording")
    assert found.hits[0] == dog
    assert (dog.word_rank, dog.matched) == (1, ("dog",))
    assert all(hit.word_rank is None for hit in found.hits[1:])
    assert found.understood.tags == ["dog"]
    assert found.generation == stocked.generation


def test_words_that_only_titles_know_still_find(stocked: Library) -> None:
    found = stocked.search("recordings zzzqqq", 3)
    assert found.understood.tags == []
    assert set(found.understood.ignored) >= {"zzzqqq"}
    assert len(found.hits) == 3
    assert all(hit.cosine is None and hit.vector_rank is None for hit in found.hits)
    assert all(hit.matched == ("recordings",) for hit in found.hits)
    assert stocked.search("zzzqqq", 3).hits == []
    for nothing in ("", "   ", "🐕", "the of and", '"', "\0", "\ud800"):
        assert stocked.search(nothing, 3).hits == []
    for wild in ("dog " * 100, "dog" + "x" * 10_000, 'dog" OR "rain', "dog\0rain", "-dog", "dog*"):
        assert isinstance(stocked.search(wild, 3).hits, list)


def test_more_hits_than_clips_and_no_hits(stocked: Library) -> None:
    assert len(stocked.search("dog", 1_000_000).hits) == 8
    assert stocked.search("dog", 0).hits == []


def test_an_empty_library_finds_nothing(library: Library) -> None:
    assert library.search("dog").hits == []
    assert library.search_by_vector(library.embedder.embed_tags([["dog"]])[0]).hits == []
    assert library.info()["clips"] == 0


def test_removed_clips_are_found_no_more_and_ids_are_all_or_none(stocked: Library) -> None:
    ids = [hit.clip.id for hit in stocked.search("dog", 8).hits]
    with pytest.raises(UnknownClipError, match="no clip 'nothing'"):
        stocked.remove([ids[1], "nothing"])
    assert len(stocked.search("dog", 8).hits) == 8
    stocked.remove(ids[:2])
    assert [hit.clip.id for hit in stocked.search("loud", 8).hits if hit.clip.id in ids[:2]] == []
    assert len(stocked.search("dog loud", 8).hits) == 6
    assert stocked.info()["indexed"] == stocked.info()["clips"] == 6


def test_info_tells_what_is_there(stocked: Library, tmp_path: Path) -> None:
    info = stocked.info()
    assert (info["clips"], info["indexed"], info["generation"]) == (8, 8, 8)
    assert info["seconds"] == pytest.approx(8.0)
    assert (info["fingerprint"], info["dim"]) == (stocked.embedder.fingerprint, 16)
    assert (info["index"], info["failures"]) == ("flat, exact, float32", {})


def test_long_sounds_say_where_the_match_is(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five windows of noise, but the fourth is a tone: the tone alone points at it."""
    count = round(WINDOW * tiny.RATE)
    samples = tiny.noise(5 * WINDOW + 0.5, seed=1)
    tone = tiny.sine(WINDOW, 880.0)
    samples[3 * count : 3 * count + len(tone)] = tone
    soundfile.write(tmp_path / "long.wav", samples, tiny.RATE)
    long = add(library, tmp_path / "long.wav")
    write(tmp_path / "short.wav", 9.5, seed=2)
    short = add(library, tmp_path / "short.wav")

    row = library.catalogue.clip(long).row
    starts, vectors = library.catalogue.windows([row])[row]
    expected = [*(np.arange(5) * WINDOW)]
    np.testing.assert_allclose(starts[:5], expected, atol=1e-6)
    assert len(starts) == len(vectors) == 6  # the last, aligned to the end, covers the rest
    assert starts[5] + WINDOW == pytest.approx(len(samples) / tiny.RATE, abs=0.03)
    assert not library.catalogue.windows([library.catalogue.clip(short).row])

    query = library.embedder.embed_audio(_wav(tone)).vector
    hits = {hit.clip.id: hit for hit in library.search_by_vector(query).hits}
    assert hits[long].start == pytest.approx(3 * WINDOW)
    assert hits[short].start == 0.0
    assert library.info()["clips_with_windows"] == 1

    monkeypatch.setattr(MomentFinder, "find", None)  # not called
    for plain in ({"moments": 0}, {"fields": ("title",)}):
        (page,) = library.search_batch([SearchRequest(parse("dog"), **plain)])
        assert isinstance(page, Page)
        assert [(hit.start, hit.moments) for hit in page.hits] == 2 * [(0.0, ())]


def _wav(samples: np.ndarray) -> bytes:
    import io

    file = io.BytesIO()
    soundfile.write(file, samples, tiny.RATE, format="WAV")
    return file.getvalue()


def test_another_models_library_is_refused_with_the_way_out(
    stocked: Library, other_model: Path, tmp_path: Path
) -> None:
    other = load_embedder(other_model)
    with pytest.raises(LibraryError, match="made by the model") as caught:
        Library.open(stocked.folder, other)
    message = str(caught.value)
    assert stocked.embedder.fingerprint in message
    assert other.fingerprint in message
    assert f"earmark add {stocked.folder} --library NEW_FOLDER" in message
    with pytest.raises(LibraryError, match="made by the model"):
        Library.open(stocked.folder, other, create=True)

    # And what it says works: every sound, embedded anew, with all that was said of it.
    with Library.open(tmp_path / "new", other, create=True) as new:
        report = bulk.add(new, [stocked.folder], made.embed_here)
        assert (len(report.added), report.failed) == (8, {})
        assert [(clip.id, clip.title, clip.tags) for clip in new.catalogue.clips()] == [
            (clip.id, clip.title, clip.tags) for clip in stocked.catalogue.clips()
        ]
        assert new.search("dog").hits[0].clip.title == "A dog recording"


def test_the_snapshot_is_kept_and_an_older_one_catches_up(
    stocked: Library, embedder: Embedder, tmp_path: Path
) -> None:
    folder = stocked.folder
    stocked.search("dog")
    stocked.close()
    snapshot = folder / SNAPSHOT
    old = snapshot.read_bytes()
    with Library.open(folder, embedder) as library:
        assert len(library.store) == 8
        library.remove([library.search("rain", 1).hits[0].clip.id])
        add(library, write(tmp_path / "file0.wav", seed=100), title="changed")
        add(library, write(tmp_path / "new.wav", seed=101), title="new one")
        expected = brute_force(library)
    assert snapshot.read_bytes() != old
    snapshot.write_bytes(old)
    with Library.open(folder, embedder) as library:
        assert library.store.generation == library.generation == 11
        assert brute_force(library) == expected


def brute_force(library: Library) -> list[str]:
    """Ids by cosine with "dog": checked to be what the catalogue's own vectors give."""
    query = library.embedder.embed_tags([["dog"]])[0]
    clips = library.catalogue.clips()
    exact = sorted(clips, key=lambda clip: -float(library.catalogue.vector(clip.row) @ query))
    found = [hit.clip.id for hit in library.search_by_vector(query, 1000).hits]
    assert found == [clip.id for clip in exact]
    return found


@pytest.mark.parametrize("harm", ["cut", "zeroed", "flipped", "newer", "another"])
def test_a_snapshot_not_to_be_trusted_is_built_anew(
    stocked: Library, embedder: Embedder, tmp_path: Path, harm: str
) -> None:
    expected = brute_force(stocked)
    stocked.close()
    snapshot = stocked.folder / SNAPSHOT
    data = bytearray(snapshot.read_bytes())
    if harm == "cut":
        del data[len(data) // 2 :]
    elif harm == "zeroed":
        data[:] = bytes(len(data))
    elif harm == "flipped":
        data[-20] ^= 4
    elif harm == "another":
        with Library.open(tmp_path / "another", embedder, create=True) as another:
            add(another, tmp_path / "file0.wav")
            another.search("dog")
        data = bytearray((tmp_path / "another" / SNAPSHOT).read_bytes())
    else:  # the catalogue was put back from a copy that is older than the snapshot
        copy = (stocked.folder / "catalogue.sqlite").read_bytes()
        with Library.open(stocked.folder, embedder) as library:
            add(library, write(tmp_path / "later.wav", seed=55))
            library.search("dog")
        data = bytearray(snapshot.read_bytes())
        (stocked.folder / "catalogue.sqlite").write_bytes(copy)
    snapshot.write_bytes(data)
    with Library.open(stocked.folder, embedder) as library:
        assert brute_force(library) == expected
        assert len(library.store) == 8


def test_what_another_process_adds_and_removes_is_seen(
    library: Library, model_folder: Path, tmp_path: Path
) -> None:
    files = made.write_sounds(tmp_path / "sounds", 3)
    assert library.search("noise").hits == []
    done = made.earmark(
        "add", tmp_path / "sounds", "--library", library.folder, "--model", model_folder
    )
    assert done.returncode == 0, done.stderr
    hits = library.search("noise").hits
    assert {hit.clip.path for hit in hits} == {str(file.resolve()) for file in files}
    vector = library.embedder.embed_audio(files[1]).vector
    assert library.search_by_vector(vector, 1).hits[0].clip.path == str(files[1].resolve())
    removed = hits[0].clip.id
    done = made.earmark("remove", removed, "--library", library.folder, "--model", model_folder)
    assert done.returncode == 0, done.stderr
    assert removed not in [hit.clip.id for hit in library.search("noise").hits]
    assert len(library.search_by_vector(vector, 10).hits) == 2


def test_searching_while_others_add_and_remove_never_fails(
    stocked: Library, tmp_path: Path
) -> None:
    sounds = [
        made.embed_file(stocked.embedder, SourceFile(file))
        for file in made.write_sounds(tmp_path / "more", 12)
    ]
    vector, stop, problems, answers = sounds[0].embedding.vector, threading.Event(), [], []

    def search() -> None:
        while not stop.is_set():
            try:
                found = stocked.search("dog noise loud", 30)
                ids = [hit.clip.id for hit in found.hits]
                answers.append(len(ids) == len(set(ids)) and len(ids) >= 8)
                stocked.search_by_vector(vector, 30)
                stocked.info()
            except Exception as error:  # noqa: BLE001 (any at all is what this looks for)
                problems.append(error)
                return

    stocked.refresh()  # a search does not wait while another thread refreshes
    readers = [threading.Thread(target=search) for _ in range(3)]
    for reader in readers:
        reader.start()
    for _ in range(6):
        ids = [clip_id for sound in sounds for clip_id in stocked.add([sound])]
        stocked.remove(ids[::2])
        stocked.remove(ids[1::2])
    stop.set()
    for reader in readers:
        reader.join()
    assert problems == []
    assert answers
    assert all(answers)
    assert len(stocked.search("loud", 100).hits) == 8
