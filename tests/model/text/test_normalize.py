"""Text to tags: what is a plural and what only looks like one, and text of any kind."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.model.text.normalize import STOP_WORDS, clean_tag, clean_tags, singular, tokens

STAY = (
    "police glass bus gas chorus lens brass hiss bass news series species canvas christmas alias "
    "rhinoceros tennis iris virus physics harmonics kiss chaos always boss cross grass plus "
    "mercedes billiards axis wave tree man dog les yes people scissors"
).split()
PLURALS = {
    "waves": "wave", "leaves": "leaf", "children": "child", "women": "woman", "men": "man",
    "boxes": "box", "keys": "key", "glasses": "glass", "buses": "bus", "churches": "church",
    "flies": "fly", "ties": "tie", "movies": "movie", "houses": "house", "horses": "horse",
    "voices": "voice", "bells": "bell", "bees": "bee", "feet": "foot", "mice": "mouse",
    "wolves": "wolf", "dishes": "dish", "buzzes": "buzz", "axes": "axe", "headaches": "headache",
    "choruses": "chorus", "gases": "gas", "lenses": "lens", "noises": "noise", "geese": "goose",
    "cookies": "cookie", "babies": "baby", "boys": "boy", "hooves": "hoof", "echoes": "echo",
    "classes": "class", "crosses": "cross", "pistols": "pistol", "avalanches": "avalanche",
}  # fmt: skip

LETTERS = st.text("abcdefghilmnorstuxyz", max_size=8)
WORD_ENDS = st.sampled_from(["s", "es", "ies", "ses", "ches", "xes", "zzes", "us", "ss", "ives"])
PLURAL_LIKE = st.one_of(
    st.builds(lambda stem, end: stem + end, LETTERS, WORD_ENDS),
    st.builds(lambda word, end: word + end, st.sampled_from([*STAY, *PLURALS]), WORD_ENDS),
    LETTERS,
)


@pytest.mark.parametrize("word", STAY)
def test_these_are_no_plurals(word: str) -> None:
    assert singular(word) == word


@pytest.mark.parametrize(("plural", "one"), PLURALS.items())
def test_plurals(plural: str, one: str) -> None:
    assert singular(plural) == one
    assert singular(one) == one


@settings(max_examples=500)
@given(PLURAL_LIKE)
def test_a_singular_stays(word: str) -> None:
    once = singular(word)
    assert singular(once) == once


@settings(max_examples=200)
@given(PLURAL_LIKE, st.sets(PLURAL_LIKE, max_size=5))
def test_with_known_words_a_rule_only_leads_to_them(word: str, known: set[str]) -> None:
    changed = singular(word, known)
    assert changed in (word, singular(word)) or changed in known


def test_names_and_other_languages_are_left_alone() -> None:
    known = {"dog", "wave"}
    assert clean_tags("dogs caceres perros waves", known) == ["dog", "caceres", "perros", "wave"]
    assert clean_tags("caceres perros") == ["cacere", "perro"]


def test_case_order_repeats_and_stop_words() -> None:
    text = "The Sound of a DOG, dogs and the Rain on my roof! dog"
    assert clean_tags(text) == ["dog", "rain", "roof"]
    assert clean_tags(["Rain", "dogs", "the", "rain"]) == ["rain", "dog"]
    assert clean_tags(sorted(STOP_WORDS)) == []


def test_a_stop_word_behind_a_plural_goes_too() -> None:
    assert clean_tags("likes mosts") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bass-drums", ["bass-drum"]),
        ("glasses-breaking", ["glasses-breaking"]),
        ("-rain- --wind", ["rain", "wind"]),
        ("hi-hat_open", ["hi-hat", "open"]),
        ("rain;wind,sea/wave", ["rain", "wind", "sea", "wave"]),
        ("808 2-shots", ["808", "2-shot"]),
        ("dog's dogs' children's women’s", ["dog", "child", "woman"]),
        ("Café NAÏVE Müller", ["cafe", "naive", "muller"]),
        ("ｆｕｌｌ ﬁre ㎐", ["full", "fire", "hz"]),
        ("Straße STRASSE strasse", ["strasse"]),
        ("ΉΧΟΣ ήχος", ["ηχοσ"]),
        ("cafe\u0301 CAFÉ ca\u200bfe\u00ad", ["cafe"]),
        ("дождь 雨", ["дождь", "雨"]),
        ("🐶🔥 🐱rain", ["rain"]),
        ("", []),
        (" \t\n\x00\u200b", []),
        ("!!! ??? ___ '' - --", []),
    ],
)
def test_text_of_any_kind(text: str, expected: list[str]) -> None:
    assert clean_tags(text) == expected


def test_words_that_look_like_nothing_are_words() -> None:
    assert clean_tags("None nan null True") == ["none", "nan", "null", "true"]


def test_ten_thousand_characters() -> None:
    assert clean_tags("s" * 10_000) == ["s" * 10_000]
    assert clean_tags("rain " * 2000) == ["rain"]
    assert len(clean_tags("a-" * 5000)) == 1
    assert clean_tags("'" * 10_000) == []


@settings(max_examples=400)
@given(st.text(max_size=60))
def test_any_text_gives_clean_tags(text: str) -> None:
    tags = clean_tags(text)
    assert len(set(tags)) == len(tags)
    assert not STOP_WORDS & set(tags)
    for tag in tags:
        assert tag == tag.casefold()
        assert not any(char.isspace() or char in "_'’" for char in tag)
        assert tokens(tag) == [tag]
    assert clean_tags(tags) == tags


def test_only_the_end_of_a_compound_changes() -> None:
    assert clean_tag("foot-steps") == "foot-step"
    assert clean_tag("leaves-leaves") == "leaves-leaf"
