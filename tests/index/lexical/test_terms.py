"""How texts are taken apart for word search: words, parts of runs without spaces, beginnings."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from earmark.index.lexical.stemming import is_unspaced, stem, stems, tokens
from earmark.index.lexical.terms import (
    ENDINGS,
    beginning,
    beginnings,
    clip_terms,
    half_typed,
    held_parts,
    is_gram,
    query_terms,
    run_grams,
    shorter_stems,
)
from earmark.model.text import normalize

SCRIPTS = (
    "雨の音がひどい トタン屋根 雷雨 เสียงฝนตกหนัก ສຽງຝົນ សំឡេងភ្លៀង မိုးရွာသံ 천둥소리가 हिन्दी Straße İ"
)
TEXTS = st.text(max_size=30) | st.text(alphabet=SCRIPTS + " aébcIX-'’1", max_size=20)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Barking DOGS, it's", ["barking", "dogs", "its"]),
        ("hi-hat_snare", ["hi", "hat", "snare"]),
        ("Straße STRASSE café", ["strasse", "strasse", "cafe"]),
        ("4K雨音ABC", ["4k", "雨音", "abc"]),
        ("バイク ﾊﾞｲｸ ハイク", ["バイク", "バイク", "ハイク"]),
        ("เสียงฝนตก", ["เสียงฝนตก"]),
        ("천둥소리", ["천둥소리"]),
        ("हिन्दी", ["हिनदी"]),
        ("1️⃣ ❤️ 🐕‍🦺", ["1"]),
        ("\ud800dog\0rain", ["dog", "rain"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert tokens(text) == words


@given(TEXTS)
def test_words_of_words_are_the_same(text: str) -> None:
    words = tokens(text)
    assert tokens(" ".join(words)) == words
    assert tokens(text.upper().lower()) == tokens(text.lower().upper().lower())
    composed, decomposed = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    assert tokens(composed) == tokens(decomposed)


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=40))
def test_english_words_are_those_of_the_model(text: str) -> None:
    assert tokens(text) == normalize.tokens(text.replace("-", " "))


@given(TEXTS, TEXTS)
def test_a_clip_is_found_by_each_of_its_words_and_parts(title: str, description: str) -> None:
    words, described = clip_terms(title, description)
    assert len({*words, *described}) == len(words) + len(described)
    for text, held in ((title, {*words}), (description, {*words, *described})):
        assert query_terms(text).keys() <= held or not stems(text)
        for word in tokens(text):
            assert text is description or query_terms(word).keys() <= held
        for word in filter(is_unspaced, tokens(text)):
            for start in range(len(word)):
                part = word[start : start + 3]
                if not unicodedata.category(part[0]).startswith("M"):
                    grams = set(run_grams(part)[:-1])  # the last letter's marks may be cut off
                    assert grams <= held
                    assert held_parts(word, held) == [word]


def test_of_a_sentence_some_parts_are_searched_for() -> None:
    text = "昨日の夜に山の上で雷が鳴り雨が激しく降ってトタン屋根を叩く音がずっと聞こえていました"
    grams = [term for term in query_terms(f"{text} {text[::-1]}") if is_gram(term)]
    assert grams == run_grams(text)[:16]


@given(TEXTS)
@example("ABOBITY")  # a stem that a rare ending was cut from
def test_a_title_is_found_by_the_beginning_of_its_last_word(title: str) -> None:
    """As far as the word's stem goes; to its end where that is a usual ending."""
    words, _ = clip_terms(title, "")
    if not half_typed(title):
        return
    last = half_typed(title)
    held = {*words, *beginnings(words)}
    is_usual = last[len(stem(last)) :] in ENDINGS
    for length in range(3, len(last if is_usual else stem(last)) + 1):
        typed = last[:length]
        found = {typed, stem(typed), beginning(typed), *shorter_stems(typed)}
        assert found & held, typed


@pytest.mark.parametrize(
    ("typed", "word"),
    [
        ("barki", "barking"),
        ("locomoti", "locomotive"),
        ("runni", "running"),
        ("happine", "happiness"),
    ],
)
def test_what_is_longer_than_the_stem_is_completed(typed: str, word: str) -> None:
    assert stem(word) in shorter_stems(typed)


def test_what_may_be_half_typed() -> None:
    assert half_typed("thund") == "thund"
    assert half_typed("door-be") == half_typed("the") == half_typed("雨音") == half_typed("") == ""
    assert beginning("thunderstorm") == "thunders*"
    assert shorter_stems("thund") == []


def test_stop_words_count_alone() -> None:
    assert query_terms("on off") == {"_on": "on", "_off": "off"}
    assert query_terms("the dog") == {"dog": "dog"}
    assert query_terms("!!!") == {}
    assert clip_terms("Off", "off and on")[0] == ["_off"]
    assert clip_terms("Off", "off and on")[1] == []
    assert not {*clip_terms("Sound of a deer", "")[0]} & {"sound", "a"}


def test_parts_of_runs() -> None:
    assert query_terms("雨の音") == {"雨の音": "雨の音", "~雨の": "雨の", "~の音": "の音"}
    assert query_terms("雷") == {"雷": "雷", "~雷": "雷"}
    words, _ = clip_terms("大雨の音が響く", "")
    assert {term for term in query_terms("雨の音") if is_gram(term)} <= {*words}
    assert held_parts("雨の音だ", words) == ["雨の音"]
    assert held_parts("音楽", words) == []
    assert held_parts("雨", words) == ["雨"]
