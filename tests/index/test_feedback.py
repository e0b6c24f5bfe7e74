"""Feedback: kept with its clip or with a sound of its own, and exported to train on."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from earmark.index import feedback
from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.errors import LibraryError, StorageError, UnknownClipError
from earmark.index.feedback import Feedback, Opinion
from earmark.index.ingest import bulk
from earmark.index.library import Library
from earmark.model.core.manifest import read_manifest
from earmark.model.embedder import Embedder
from earmark.training.corpora.detect import read_corpus
from tests.index import made
from tests.service import sounds


@pytest.fixture
def clip_id(library: Library, tmp_path: Path) -> str:
    """A clip whose file lies outside the library."""
    (file,) = made.write_sounds(tmp_path / "sounds", 1)
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(
        "path,title,tags,licence,source,id\n"
        f"sounds/{file.name},Rain,rain Roof,CC0-1.0,Tapes,my/№ 1\n"
    )
    [added] = bulk.add(library, [manifest], made.embed_here).added
    return added


def on_sound(library: Library, sound: bytes, opinion: Opinion) -> Feedback:
    staged = library.feedback_sounds.stage(io.BytesIO(sound))
    try:
        info = library.embedder.embed_audio(staged.path).info
        return feedback.add_for_sound(library, staged, info.sha256, "A take", opinion)
    finally:
        staged.close()


def manifest(library: Library, *, absolute: bool) -> str:
    return feedback.manifest(library.folder, library.catalogue, absolute=absolute)


def rows(library: Library, *, absolute: bool = False) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(manifest(library, absolute=absolute))))


def test_an_opinion_on_a_clip_is_kept_as_it_was_given(
    library: Library, clip_id: str, embedder: Embedder
) -> None:
    generation = library.generation
    given = feedback.add_for_clip(library, clip_id, Opinion(("storm",), ("roof", "wind"), "ann"))
    assert (given.clip, given.accepted, given.rejected) == (clip_id, ("storm",), ("roof", "wind"))
    assert (given.by, given.fingerprint, given.sound) == ("ann", embedder.fingerprint, "")
    assert given.at.endswith("+00:00")
    assert feedback.newest(library.catalogue, 9) == [given]
    assert library.generation == generation  # nothing that is searched has changed
    library.close()
    again = Catalogue.open(library.folder)
    assert feedback.newest(again, 9) == [given]
    again.close()


@pytest.mark.parametrize(
    ("accepted", "rejected", "says"),
    [
        ((), (), "expected at least one tag, got none"),
        (("rain",), ("Rain",), "rejected: expected no accepted tag, got 'rain'"),
        (("x" * 201,), (), "tag: expected at most 200 characters"),
        ((), tuple(map(str, range(1_001))), "tags: expected at most 1000, got 1001"),
    ],
)
def test_opinions_that_say_nothing_or_too_much(
    accepted: tuple[str, ...], rejected: tuple[str, ...], says: str
) -> None:
    with pytest.raises(LibraryError, match=says):
        Opinion(accepted, rejected)


def test_an_opinion_on_no_clip(library: Library) -> None:
    with pytest.raises(UnknownClipError, match="no clip 'nothing'"):
        feedback.add_for_clip(library, "nothing", Opinion(("rain",), ()))


def test_feedback_goes_with_its_clip(library: Library, clip_id: str) -> None:
    feedback.add_for_clip(library, clip_id, Opinion(("storm",), ()))
    library.remove([clip_id])
    assert feedback.newest(library.catalogue, 9) == []
    assert rows(library) == []


def test_the_newest_first_page_by_page(library: Library, clip_id: str) -> None:
    tags = [f"tag{number}" for number in range(5)]
    for tag in tags:
        feedback.add_for_clip(library, clip_id, Opinion((tag,), ()))
    first = feedback.newest(library.catalogue, 3)
    rest = feedback.newest(library.catalogue, 3, first[-1].number)
    assert [each.accepted[0] for each in (*first, *rest)] == tags[::-1]
    assert feedback.count(library.catalogue) == 5


def test_the_manifest_has_each_sounds_tags_after_all_opinions(
    library: Library, clip_id: str
) -> None:
    feedback.add_for_clip(library, clip_id, Opinion(("storm", "hail"), ("roof",)))
    feedback.add_for_clip(library, clip_id, Opinion(("wind",), ("HAIL", "unheard")))
    on_sound(library, sounds.noise(0.5), Opinion(("bell",), ("dog",)))
    on_sound(library, sounds.noise(0.5), Opinion(("church",), ()))
    on_sound(library, sounds.noise(0.5, seed=9), Opinion((), ("dog",)))
    clip, own = rows(library)
    assert clip["tags"] == "rain storm wind"
    assert (clip["title"], clip["licence"], clip["source"]) == ("Rain", "CC0-1.0", "Tapes")
    assert (own["tags"], own["title"], own["id"]) == ("bell church", "A take", "")
    # A sound is kept once; one of which no tag is left is no example.
    kept = {path.name for path in (library.folder / "feedback").glob("*.wav")}
    assert len(kept) == 2
    assert Path(own["path"]).name in kept


def test_tags_are_compared_by_their_keys(library: Library, clip_id: str) -> None:
    library.edit(clip_id, {"tags": ("Café", "Straße", "rain")})
    feedback.add_for_clip(library, clip_id, Opinion(("cafe\u0301", "WIND"), ("STRASSE",)))
    [clip] = rows(library)
    assert clip["tags"] == "Café rain WIND"
    with pytest.raises(LibraryError, match="rejected: expected no accepted tag, got 'Straße'"):
        Opinion(("rain", "Straße"), ("strasse",))


def test_paths_are_relative_over_http_and_absolute_on_the_machine(
    library: Library, clip_id: str
) -> None:
    feedback.add_for_clip(library, clip_id, Opinion(("storm",), ()))
    on_sound(library, sounds.noise(0.5), Opinion(("bell",), ()))
    clip, own = rows(library)
    assert clip["path"] == "clips/my%2F%E2%84%96%201.wav"
    assert own["path"].startswith("feedback/")
    assert str(library.folder) not in manifest(library, absolute=False)
    for each in rows(library, absolute=True):
        assert Path(each["path"]).is_file()


def test_training_reads_the_manifest(library: Library, clip_id: str, tmp_path: Path) -> None:
    library.edit(clip_id, {"title": '=1+1, "heavy"\nRain', "author": "'-Ann"})
    feedback.add_for_clip(library, clip_id, Opinion(("storm",), ()))
    on_sound(library, sounds.noise(0.5), Opinion(("bell",), ()))
    out = tmp_path / "to-train-on.csv"
    done = made.earmark("feedback", "--library", library.folder, "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"2 sounds in {out}\n"
    read = read_corpus(out)
    assert read == read_manifest(out)
    assert [each.tags for each in read] == [("rain", "Roof", "storm"), ("bell",)]
    assert all(each.path.is_file() for each in read)
    assert (read[0].title, read[0].author) == ('=1+1, "heavy" Rain', "'-Ann")


@pytest.mark.parametrize("name", ["list.jsonl", "list.parquet"])
def test_a_manifest_in_other_formats(
    library: Library, clip_id: str, tmp_path: Path, name: str
) -> None:
    library.edit(clip_id, {"title": "=1+1", "author": "Ann"})
    feedback.add_for_clip(library, clip_id, Opinion(("storm",), ()))
    on_sound(library, sounds.noise(0.5), Opinion(("bell",), ()))
    assert feedback.export(library.folder, tmp_path / "list.csv") == 2
    assert feedback.export(library.folder, tmp_path / name) == 2
    assert read_manifest(tmp_path / name) == read_manifest(tmp_path / "list.csv")


def test_an_export_that_cannot_be(library: Library, clip_id: str, tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    with pytest.raises(LibraryError, match="expected feedback or a review to export, got none"):
        feedback.export(library.folder, out)
    with pytest.raises(LibraryError, match="made by `earmark add`"):
        feedback.export(tmp_path, out)
    assert not out.exists()
    feedback.add_for_clip(library, clip_id, Opinion(("storm",), ()))
    with pytest.raises(StorageError, match=r"nowhere/a\.csv: No such file"):
        feedback.export(library.folder, tmp_path / "nowhere" / "a.csv")
