"""Tables of captions: whose sounds they are of, and what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from earmark.training.corpora.captions import read_captions
from earmark.training.errors import CorpusError

CLOTHO = """file_name,caption_1,caption_2,caption_10
rain (1).wav,It rains.,"Rain, on tin",
gone.wav,Nobody hears it.,Nor this.,
rain (1).wav,Again,,Last
empty.wav,,,
"""
AUDIOCAPS = """audiocap_id,youtube_id,start_time,caption
1,-aB_c,30,A dog barks
2,-aB_c,30,Barking
3,x_1,5.0,Wind
4,zzz,0,Gone
5,zzz,0,Gone too
6,AB,7,Of another clip
"""


def folder(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).touch()
    return root


def write(root: Path, text: str) -> Path:
    table = root / "captions.csv"
    table.write_text(text)
    return table


def test_clotho(tmp_path: Path) -> None:
    audio = folder(tmp_path, "rain (1).wav", "empty.wav")
    found = read_captions(write(tmp_path, CLOTHO), audio)
    assert found.shape == "Clotho"
    assert found.captions == {
        audio / "rain (1).wav": ["It rains.", "Rain, on tin", "Again", "Last"]
    }
    assert found.missing == ["gone.wav"]


def test_audiocaps(tmp_path: Path) -> None:
    """Files by the video's id, or by that and the start; ids differ by case."""
    audio = folder(tmp_path, "-aB_c.txt", "-aB_c.flac", "x_1_5.wav", "x_1.wav", "ab.wav")
    found = read_captions(write(tmp_path, AUDIOCAPS), audio)
    assert found.shape == "AudioCaps"
    assert found.captions == {
        audio / "-aB_c.flac": ["A dog barks", "Barking"],
        audio / "x_1_5.wav": ["Wind"],
    }
    assert found.missing == ["zzz_0", "AB_7"]


def test_two_segments_of_one_file_are_refused(tmp_path: Path) -> None:
    table = write(tmp_path, f"{AUDIOCAPS}7,x_1,20,Silence\n")
    folder(tmp_path, "x_1.wav")
    with pytest.raises(CorpusError, match=r"x_1\.wav: expected one segment of it, got x_1_5 and x"):
        read_captions(table, tmp_path)
    folder(tmp_path, "x_1_20.wav", "x_1_5.wav")
    assert len(read_captions(table, tmp_path).captions) == 2


def test_repeated_columns_are_refused(tmp_path: Path) -> None:
    table = write(tmp_path, "file_name,caption_1,caption_1,,\na.wav,x,y,,\n")
    with pytest.raises(CorpusError, match="expected each column once, got caption_1"):
        read_captions(table, tmp_path)


@pytest.mark.parametrize("text", [CLOTHO, AUDIOCAPS])
def test_none_is_there(tmp_path: Path, text: str) -> None:
    audio = tmp_path / "audio"
    table = write(tmp_path, text)
    with pytest.raises(CorpusError, match="audio: expected a folder, got"):
        read_captions(table, audio)
    audio.mkdir()
    with pytest.raises(CorpusError, match=r"none of its \d captioned sounds is in .*audio"):
        read_captions(table, audio)


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("", "got no rows"),
        ("file_name,caption\na.wav,x\n", "got file_name, caption"),
        ("youtube_id,caption\na,x\n", "got youtube_id, caption"),
    ],
)
def test_refuses_other_columns(tmp_path: Path, text: str, got: str) -> None:
    with pytest.raises(CorpusError, match=f"file_name and caption_1, …, or youtube_id.*{got}"):
        read_captions(write(tmp_path, text), tmp_path)


def test_a_caption_is_not_cut_at_its_comma(tmp_path: Path) -> None:
    text = "audiocap_id,youtube_id,start_time,caption\n1,a,0,Rain\n2,b,0,Rain, then wind\n"
    with pytest.raises(CorpusError, match=r"captions\.csv: row 2: expected quotes around"):
        read_captions(write(tmp_path, text), tmp_path)
