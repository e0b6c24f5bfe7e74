"""The manifest reader: columns, tags, paths, and what it refuses."""

from __future__ import annotations

import contextlib
import csv
import datetime
import io
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from earmark.model.core.errors import ManifestError
from earmark.model.core.manifest import FILE_NAMES, ManifestRow, read_manifest, safe_cell
from earmark.model.core.record_files import json_lines, parquet_table


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


def test_tags_are_split_at_spaces_semicolons_and_commas(tmp_path: Path) -> None:
    text = 'path,tags\na.wav,"rain; wind;sea  storm;;"\nb.wav,\nc.wav,"rain, thunder,wind"\n'
    assert [row.tags for row in read_manifest(manifest(tmp_path, text))] == [
        ("rain", "wind", "sea", "storm"),
        (),
        ("rain", "thunder", "wind"),
    ]


def test_tags_of_a_kept_case(shared: Path) -> None:
    [row] = read_manifest(shared / "cases" / "comma-tags.csv")
    assert row.tags == ("rain", "thunder", "wind")


ROWS = [
    ManifestRow(Path("a b.wav"), ("rain", "wind"), "Café; früh, spät", group="Feld"),
    ManifestRow(Path("c.wav"), title='Say "x"\tnow', group="c.wav"),
]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1", "cp1252"]
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_as_spreadsheets_write_it(
    tmp_path: Path, encoding: str, separator: str, line_end: str
) -> None:
    """Any separator and encoding, header names in any case, and empty rows and columns."""
    out = io.StringIO()
    rows = csv.writer(out, delimiter=separator, lineterminator=line_end)
    rows.writerow([" Path ", "TAGS", "", "Title", "\xa0Source", "", ""])
    for row in ROWS:
        source = row.group if row.group != str(row.path) else ""
        rows.writerow([row.path, " ".join(row.tags), "", row.title, source, "", ""])
        rows.writerow([""] * 7)
    out.write(line_end * 2)
    path = manifest(tmp_path, out.getvalue().encode(encoding))
    told = encoding if encoding in ("latin-1", "cp1252") else None
    found = read_manifest(path, told)
    assert [replace(row, path=row.path.relative_to(tmp_path), source="") for row in found] == ROWS


def test_a_spreadsheet_may_name_its_separator(tmp_path: Path) -> None:
    text = "sep=|\r\npath|tags\r\na,b;c.wav|rain\r\n|x\r\n"
    with pytest.raises(ManifestError, match="line 4: expected a path"):
        read_manifest(manifest(tmp_path, text))
    [row] = read_manifest(manifest(tmp_path, text.removesuffix("|x\r\n")))
    assert (row.path.name, row.tags) == ("a,b;c.wav", ("rain",))


def test_cells_without_a_column_are_not_dropped(tmp_path: Path) -> None:
    path = manifest(tmp_path, "path,tags\na.wav,rain,\nb.wav,rain, thunder,wind\n")
    with pytest.raises(ManifestError, match="line 3: expected at most 2 cells, got 4"):
        read_manifest(path)


def test_a_byte_order_mark_outweighs_the_encoding_that_is_named(tmp_path: Path) -> None:
    for encoding in ("utf-8-sig", "utf-16"):
        path = manifest(tmp_path, "path,tags\na.wav,café\n".encode(encoding))
        assert read_manifest(path, "latin-1")[0].tags == ("café",)


@pytest.mark.parametrize("encoding", ["klingon", "hex", "undefined", "a\0b"])
def test_encodings_that_are_none(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(ManifestError, match="encoding: expected the name of one"):
        read_manifest(manifest(tmp_path, "path,tags\na.wav,\xff\xff..x\n"), encoding)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.binary(max_size=80), encoding=st.sampled_from([None, "latin-1", "utf-16", "utf-7"]))
