"""Facets against counting by hand: in memory and in the catalogue, with and without words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest

from earmark.index import facets as facets_module
from earmark.index.catalogue.records import Clip
from earmark.index.curation import classifiers as taught
from earmark.index.curation.classifiers import NewLabel
from earmark.index.curation.collections import ClipsChange, change_clips
from earmark.index.errors import FilterError, UnknownCollectionError
from earmark.index.facets import Facets, count_facets
from earmark.index.library import Library
from earmark.index.search.query import parse
from earmark.index.types import Filter, SearchRequest
from tests.index import made

DIM = 16
RATES, LOUDNESS = (44_100, 48_000), (None, -60.0, -23.0, -20.0, -5.0)
SECONDS = (0.5, 1.0, 5.0, 7.0, 4_000.0)
FILTERS = (
    Filter(),
    Filter(all_tags=("DOG",), licences=("CC0-1.0",)),
    Filter(licences=("cc0-1.0",), sources=("one",), channels=(2,)),
    Filter(sample_rates=(48_000,), min_duration=1.0, max_duration=5.0),
    Filter(min_loudness=-30.0, categories=("weatrain",)),
    Filter(added_after="2026-02", added_before="2026-04-01", no_tags=("rain",)),
    Filter(min_duration=1e9),
)


@pytest.fixture
def filled(library: Library) -> Library:
    """Sixty clips, of which some have changed and some are gone."""
    for numbers in (range(40), range(30, 66)):
        with library.catalogue.write() as writer:
            for number in numbers:
                clip = made.new_clip(
                    f"clip-{number}",
                    number,
                    vector=made.vector(number, DIM),
                    tags=(("dog", "Dog")[number % 2], "bark") if number % 3 else ("rain",),
                    licence=("", "CC0-1.0", "cc0-1.0", "CC-BY-4.0")[number % 4],
                    source=("one", "two")[number % 5 == 0],
                    duration=SECONDS[number % 5],
                    sample_rate=RATES[number % 2],
                    channels=1 + number % 3,
                    loudness=LOUDNESS[number % 5],
                    category=("", "WEATRain", "AMBUrbn")[number % 3],
                )
                writer.put(clip)
        library.refresh()
    with library.catalogue.write() as writer:
        for number in (1, 50, 65):
            writer.remove_at(f"clip-{number}", f"/sounds/clip-{number}.wav")
        for clip in library.catalogue.clips():
            writer._db.execute(
                "UPDATE clips SET added_at = ?, generation = ? WHERE row = ?",
                (f"2026-0{1 + clip.row % 4}-{10 + clip.row % 3}T23:59:59+00:00",
                 writer.generation, clip.row),
            )  # fmt: skip
    library.refresh()
    return library


def key(name: str) -> str:
    return name.lower()


def by_hand(clips: Iterable[Clip], values: Callable[[Clip], Iterable[str]]) -> Counter[str]:
    return Counter(name for clip in clips for name in {key(one) for one in values(clip)} if name)


def check(facets: Facets, passing: Callable[[Filter], list[Clip]], where: Filter) -> None:
    """Each facet is counted without its own conditions."""

    def left(**cleared: object) -> list[Clip]:
        return passing(replace(where, **cleared))

    assert facets.total == len(passing(where))
    for name, counted, cleared in (
        ("tags", facets.tags, {}),
        ("licence", facets.licences, {"licences": ()}),
        ("source", facets.sources, {"sources": ()}),
        ("category", facets.categories, {"categories": ()}),
    ):
        own = by_hand(
            left(**cleared),
            lambda clip, name=name: clip.tags if name == "tags" else [getattr(clip, name)],
        )
        assert {key(value): count for value, count in counted} == own
        assert list(counted) == sorted(counted, key=lambda one: (-one[1], one[0]))
    rates = Counter(clip.sample_rate for clip in left(sample_rates=()))
    assert facets.sample_rates == tuple(sorted(rates.items()))
    assert facets.channels == tuple(sorted(Counter(c.channels for c in left(channels=())).items()))
    for ranges, values in (
        (facets.durations, [c.duration for c in left(min_duration=None, max_duration=None)]),
        (facets.loudness, [c.loudness for c in left(min_loudness=None, max_loudness=None)]),
    ):
        known = [value for value in values if value is not None]
        assert all(one.count for one in ranges)
        for one in ranges:
            low = -np.inf if one.minimum is None else one.minimum
            high = np.inf if one.maximum is None else one.maximum
            assert one.count == sum(low <= value <= high for value in known), one
        assert not known or sum(one.count for one in ranges) >= len(known)
    months = Counter(clip.added_at[:7] for clip in left(added_after="", added_before=""))
    assert facets.added == tuple(sorted(months.items(), reverse=True))


@pytest.mark.parametrize("kept", ["in memory", "in the catalogue"])
def test_counts_are_those_of_the_clips_that_pass(
    filled: Library, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kept == "in the catalogue":  # as with a store that holds no columns here
        monkeypatch.setattr(filled.store, "columns", lambda *_: None)

    def passing(where: Filter) -> list[Clip]:
        return list(filled.catalogue.clips_by_row(filled.passing(where).tolist()).values())

    for where in FILTERS:
        facets = count_facets(filled, SearchRequest(where=where), 100)
        assert facets.generation == filled.generation
        check(facets, passing, where)
        few = count_facets(filled, SearchRequest(where=where), 1)
        for one, all_of_it in ((few.tags, facets.tags), (few.licences, facets.licences)):
            assert [count for _, count in one] == [count for _, count in all_of_it[:1]]
        assert few.sample_rates == facets.sample_rates
    assert count_facets(filled, SearchRequest(parse("-rain")), 9).total == len(
        passing(Filter(no_tags=("rain",)))
    )


def test_counts_of_words_are_those_of_what_another_order_lists(filled: Library) -> None:
    request = SearchRequest(parse("rain dog"), k=100, sort="newest")

    def listed(where: Filter) -> list[Clip]:
        (page,) = filled.search_batch([replace(request, where=where)])
        return [hit.clip for hit in page.hits]

    for where in FILTERS:
        check(count_facets(filled, replace(request, where=where), 100), listed, where)


def test_collections_count_what_they_hold_of_the_clips(filled: Library) -> None:
    ids = {clip.title: clip.id for clip in filled.catalogue.clips()}
    chosen = tuple(ids[f"clip-{number}"] for number in (2, 3, 6))
    change_clips(filled, "favourites", ClipsChange(add=chosen))
    where = Filter(all_tags=("rain",))
    facets = count_facets(filled, SearchRequest(where=where), 9)
    assert [(one.id, one.count) for one in facets.collections] == [("favourites", 2)]
    own = count_facets(filled, SearchRequest(where=Filter(collections=("favourites",))), 9)
    assert (own.total, own.collections[0].count) == (3, 3)
    assert dict(own.sample_rates) == {44_100: 2, 48_000: 1}
    with pytest.raises(UnknownCollectionError):
        count_facets(filled, SearchRequest(where=Filter(collections=("none",))), 9)


def test_taught_sounds_count_what_they_take_for_theirs(
    filled: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [clip.id for clip in filled.catalogue.clips()][:12]
    for name in ("gong", "bell"):
        taught.create(filled, name)
    taught.label(filled, "gong", [NewLabel(each, place < 6) for place, each in enumerate(ids)])
    where, own = Filter(all_tags=("dog",)), Filter(classifiers=("gong",))
    counts = count_facets(filled, SearchRequest(where=where), 9).classifiers
    assert counts is not None
    both = len(filled.passing(replace(where, classifiers=("gong",))))
    assert {one.id: one.count for one in counts}["gong"] == both > 0
    narrowed = count_facets(filled, SearchRequest(where=own), 9)
    assert narrowed.total == len(filled.passing(own))
    assert narrowed.classifiers == count_facets(filled, SearchRequest(), 9).classifiers
    monkeypatch.setattr(facets_module, "MAX_RANKED", len(filled.store))
    assert count_facets(filled, SearchRequest(), 9).classifiers is None


@pytest.mark.parametrize("date", ["2026-W01-1", "20261130", "2026-13", "0000", "2026-11-30T00"])
def test_what_is_no_year_month_or_day_is_refused(date: str) -> None:
    with pytest.raises(FilterError, match="added_after: expected a year"):
        Filter(added_after=date)
