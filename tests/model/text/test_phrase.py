"""Texts in any script → one phrase, its words, and what was ignored."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from earmark.model.text.normalize import STOP_WORDS
from earmark.model.text.phrase import MAX_IGNORED, MAX_LETTERS, MAX_READ, read_phrase

# Any text at all: with lone surrogates, control characters, emoji and combining marks.
TEXTS = st.text(st.characters(codec=None)) | st.lists(
    st.sampled_from(
        [
            "the",
            "rain",
            " ",
            ",",
            "\ud800",
            "\0",
            "❤️",
            "👨‍👩‍👧",
            "้",
            "狗",
            "-",
            "İ",
            "ΑΣ",
            "a" * 150,
        ]
    )
).map("".join)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
@example("a\ud800b")
@example("\ufe0f")
@example("a" * 199 + ".b")
def test_any_text_has_a_phrase(text: str) -> None:
    phrase = read_phrase(text)
    assert len(phrase.text) <= MAX_LETTERS
    pieces = phrase.text.split(" ") if phrase.text else []
    assert set(phrase.words) <= set(pieces)
    assert len(set(phrase.words)) == len(phrase.words)
    assert bool(phrase.words) == bool(phrase.text)
    for word in pieces:
        assert {unicodedata.category(letter)[0] for letter in word} & {"L", "N"}
    if set(phrase.words) & STOP_WORDS:
        assert set(pieces) <= STOP_WORDS
    assert all(0 < len(piece) <= MAX_IGNORED for piece in phrase.ignored)
    for said in (phrase.text, *phrase.ignored):
        said.encode()  # can be sent and stored
    assert read_phrase(phrase.text).text == phrase.text


@pytest.mark.parametrize(
    ("text", "phrase", "words"),
    [
        ("Hund bellt", "hund bellt", ["hund", "bellt"]),
        ("  The sound of RAIN!  ", "the sound of rain", ["rain"]),
        ("the other", "the other", ["the", "other"]),
        ("dog, dog; bass-drum", "dog dog bass-drum", ["dog", "bass-drum"]),
        ("rain,wind/field_recording", "rain wind field recording", "rain wind field recording"),
        ("don't stop", "don't stop", ["don't", "stop"]),
        ("8-bit 808", "8-bit 808", ["8-bit", "808"]),
        ("狗叫，下雨。", "狗叫 下雨", ["狗叫", "下雨"]),
        ("лай\u3000собаки", "лай собаки", ["лай", "собаки"]),
        ("e\u0301cole", "école", ["école"]),  # composed
        ("น้ำตก เสียงนก", "น้ำตก เสียงนก", ["น้ำตก", "เสียงนก"]),
        ("बारिश की ध्वनि", "बारिश की ध्वनि", ["बारिश", "की", "ध्वनि"]),
        ("بَحْرٌ", "بَحْرٌ", ["بَحْرٌ"]),
        ("¿Qué? «loup»", "qué loup", ["qué", "loup"]),
    ],
)
def test_phrases(text: str, phrase: str, words: list[str] | str) -> None:
    found = read_phrase(text)
    assert found.text == phrase
    assert found.words == (words.split() if isinstance(words, str) else words)
    assert found.ignored == []


@pytest.mark.parametrize(
    "emoji", ["🐕", "❤️", "👨‍👩‍👧", "🇩🇪", "👍🏽", "☔️", "?!", "…", "\u200d", "\x07"]
)
def test_what_has_no_letter_is_ignored(emoji: str) -> None:
    assert read_phrase(emoji).text == ""
    assert read_phrase(emoji).words == []
    assert read_phrase(emoji).ignored == [emoji]
    beside = read_phrase(f"rain {emoji} wind")
    assert (beside.text, beside.ignored) == ("rain wind", [emoji])
    assert read_phrase(f"{emoji}rain{emoji}").text == "rain"


def test_long_texts_are_cut_after_a_word() -> None:
    found = read_phrase("barking " * 1_250)  # 10,000 letters
    assert found.text == " ".join(["barking"] * 25)
    assert found.words == ["barking"]
    assert set(found.ignored[:-1]) == {"barking"}
    assert found.ignored[-1].startswith("barking barking")  # how the rest begins


def test_a_word_that_is_cut_in_two_is_not_read() -> None:
    found = read_phrase("! " * (MAX_READ // 2 - 1) + "rainbow")
    assert found.text == ""
    assert found.ignored[-1] == "rainbow"


def test_a_text_without_spaces_is_cut_where_it_must() -> None:
    found = read_phrase("狗叫" * 5_000)
    assert found.text == "狗叫" * 100
    assert found.words == [found.text]
    assert found.ignored[0] == "狗叫" * 30
    assert len(found.ignored) == 2


def test_stop_words_alone_are_words() -> None:
    assert read_phrase("The Sound").words == ["the", "sound"]
    assert read_phrase("The Sound of 海").words == ["海"]
