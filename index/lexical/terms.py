"""Terms: what word search compares, of a clip's texts and of a query.

Conventions: a term is a stem, or one of three that no stem looks like. `_off`: a stop word, which
counts in a query of stop words only, and of a clip where its title or tags hold it. `~雨音`: one or
two letters in a row of a script without spaces, which every text with them holds, while the stem
雨音 is held where it is a word. `thund*`: any stem that begins so, of up to eight letters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Iterable
from itertools import islice, pairwise

from earmark.index.lexical.stemming import is_unspaced, stem, stems, tokens
from earmark.model.text.normalize import STOP_WORDS

STOP, GRAM, BEGINNING = "_", "~", "*"
MIN_BEGINNING, MAX_BEGINNING = 3, 8  # letters
MAX_GRAMS = 16  # of a query: a sentence is for the model
# With these English endings a stem is shorter than what is typed of its word: "barki" is no
# beginning of "bark", but one of "barking".
ENDINGS = "ing ings ed er ers es ies iness ation ations ative ion ions ive ely ness ment ly".split()


def clip_terms(title: str, description: str) -> tuple[list[str], list[str]]:
    """(terms of a clip's title and tags, those that only its description holds)."""
    words = _text_terms(title, stops=True)
    described = _text_terms(description, stops=False)
    return list(words), [term for term in described if term not in words]


def _text_terms(text: str, *, stops: bool) -> dict[str, None]:
    """The stems of a text, its stop words if asked, and all grams of its runs."""
    terms: dict[str, None] = {}
    grams: list[str] = []
    for word in tokens(text):
        if word not in STOP_WORDS:
            terms[stem(word)] = None
            if not word.isascii() and is_unspaced(word):
                letters = _letters(word)
                grams += (*letters, *map("".join, pairwise(letters)))
        elif stops:
            terms[STOP + stem(word)] = None
    if grams:
        terms |= dict.fromkeys(GRAM + gram for gram in grams)
    return terms


def query_terms(text: str) -> dict[str, str]:
    """The terms of a query, with the word or the part of one that each stands for.

    Stop words only where there is nothing else; of runs the first 16 parts.
    """
    words = stems(text)
    runs = [word for word in words.values() if is_unspaced(word)]
    grams = {gram: gram[len(GRAM) :] for run in runs for gram in run_grams(run)}
    return {**words, **dict(islice(grams.items(), MAX_GRAMS))} or stop_terms(text)


def stop_terms(text: str) -> dict[str, str]:
    """The terms of a text's stop words, with the words."""
    return {f"{STOP}{stem(word)}": word for word in tokens(text) if word in STOP_WORDS}


def run_grams(run: str) -> list[str]:
    """The grams by which a query's run of a script without spaces is found in other runs.

    Two letters each; of a single letter itself. A letter and its marks are one.
    """
    letters = _letters(run)
    if len(letters) == 1:
        return [f"{GRAM}{letters[0]}"]
    return list(dict.fromkeys(f"{GRAM}{one}{other}" for one, other in pairwise(letters)))


def held_parts(run: str, held: Container[str]) -> list[str]:
    """The longest parts of a query's run of which all grams are among these terms."""
    letters = _letters(run)
    if len(letters) == 1:
        return [run] if f"{GRAM}{run}" in held else []
    parts = letters[:1]
    for one, other in pairwise(letters):
        if f"{GRAM}{one}{other}" in held:
            parts[-1] += other
        else:
            parts.append(other)
    return [part for part in parts if len(_letters(part)) > 1]


def is_gram(term: str) -> bool:
    """Whether a term is a part of a run."""
    return term.startswith(GRAM)


def _letters(run: str) -> list[str]:
    """Letters, each with the marks that follow it."""
    letters: list[str] = []
    for char in run:
        if letters and unicodedata.category(char).startswith("M"):
            letters[-1] += char
        else:
            letters.append(char)
    return letters


def half_typed(word: str) -> str:
    """The part of a query's last word that may be the beginning of a word; "" where none is."""
    last = (tokens(word) or [""])[-1]
    if len(last) < MIN_BEGINNING or last in STOP_WORDS or is_unspaced(last):
        return ""
    return last


def beginning(typed: str) -> str:
    """The term of all stems that begin with what is typed, or with its first eight letters."""
    return f"{typed[:MAX_BEGINNING]}{BEGINNING}"


def is_beginning(term: str) -> bool:
    """Whether a term stands for all stems that begin with it."""
    return term.endswith(BEGINNING)


def beginnings(terms: Iterable[str]) -> list[str]:
    """The terms of beginnings that these terms hold, without repeats."""
    return list(
        dict.fromkeys(
            beginning(term[:length])
            for term in terms
            if not term.startswith((STOP, GRAM)) and not is_unspaced(term)
            for length in range(MIN_BEGINNING, min(len(term), MAX_BEGINNING) + 1)
        )
    )


def shorter_stems(typed: str) -> list[str]:
    """Stems that do not begin with what is typed, of words with a usual ending that do."""
    found: dict[str, None] = {}
    for ending in ENDINGS:
        for length in range(1, len(ending)):
            if typed.endswith(ending[:length]):
                found[stem(typed + ending[length:])] = None
    return [other for other in found if not other.startswith(typed[:MAX_BEGINNING])]
