"""Handing over a collection: what is in the ZIP and the tables, and that `earmark add` reads it."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.index.catalogue.embedded_sound import SourceFile
from earmark.index.catalogue.metadata import Metadata
from earmark.index.curation import collections, handover
from earmark.index.curation.handover import Handover, licence_address, zip_digest
from earmark.index.errors import LibraryError
from earmark.index.files.stored_zip import StoredZip
from earmark.index.ingest.walk import Walk
from earmark.index.library import Library
from earmark.index.search.kept_search import KeptSearch
from earmark.model.core.manifest import read_manifest, safe_cell
from earmark.model.embedder import Embedder
from tests.index import made

SAID = (
    Metadata("=HYPERLINK(1)", ("-loud", "rain"), "Ann; Bob", "'=tapes", "CC-BY-4.0", "two\nlines"),
    Metadata("Rain / wind", ("rain",), "", "", "CC0-1.0", "", "2026-05-31"),
    Metadata("rain: wind", (), "@ann", "", "own", '"quoted", and more'),
)


@pytest.fixture
def kept(library: Library, tmp_path: Path) -> Library:
    """Three sounds with odd metadata, in a collection `some` that begins with the last."""
    files = made.write_sounds(tmp_path / "in", 3)
    sounds = [SourceFile(file, said) for file, said in zip(files, SAID, strict=True)]
    ids = library.add([made.embed_file(library.embedder, sound) for sound in sounds])
    collections.create(library, "Some", "For Ann", clip_ids=[ids[2], *ids[:2]])
    return library


def archive(library: Library) -> zipfile.ZipFile:
    members = Handover.of(library, "some").zip_members()
    return zipfile.ZipFile(io.BytesIO(b"".join(StoredZip(members, {}).read())))


def test_what_is_unpacked_is_added_with_the_same_metadata(
    kept: Library, embedder: Embedder, tmp_path: Path
) -> None:
    with archive(kept) as opened:
        opened.extractall(tmp_path / "out")
    with Library.open(tmp_path / "other", embedder, create=True) as other:
        files = Walk().sounds(tmp_path / "out" / "manifest.csv")  # as `earmark add` reads it
        other.add([made.embed_file(embedder, file) for file in files])
        before = [kept.catalogue.clip(clip.id) for clip in other.catalogue.clips()]
        after = other.catalogue.clips()
    assert [clip.metadata for clip in after] == [clip.metadata for clip in before]
    assert [clip.sha256 for clip in after] == [clip.sha256 for clip in before]
    assert [clip.title for clip in after] == ["rain: wind", "=HYPERLINK(1)", "Rain / wind"]
    assert {Path(clip.path).name for clip in after} == {
        "rain wind.wav", "=HYPERLINK(1).wav", "Rain wind 2.wav",
    }  # fmt: skip


def test_the_attribution_names_who_made_each_sound(kept: Library) -> None:
    with archive(kept) as opened:
        text = opened.read("ATTRIBUTION.txt").decode()
        assert opened.namelist()[:2] == ["ATTRIBUTION.txt", "manifest.csv"]
    assert text.startswith('Sounds of the collection "Some"\n\nFor Ann\n\n3 sounds. Licences: ')
    assert (
        "2. =HYPERLINK(1)\n   File: sounds/=HYPERLINK(1).wav\n   Author: Ann; Bob\n"
        "   Source: '=tapes\n   Licence: CC-BY-4.0 (https://creativecommons.org/licenses/by/4.0/)\n"
    ) in text
    assert "   Author: not known\n   Source: not known\n   Licence: CC0-1.0 (https://" in text
    assert "   Licence: own\n" in text


def test_sounds_whose_files_have_gone_are_told(kept: Library, tmp_path: Path) -> None:
    before = zip_digest(Handover.of(kept, "some").zip_members())
    (tmp_path / "in" / "noise_001.wav").unlink()
    with archive(kept) as opened:
        missing = opened.read("MISSING.txt").decode()
        names = opened.namelist()
    assert "1 sound of the collection could not be read" in missing
    assert "- Rain / wind (" in missing
    assert len([name for name in names if name.startswith("sounds/")]) == 2
    assert zip_digest(Handover.of(kept, "some").zip_members()) != before


def test_a_search_that_finds_too_much_is_not_handed_over(
    kept: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    collections.create(kept, "All", follows=KeptSearch())
    assert len(Handover.of(kept, "all").clips) == 3
    monkeypatch.setattr(handover, "MAX_CLIPS", 2)
    with pytest.raises(LibraryError, match="at most 2 clips to hand over, got 3"):
        Handover.of(kept, "all")


def test_tables_hold_what_the_library_knows(kept: Library, tmp_path: Path) -> None:
    from pyarrow import parquet

    handover = Handover.of(kept, "some")
    rows = list(csv.DictReader(io.StringIO(handover.csv())))
    assert [row["title"] for row in rows] == ["rain: wind", "'=HYPERLINK(1)", "Rain / wind"]
    assert not any(cell[:1] in tuple("=+-@") for row in rows for cell in row.values() if cell)
    (tmp_path / "manifest.csv").write_text(handover.csv(), newline="")
    again = read_manifest(tmp_path / "manifest.csv")
    assert [row.author for row in again] == ["@ann", "Ann; Bob", ""]
    assert again[1].tags == ("-loud", "rain")
    table = parquet.read_table(io.BytesIO(handover.parquet())).to_pylist()
    assert [row["title"] for row in table] == ["rain: wind", "=HYPERLINK(1)", "Rain / wind"]
    for row, clip in zip(table, handover.clips, strict=True):
        assert row["tags"] == list(clip.tags)
        assert (row["duration"], row["sha256"]) == (clip.duration, clip.sha256)
        assert row["added_at"].isoformat() == clip.added_at
    empty = Handover.of(kept, "favourites")
    assert empty.csv().count("\n") == 1
    assert parquet.read_table(io.BytesIO(empty.parquet())).num_rows == 0


@given(text=st.text(st.sampled_from("'=+-@\ta"), max_size=6))
def test_no_cell_is_a_formula_and_all_are_read_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    cell = safe_cell(text)
    assert cell[:1] not in tuple("=+-@\t")
    file = tmp_path_factory.getbasetemp() / "cells.csv"
    file.write_text(f'path,tags,title\na.wav,x,"{cell}"\n', newline="")
    assert read_manifest(file)[0].title == text.strip()


def test_licences_of_creative_commons_have_addresses() -> None:
    base = "https://creativecommons.org"
    assert licence_address("CC-BY-NC-SA-4.0") == f"{base}/licenses/by-nc-sa/4.0/"
    assert licence_address("cc0-1.0") == f"{base}/publicdomain/zero/1.0/"
    assert [licence_address(text) for text in ("", "MIT", "CC-BY")] == ["", "", ""]
