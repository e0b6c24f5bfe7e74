"""The structure of files that are hostile: no exception, no endless walk."""

from __future__ import annotations

import io
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.model.audio.mpeg_frames import holds_more_mpeg, mpeg_frame_bytes, mpeg_structure
from earmark.model.audio.structure import Structure, structure_of
from tests.model.audio.writers import apev2, id3v1, id3v2, write

HEADS = [
    b"", b"RIFF\x24\0\0\0WAVE", b"RIFX\0\0\0\x24WAVE", b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0",
    b"riff\x2e\x91\xcf\x11" + bytes(32), b"FORM\0\0\0\x20AIFF", b".snd\0\0\0\x18",
    b"caff\0\1\0\0", b"OggS\0\2" + bytes(20) + b"\1\x1e", b"ID3\4\0\0\0\0\0\0", b"\xff\xfb\x90\x64",
    b"\xff\xf1\x50\x80", b"fLaC",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(HEADS), st.binary(max_size=400), st.integers(0, 500))
def test_any_bytes_have_a_structure(head: bytes, rest: bytes, position: int) -> None:
    file = io.BytesIO(head + rest)
    for found in (structure_of(file), mpeg_structure(file)):
        assert found.sound >= 0
        assert found.lost >= 0
        assert list(found.joined) == sorted(found.joined)
    assert holds_more_mpeg(file, position) in (True, False)


def test_frames_have_the_length_that_the_encoders_give_them() -> None:
    for kind in ("mp3", "mp2", "aac"):
        data = write(kind, 0.5, channels=2).data
        assert mpeg_structure(io.BytesIO(data)) == Structure(len(data)), kind
        assert mpeg_frame_bytes(data[:6]) > 0


def test_tags_are_told_from_frames_and_from_junk() -> None:
    data = write("mp3", 0.3).data
    tags = id3v2(padding=300), apev2(cover=3_000), id3v1()
    file = io.BytesIO(tags[0] + data + tags[1] + tags[2] + data + bytes(100))
    assert mpeg_structure(file) == Structure(2 * len(data))
    assert mpeg_structure(io.BytesIO(data + b"junk" * 100 + data)).lost == 400
    assert holds_more_mpeg(file, len(tags[0]) + len(data))
    assert not holds_more_mpeg(file, len(file.getvalue()) - 100)


def test_sizes_to_nowhere() -> None:
    for size in (0, 1, 2**31 - 1, 2**31, 2**32 - 1):
        wav = b"RIFF" + struct.pack("<I", size) + b"WAVEJUNK" + struct.pack("<I", size)
        assert structure_of(io.BytesIO(wav + bytes(100))) == Structure()
    for size in (-1, 2**63 - 1, -(2**63)):
        caf = b"caff\0\1\0\0junk" + struct.pack(">q", size) + bytes(100)
        assert structure_of(io.BytesIO(caf)) == Structure()
        wave64 = b"riff\x2e\x91\xcf\x11" + bytes(32) + b"junk" + bytes(12) + struct.pack("<q", size)
        assert structure_of(io.BytesIO(wave64 + bytes(100))) == Structure()
