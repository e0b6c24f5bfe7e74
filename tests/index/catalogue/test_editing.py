"""Changing what is said of a clip, removing it, and all clips page by page."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.index.catalogue import metadata
from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.metadata import Metadata
from earmark.index.errors import ChangedError, CursorError, LibraryError, UnknownClipError
from earmark.index.library import Library
from earmark.index.listing import Order, list_clips
from earmark.index.types import Filter
from tests.index.made import new_clip, vector


def put(catalogue: Catalogue, *names: str, **said: object) -> list[str]:
    """Clips of those names, which are their ids."""
    dim = int(catalogue.meta("dim"))
    with catalogue.write() as writer:
        return [
            writer.put(new_clip(name, number, id=name, vector=vector(number, dim), **said))
            for number, name in enumerate(names)
        ]


def test_fields_are_replaced_and_emptied_and_the_others_stay(catalogue: Catalogue) -> None:
    put(catalogue, "a", author="Ann", source="Tapes", licence="CC0-1.0", description="By the sea")
    before = catalogue.clip("a")
    with catalogue.write() as writer:
        writer.edit("a", {"tags": (), "author": "", "title": "Waves"})
    after = catalogue.clip("a")
    assert after.metadata == Metadata(
        title="Waves", source="Tapes", licence="CC0-1.0", description="By the sea"
    )
    assert after.generation == before.generation + 1
    assert (after.row, after.path, after.added_at) == (before.row, before.path, before.added_at)


def test_an_edit_is_found_at_once(library: Library) -> None:
    put(library.catalogue, "a", tags=("rain",))
    library.refresh()
    library.edit("a", {"tags": ("hail",)})
    library.refresh()
    assert len(library.store.match(["hail"], 5)[0]) == 1
    assert not len(library.store.match(["rain"], 5)[0])
    library.edit("a", {"tags": (), "title": "", "description": ""})
    library.refresh()
    assert not len(library.store.match(["hail"], 5)[0])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"title": "x" * 1_001}, "title: expected at most 1000"),
        ({"tags": ("x" * 201,)}, "tag: expected at most 200"),
        ({"tags": tuple(map(str, range(1_001)))}, "tags: expected at most 1000, got 1001"),
        ({"description": "x" * 20_001}, "description: expected at most 20000"),
    ],
)
def test_what_is_too_long_changes_nothing(
    catalogue: Catalogue, changes: dict[str, object], says: str
) -> None:
    put(catalogue, "a")
    before = catalogue.clip("a"), catalogue.meta("generation")
    with pytest.raises(LibraryError, match=says), catalogue.write() as writer:
        writer.edit("a", changes)
    assert (catalogue.clip("a"), catalogue.meta("generation")) == before


def test_a_clip_that_was_changed_meanwhile_is_left_as_it_is(library: Library) -> None:
    put(library.catalogue, "a")
    read = library.catalogue.clip("a").generation
    edited = library.edit("a", {"title": "mine"}, read)
    for late in (
        lambda: library.edit("a", {"title": "theirs"}, read),
        lambda: library.remove(["a"], read),
    ):
        with pytest.raises(ChangedError, match="'a' has been changed meanwhile"):
            late()
    assert library.catalogue.clip("a") == edited
    with pytest.raises(UnknownClipError, match="no clip 'b'"):
        library.edit("b", {"title": "x"})
    library.remove(["a"], edited.generation)
    assert library.catalogue.count() == 0


def ids(library: Library, k: int, where: Filter | None, order: Order) -> list[list[str]]:
    """All pages."""
    pages, cursor = [], ""
    while True:
        listed = list_clips(library, k, where, order, cursor)
        pages.append([clip.id for clip in listed.clips])
        if not listed.next:
            return pages
        cursor = listed.next


def flat(pages: list[list[str]]) -> list[str]:
    return [each for page in pages for each in page]


NAMES = ("c", "a/b", "№ 1", "b", "Z", "-", "é")


@pytest.mark.parametrize("k", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("where", [None, Filter(all_tags=("DOG",)), Filter(sources=("", "x"))])
def test_pages_hold_every_clip_once(library: Library, k: int, where: Filter | None) -> None:
    put(library.catalogue, *NAMES)
    newest = ids(library, k, where, "newest")
    assert flat(newest) == list(reversed(NAMES))
    assert all(len(page) == k for page in newest[:-1])
    assert flat(ids(library, k, where, "id")) == sorted(NAMES)
    assert list_clips(library, k, where).total == len(NAMES)


def test_a_filter_leaves_out_what_does_not_pass(library: Library) -> None:
    put(library.catalogue, "a", "b", "c", tags=("rain",))
    put(library.catalogue, "d", "e", tags=("wind",))
    rain = Filter(all_tags=("rain",))
    for order, expected in (("newest", ["c", "b", "a"]), ("id", ["a", "b", "c"])):
        assert flat(ids(library, 2, rain, order)) == expected
        assert list_clips(library, 2, rain, order).total == 3
        assert flat(ids(library, 2, Filter(all_tags=("snow",)), order)) == []
    assert list_clips(library, 2, Filter(all_tags=("snow",))).total == 0


@pytest.mark.parametrize("where", [None, Filter(all_tags=("dog",))])
def test_pages_stay_stable_while_others_write(library: Library, where: Filter | None) -> None:
    put(library.catalogue, *"abcdef")
    first = list_clips(library, 2, where)
    assert [clip.id for clip in first.clips] == ["f", "e"]
    put(library.catalogue, "new", "newer")
    library.remove(["e", "d"])  # the place itself, and one to come
    second = list_clips(library, 2, where, "newest", first.next)
    assert [clip.id for clip in second.clips] == ["c", "b"]
    by_id = list_clips(library, 2, where, "id")
    library.remove(["b"])
    third = list_clips(library, 9, where, "id", by_id.next)
    assert [clip.id for clip in third.clips] == ["c", "f", "new", "newer"]


@pytest.mark.parametrize(
    "cursor", ["x", "§", "W10", "WyIiLDFd", "a" * 5_000, "eyJhIjoxfQ", "bnVsbA", "W1tbW1tb"]
)
def test_a_cursor_that_no_list_gave(library: Library, cursor: str) -> None:
    put(library.catalogue, "a")
    with pytest.raises(CursorError, match="cursor: expected one"):
        list_clips(library, 1, cursor=cursor)


def test_a_cursor_belongs_to_its_list(library: Library) -> None:
    put(library.catalogue, "a", "b", "c")
    cursor = list_clips(library, 1).next
    others: Sequence[tuple[Filter | None, Order]] = [
        (None, "id"),
        (Filter(all_tags=("dog",)), "newest"),
    ]
    for where, order in others:
        with pytest.raises(CursorError, match="of this very list, got another's"):
            list_clips(library, 1, where, order, cursor)


def test_an_empty_library_is_an_empty_list(library: Library) -> None:
    listed = list_clips(library, 10)
    assert (listed.clips, listed.next, listed.total) == ([], "", 0)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (["rain", " rain ", "Rain"], ("rain",)),
        (["CAFE\u0301", "café", "Straße", "STRASSE"], ("CAFÉ", "Straße")),
        (["ra\u200bin", "\ufeffrain", "rain\u200e", "می‌خواهم"], ("rain", "می‌خواهم")),
        (["metal roof", "a;b", "x\n\ty"], ("metal-roof", "a-b", "x-y")),
        (["", " ", "\u202e", "\x00"], ()),
        (["дождь", "雨", "🐕", "be\x07ll", "a\ud800b"], ("дождь", "雨", "🐕", "bell", "ab")),
    ],
)
def test_tags_as_they_are_kept(typed: list[str], kept: tuple[str, ...]) -> None:
    assert metadata.printable_tags(typed) == kept


@given(st.lists(st.text()))
def test_any_tags_come_back_from_where_they_are_kept(typed: list[str]) -> None:
    kept = metadata.printable_tags(typed)
    assert Metadata.from_row(list(Metadata(tags=kept).to_row().values())).tags == kept
    assert metadata.printable_tags(kept) == kept


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("rain_on-roof.wav", "rain on roof"),
        ("../../etc/passwd", "passwd"),
        ("C:\\sounds\\Bell one.ogg", "Bell one"),
        ("a\x00b\r\nc.wav", "a b c"),
        ("\u202egnp.wav", "gnp"),
        ("x" * 5_000 + ".wav", "x" * 200),
        ("", ""),
        ("..", ""),
        ("/", ""),
        ("<script>.wav", "<script>"),
    ],
)
def test_the_title_that_a_clients_name_of_a_file_stands_for(name: str, title: str) -> None:
    assert metadata.title_from_file_name(name) == title


def test_texts_of_one_line_and_of_more() -> None:
    assert metadata.clean_line("  Rain\n on\ta \x07roof ") == "Rain on a roof"
    assert metadata.clean_lines(" one \r\n\n two\x00\u202e ") == "one\n\ntwo"
