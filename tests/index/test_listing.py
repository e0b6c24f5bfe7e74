"""The orders of a list of clips: each is that of Python, page by page, and stable."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any, get_args

import pytest

from earmark.index import listing
from earmark.index.catalogue.connection import Database
from earmark.index.catalogue.records import MAX_ID_CHARACTERS, Clip
from earmark.index.errors import CursorError
from earmark.index.library import Library
from earmark.index.listing import Order, list_clips
from earmark.index.search.cursor import digest
from earmark.index.types import Filter
from tests.index import made

DIM = 16
TITLES = ("Rain", "rain", "Zebra", "ant", "é", "Ant" + 200 * "x", "Ant" + 200 * "y")
KEYS: dict[Order, Callable[[Clip], Any]] = {
    "newest": lambda clip: -clip.row,
    "oldest": lambda clip: clip.row,
    "shortest": lambda clip: (clip.duration, clip.row),
    "longest": lambda clip: (-clip.duration, -clip.row),
    "title": lambda clip: (clip.title[:100].lower(), clip.row),
    "loudest": lambda clip: (
        clip.loudness is None,
        -(clip.loudness or 0),
        clip.row if clip.loudness is None else -clip.row,
    ),
    "quietest": lambda clip: (clip.loudness is None, clip.loudness or 0, clip.row),
    "id": lambda clip: clip.id,
}


@pytest.fixture
def filled(library: Library) -> Library:
    """Forty clips, of which several are of equal length, loudness and title."""
    with library.catalogue.write() as writer:
        for number in range(40):
            writer.put(
                made.new_clip(
                    f"clip-{number}",
                    number,
                    vector=made.vector(number, DIM),
                    id=f"{number * 7 % 40}",
                    title=TITLES[number % 7],
                    duration=float(number * 11 % 5),
                    loudness=(None, -20.5, -10.25, 0.0)[number * 3 % 4],
                    tags=("dog",) if number % 4 else ("rain",),
                )
            )
    return library


def pages(library: Library, order: Order, where: Filter | None, k: int) -> list[str]:
    """The ids on all pages."""
    ids, cursor = [], ""
    while True:
        page = list_clips(library, k, where, order, cursor)
        ids += [clip.id for clip in page.clips]
        if not page.next:
            return ids
        assert len(page.clips) == k
        cursor = page.next


@pytest.mark.parametrize("order", get_args(Order))
def test_every_order_is_that_of_its_key(
    filled: Library, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = sorted(filled.catalogue.clips(), key=KEYS[order])
    for scans, where in itertools.product(
        (0, 0.2, 2), (None, Filter(all_tags=("rain",)), Filter(max_loudness=-15), Filter(up_to=0))
    ):
        monkeypatch.setattr(listing, "SCAN_ROWS", 7)
        monkeypatch.setattr(listing, "SCANS", scans)
        passing = set(filled.passing(where or Filter()).tolist())
        expected = [clip.id for clip in clips if clip.row in passing]
        for k in (3, 40):
            assert pages(filled, order, where, k) == expected


@pytest.mark.parametrize("order", get_args(Order))
def test_pages_go_on_where_their_last_clip_was(filled: Library, order: Order) -> None:
    before = pages(filled, order, None, 40)
    first = list_clips(filled, 10, None, order)
    filled.remove([before[9], before[10]])
    rest = list_clips(filled, 40, None, order, first.next)
    assert [clip.id for clip in rest.clips] == before[11:]


@pytest.mark.parametrize("order", get_args(Order))
def test_no_page_sorts_all_clips_or_reads_those_before_it(
    filled: Library, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[tuple[str, Sequence[object]]] = []
    cursor = list_clips(filled, 10, None, order).next
    query = Database.query

    def watched(database: Database, statement: str, values: Sequence[object] = ()) -> list[Any]:
        statements.append((statement, values))
        return query(database, statement, values)

    with monkeypatch.context() as patch:
        patch.setattr(Database, "query", watched)
        list_clips(filled, 10, None, order, cursor)
    own = [each for each in statements if "ORDER BY" in each[0]]
    assert own
    for statement, values in own:
        plan = filled.catalogue.database.query(f"EXPLAIN QUERY PLAN {statement}", values)
        assert [detail.split()[0] for *_, detail in plan] == ["SEARCH"], plan


def test_a_cursor_holds_any_id(filled: Library) -> None:
    with filled.catalogue.write() as writer:
        for number in (1, 2):  # after all others
            sound_id = "\N{MUSICAL SYMBOL G CLEF}" * (MAX_ID_CHARACTERS - 2 + number)
            vector = made.vector(number, DIM)
            writer.put(made.new_clip(f"clef-{number}", number, id=sound_id, vector=vector))
    assert len(pages(filled, "id", None, 41)) == 42


def test_a_cursor_of_another_order_or_made_up(filled: Library) -> None:
    cursor = list_clips(filled, 1, None, "title").next
    with pytest.raises(CursorError, match="of this very list"):
        list_clips(filled, 1, None, "shortest", cursor)
    for order, place in (("shortest", ["a", 1]), ("title", [1, 1]), ("newest", [None]),
                         ("shortest", [float("nan"), 1]), ("title", ["\ud800", 1]),
                         ("loudest", [1.0, True]), ("oldest", [-1]), ("newest", [1, 1]),
                         ("id", [])):  # fmt: skip
        values = json.dumps([digest(f"{order} {Filter()}"), *place]).encode()
        made_up = base64.urlsafe_b64encode(values).decode().rstrip("=")
        with pytest.raises(CursorError, match="expected one that a list gave"):
            list_clips(filled, 1, None, order, made_up)
