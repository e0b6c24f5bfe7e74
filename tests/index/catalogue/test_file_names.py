"""Names of the Universal Category System are understood, and ordinary names are not misread."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.index.catalogue.file_names import (
    UcsName,
    metadata_from_file_name,
    metadata_from_path,
    read_ucs_name,
)
from earmark.index.catalogue.metadata import Metadata, title_from_file_name
from earmark.index.catalogue.records import Move
from earmark.index.ingest import bulk
from earmark.index.library import Library
from tests.index import made

NAMES = {
    "AMBForst_Morning Birds_JD_NONE.wav": UcsName("AMBForst", "Morning Birds", "JD", ""),
    "WATRWave-SURF_Big Waves-Close_ANA_Atlantic_MKH_01.flac": UcsName(
        "WATRWave", "Big Waves Close", "ANA", "Atlantic"
    ),
    "UIClick_Soft Click_None_SFX2.ogg": UcsName("UIClick", "Soft Click", "", "SFX2"),
    "CLOTHFlp_Flag 02_B00M_NONE.wav": UcsName("CLOTHFlp", "Flag 02", "B00M", ""),
}
ORDINARY = [
    "Rain_01_take2.wav",
    "Rain_on_metal_roof.wav",
    "RAIN_ON_METAL_ROOF.wav",
    "AMBForst_Birds_JD.wav",  # a part is missing
    "AMBForst__JD_NONE.wav",
    "AMBForst_01_JD_NONE.wav",  # a name has a letter
    "AMBForst_Birds_01_02.wav",  # takes, no creator
    "ZOOM0001_Tr1_2_3.WAV",
    "DSC_Rain_a_b.wav",
    "McDonald_farm_ee_io.wav",
    "2026-05-31_dawn_chorus_pond_1.wav",
]


def test_names_of_the_system_are_understood() -> None:
    assert {name: read_ucs_name(name) for name in NAMES} == NAMES
    [name] = list(NAMES)[:1]
    assert read_ucs_name(f"C:\\sounds\\{name}") == read_ucs_name(f"/sounds/{name}") == NAMES[name]


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_names_are_titles(name: str) -> None:
    assert read_ucs_name(name) is None
    assert metadata_from_file_name(name) == Metadata(title=title_from_file_name(name))


WORDS = st.text(st.sampled_from("abcdefghij 0123456789-é"), max_size=9)
CAPITALS = st.text(st.sampled_from("ABCXYZ0123456789"), max_size=9)


@given(st.lists(WORDS | WORDS.map(str.capitalize) | CAPITALS, max_size=7))
def test_names_of_plain_words_and_of_capitals_are_not_misread(parts: list[str]) -> None:
    assert read_ucs_name("_".join(parts) + ".wav") is None


@given(st.text(max_size=60))
def test_any_name_gives_metadata_that_the_catalogue_takes(name: str) -> None:
    for found in (metadata_from_file_name(name), metadata_from_path(name)):
        assert found.clean() == found
        assert found.problem() is None


def test_a_sound_is_named_by_them_when_it_is_added_and_moved(
    library: Library, tmp_path: Path
) -> None:
    first, *_ = NAMES
    (sound,) = made.write_sounds(tmp_path, 1)
    path = tmp_path / "named" / first
    path.parent.mkdir()
    shutil.move(sound, path)
    bulk.add(library, [path.parent])
    [clip] = library.catalogue.clips()
    assert (clip.title, clip.author, clip.source) == ("Morning Birds", "JD", "")
    assert clip.category == "AMBForst"
    assert clip.loudness is not None
    assert -60 < clip.loudness < 0
    after = str(path.with_name("Dawn.wav"))
    with library.catalogue.write() as writer:
        writer.move(Move(clip.id, clip.path, after))
    [moved] = library.catalogue.clips()
    assert (moved.title, moved.category) == ("Dawn", "")
