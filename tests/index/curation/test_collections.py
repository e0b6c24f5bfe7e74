"""Collections: order, favourites, kept searches, and filters by them."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.collections import FAVOURITES, collection, collections
from earmark.index.curation import classifiers
from earmark.index.curation import collections as kept
from earmark.index.curation.collections import ClipsChange, state_of
from earmark.index.curation.edits import found_rows
from earmark.index.errors import (
    ChangedError,
    CursorError,
    LibraryError,
    UnknownClassifierError,
    UnknownClipError,
    UnknownCollectionError,
)
from earmark.index.library import Library
from earmark.index.listing import list_clips
from earmark.index.search import named_rows
from earmark.index.search.kept_search import KeptSearch
from earmark.index.search.query import parse
from earmark.index.types import Filter, Page, SearchRequest
from earmark.model.embedder import Embedder
from tests.index import made

WORDS = "dog rain wind car bell bird song drum".split()


@pytest.fixture
def stocked(library: Library) -> Library:
    """Eight clips with the ids `dog`, `rain` and so on, of which the first four are loud."""
    dim = library.embedder.dim
    with library.catalogue.write() as writer:
        for number, word in enumerate(WORDS):
            tags = (word, "loud") if number < 4 else (word,)
            clip = made.new_clip(
                word, number, id=word, title=word, tags=tags, vector=made.vector(number, dim)
            )
            writer.put(clip)
    library.refresh()
    return library


def ids(library: Library, name: str) -> list[str]:
    """The clips of a collection, in its order."""
    return [clip.id for clip in kept.page(library, name, 100).clips]


def test_favourites_are_there_from_the_start_and_stay(stocked: Library) -> None:
    (favourites,) = collections(stocked.catalogue)
    assert (favourites.id, favourites.name, favourites.clips) == (FAVOURITES, "Favourites", 0)
    kept.change_clips(stocked, FAVOURITES, ClipsChange(add=["rain", "dog"]))
    assert ids(stocked, FAVOURITES) == ["rain", "dog"]
    with pytest.raises(LibraryError, match="favourites stay"):
        kept.delete(stocked, FAVOURITES)
    assert kept.edit(stocked, FAVOURITES, name="Best").id == FAVOURITES


def test_an_id_comes_from_the_first_name_and_names_are_unique(stocked: Library) -> None:
    first = kept.create(stocked, "Stürme & Regen ", clip_ids=["rain", "wind", "rain"])
    assert (first.id, first.name, first.clips) == ("sturme-regen", "Stürme & Regen", 2)
    assert kept.create(stocked, "sturme regen").id == "sturme-regen-2"
    assert kept.create(stocked, "嵐").id == "collection"
    with pytest.raises(LibraryError, match="name: expected one that no collection has"):
        kept.create(stocked, "STÜRME & REGEN")
    renamed = kept.edit(stocked, first.id, name="Storms", description=" loud \n ones ")
    assert (renamed.id, renamed.name, renamed.description) == (first.id, "Storms", "loud\nones")
    for name in ("", " \n", "x" * 201):
        with pytest.raises(LibraryError, match="name: expected 1 to 200"):
            kept.create(stocked, name)
    assert [found.id for found in collections(stocked.catalogue)] == [
        FAVOURITES, first.id, "sturme-regen-2", "collection",
    ]  # fmt: skip


def test_changes_that_cannot_be_made_change_nothing(stocked: Library) -> None:
    made_of = kept.create(stocked, "some", clip_ids=["dog", "rain"])
    for change, error, match in (
        (ClipsChange(add=["bird", "none"]), UnknownClipError, "no clip 'none'"),
        (ClipsChange(add=["bird"], before="wind"), LibraryError, "before"),
        (ClipsChange(move=["dog"], before="dog"), LibraryError, "before"),
        (ClipsChange(remove=["dog"], before="dog"), LibraryError, "before"),
        (ClipsChange(move=["bird"]), LibraryError, "move"),
    ):
        with pytest.raises(error, match=match):
            kept.change_clips(stocked, "some", change)
    assert collection(stocked.catalogue, "some") == made_of
    with pytest.raises(UnknownCollectionError, match="'other'"):
        kept.change_clips(stocked, "other", ClipsChange())
    kept.change_clips(stocked, "some", ClipsChange(remove=["none", "dog"]), state_of(made_of))
    with pytest.raises(ChangedError):
        kept.change_clips(stocked, "some", ClipsChange(add=["dog"]), state_of(made_of))
    with pytest.raises(ChangedError):
        kept.delete(stocked, "some", state_of(made_of))
    assert ids(stocked, "some") == ["rain"]


def expected(order: list[str], change: ClipsChange) -> list[str]:
    """What a change makes of an order, in plain lists."""
    order = [clip for clip in order if clip not in change.remove]
    new = [clip for clip in dict.fromkeys(change.add) if clip not in order]
    put = [*dict.fromkeys(change.move), *new]
    order = [clip for clip in order if clip not in change.move]
    place = len(order) if change.before is None else order.index(change.before)
    return [*order[:place], *[clip for clip in put if clip not in order], *order[place:]]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_changes_give_the_order_that_lists_would(stocked: Library, data: st.DataObject) -> None:
    name = kept.create(stocked, f"order {stocked.generation}").id
    order: list[str] = []
    gap, kept.GAP = kept.GAP, data.draw(st.sampled_from([16, 2**20]))
    try:
        for _ in range(3):
            draw = st.lists(st.sampled_from(WORDS), max_size=4)
            remove = data.draw(draw)
            left = [clip for clip in order if clip not in remove]
            move = data.draw(st.lists(st.sampled_from(left), max_size=3)) if left else []
            stay = [clip for clip in left if clip not in move]
            before = data.draw(st.none() | st.sampled_from(stay)) if stay else None
            change = ClipsChange(data.draw(draw), remove, move, before)
            kept.change_clips(stocked, name, change)
            order = expected(order, change)
            assert ids(stocked, name) == order
    finally:
        kept.GAP = gap


def test_pages_hold_their_place_while_others_write(stocked: Library) -> None:
    kept.create(stocked, "all", clip_ids=WORDS)
    first = kept.page(stocked, "all", 3)
    assert ([clip.id for clip in first.clips], first.total) == (WORDS[:3], 8)
    kept.change_clips(stocked, "all", ClipsChange(remove=["dog", "car"], move=["song"]))
    stocked.remove(["bell"])
    second = kept.page(stocked, "all", 3, first.next)
    assert ([clip.id for clip in second.clips], second.total) == (["bird", "drum", "song"], 5)
    assert not second.next
    with pytest.raises(CursorError):
        kept.page(stocked, FAVOURITES, 3, first.next)


def test_searches_and_lists_find_in_collections_only(stocked: Library) -> None:
    kept.create(stocked, "one", clip_ids=["dog", "rain"])
    kept.create(stocked, "two", clip_ids=["rain", "bird"])
    both = Filter(collections=("one", "two"))
    assert {hit.clip.id for hit in stocked.search("dog", where=both).hits} == {
        "dog", "rain", "bird",
    }  # fmt: skip
    loud = Filter(collections=("two",), all_tags=("loud",))
    assert [clip.id for clip in list_clips(stocked, 9, loud).clips] == ["rain"]
    similar = stocked.search_by_clip("rain", where=Filter(collections=("two",)))
    assert [hit.clip.id for hit in similar.hits] == ["bird"]
    stocked.remove(["rain"])
    assert [clip.id for clip in list_clips(stocked, 9, Filter(collections=("two",))).clips] == [
        "bird"
    ]
    kept.change_clips(stocked, "two", ClipsChange(add=["drum"]))
    assert list_clips(stocked, 9, Filter(collections=("two",))).total == 2
    kept.delete(stocked, "two")
    with pytest.raises(UnknownCollectionError, match="none has the id 'two'"):
        list_clips(stocked, 9, Filter(collections=("two",)))


def test_one_unknown_collection_fails_its_own_search_only(stocked: Library) -> None:
    kept.create(stocked, "one", clip_ids=["dog"])
    found = stocked.search_batch(
        [SearchRequest(parse("dog"), where=Filter(collections=(name,))) for name in ("none", "one")]
    )
    assert isinstance(found[0], UnknownCollectionError)
    assert isinstance(found[1], Page)
    assert [hit.clip.id for hit in found[1].hits] == ["dog"]


def test_a_cursor_outlives_changes_of_the_collection(stocked: Library) -> None:
    kept.create(stocked, "most", clip_ids=WORDS[:6])
    where = Filter(collections=("most",))
    first = stocked.search("dog", 2, where)
    kept.change_clips(stocked, "most", ClipsChange(add=["drum"]))
    second = stocked.search("dog", 10, where, cursor=first.next)
    seen = [hit.clip.id for hit in (*first.hits, *second.hits)]
    assert len(seen) == len(set(seen))
    assert set(WORDS[:6]) <= set(seen)


def test_a_kept_search_follows_the_library(stocked: Library) -> None:
    kept.create(stocked, "loud", follows=KeptSearch(where=Filter(all_tags=("loud",))))
    assert ids(stocked, "loud") == ["car", "wind", "rain", "dog"]
    kept.create(stocked, "words", follows=KeptSearch("drum"))
    assert ids(stocked, "words")[0] == "drum"
    assert "dog" not in ids(stocked, "words")  # the model tells nothing: words alone count
    stocked.edit("drum", {"tags": ("drum", "loud")})
    stocked.remove(["car"])
    assert ids(stocked, "loud") == ["drum", "wind", "rain", "dog"]
    both = Filter(collections=("loud", "words"), no_tags=("rain",))
    assert {clip.id for clip in list_clips(stocked, 9, both).clips} == {"drum", "wind", "dog"}
    with pytest.raises(LibraryError, match="follows a search and holds no clips"):
        kept.change_clips(stocked, "loud", ClipsChange(add=["bird"]))
    with pytest.raises(LibraryError, match="expected none of a collection that follows"):
        kept.create(stocked, "x", clip_ids=["dog"], follows=KeptSearch("dog"))


@pytest.mark.parametrize("words", ["drum", "dog bark", "rain song -loud", "quiet song bird"])
def test_kept_edited_and_counted_it_is_the_same_search(stocked: Library, words: str) -> None:
    made_of = kept.create(stocked, "words", follows=KeptSearch(words))
    rows = kept.rows_of(stocked, made_of).tolist()
    assert rows and rows == found_rows(stocked, Filter(), words)
    counted = stocked.listed([SearchRequest(parse(words))])[0]
    assert set(rows) <= set(counted.tolist())


def test_a_kept_search_may_be_in_collections_but_none_that_follow(stocked: Library) -> None:
    kept.create(stocked, "some", clip_ids=["dog", "bird"])
    inner = KeptSearch(where=Filter(collections=("some",), all_tags=("loud",)))
    kept.create(stocked, "inner", follows=inner)
    assert ids(stocked, "inner") == ["dog"]
    kept.change_clips(stocked, "some", ClipsChange(add=["wind"]))
    assert ids(stocked, "inner") == ["wind", "dog"]
    with pytest.raises(LibraryError, match="'inner' follows a search"):
        kept.create(stocked, "x", follows=KeptSearch(where=Filter(collections=("inner",))))
    with pytest.raises(UnknownCollectionError):
        kept.create(stocked, "x", follows=KeptSearch(where=Filter(collections=("none",))))
    with pytest.raises(LibraryError, match="that follows a search already"):
        kept.edit(stocked, "some", follows=inner)
    # The id of a deleted one may come back as a search, even one that would go in circles.
    kept.delete(stocked, "some")
    assert ids(stocked, "inner") == []
    circle = KeptSearch(where=Filter(all_tags=("loud",)))
    assert kept.create(stocked, "some", follows=circle).id == "some"
    assert ids(stocked, "inner") == []


def test_a_kept_search_by_a_taught_sound_outlives_it(stocked: Library) -> None:
    by_sound = KeptSearch(where=Filter(classifiers=("dogs",)))
    with pytest.raises(UnknownClassifierError):
        kept.create(stocked, "Barking", follows=by_sound)
    assert len(collections(stocked.catalogue)) == 1  # not made
    classifiers.create(stocked, "dogs")
    kept.create(stocked, "Barking", follows=by_sound)
    classifiers.remove(stocked, "dogs")
    assert ids(stocked, "barking") == []
    assert list_clips(stocked, 9, Filter(collections=("barking",))).total == 0


def test_a_kept_search_is_read_as_it_was_written() -> None:
    where = Filter(("a",), ("b",), ("c",), 1.5, 2.0, ("CC0-1.0",), ("x",), collections=("one",))
    for search in (KeptSearch("rain -wind", where), KeptSearch()):
        assert KeptSearch.from_json(search.to_json()) == search


def test_rows_are_read_once_and_belong_to_no_key(stocked: Library) -> None:
    kept.create(stocked, "one", clip_ids=["dog", "rain"])
    where = Filter(collections=("one",))
    resolved = stocked._names.resolve(where)
    assert resolved.members is stocked._names.resolve(where).members
    assert str(resolved) == str(where)
    assert pickle.loads(pickle.dumps(resolved)).members.rows.tolist() == [1, 2]
    stocked.edit("dog", {"title": "other"})  # another generation, the same clips
    assert resolved.members is stocked._names.resolve(where).members
    kept.change_clips(stocked, "one", ClipsChange(remove=["dog"]))
    assert np.array_equal(stocked.passing(where), [2])


def test_large_sets_of_rows_make_room_for_others(
    stocked: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in (("small", 1), ("large", 3), ("all", 8)):
        kept.create(stocked, name, clip_ids=WORDS[:size])
    monkeypatch.setattr(named_rows, "CACHED_ROWS", 4)
    monkeypatch.setattr(named_rows, "CACHED", 4)
    names = stocked._open_names()
    small, large, all_ = (Filter(collections=(name,)) for name in ("small", "large", "all"))
    first = names.resolve(small).members
    names.resolve(large)
    assert names.resolve(small).members is first
    resolved = names.resolve(all_)
    assert resolved.members is names.resolve(all_).members
    assert names.resolve(small).members is not first


def test_a_forked_library_reads_collections_by_itself(stocked: Library) -> None:
    kept.create(stocked, "one", clip_ids=["dog"])
    forked = copy.copy(stocked).after_fork()
    try:
        assert forked._names is not stocked._names
        kept.change_clips(stocked, "one", ClipsChange(add=["rain"]))
        found = forked.search("dog", where=Filter(collections=("one",)))
        assert {hit.clip.id for hit in found.hits} == {"dog", "rain"}
    finally:
        forked.catalogue.close()


def test_collections_are_there_when_the_library_is_opened_again(
    stocked: Library, embedder: Embedder, tmp_path: Path
) -> None:
    kept.create(stocked, "one", clip_ids=["rain", "dog"])
    with Library.open(tmp_path / "library", embedder) as again:
        assert ids(again, "one") == ["rain", "dog"]
    catalogue = Catalogue.open(tmp_path / "library")
    assert [found.id for found in collections(catalogue)] == [FAVOURITES, "one"]
    catalogue.close()
