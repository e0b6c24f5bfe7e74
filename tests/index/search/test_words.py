"""Searches by words: half-typed ones, scripts without spaces, stop words, and what is not used."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.index.errors import CursorError
from earmark.index.lexical.stemming import tokens
from earmark.index.lexical.terms import query_terms
from earmark.index.library import Library
from earmark.index.search.query import QueryEncoder, parse
from earmark.index.types import Page, SearchRequest
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import starter_model
from tests.index.made import new_clip
from tests.model.tiny import checkpoint_of, sentence_config, tiny_config

CLIPS = {  # title → description
    "Thunder over the hills": "",
    "Storm": "with thunderclaps",
    "Dog barking": "",
    "A car": "",
    "Cartoon boing": "",
    "Off": "",
    "The Who": "",
    "トタン屋根に雨の音": "",
    "雷雨": "",
    "雷": "",
    "京都東駅": "",
    "夜の東京都": "",
    "北京的雷声": "",
    "เสียงฝนตกหนัก": "",
    "ສຽງຝົນຕົກ": "",
    "សំឡេងភ្លៀង": "",
    "မိုးရွာသံ": "",
    "천둥소리가 나는 밤": "",
    "Zzyzx road": "",
}


@pytest.fixture(scope="module", params=["single words", "sentences"])
def stocked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Library]:
    """A library of these clips; the model reads single words, or sentences."""
    config = tiny_config() if request.param == "single words" else sentence_config()
    embedder = DualEmbedder(checkpoint_of(config))
    folder = tmp_path_factory.mktemp("words") / "library"
    with Library.open(folder, embedder, create=True) as library:
        with library.catalogue.write() as writer:
            for number, (title, description) in enumerate(CLIPS.items()):
                vector = np.random.default_rng(number).standard_normal(embedder.dim)
                vector = (vector / np.linalg.norm(vector)).astype(np.float32)
                none = np.zeros((0, embedder.dim), np.float32)
                said = {"title": title, "tags": (), "description": description}
                writer.put(new_clip(f"{number}", number, vector=vector, windows=none, **said))
        yield library


def found(page: Page) -> dict[str, tuple[str, ...]]:
    """The words of each hit that was found by words, the best first."""
    hits = [hit for hit in page.hits if hit.word_rank]
    hits.sort(key=lambda hit: hit.word_rank)
    return {hit.clip.title: hit.matched for hit in hits}


def typing(library: Library, text: str) -> Page:
    """The first hits while a text is being typed."""
    (page,) = library.search_batch([SearchRequest(parse(text, typing=True), 30)])
    assert isinstance(page, Page)
    return page


@pytest.mark.parametrize(
    ("typed", "hits", "guessed"),
    [
        (
            "thund",
            {"Thunder over the hills": ("thunder",), "Storm": ("thunderclaps",)},
            {"thund": {"thunder", "thunderclaps"}},
        ),
        ("barki", {"Dog barking": ("barking",)}, {"barki": {"bark", "barking"}}),
        ("dog barki", {"Dog barking": ("dog", "barking")}, {"barki": {"bark", "barking"}}),
        ("boi", {"Cartoon boing": ("boing",)}, {"boi": {"boing"}}),
        ("Zzyz", {"Zzyzx road": ("zzyzx",)}, {"zzyz": {"zzyzx"}}),
        ("thunders", {"Thunder over the hills": ("thunders",), "Storm": ()}, {}),
        ("car", {"A car": ("car",)}, {}),  # no cartoon
        ("zz", {}, {}),
        ("zzyz ", {}, {}),  # not half typed: a space follows
        ("zzyz wind", {}, {}),
        ("wind -zzyz", {}, {}),
    ],
)
def test_half_typed_words(
    stocked: Library, typed: str, hits: dict[str, tuple[str, ...]], guessed: dict[str, set[str]]
) -> None:
    page = typing(stocked, typed)
    assert found(page).items() >= {title: own for title, own in hits.items() if own}.items()
    assert set(found(page)) <= {*hits}
    assert page.understood is not None
    assert {word: {*own.split(", ")} for word, own in page.understood.guessed.items()} == guessed


def test_the_model_reads_the_tag_that_is_half_typed(stocked: Library) -> None:
    half, whole = (typing(stocked, text) for text in ("a loud engin", "a loud engine"))
    assert [(hit.clip.id, hit.cosine) for hit in half.hits] == [
        (hit.clip.id, hit.cosine) for hit in whole.hits
    ]
    assert half.understood is not None
    assert half.understood.guessed == {"engin": "engine"}


@pytest.fixture(scope="module")
def starter() -> QueryEncoder:
    return QueryEncoder(load_embedder(starter_model()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "taken_for"),
    [
        *((word, "") for word in "tür geige chor moto singe cri wal gallo snö tambour".split()),
        ("die tür", ""),
        ("thund", "thunder"),
        ("footst", "footsteps"),
        ("a leaking fauc", "faucet"),
    ],
)
def test_words_of_other_languages_begin_no_tags(
    starter: QueryEncoder, text: str, taken_for: str
) -> None:
    (request,) = starter.encode([SearchRequest(parse(text, typing=True))])
    assert request.understood is not None
    guessed = {text.rsplit(maxsplit=1)[-1]: taken_for} if taken_for else {}
    assert request.understood.guessed == guessed
    read = text.replace(text.rsplit(maxsplit=1)[-1], taken_for) if taken_for else text
    (as_read,) = starter.encode([SearchRequest(parse(read))])
    assert np.array_equal(request.vector, as_read.vector)


def test_what_is_not_being_typed_is_read_as_it_is(stocked: Library) -> None:
    page = stocked.search("thund", 30)
    assert page.understood is not None
    assert (found(page), page.understood.guessed) == ({}, {})


def test_cursors_hold_for_what_is_being_typed(stocked: Library) -> None:
    (page,) = stocked.search_batch([SearchRequest(parse("engin", typing=True), 3)])
    assert isinstance(page, Page)
    again = [
        SearchRequest(parse("engin", typing=typing), 3, cursor=page.next)
        for typing in (True, False)
    ]
    second, other = stocked.search_batch(again)
    assert isinstance(second, Page)
    assert isinstance(other, CursorError)


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("雨の音", ["トタン屋根に雨の音"]),
        ("屋根", ["トタン屋根に雨の音"]),
        ("雷", ["雷", "雷雨", "北京的雷声"]),  # where it is a word, first
        ("雷雨", ["雷雨"]),
        ("東京都", ["夜の東京都", "京都東駅"]),  # the whole before a part
        ("ฝนตก", ["เสียงฝนตกหนัก"]),
        ("ຝົນຕົກ", ["ສຽງຝົນຕົກ"]),
        ("ភ្លៀង", ["សំឡេងភ្លៀង"]),
        ("ရွာသံ", ["မိုးရွာသံ"]),
        ("천둥", ["천둥소리가 나는 밤"]),
        ("소리", ["천둥소리가 나는 밤"]),
        ("off", ["Off"]),
        ("the who", ["The Who", "Thunder over the hills"]),
        ("over the", ["Thunder over the hills", "The Who"]),
        ("OFF!", ["Off"]),
        ("the dog", ["Dog barking"]),
    ],
)
def test_titles_are_found(stocked: Library, query: str, titles: list[str]) -> None:
    first, *others = found(stocked.search(query, 30))
    assert (first, sorted(others)) == (titles[0], sorted(titles[1:]))


def test_parts_of_a_query_without_spaces_say_what_they_are(stocked: Library) -> None:
    assert found(stocked.search("東京都", 30)) == {
        "夜の東京都": ("東京都",),
        "京都東駅": ("京都",),
    }
    whole, part = (hit.share for hit in stocked.search("東京都", 2).hits)
    assert 0 < part < whole <= 1
    # What no clip holds counts as well: the rest of a sentence is no match for it.
    (hit,) = (hit for hit in stocked.search("雷雨警報発令中", 30).hits if hit.clip.title == "雷雨")
    assert hit.share < 0.3


@pytest.mark.parametrize(
    ("query", "single_words", "sentences"),
    [
        ("dog zzyzx", [], []),  # the model knows one, word search the other
        ("dog qqqqq", ["qqqqq"], []),
        ("the dog off", ["the", "off"], []),
        ("the off", [], []),
        ("once more", ["once", "more"], []),
        ("dog 🐕‍🦺 !!! …", ["🐕‍🦺", "!!!", "…"], ["🐕‍🦺", "!!!", "…"]),
        ("雷雨 犬声", ["犬声"], []),
        ("ฝนตก", [], []),
        (f"{'w' * 195} thunder qqqqq", ["w" * 195, "qqqqq"], ["qqqqq"]),  # 200 letters
        ("-dog", [], []),
    ],
)
def test_what_nothing_used_is_named(
    stocked: Library, query: str, single_words: list[str], sentences: list[str]
) -> None:
    understood = stocked.search(query, 5).understood
    assert understood is not None
    reads_sentences = bool(understood.phrase) or not stocked.embedder.parse_tags("qqqqq").ignored
    assert sorted(understood.ignored) == sorted(sentences if reads_sentences else single_words)


WORDS = st.sampled_from(
    "dog rain thunder the off zzyzx zzyz qqqqq hi-hat 雷雨 雷 犬声 ฝนตก 🐕 !!! -wind x^2".split()
)


@settings(max_examples=60, deadline=None)
@given(text=st.lists(WORDS | st.text(max_size=3), max_size=12).map(" ".join))
def test_each_word_is_used_or_named(stocked: Library, text: str) -> None:
    text = text.encode(errors="replace").decode()
    page = stocked.search(text, 30)
    understood = page.understood
    assert understood is not None
    matched = {word for hit in page.hits for word in hit.matched}
    named = {word for piece in understood.ignored for word in tokens(piece)}
    read = {*tokens(understood.phrase), *(w for tag in understood.tags for w in tokens(tag))}
    for piece in text.split():
        if piece.startswith("-") or "^" in piece:
            continue
        for word in tokens(piece):
            held = matched & {word, *query_terms(word).values()}
            assert word in named | read | set(understood.guessed) or held, word
            assert not (held and word in named), word
