"""Text → tags: case folded, stop-words out, plural nouns to singular (METHOD §3).

A tag is a lower-case word of letters and digits, with inner hyphens ("bass-drum"). Tags keep their
order, for people; to the encoders a set is unordered. Repeats are dropped.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterable

from earmark.model.text.text_key import visible

_TOKEN = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")
_APOSTROPHES = str.maketrans("", "", "'’")

STOP_WORDS = frozenset(
    """
    a about above after again against all am an and any are as at be because been before being
    below between both but by can could did do does doing down during each few find for from
    further get give had has have having he her here hers him his how i if in into is it its
    itself just let like me more most my no nor not of off on once only or other our out over
    own please same she should so some something sound sounds such than that the their them
    then there these they this those through to too under until up very want was we were what
    when where which while who whom why will with would you your
    """.split()
)

# Words whose final "s" is not a plural, besides those with an ending of `_NEVER_PLURAL`.
_SINGULAR_S = frozenset(
    """
    alias always angeles asbestos atlas atmos barracks bias biceps billiards canvas chaos christmas
    cosmos dallas diabetes diesels does dreadlocks ethos gas headquarters hercules herpes judas
    kansas kudos las lens los mars mathematics means mercedes moses nes news overseas pancreas
    pants perhaps physics politics rhinoceros scissors series shears snes sometimes species
    texas thermos thomas towards triceps upwards vegas was yes
    """.split()
)
_NEVER_PLURAL = ("ss", "us", "is", "ics")
_IRREGULAR = {
    "axes": "axe", "buses": "bus", "calves": "calf", "children": "child", "elves": "elf",
    "feet": "foot", "gasses": "gas", "geese": "goose", "halves": "half", "hooves": "hoof",
    "knives": "knife", "leaves": "leaf", "lenses": "lens", "lives": "life", "loaves": "loaf",
    "men": "man", "mice": "mouse", "movies": "movie", "oxen": "ox", "potatoes": "potato",
    "people": "people", "scarves": "scarf", "shelves": "shelf", "teeth": "tooth",
    "thieves": "thief", "tomatoes": "tomato", "heroes": "hero", "echoes": "echo",
    "torpedoes": "torpedo", "volcanoes": "volcano", "wolves": "wolf", "wives": "wife",
    "women": "woman", "zombies": "zombie", "viruses": "virus", "choruses": "chorus",
    "cookies": "cookie", "gases": "gas", "mosquitoes": "mosquito", "cargoes": "cargo",
    "aches": "ache", "headaches": "headache", "caches": "cache", "niches": "niche",
    "avalanches": "avalanche", "quizzes": "quiz", "calories": "calorie", "hoodies": "hoodie",
    "brownies": "brownie", "birdies": "birdie", "genies": "genie", "indies": "indie",
    "magpies": "magpie", "pixies": "pixie", "rookies": "rookie", "selfies": "selfie",
    "smoothies": "smoothie", "walkies": "walkie", "talkies": "talkie", "prairies": "prairie",
    "buffaloes": "buffalo", "dominoes": "domino", "volcanos": "volcano", "dwarves": "dwarf",
}  # fmt: skip


def singular(word: str, vocabulary: Container[str] | None = None) -> str:
    """The singular of a plural noun; other words stay as they are.

    With a `vocabulary`, a rule applies only if its result is one of those words, so that names and
    words of other languages stay.
    """
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("s") and not word.endswith("ss") and word[:-1] in _IRREGULAR:
        return _IRREGULAR[word[:-1]]  # "childrens", from "children's"
    if len(word) < 4 or not word.endswith("s") or word in _SINGULAR_S:
        return word
    if word.endswith(_NEVER_PLURAL):
        return word
    for candidate in _singular_forms(word):
        if vocabulary is None or candidate in vocabulary:
            return candidate
    return word


def _singular_forms(word: str) -> list[str]:
    """Candidates, most likely first."""
    if word.endswith("ies") and len(word) > 4:
        return [word[:-3] + "y", word[:-1]]
    if word.endswith(("ches", "shes", "sses", "xes", "zzes")):
        return [word[:-2], word[:-1]]
    return [word[:-1]]


def tokens(text: str) -> list[str]:
    """Words of a text in lower case, with inner hyphens, without accents or punctuation.

    Case is folded: "Straße" and "STRASSE" are one word.
    """
    if text.isascii():
        plain = text.lower()
    else:
        plain = unicodedata.normalize("NFKC", visible(text)).casefold()
        plain = unicodedata.normalize("NFKD", plain)
        plain = "".join(char for char in plain if not unicodedata.combining(char))
    return [token.translate(_APOSTROPHES) for token in _TOKEN.findall(plain)]


def clean_tag(word: str, vocabulary: Container[str] | None = None) -> str:
    """A token in the singular; of a compound, only its last part changes."""
    head, hyphen, last = word.rpartition("-")
    return head + hyphen + singular(last, vocabulary)


def clean_tags(words: str | Iterable[str], vocabulary: Container[str] | None = None) -> list[str]:
    """The tags in a text or in a list of words, without stop-words and repeats."""
    text = words if isinstance(words, str) else " ".join(words)
    cleaned = (clean_tag(token, vocabulary) for token in tokens(text) if token not in STOP_WORDS)
    return list(dict.fromkeys(tag for tag in cleaned if tag and tag not in STOP_WORDS))
