"""Which texts count as the same, and which characters of a text show nothing."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.model.text.text_key import distinct, text_key, usual_spellings, visible

# Texts in which composition, case and joiners matter, and any others.
CHARACTERS = st.sampled_from(
    "aAeEißẞſςΣσΐΪΰᾳᾼıİIkKÅÅǆǅйЙ가각한ﬁŉ\u0301\u0308\u0307\u0345\u0327\u094d\u200c\u200d\u200b\u00ad"
    "کمخक👩🚀❤\ufe0f🏽 -"
)
TEXTS = st.text(CHARACTERS | st.characters(), max_size=12)


@pytest.mark.parametrize(
    "texts",
    [
        ("café", "cafe\u0301", "CAFÉ", "CAFE\u0301"),
        ("Straße", "STRASSE", "strasse", "STRAẞE"),
        ("ΉΧΟΣ", "ήχος", "ήχοσ"),
        ("한국", unicodedata.normalize("NFD", "한국")),
        ("Йога", "йога", unicodedata.normalize("NFD", "йога")),
        ("rain", "Rain", "ra\u200bin", "\ufeffrain", "rain\u200e", "\u202erain", "ra\u00adin"),
        ("ΐ", "\u03aa\u0301"),
    ],
)
def test_these_are_the_same(texts: tuple[str, ...]) -> None:
    assert len({text_key(text) for text in texts}) == 1
    assert distinct(texts) == [texts[0]]


def test_these_are_not() -> None:
    texts = ["cafe", "café", "caff", "i", "ı", "می‌خواهم", "میخواهم", "ss", "s"]
    assert distinct(texts) == texts


@given(TEXTS)
def test_a_key_is_its_own(text: str) -> None:
    key = text_key(text)
    assert text_key(key) == key == unicodedata.normalize("NFC", key)
    assert text_key(text.lower()) == key
    for form in ("NFC", "NFD"):
        assert text_key(unicodedata.normalize(form, text)) == key
    assert text_key(visible(text)) == key


@given(TEXTS)
def test_what_is_visible_stays_so(text: str) -> None:
    shown = visible(text)
    assert visible(shown) == shown == unicodedata.normalize("NFC", shown)
    assert visible(unicodedata.normalize("NFD", text)) == shown


@pytest.mark.parametrize("text", ["می‌خواهم", "क्‍ष", "അവന്‍", "👩‍🚀", "👩🏽‍🚀", "❤️‍🔥", "🏳️‍🌈"])
def test_joiners_stay_where_they_change_what_is_shown(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize("joiner", "\u200c\u200d")
def test_joiners_go_where_they_change_nothing(joiner: str) -> None:
    for text in ("rain", "Auf lage", "é", "12", "x\u0301", "می"):
        assert visible(joiner + joiner.join(text)) == visible(joiner.join(text)), text
    assert visible(f"Auf{joiner}lage e{joiner}\u0301{joiner} 1{joiner}2") == "Auflage é 12"
    assert visible(f"می{joiner}{joiner}خ") == f"می{joiner}خ"


def test_of_several_spellings_the_most_frequent_is_the_usual() -> None:
    counts = {"strasse": 2, "straße": 3, "rain": 1, "ss": 1, "ß": 1}
    assert usual_spellings(counts) == {
        "strasse": "straße", "straße": "straße", "rain": "rain", "ss": "ss", "ß": "ss",
    }  # fmt: skip
    assert usual_spellings({}) == {}
