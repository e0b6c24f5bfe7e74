"""Timelines as files that other programs open: JSON, CSV, Audacity's labels, Raven's selections.

All are UTF-8 with one line for each event, in order of time. Labels are what clients chose: line
breaks, tabs and other unprintable characters in them become spaces, so that no label can end its
line or begin a further column. In CSV a label that a spreadsheet would compute (it begins with `=`,
`+`, `-` or `@`) has an apostrophe before it: quotes alone would not keep it from being a formula.
Times in seconds, frequencies in Hz.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from earmark.model.core.manifest import safe_cell
from earmark.model.timeline.events import SoundEvent
from earmark.model.timeline.timeline import Timeline

RAVEN_COLUMNS = (
    "Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)",
    "High Freq (Hz)", "Annotation", "Score",
)  # fmt: skip


@dataclass(frozen=True)
class LabelFormat:
    """A format: its media type, the end and the suffix of its files' names, and how a timeline is
    written in it."""

    media_type: str
    name_end: str
    suffix: str
    write: Callable[[Timeline], str]


def printable_line(text: str) -> str:
    """A text in one line, without characters that are not printable."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _rows(timeline: Timeline) -> list[tuple[SoundEvent, str]]:
    """All events with their tags, in order of time."""
    rows = [(event, printable_line(lane.tag)) for lane in timeline.tags for event in lane.events]
    return sorted(rows, key=lambda row: (row[0].start, row[0].end, row[1]))


def to_json(timeline: Timeline) -> str:
    """`{"duration", "damaged", "tags": [{"tag", "events": [{"start", "end", "score"}]}], …}`."""
    lanes = [
        {
            "tag": lane.tag,
            "events": [
                {
                    "start": round(event.start, 3),
                    "end": round(event.end, 3),
                    "score": round(event.score, 4),
                }
                for event in lane.events
            ],
        }
        for lane in timeline.tags
    ]
    body = {
        "duration": timeline.duration,
        "damaged": timeline.damaged,
        "tags": lanes,
        "ignored": timeline.ignored,
        "notes": timeline.notes,
    }
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="replace").decode()  # lone surrogates: "?"


def to_csv(timeline: Timeline) -> str:
    """A table with the columns onset, offset, tag, score."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["onset", "offset", "tag", "score"])
    for event, tag in _rows(timeline):
        cells = (f"{event.start:.3f}", f"{event.end:.3f}", safe_cell(tag), f"{event.score:.4f}")
        table.writerow(cells)
    return text.getvalue()


def to_audacity(timeline: Timeline) -> str:
    """A label track: start, end and label, separated by tabs."""
    return "".join(f"{event.start:.6f}\t{event.end:.6f}\t{tag}\n" for event, tag in _rows(timeline))


def to_raven(timeline: Timeline) -> str:
    """A selection table; selections span all frequencies of the sound."""
    lines = ["\t".join(RAVEN_COLUMNS)]
    highest = f"{timeline.sample_rate / 2:.1f}"
    for number, (event, tag) in enumerate(_rows(timeline), start=1):
        cells = (
            f"{number}", "Spectrogram 1", "1", f"{event.start:.6f}", f"{event.end:.6f}", "0.0",
            highest, tag, f"{event.score:.4f}",
        )  # fmt: skip
        lines.append("\t".join(cells))
    return "\n".join(lines) + "\n"


FORMATS: Mapping[str, LabelFormat] = {
    "json": LabelFormat("application/json", "", ".json", to_json),
    "csv": LabelFormat("text/csv; charset=utf-8", "", ".csv", to_csv),
    "audacity": LabelFormat("text/plain; charset=utf-8", "", ".txt", to_audacity),
    "raven": LabelFormat(
        "text/tab-separated-values; charset=utf-8", ".selections", ".txt", to_raven
    ),
}
