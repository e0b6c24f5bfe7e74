"""Texts as the catalogue keeps them, whatever way they come in by: in NFC, tags once each."""

from __future__ import annotations

import shutil
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.metadata import (
    METADATA_FIELDS,
    UNTITLED,
    Metadata,
    clean_line,
    title_from_file_name,
)
from earmark.index.ingest import bulk
from earmark.index.library import Library
from tests.index import made
from tests.index.made import new_clip

UNCLEAN = Metadata(
    title="Cafe\u0301\u200b am\nMorgen\u200f",
    tags=("cafe\u0301", "CAFÉ", "metal roof", "rain\ufeff"),
    author="Rene\u0301",
    source="A\u030angstro\u0308m",
    licence=" CC0-1.0\u2060",
    description="e\u0301 \u202eone\r\ntwo\u061c",
)
CLEAN = Metadata(
    title="Café am Morgen",
    tags=("café", "metal-roof", "rain"),
    author="René",
    source="Ångström",
    licence="CC0-1.0",
    description="é one\ntwo",
)


def test_every_write_cleans(catalogue: Catalogue) -> None:
    texts = {name: getattr(UNCLEAN, name) for name in METADATA_FIELDS if getattr(UNCLEAN, name)}
    with catalogue.write() as writer:
        put = writer.put(replace(new_clip("a", 1), metadata=UNCLEAN))
        edited, described = (writer.put(new_clip(name, seed)) for seed, name in enumerate("bc", 2))
        writer.edit(edited, texts)
        writer.update_metadata("/sounds/c.wav", UNCLEAN)
    for clip_id in (put, edited, described):
        assert catalogue.clip(clip_id).metadata == CLEAN


def test_an_id_is_found_composed_or_not(catalogue: Catalogue) -> None:
    with catalogue.write() as writer:
        assert writer.put(new_clip("a", 1, id="cafe\u0301")) == "café"
        assert writer.put(new_clip("b", 2, id="café")) == "café-2"
    assert catalogue.clip("cafe\u0301") == catalogue.clip("café")
    with catalogue.write() as writer:
        writer.edit("cafe\u0301", {"title": "Morning"})
        writer.remove("cafe\u0301-2")
    assert [clip.title for clip in catalogue.clips()] == ["Morning"]


def test_a_manifest_and_a_library_are_cleaned_the_same(library: Library, tmp_path: Path) -> None:
    (file,) = made.write_sounds(tmp_path, 1)
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(
        "path,title,tags,author,id\n"
        f"{file.name},\u2067Cafe\u0301\u2069,Cafe\u0301;CAFÉ;ra\u200bin,Rene\u0301,e\u0301\n",
        encoding="utf-8",
    )
    assert bulk.add(library, [manifest], made.embed_here).added == ["é"]
    (clip,) = library.catalogue.clips()
    expected = Metadata(title="Café", tags=("Café", "rain"), author="René")
    assert clip.metadata == expected
    assert (bulk.add(library, [manifest], made.embed_here).described, library.generation) == (
        0,
        clip.generation,
    )
    with Library.open(tmp_path / "other", library.embedder, create=True) as other:
        bulk.add(other, [library.folder], made.embed_here)
        (copy,) = other.catalogue.clips()
    assert (copy.id, copy.metadata) == ("é", expected)


FILE_NAMES = {
    "Cafe\u0301_am-Morgen.wav": "Café am Morgen",
    "rain\non\u2028roof.wav": "rain on roof",
    "\u202erain\u202c\u200e\u200f\u061c.wav": "rain",
    "ra\u200bin\ufeff\u2060 1.wav": "rain 1",
    "می‌خواهم.wav": "می‌خواهم",
    "👩‍🚀.wav": "👩‍🚀",
    "__-\u200b.wav": UNTITLED,
}


def test_a_file_on_disk_has_the_title_of_an_upload(library: Library, tmp_path: Path) -> None:
    (sound,) = made.write_sounds(tmp_path, 1)
    folder = tmp_path / "named"
    folder.mkdir()
    for name in FILE_NAMES:
        shutil.copy(sound, folder / name)
    bulk.add(library, [folder], made.embed_here)
    clips = {Path(clip.path).name: clip.title for clip in library.catalogue.clips()}
    assert clips == FILE_NAMES  # the paths stay as they are
    for name, title in FILE_NAMES.items():
        assert (title_from_file_name(name) or UNTITLED) == title


@pytest.mark.parametrize("field", ["title", "tags", "description"])
@given(st.data())
def test_what_is_clean_stays(field: str, data: st.DataObject) -> None:
    texts = st.text(st.sampled_from("eéÅK߀ a\u0301\u200d\u200c\u200b\u202e\n;,.") | st.characters())
    text = data.draw(texts)
    unclean = Metadata(**{field: (text, text.upper()) if field == "tags" else text})
    clean = unclean.clean()
    assert clean.clean() == clean
    assert all(unicodedata.is_normalized("NFC", value) for value in clean.to_row().values())
    assert clean_line(title_from_file_name(text)) == title_from_file_name(text)
