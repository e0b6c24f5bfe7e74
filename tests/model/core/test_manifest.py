"""The manifest reader: columns, tags, paths, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from earmark.model.core.errors import ManifestError
from earmark.model.core.manifest import ManifestRow, read_manifest


def manifest(folder: Path, text: str | bytes) -> Path:
    path = folder / "manifest.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_every_column(tmp_path: Path) -> None:
    header = "path,tags,title,group,source,split,licence,author,class,fold\n"
    row = "sub/a.wav,dog bark,A dog,g1,s1,train,CC0,Ann,dog_bark,3\n"
    [read] = read_manifest(manifest(tmp_path, header + row))
    assert read == ManifestRow(
        path=tmp_path / "sub" / "a.wav",
        tags=("dog", "bark"),
        title="A dog",
        group="g1",
        source="s1",
        split="train",
        licence="CC0",
        author="Ann",
        label="dog_bark",
        fold="3",
    )


def test_a_folder_stands_for_its_manifest(tmp_path: Path) -> None:
    path = manifest(tmp_path, "path,tags\na.wav,rain\n")
    assert read_manifest(tmp_path) == read_manifest(path)


def test_tags_are_split_at_spaces_and_semicolons(tmp_path: Path) -> None:
    path = manifest(tmp_path, 'path,tags\na.wav,"rain; wind;sea  storm;;"\nb.wav,\n')
    assert [row.tags for row in read_manifest(path)] == [("rain", "wind", "sea", "storm"), ()]


def test_a_class_gives_the_tags_where_there_is_no_such_column(tmp_path: Path) -> None:
    path = manifest(tmp_path, "path,class\na.wav,fire crackling\nb.wav,dog_bark\nc.wav,\n")
    assert [row.tags for row in read_manifest(path)] == [("fire", "crackling"), ("dog", "bark"), ()]
    both = manifest(tmp_path, "path,class,tags\na.wav,dog_bark,\n")
    assert read_manifest(both)[0].tags == ()


def test_the_group_falls_back_to_source_then_path(tmp_path: Path) -> None:
    path = manifest(tmp_path, "path,tags,group,source\na,x,g,s\nb,x,,s\nc,x,,\n")
    assert [row.group for row in read_manifest(path)] == ["g", "s", "c"]


def test_absolute_paths_byte_order_mark_quotes_and_class(tmp_path: Path) -> None:
    text = b'\xef\xbb\xbfpath,class\r\n"/x/a, b.wav",dog\r\n'
    [row] = read_manifest(manifest(tmp_path, text))
    assert row.path == Path("/x/a, b.wav")
    assert (row.label, row.tags) == ("dog", ("dog",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,title\na,b\n", "expected the columns path and tags .or class., got path, title"),
        ("tags\nrain\n", "expected the columns path and tags"),
        ("", "got an empty file"),
        ("path,tags\n", "expected at least one sound, got none"),
        ("path,tags\na.wav,x\n ,y\n", "line 3: expected a path, got ''"),
        (b"path,tags\na.wav,caf\xe9\n", "not a CSV file in UTF-8"),
        (b"\xff\xfep\x00a\x00", "not a CSV file in UTF-8"),
        ("path,tags\na\x00b.wav,x\n", "line 2: expected a path|not a CSV file"),
    ],
)
def test_refuses(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        read_manifest(manifest(tmp_path, text))


def test_refuses_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        read_manifest(tmp_path / "none.csv")
    with pytest.raises(ManifestError, match=r"manifest\.csv: cannot be read"):
        read_manifest(tmp_path)


def test_short_and_long_rows(tmp_path: Path) -> None:
    rows = read_manifest(manifest(tmp_path, "path,tags,title\na.wav\nb.wav,x,y,too,many\n"))
    assert [row.path.name for row in rows] == ["a.wav", "b.wav"]
    assert rows[0].tags == ()