def test_any_bytes_are_rows_or_a_manifest_error(
    tmp_path: Path, data: bytes, encoding: str | None
) -> None:
    for head in (b"", b"path,tags\n", b"\xff\xfe"):
        with contextlib.suppress(ManifestError):
            read_manifest(manifest(tmp_path, head + data), encoding)


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
        (
            "\npath,title\na,b\n",
            "line 2: expected the columns path and tags .or class., got path, title",
        ),
        ("tags\nrain\n", "expected the columns path and tags"),
        ("", "got an empty file"),
        ("path,tags\n", "expected at least one sound, got none"),
        ("path,tags\na.wav,x\n ,y\n", "line 3: expected a path, got ''"),
        (b"path,tags\na.wav,x\n\nb.wav,caf\xe9\n", "line 4: expected text in UTF-8, got .* 0xe9"),
        (b"\xff\xfep\x00a\x00", "expected the columns path and tags .or class., got pa"),
        (b"\xff\xfep\x00a\x00t", "line 1: expected text in UTF-16"),
        ("path,tags\n".encode("utf-16-le"), "got UTF-16 without a byte-order mark"),
        ("path,tags\na\x00b.wav,x\n", "line 2: expected a path|not a CSV file"),
        ('path,tags\n"a\nb.wav",x\n,y\n', "line 4: expected a path"),
        ('path,tags\na.wav,x\nb.wav,"rain\nc.wav,y\n', "line 3: not a CSV file"),
        ("path,tags, Tags\na.wav,x,y\n", "line 1: expected one column tags, got 2"),
        ('path,tags\na.wav,"' + "x" * 200_000 + '"\n', "line 2: not a CSV file"),
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
    with pytest.raises(ManifestError, match=r"cannot be read \(File name too long\)"):
        read_manifest(tmp_path / f"{'x' * 300}.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(ManifestError, match=r"cannot be read \(not a file\)"):
        read_manifest(tmp_path / "pipe.csv")


def test_short_rows(tmp_path: Path) -> None:
    rows = read_manifest(manifest(tmp_path, "path,tags,title\na.wav\nb.wav,x,y,,\n"))
    assert [row.path.name for row in rows] == ["a.wav", "b.wav"]
    assert rows[0].tags == ()


AS_LIST = {".jsonl": json_lines, ".parquet": parquet_table}
_words = st.text("abcdéЖ犬'=-_.", min_size=1, max_size=8)
_texts = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), max_size=12)
_records = st.lists(
    st.fixed_dictionaries(
        {
            "file_name": _words.map(lambda name: f"{name}.wav"),
            "labels": st.lists(_words, max_size=4),
            **dict.fromkeys(("title", "caption", "license", "split", "fold", "id"), _texts),
        }
    ),
    min_size=1,
    max_size=4,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(records=_records)
def test_the_same_rows_read_equal_from_every_format(
    tmp_path: Path, records: list[dict[str, str | list[str]]]
) -> None:
    out = io.StringIO(newline="")
    table = csv.DictWriter(out, list(records[0]))
    table.writeheader()
    for record in records:
        texts = {
            key: value if isinstance(value, str) else " ".join(value)
            for key, value in record.items()
        }
        table.writerow({key: safe_cell(text) for key, text in texts.items()})
    (tmp_path / "metadata.csv").write_bytes(out.getvalue().encode())
    rows = read_manifest(tmp_path)
    assert [row.path.name for row in rows] == [record["file_name"] for record in records]
    assert [list(row.tags) for row in rows] == [record["labels"] for record in records]
    assert [row.licence for row in rows] == [str(record["license"]).strip() for record in records]
    for suffix, written in AS_LIST.items():
        file = tmp_path / f"list{suffix}"
        file.write_bytes(written(records))
        assert read_manifest(file) == rows


def write_records(folder: Path, suffix: str, *records: dict[str, object]) -> Path:
    file = folder / f"list{suffix}"
    if suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(list(records)), file)
    else:
        file.write_text("\n".join(map(json.dumps, records)) + "\n")
    return file


@pytest.mark.parametrize("suffix", AS_LIST)
def test_values_that_are_no_texts(tmp_path: Path, suffix: str) -> None:
    """Numbers and missing values as people write them; captions are lines of the description."""
    first = {
        **{"Path": "a.wav", "tags": ["tin roof", " rain"], "fold": 3, "recorded": 2026.0},
        **{
            "title": None,
            "source": math.nan,
            "caption": ["It rains.", "Rain on tin"],
            "x": {"y": 1},
        },
    }
    second = {"Path": "b.wav", "tags": None, "label": "dog_bark"}
    rows = read_manifest(write_records(tmp_path, suffix, first, {**dict.fromkeys(first), **second}))
    assert rows[0] == ManifestRow(
        tmp_path / "a.wav",
        ("tin roof", "rain"),
        group="a.wav",
        fold="3",
        recorded="2026",
        description="It rains.\nRain on tin",
    )
    assert (rows[1].tags, rows[1].fold) == ((), "")


