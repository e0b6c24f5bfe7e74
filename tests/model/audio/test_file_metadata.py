"""Metadata in sounds' files: every container, odd encodings, licences, dates; and hostile files."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
from dataclasses import asdict
from functools import cache
from pathlib import Path

import mutagen
import mutagen.id3
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from mutagen.flac import FLAC

from earmark.model.audio.file_metadata import (
    MAX_DESCRIPTION,
    MAX_TAG,
    MAX_TAGS,
    MAX_TEXT,
    FileMetadata,
    iso_date,
    read_file_metadata,
)
from tests.model.audio import tagged
from tests.model.audio.tagged import CC_BY, KINDS, SAYS, chunk
from tests.model.tiny import noise

NOTHING = FileMetadata()


@pytest.mark.parametrize("name", [name for name in KINDS if name != "a.caf"])
@pytest.mark.parametrize("as_bytes", [False, True], ids=["path", "bytes"])
def test_what_mutagen_writes_is_read(tmp_path: Path, name: str, as_bytes: bool) -> None:
    path = tagged.encode(tmp_path / name)
    assert read_file_metadata(path) == NOTHING
    tagged.tag(path)
    assert read_file_metadata(path.read_bytes() if as_bytes else path) == SAYS


@pytest.mark.parametrize("name", KINDS)
def test_what_ffmpeg_writes_is_read(tmp_path: Path, name: str) -> None:
    said = {
        "title": SAYS.title,
        "artist": SAYS.author,
        "genre": "Field Recording;Rain",
        "comment": SAYS.description,
        "copyright": CC_BY,
        "date": "2021-05-03",
    }
    found = read_file_metadata(tagged.encode(tmp_path / name, said))
    if name == "a.aac":  # FFmpeg writes none there
        assert found == NOTHING
    else:
        missing = {"a.caf": {"recorded"}, "a.aiff": {"author", "tags", "recorded"}}.get(name, set())
        expected = {key: value for key, value in asdict(SAYS).items() if key not in missing}
        assert {key: asdict(found)[key] for key in expected} == expected


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "CAF", "FLAC", "OGG", "RF64"])
def test_what_libsndfile_writes_is_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    with soundfile.SoundFile(path, "w", 8_000, 1, format=kind) as file:
        file.title, file.artist, file.comment = SAYS.title, SAYS.author, SAYS.description
        file.copyright = CC_BY
        file.write(noise(0.1, 8_000))
    found = read_file_metadata(path)
    assert (found.title, found.author, found.licence) == (SAYS.title, SAYS.author, SAYS.licence)
    assert found.description == SAYS.description


@pytest.mark.parametrize("before", [True, False], ids=["before the samples", "behind them"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_riff_info(before: bool, encoding: str) -> None:
    says = tagged.info(
        INAM="Grüße – “Regen”".encode(encoding),
        IART="Jörg".encode(encoding),
        IGNR=b"Field Recording",
        IKEY=b"rain; metal roof",
        ICMT=b"Behind the barn",
        ICOP=b"(c) 2020 Ann Lee",
        ICRD=b"2020-05-03",
        ISFT=b"Lavf60.3.100",
    )
    assert read_file_metadata(tagged.wav(says, before=before)) == FileMetadata(
        title="Grüße – “Regen”",
        author="Jörg",
        tags=("Field Recording", "rain", "metal roof"),
        description="Behind the barn\n(c) 2020 Ann Lee",
        recorded="2020-05-03",
    )


def test_riff_info_without_padding() -> None:
    parts = chunk(b"INAM", b"Rai", padded=False) + chunk(b"IART", b"Ann", padded=False)
    found = read_file_metadata(tagged.wav(chunk(b"LIST", b"INFO" + parts)))
    assert (found.title, found.author) == ("Rai", "Ann")


def test_a_wav_that_was_never_finalised() -> None:
    whole = bytearray(tagged.wav(tagged.info(INAM=b"Rain")))
    whole[4:8] = bytes(4)
    place = whole.index(b"data") + 4
    whole[place : place + 4] = bytes(4)
    assert read_file_metadata(bytes(whole)).title == "Rain"


def test_a_wav_of_over_four_gigabytes() -> None:
    """In RF64 the size of the samples stands elsewhere; what is behind them is found."""
    whole = bytearray(tagged.wav(tagged.info(INAM=b"Rain"), before=False, kind=b"RF64"))
    place = whole.index(b"data") + 4
    size = struct.unpack_from("<I", whole, place)[0]
    whole[place : place + 4] = b"\xff" * 4
    whole[12:12] = chunk(b"ds64", struct.pack("<QQQI", 0, size, 0, 0))
    assert read_file_metadata(bytes(whole)).title == "Rain"


@pytest.mark.parametrize(
    ("originator", "author"),
    [("Ann Lee", "Ann Lee"), ("ZOOM H4n", ""), ("Pro Tools", ""), ("SoundDev: 702T", "")],
)
def test_broadcast_wave(originator: str, author: str) -> None:
    says = tagged.bext("Regen, späť".encode(), originator.encode(), b"2020-05-03", b"06:30:01")
    assert read_file_metadata(tagged.wav(says)) == FileMetadata(
        description="Regen, späť", author=author, recorded="2020-05-03T06:30:01"
    )


@pytest.mark.parametrize(
    ("date", "clock", "expected"),
    [
        (b"2020:05:03", b"06-30-01", "2020-05-03T06:30:01"),
        (b"2020/05/03", b"", "2020-05-03"),
        (b"2020-05-03", b"99:99:99", "2020-05-03"),
        (b"0000-00-00", b"00:00:00", ""),
        (b"", b"06:30:01", ""),
    ],
)
def test_dates_of_broadcast_wave(date: bytes, clock: bytes, expected: str) -> None:
    says = tagged.bext(date=date, time=clock)
    assert read_file_metadata(tagged.wav(says)).recorded == expected


def test_broadcast_wave_beside_info_and_ixml() -> None:
    """An artist is surer than an originator; a time is more than a year; no text stands twice."""
    says = (
        tagged.bext(b"By the sea", b"Ann's recorder", b"2020-05-03", b"06:30:01"),
        tagged.info(IART=b"Ann Lee", ICRD=b"2020", ICMT=b"By the sea"),
        tagged.ixml("<NOTE>Loud gulls</NOTE>"),
    )
    assert read_file_metadata(tagged.wav(*says)) == FileMetadata(
        author="Ann Lee", description="By the sea\nLoud gulls", recorded="2020-05-03T06:30:01"
    )


def test_ixml_of_sound_librarians() -> None:
    says = tagged.ixml(
        "<NOTE/><USER><DESCRIPTION>Wet &amp; cold</DESCRIPTION><FXNAME>Rain</FXNAME>"
        "<KEYWORDS>rain, metal roof</KEYWORDS><CATEGORY>WEATHER</CATEGORY></USER>"
        "<ASWG><artist>Jörg</artist><usageRights>CC0</usageRights></ASWG>"
    )
    assert read_file_metadata(tagged.wav(says)) == FileMetadata(
        title="Rain",
        author="Jörg",
        tags=("WEATHER", "rain", "metal roof"),
        description="Wet & cold",
        licence="CC0-1.0",
    )


def test_a_broken_part_leaves_the_others() -> None:
    broken = (chunk(b"bext", b"short"), chunk(b"iXML", b"<no"), chunk(b"id3 ", b"ID3\4"))
    assert read_file_metadata(tagged.wav(*broken, tagged.info(INAM=b"Rain"))).title == "Rain"


def test_vorbis_comments_in_latin_1(tmp_path: Path) -> None:
    path = tagged.encode(tmp_path / "a.flac")
    file = FLAC(path)
    file["title"], file["artist"] = "Gr--e", "Ann"
    file.save()
    path.write_bytes(path.read_bytes().replace(b"Gr--e", b"Gr\xfc\xdfe"))
    found = read_file_metadata(path)
    assert (found.title, found.author) == ("Grüße", "Ann")


def test_comments_over_several_pages_of_ogg(tmp_path: Path) -> None:
    path = tagged.encode(tmp_path / "a.opus")
    file = mutagen.File(path)
    file.tags.extend([("FILLER", "x" * 150_000), ("TITLE", "Rain")])
    file.save()
    assert read_file_metadata(path) == FileMetadata(title="Rain")
    cut = path.read_bytes()[:140_000]
    assert read_file_metadata(cut) == NOTHING


def test_flac_behind_id3(tmp_path: Path) -> None:
    path = tagged.tag(tagged.encode(tmp_path / "a.flac"))
    foreign = tagged.id3_tag(4, tagged.id3_frame("TIT2", b"\3Other"))
    path.write_bytes(foreign + path.read_bytes())
    assert read_file_metadata(path) == SAYS


def test_flac_whose_comments_are_counted_too_short(tmp_path: Path) -> None:
    path = tagged.tag(tagged.encode(tmp_path / "a.flac"))
    whole, place = bytearray(path.read_bytes()), 4
    while whole[place] & 0x7F != 4:
        place += 4 + int.from_bytes(whole[place + 1 : place + 4])
    whole[place + 1 : place + 4] = (20).to_bytes(3)
    assert read_file_metadata(bytes(whole)) == SAYS


def test_dsd_with_id3_behind_its_samples() -> None:
    head = b"DSD " + struct.pack("<QQQ", 28, 0, 128) + bytes(100)
    tag = tagged.id3_tag(3, tagged.id3_frame("TIT2", b"\0Rain"))
    assert read_file_metadata(head + tag).title == "Rain"


def mp3(*parts: bytes) -> bytes:
    """A few frames of silence in MP3, between a tag before and one behind."""
    before, behind = parts if len(parts) == 2 else (*parts, b"")
    frame = bytes((0xFF, 0xFB, 0x90, 0xC4)) + bytes(413)
    return before + frame * 4 + behind


def test_id3_of_every_version() -> None:
    frame, tag = tagged.id3_frame, tagged.id3_tag
    old = tag(2, frame("TT2", b"\0Rain"), frame("TCO", b"\0(10)"), frame("TYE", b"\x001998"))
    assert read_file_metadata(mp3(old)) == FileMetadata(
        title="Rain", tags=("New Age",), recorded="1998"
    )
    middle = tag(
        3,
        frame("TIT2", b"\1\xff\xfe" + "Regen".encode("utf-16-le")),
        frame("TYER", b"\x001998"),
        frame("TDAT", b"\x000305"),
        frame("TIME", b"\x000630"),
        frame("TXXX", b"\0LICENSE\0CC BY-SA 3.0"),
    )
    assert read_file_metadata(mp3(middle)) == FileMetadata(
        title="Regen", licence="CC-BY-SA-3.0", recorded="1998-05-03T06:30:00"
    )


def test_programs_own_comments_are_no_description() -> None:
    comments = [
        tagged.id3_frame("COMM", b"\0eng" + text)
        for text in (b"iTunNORM\0 000005D8", b"Songs-DB_Custom1\0x", b"\0By the sea")
    ]
    assert read_file_metadata(mp3(tagged.id3_tag(3, *comments))).description == "By the sea"


def test_id3v1_is_read_where_it_is_alone() -> None:
    found = read_file_metadata(mp3(b"", tagged.id3v1("Réin", 10)))
    assert found == FileMetadata(title="Réin", author="Ann Lee", tags=("New Age",), recorded="1998")
    assert read_file_metadata(mp3(b"", tagged.id3v1("Rain", 0))).tags == ()  # as none was chosen
    newer = tagged.id3_tag(3, tagged.id3_frame("TIT2", b"\0A title of over thirty letters"))
    found = read_file_metadata(mp3(newer, tagged.id3v1("A title of over thirty le", 10)))
    assert found == FileMetadata(title="A title of over thirty letters")


@pytest.mark.parametrize(
    ("genre", "tags"),
    [
        ("Field Recording", ("Field Recording",)),
        ("Pop/Funk; Ambient,Drone", ("Pop", "Funk", "Ambient", "Drone")),
        ("Other", ()),
        ("unknown", ()),
        ("None;Rain", ("Rain",)),
        ("x" * (MAX_TAG + 1), ()),
    ],
)
def test_genres_as_tags(genre: str, tags: tuple[str, ...]) -> None:
    assert read_file_metadata(tagged.wav(tagged.info(IGNR=genre.encode()))).tags == tags


@pytest.mark.parametrize(
    ("keywords", "tags"),
    [
        ("rain thunder wind", ("rain", "thunder", "wind")),
        ("rain, metal roof", ("rain", "metal roof")),
        ("rain|wind|rain", ("rain", "wind")),
    ],
)
def test_keywords_as_tags(keywords: str, tags: tuple[str, ...]) -> None:
    assert read_file_metadata(tagged.wav(tagged.info(IKEY=keywords.encode()))).tags == tags


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("http://creativecommons.org/licenses/by/4.0/", "CC-BY-4.0"),
        ("https://creativecommons.org/licenses/by-nc-sa/3.0", "CC-BY-NC-SA-3.0"),
        ("https://creativecommons.org/licenses/by-nd/2.5/legalcode", "CC-BY-ND-2.5"),
        ("https://creativecommons.org/licenses/by/4.0/deed.de", "CC-BY-4.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "CC-PDM-1.0"),
        (
            "http://creativecommons.org/licenses/by-sa/2.0/fr/",
            "https://creativecommons.org/licenses/by-sa/2.0/fr/",
        ),
        ("2009 Ann. Licensed to the public under http://creativecommons.org/licenses/by/3.0/ "
         "verify at http://example.org", "CC-BY-3.0"),
        ("CC BY-SA 4.0", "CC-BY-SA-4.0"),
        ("cc-by-nc-nd-4.0", "CC-BY-NC-ND-4.0"),
        ("CC0", "CC0-1.0"),
        ("CC0 1.0", "CC0-1.0"),
        ("CC BY", ""),
        ("CC BY 3.0 DE", ""),
        ("CC BY 10.0", ""),
        ("(c) 2020 Ann Lee. All rights reserved", ""),
        ("© CBS", ""),
        ("Accord 0 BY 4.0", ""),
    ],
)  # fmt: skip
def test_a_notice_is_a_licence_only_where_it_names_one(text: str, licence: str) -> None:
    found = read_file_metadata(tagged.wav(tagged.info(ICOP=text.encode())))
    assert found == FileMetadata(licence=licence, description="" if licence else text)


def test_a_licence_is_taken_as_it_is_named(tmp_path: Path) -> None:
    path = tagged.encode(tmp_path / "a.flac")
    file = FLAC(path)
    file["license"], file["copyright"] = "Artlibre 1.3", "Ann Lee"
    file.save()
    found = read_file_metadata(path)
    assert (found.licence, found.description) == ("Artlibre 1.3", "Ann Lee")


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2020", "2020"),
        ("2020-05", "2020-05"),
        ("2020-05-03", "2020-05-03"),
        ("20200503", "2020-05-03"),
        ("2020-05-03 06:30", "2020-05-03T06:30:00"),
        ("2020-05-03T06:30:01.25Z", "2020-05-03T06:30:01Z"),
        ("2020-05-03T06:30:01+0200", "2020-05-03T06:30:01+02:00"),
        ("2020-00-00", "2020"),
        ("2020-02-31", "2020-02"),
        ("2020-05-03 24:00:00", "2020-05-03"),
        ("0000", ""),
        ("3.5.2020", ""),
        ("May 2020", ""),
        ("", ""),
    ],
)
def test_dates(text: str, date: str) -> None:
    assert iso_date(text) == date


def test_texts_are_cut_and_the_pictures_between_them_are_passed() -> None:
    frames = (
        mutagen.id3.APIC(encoding=3, mime="image/png", type=3, desc="", data=bytes(9_000_000)),
        mutagen.id3.TIT2(encoding=3, text="t" * 5_000),
        mutagen.id3.TPE1(encoding=3, text="ü" * 5_000),
        mutagen.id3.COMM(encoding=3, lang="eng", desc="", text="é" * 3_000_000),
        mutagen.id3.TCON(encoding=3, text=[f"genre {number}" for number in range(2_000)]),
    )
    tags = mutagen.id3.ID3()
    for frame in frames:
        tags.add(frame)
    written = io.BytesIO(mp3(b""))
    tags.save(written)
    found = read_file_metadata(written.getvalue())
    assert found.title == "t" * MAX_TEXT
    assert found.author == "ü" * MAX_TEXT
    assert found.description == "é" * MAX_DESCRIPTION
    assert len(found.tags) == MAX_TAGS


def comments(*texts: bytes, count: int | None = None) -> bytes:
    """A FLAC file's start with Vorbis comments."""
    data = struct.pack("<II", 0, len(texts) if count is None else count)
    data += b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return b"fLaC\0\0\0\x22" + bytes(34) + b"\x84" + min(len(data), 0xFFFFFF).to_bytes(3) + data


