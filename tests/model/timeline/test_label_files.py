"""Timelines as files, read back by readers of those formats, whatever the labels are."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import crowsetta
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.model.timeline.events import SoundEvent
from earmark.model.timeline.label_files import FORMATS, printable_line
from earmark.model.timeline.timeline import Lane, Timeline

LABELS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(printable_line)


def timeline_of(*labels: str) -> Timeline:
    """Each label has two events; those of the labels alternate."""
    lanes = [
        Lane(label, [SoundEvent(turn + 0.1 * number, turn + 0.5, 0.5 + 0.01 * number)
                     for turn in (0.0, 10.0)])
        for number, label in enumerate(labels)
    ]  # fmt: skip
    return Timeline(lanes, 12.0, 0.0, 44_100, [], [])


def test_as_json() -> None:
    body = json.loads(FORMATS["json"].write(timeline_of("dog", "狗叫")))
    assert body["duration"] == 12.0
    assert [lane["tag"] for lane in body["tags"]] == ["dog", "狗叫"]
    assert body["tags"][1]["events"][1] == {"start": 10.1, "end": 10.5, "score": 0.51}


def test_as_csv() -> None:
    assert FORMATS["csv"].write(timeline_of("dog", "a, b")).splitlines() == [
        "onset,offset,tag,score",
        "0.000,0.500,dog,0.5000",
        '0.100,0.500,"a, b",0.5100',
        "10.000,10.500,dog,0.5000",
        '10.100,10.500,"a, b",0.5100',
    ]


@pytest.mark.parametrize("label", ["=1+1", "+1", "-rain", "@SUM(A1)", "\t=1", "\n=cmd|' /C'!A0"])
def test_no_cell_is_a_formula(label: str) -> None:
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"].write(timeline_of(label)))))
    assert [row["tag"] for row in rows] == [f"'{label.strip()}"] * 2


def read_audacity(file: Path) -> list[tuple[float, float, str]]:
    sequence = crowsetta.formats.by_name("aud-seq").from_file(file).to_seq()
    return list(zip(sequence.onsets_s, sequence.offsets_s, sequence.labels, strict=True))


def read_raven(file: Path) -> list[tuple[float, float, str]]:
    boxes = crowsetta.formats.by_name("raven").from_file(file).to_bbox()
    assert {(box.low_freq, box.high_freq) for box in boxes} == {(0.0, 22_050.0)}
    return [(box.onset, box.offset, box.label) for box in boxes]


EXPECTED = [(0.0, 0.5, "dog"), (0.1, 0.5, "big cat"), (10.0, 10.5, "dog"), (10.1, 10.5, "big cat")]


@pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")  # crowsetta's
@pytest.mark.parametrize(("kind", "read"), [("audacity", read_audacity), ("raven", read_raven)])
def test_other_programs_read_it(kind: str, read: object, tmp_path: Path) -> None:
    file = tmp_path / f"labels{FORMATS[kind].name_end}{FORMATS[kind].suffix}"
    file.write_text(FORMATS[kind].write(timeline_of("dog", "big\tcat")), encoding="utf-8")
    assert read(file) == EXPECTED  # type: ignore[operator]


@settings(max_examples=40)
@given(st.lists(LABELS, min_size=1, max_size=4))
def test_no_label_breaks_a_line(labels: list[str]) -> None:
    made, count = timeline_of(*labels), 2 * len(labels)
    lines = FORMATS["audacity"].write(made).splitlines()
    assert len(lines) == count
    assert all(line.count("\t") == 2 for line in lines)
    table = FORMATS["raven"].write(made).splitlines()
    assert len(table) == count + 1
    assert {line.count("\t") for line in table} == {8}
    rows = list(csv.reader(io.StringIO(FORMATS["csv"].write(made))))
    assert {len(row) for row in rows} == {4}
    assert len(rows) == count + 1
    lanes = json.loads(FORMATS["json"].write(made))["tags"]
    assert [lane["tag"] for lane in lanes] == labels


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_no_text_is_written(kind: str) -> None:
    assert FORMATS[kind].write(timeline_of("dog \udc80\ud800")).encode()


def test_nothing_heard_is_a_file_without_events(tmp_path: Path) -> None:
    silent = Timeline([Lane("dog", [])], 1.0, 0.0, 44_100, [], [])
    assert FORMATS["audacity"].write(silent) == ""
    assert FORMATS["csv"].write(silent) == "onset,offset,tag,score\r\n"
    assert FORMATS["raven"].write(silent).count("\n") == 1