def test_dates_of_parquet(tmp_path: Path) -> None:
    record = {"path": "a.wav", "tags": "rain; wind", "recorded": datetime.date(2026, 5, 31)}
    [row] = read_manifest(write_records(tmp_path, ".parquet", record))
    assert (row.tags, row.recorded) == (("rain", "wind"), "2026-05-31")


@pytest.mark.parametrize("suffix", AS_LIST)
@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"audio": "a.wav", "text": "x"}, "expected the columns path and tags .or class., got au"),
        ({"path": " ", "tags": []}, "(line|row) 2: expected a path, got ''"),
        ({"path": "a.wav", "tags": [], "title": ["x"]}, "2: title: expected text, got a list"),
        ({"path": "a.wav", "tags": {"x": 1}}, "2: tags: expected text, got an object"),
        ({"path": "a.wav", "tags": [["x"]]}, "2: tags: expected text, got a list"),
        ({"path": "a.wav", "tags": True}, "2: tags: expected text, got true or false"),
        ({"path": "a.wav", "tags": "", "Tags": ""}, "expected one column tags, got 2"),
    ],
)
def test_refuses_records(
    tmp_path: Path, suffix: str, record: dict[str, object], message: str
) -> None:
    good = {**dict.fromkeys(record), "path": "b.wav"} if "path" in record else record
    with pytest.raises(ManifestError, match=message):
        read_manifest(write_records(tmp_path, suffix, good, record))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: expected a JSON object"),
        ("[1]", "line 2: expected a JSON object, got a list"),
        ("[" * 100_000, "line 2: expected a JSON object"),
        ('{"path": "a.wav", "path": "b.wav"}', "line 2: expected a JSON object, each name"),
        ('{"path": "\\ud800.wav", "tags": ""}', "line 2: path: expected text, got half a char"),
    ],
)
def test_refuses_lines(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "list.jsonl"
    file.write_text('{"path": "a.wav", "tags": "x"}\n' + line)
    with pytest.raises(ManifestError, match=message):
        read_manifest(file)
    file.write_text("\n")
    with pytest.raises(ManifestError, match="expected at least one sound, got none"):
        read_manifest(file)


def test_a_line_without_tags_has_none_where_others_have(tmp_path: Path) -> None:
    file = tmp_path / "list.jsonl"
    file.write_text('{"path": "a", "tags": "x"}\n{"path": "b", "class": "dog bark"}\n')
    assert [row.tags for row in read_manifest(file)] == [("x",), ()]


def test_refuses_parquet_that_is_none_or_broken(tmp_path: Path) -> None:
    file = write_records(tmp_path, ".parquet", {"path": "a.wav" * 50, "tags": "x"})
    whole = file.read_bytes()
    for content in (b"", b"PAR1", whole[:-9], whole[:40] + b"\xff" * 60 + whole[100:]):
        file.write_bytes(content)
        with pytest.raises(ManifestError, match=r"list\.parquet: (row 1: cannot|not a Parquet)"):
            read_manifest(file)
    with pytest.raises(ManifestError, match=r"none\.parquet: cannot be read \(No such file"):
        read_manifest(tmp_path / "none.parquet")


def test_the_manifest_of_a_folder(tmp_path: Path) -> None:
    for number, name in enumerate(reversed(FILE_NAMES)):
        if name.endswith(".csv"):
            (tmp_path / name).write_text(f"file_name,tags\n{number}.wav,rain\n")
        else:
            records = [{"file_name": f"{number}.wav", "tags": ["rain"]}]
            (tmp_path / name).write_bytes(AS_LIST[Path(name).suffix](records))
        assert read_manifest(tmp_path)[0].path == tmp_path / f"{number}.wav"
