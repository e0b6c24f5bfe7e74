"""ZIP archives that are made while they are read: whole, in ranges, large, of files that change."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.index.errors import LibraryError
from earmark.index.files import stored_zip
from earmark.index.files.safe_names import distinct_names
from earmark.index.files.stored_zip import Checksums, Member, StoredZip

NOON = 1_764_504_000 * 10**9  # 2025-11-30 12:00 UTC


def members(folder: Path, count: int = 3) -> list[Member]:
    """A text, and files of random bytes."""
    found = [Member.of_text("READ ME.txt", "naïve\n", NOON)]
    for number in range(count):
        file = folder / f"{number}.wav"
        file.write_bytes(os.urandom(1_000 * number))
        os.utime(file, ns=(NOON, NOON))
        member = Member.of_file(f"sounds/ö {number}.wav", file)
        assert member is not None
        found.append(member)
    return found


def test_programs_read_what_was_put_in(tmp_path: Path) -> None:
    files = members(tmp_path)
    archive = StoredZip(files, {})
    whole = b"".join(archive.read())
    assert len(whole) == archive.size
    with zipfile.ZipFile(io.BytesIO(whole)) as opened:
        assert opened.testzip() is None
        assert opened.namelist() == [member.name for member in files]
        assert opened.read("READ ME.txt").decode() == "naïve\n"
        for info, member in zip(opened.infolist()[1:], files[1:], strict=True):
            assert opened.read(info) == member.content.read_bytes()
            assert info.date_time == (2025, 11, 30, 12, 0, 0)
            assert info.external_attr >> 16 == 0o100644
    with zipfile.ZipFile(io.BytesIO(b"".join(StoredZip([], {}).read()))) as empty:
        assert empty.namelist() == []


@given(data=st.data())
def test_any_range_is_the_same_as_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    files = members(tmp_path_factory.mktemp("range"), 2)
    size = StoredZip(files, {}).size
    whole = b"".join(StoredZip(files, {}).read())
    checksums: Checksums = {}
    for _ in range(3):
        first = data.draw(st.integers(0, size + 5))
        end = data.draw(st.none() | st.integers(0, size + 5))
        assert b"".join(StoredZip(files, checksums).read(first, end)) == whole[first:end]


@pytest.mark.parametrize("mtime_ns", [-(2**90), 0, 2**62, 2**90])
def test_any_time_of_a_file_can_be_packed(mtime_ns: int) -> None:
    whole = b"".join(StoredZip([Member.of_text("a", "text", mtime_ns)], {}).read())
    with zipfile.ZipFile(io.BytesIO(whole)) as opened:
        assert opened.getinfo("a").date_time[:3] == (1980, 1, 1)


def test_what_is_known_is_not_read_again(tmp_path: Path) -> None:
    files, checksums = members(tmp_path), {}
    archive = StoredZip(files, checksums)
    whole = b"".join(archive.read())
    begin = whole.index(b"sounds/\xc3\xb6 2.wav")
    for number in range(2):  # what lies before the range
        (tmp_path / f"{number}.wav").unlink()
    assert b"".join(StoredZip(files, checksums).read(begin)) == whole[begin:]
    with pytest.raises(LibraryError, match=r"ö 0\.wav: its file has changed"):
        b"".join(StoredZip(files, {}).read(begin))


def test_who_reads_the_end_first_can_stop_while_the_rest_is_read(tmp_path: Path) -> None:
    files = members(tmp_path)
    whole = b"".join(StoredZip(files, {}).read())
    pieces = list(StoredZip(files, {}).read(len(whole) - 5))
    assert pieces[0] == b""  # one for each block
    assert b"".join(pieces) == whole[-5:]


def test_a_file_that_changes_meanwhile_breaks_it_off(tmp_path: Path) -> None:
    files = members(tmp_path)
    (tmp_path / "2.wav").write_bytes(b"other")
    with pytest.raises(LibraryError, match=r"ö 2\.wav: its file has changed"):
        b"".join(StoredZip(files, {}).read())
    assert Member.of_file("a", tmp_path) is None
    assert Member.of_file("a", tmp_path / "none") is None
    assert Member.of_file("a", Path("a\0b")) is None


def test_large_archives_have_the_fields_of_zip64(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_zip, "_FULL_COUNT", 2)
    files = members(tmp_path)
    many = b"".join(StoredZip(files, {}).read())
    assert b"PK\6\6" in many
    with zipfile.ZipFile(io.BytesIO(many)) as read:
        assert read.testzip() is None
        assert len(read.namelist()) == len(files)
    # Of a file of 5 GB no byte is read here: headers, directory and size alone.
    large = Member("large.wav", tmp_path / "2.wav", 5 * 2**30, NOON)
    assert struct.unpack("<2L", large.header[18:26]) == (0xFFFFFFFF, 0xFFFFFFFF)
    after = Member.of_text("after.txt", "a", NOON)
    archive = StoredZip([large, after], {})
    stop = len(large.header) + large.size
    sparse = tmp_path / "sparse.zip"
    with sparse.open("wb") as file:
        file.write(large.header)
        file.seek(stop)
        for block in StoredZip([large, after], {stored_zip._key(large): 0}).read(stop):
            file.write(block)
    assert sparse.stat().st_size == archive.size
    with zipfile.ZipFile(sparse) as read:
        assert read.getinfo("large.wav").file_size == 5 * 2**30
        assert read.read("after.txt") == b"a"


@given(
    st.lists(
        st.tuples(
            st.text(st.sampled_from("aAäÄ ./\\:\0CONß🐕"), max_size=6) | st.text(max_size=300),
            st.sampled_from([".wav", "", ".ogg", ".w av"]),
        ),
        max_size=20,
    )
)
def test_names_are_distinct_and_fit_everywhere(titles: list[tuple[str, str]]) -> None:
    titles = [(title.encode(errors="ignore").decode(), suffix) for title, suffix in titles]
    names = list(distinct_names(titles, "sound"))
    assert len({name.casefold() for name in names}) == len(titles)
    for name in names:
        assert 0 < len(name.encode()) <= 255
        assert not set('\\/:*?"<>|\0') & set(name)
        assert name == name.strip(" .")


def test_names_are_like_the_titles() -> None:
    titles = [("Rain", ".wav"), ("rain.wav", ".wav"), ("RAIN", ".ogg"), ("con", ".wav"), ("..", "")]
    assert list(distinct_names(titles, "sound")) == [
        "Rain.wav", "rain 2.wav", "RAIN.ogg", "con_.wav", "sound",
    ]  # fmt: skip