def atom(name: bytes, *parts: bytes, size: int | None = None) -> bytes:
    data = b"".join(parts)
    return struct.pack(">I4s", 8 + len(data) if size is None else size, name) + data


def in_moov(*ilst: bytes) -> bytes:
    meta = atom(b"meta", bytes(4), atom(b"ilst", *ilst))
    return atom(b"ftyp", b"M4A ") + atom(b"moov", atom(b"udta", meta))


def value(text: bytes, size: int | None = None) -> bytes:
    return atom(b"data", struct.pack(">II", 1, 0), text, size=size)


def test_a_title_in_latin_1() -> None:
    says = in_moov(
        atom(b"\xa9nam", value("Grüße".encode("latin-1"))), atom(b"\xa9ART", value(b"J\xf6rg"))
    )
    assert read_file_metadata(says) == FileMetadata(title="Grüße", author="Jörg")


HUGE = 1 << 30
RAIN = tagged.id3_frame("TIT2", b"\3Rain")
DEEP = atom(b"moov", *[struct.pack(">I4s", HUGE, b"moov") for _ in range(3_000)])
HOSTILE = {
    "a chunk of 4 GB": (tagged.wav(tagged.info(INAM=b"Rain"), b"iXML\xff\xff\xff\xff"), "Rain"),
    "a list of 1 GB": (tagged.wav(b"LIST" + struct.pack("<I", HUGE) + b"INFO"), ""),
    "a list in a list": (tagged.wav(chunk(b"LIST", b"INFO" + b"LIST\xf0\0\0\0INFO" * 999)), ""),
    "ID3 of 250 MB": (mp3(b"ID3\4\0\0" + b"\x7f" * 4 + RAIN), "Rain"),
    "a frame of 1 GB": (mp3(tagged.id3_tag(3, b"TIT2\x40\0\0\0\0\0\0Rain")), "Rain"),
    "2 billion comments": (comments(b"TITLE=Rain", count=2**31 - 1), "Rain"),
    "a comment of 4 GB": (comments(b"TITLE=Rain", b"", count=3) + b"\xff" * 9, "Rain"),
    "a comment of 10 MB": (comments(b"COMMENT=" + b"x" * 10_000_000, b"TITLE=Rain"), "Rain"),
    "an atom of 1 GB": (in_moov(atom(b"\xa9nam", value(b"Rain", size=HUGE), size=HUGE)), "Rain"),
    "atoms in atoms": (atom(b"ftyp", b"M4A ") + DEEP, ""),
    "an atom of nothing": (in_moov(atom(b"\xa9nam", value(b"Rain")), bytes(64)), "Rain"),
    "an APE tag of 4 GB": (mp3(b"", b"APETAGEX\xd0\7\0\0" + b"\xff" * 8 + bytes(12)), ""),
    "CAF of -1": (b"caff\0\1\0\0info" + b"\xff" * 8 + b"\0\0\0\1title\0Rain\0", "Rain"),
    "ASF of 2^64": (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + b"\xff" * 90, ""),
    "an Ogg page alone": (b"OggS\0\2" + bytes(20) + b"\1\x07\1vorbis", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_cost_little(name: str) -> None:
    data, title = HOSTILE[name]
    tracemalloc.start()
    begun = time.process_time()
    found = read_file_metadata(data)
    seconds, (_, most) = time.process_time() - begun, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.title == title
    assert len(found.description) <= MAX_DESCRIPTION
    assert most < 60_000_000
    assert seconds < 20  # some are done in milliseconds; no minutes


def test_no_file_of_the_machine_is_read_for_ixml(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    text = (
        f'<!DOCTYPE a [<!ENTITY e SYSTEM "file://{tmp_path}/secret">]>'
        "<BWFXML><NOTE>x&e;</NOTE><USER><FXNAME>Rain</FXNAME></USER></BWFXML>"
    )
    found = read_file_metadata(tagged.wav(chunk(b"iXML", text.encode())))
    assert "secret" not in str(found)


def test_files_that_are_none_hold_nothing(tmp_path: Path) -> None:
    for source in (
        tmp_path,
        tmp_path / "none",
        b"",
        b"\0" * 200,
        b"ID3",
        b"fLaC",
        b"RIFF\0\0\0\0WAVE",
    ):
        assert read_file_metadata(source) == NOTHING


@cache
def originals() -> dict[str, bytes]:
    """One small file of each container, with all of its metadata."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {
            kind: tagged.tag(tagged.encode(folder / kind, {"title": "Rain"})).read_bytes()
            for kind in KINDS
            if kind != "a.caf"
        }
        files["a.caf"] = tagged.encode(folder / "a.caf", {"title": "Rain"}).read_bytes()
    says = (tagged.info(INAM=b"Rain"), tagged.bext(b"Sea"), tagged.ixml("<NOTE>Gulls</NOTE>"))
    return {**files, "by hand": tagged.wav(*says)}


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_mutated_files_never_raise_and_stay_bounded(data: st.DataObject) -> None:
    original = originals()[data.draw(st.sampled_from(sorted(originals())))]
    file = bytearray(original)
    # Mostly where the metadata stands: at both ends.
    places = st.integers(0, min(len(file), 2_000) - 1) | st.integers(-min(len(file), 2_000), -1)
    for place in data.draw(st.lists(places, max_size=8)):
        piece = data.draw(st.binary(min_size=1, max_size=8))
        file[place : place + len(piece) if place + len(piece) else None] = piece
    cut = data.draw(st.integers(0, len(file)) | st.just(len(file)))
    found = read_file_metadata(bytes(file[:cut]))
    assert all(len(text) <= MAX_TEXT for text in (found.title, found.author, found.licence))
    assert len(found.description) <= MAX_DESCRIPTION
    assert len(found.tags) <= MAX_TAGS
    assert all(0 < len(tag) <= MAX_TAG for tag in found.tags)
    assert not found.recorded or iso_date(found.recorded) == found.recorded
