"""The media types under which sounds are sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from earmark.model.audio.formats import SUFFIXES
from earmark.service.http.sound_response import SoundResponse

TYPES = {
    "audio/aac": ".aac",
    "audio/ac3": ".ac3",
    "audio/aiff": ".aif .aiff .aifc",
    "audio/amr": ".amr",
    "audio/amr-wb": ".awb",
    "audio/basic": ".au .snd",
    "audio/eac3": ".eac3",
    "audio/flac": ".flac",
    "audio/mp4": ".m4a .m4b",
    "audio/mpeg": ".mp3 .mp2 .MP3",
    "audio/ogg": ".ogg .oga .opus .spx",
    "audio/wav": ".wav .bwf .Wav",
    "audio/webm": ".webm",
    "audio/x-ape": ".ape",
    "audio/x-caf": ".caf",
    "audio/x-matroska": ".mka",
    "audio/x-ms-wma": ".wma",
    "audio/x-w64": ".w64",
    "audio/x-wavpack": ".wv",
    "video/3gpp": ".3gp",
    "video/mp4": ".mp4 .m4v",
    "video/quicktime": ".mov",
    "video/x-matroska": ".mkv",
    "application/octet-stream": ".bin .html",
}


def type_of(folder: Path, suffix: str) -> str:
    """The media type of a file with this suffix, as it is sent."""
    file = folder / f"sound{suffix}"
    file.touch()
    return SoundResponse(file, file.stat(), '"tag"', "Sound").headers["content-type"]


@pytest.mark.parametrize(("kind", "suffixes"), TYPES.items())
def test_sounds_have_the_type_of_their_format(tmp_path: Path, kind: str, suffixes: str) -> None:
    for suffix in suffixes.split():
        assert type_of(tmp_path, suffix) == kind


def test_whatever_is_read_has_a_type(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        assert type_of(tmp_path, suffix).startswith(("audio/", "video/")), suffix
