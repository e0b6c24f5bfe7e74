"""Searches for held-out clips, whose hits are known to be right or wrong.

Libraries of many sizes are drawn from the clips, at most a few clips of a source in each. Half of a
library's clips have a text, their tags; some of these texts are wrong: they are another clip's. A
third of the searches are for what the library lacks: what is right is taken out of it. Of each
search the first hits by cosine and by words are looked at. A clip whose text holds no word of the
query is left out: it lacks the tag as well, which tells nothing of real titles.

Letters: q = queries, n = clips, m = hits.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import snowballstemmer

from earmark.model.core.arrays import Floats
from earmark.model.core.errors import WordsError
from earmark.model.embedder import Embedder
from earmark.model.text.normalize import STOP_WORDS, tokens
from earmark.training.calibration.validation_set import ValidationSet
from earmark.training.data.phrases import LANGUAGES, associations, phrases_of

SIZES = (50, 100, 200, 400, 800, 1_600)  # of libraries, as far as there are clips
QUERIES = 150  # of a library
HITS = 10  # of a search, by each ranking
MIN_OF_SOURCE, SOURCE_SHARE = 3, 8  # clips of a source: so many, or an eighth of the library
LACKING = 1 / 3  # of the searches are for what the library lacks
OTHER_QUERIES = 0.02  # of the queries that no clip of the library is right for are asked as well
WITH_TEXT, WRONG_TEXT = 0.5, 0.07  # shares of clips
ALIKE = 0.4  # cosine of two tags: a clip with only the other one is neither right nor wrong
PHRASES = 2  # of a tag, in English; one in another language, one association
SAME_KIND = 0.5  # of the weight of a sound's tags, from which another is of its kind
BATCH = 64  # queries

Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Searches:
    """What clips are searched for, and which of them are right.

    `cosines` [q, n]; `right` [q, n]; `unclear` [q, n]: neither right nor wrong; `levels` [q, 2]:
    mean and deviation of each query's cosines with sounds at large, None where the model states no
    background; `sources` [n]; `words` [q]: stems of the queries, of clips `texts` [n]; empty for
    searches by sound.
    """

    cosines: Floats
    right: Bools
    unclear: Bools
    levels: Floats | None
    sources: Integers
    words: Sequence[frozenset[str]] = ()
    texts: Sequence[frozenset[str]] = ()


@dataclass(frozen=True)
class Hits:
    """Hits of searches: `cosines` [m], `standard` scores [m], `clips` of their libraries [m],
    shares of words that they hold (`held` [m]), and whether they are `right` [m]."""

    cosines: Floats
    standard: Floats
    clips: Floats
    held: Floats
    right: Bools

    def select(self, mask: Bools) -> Hits:
        """The hits in a mask [m]."""
        return Hits(*(column[mask] for column in vars(self).values()))


def word_searches(
    embedder: Embedder, validation: ValidationSet, generator: np.random.Generator
) -> Searches:
    """For each tag its name, and phrases for it where the model reads them; and pairs of tags."""
    assert validation.vectors is not None, "searches need the clips' vectors"
    asked = _questions(embedder, validation, generator)
    vectors = np.concatenate(
        [
            embedder.embed_tags([pieces for _, pieces, _ in asked[start : start + BATCH]])
            for start in range(0, len(asked), BATCH)
        ]
    )
    tags = embedder.vocabulary_vectors
    has_alike = validation.has_tag @ (tags @ tags.T >= ALIKE)
    right = np.array([validation.has_tag[:, of].all(axis=1) for _, _, of in asked])
    likely = np.array([has_alike[:, of].all(axis=1) for _, _, of in asked])
    texts = [
        stems(" ".join(embedder.vocabulary[tag] for tag in np.flatnonzero(row)))
        for row in validation.has_tag
    ]
    return Searches(
        (vectors @ validation.vectors.T).astype(np.float64),
        right,
        likely & ~right,
        _levels(embedder, vectors),
        validation.sources,
        [stems(text) for text, _, _ in asked],
        texts,
    )


def sound_searches(embedder: Embedder, validation: ValidationSet) -> Searches:
    """For each clip that has tags those of its kind: they carry half of its tags, by weight. A rare
    tag weighs more (inverse document frequency)."""
    assert validation.vectors is not None, "searches need the clips' vectors"
    has_tag = validation.has_tag
    weights = has_tag * np.log(len(has_tag) / np.maximum(has_tag.sum(axis=0), 1))
    totals = weights.sum(axis=1)
    asked = np.flatnonzero(totals > 0)
    shares = (weights[asked] @ has_tag.T) / totals[asked, None]
    vectors = validation.vectors[asked]
    itself = asked[:, None] == np.arange(len(has_tag))
    return Searches(
        (vectors @ validation.vectors.T).astype(np.float64),
        (shares >= SAME_KIND) & ~itself,
        itself,
        _levels(embedder, vectors),
        validation.sources,
    )


def draw_hits(
    searches: Searches,
    clips: Integers,
    libraries: int,
    generator: np.random.Generator,
) -> Hits:
    """Hits of searches in libraries that are drawn from these clips."""
    sizes = [size for size in SIZES if size < len(clips)] + [min(len(clips), SIZES[-1])]
    rows: list[npt.NDArray[np.float64]] = []
    for _ in range(libraries):
        library = _draw_library(searches.sources, clips, int(generator.choice(sizes)), generator)
        texts = _Texts(searches, library, clips, generator) if searches.words else None
        present = searches.right[:, library].any(axis=1)
        others = generator.random(len(searches.right)) < OTHER_QUERIES
        asked = np.flatnonzero(present | others)
        for query in generator.permutation(asked)[:QUERIES].tolist():
            lacks = generator.random() < LACKING
            rows += _hits(searches, library, texts, query, lacks=lacks)
    table = np.concatenate(rows) if rows else np.zeros((0, 5))
    cosines, standard, sizes_of, held, right = table.T
    return Hits(cosines, standard, sizes_of, held, right > 0)


class _Texts:
    """The texts of a library's clips [n], and how many of them hold each word."""

    def __init__(
        self, searches: Searches, library: Integers, clips: Integers, draw: np.random.Generator
    ) -> None:
        self.seen: Bools = np.asarray(draw.random(len(library)) < WITH_TEXT)
        self._seen_count = int(self.seen.sum())
        other = np.where(
            draw.random(len(library)) < WRONG_TEXT, draw.choice(clips, len(library)), library
        )
        none = frozenset[str]()
        self._texts = [
            searches.texts[clip] if seen else none
            for clip, seen in zip(other.tolist(), self.seen.tolist(), strict=True)
        ]
        self._holders: dict[str, list[int]] = {}
        for place, words in enumerate(self._texts):
            for word in words:
                self._holders.setdefault(word, []).append(place)

    def held(self, words: frozenset[str]) -> Floats:
        """The share of a query's words that each clip holds [n]: as of the words that any clip
        holds, rare ones weighing more, times the share of these among all."""
        shares = np.zeros(len(self._texts))
        known = sorted(words & self._holders.keys())  # sums are the same in each process
        total = 0.0
        for word in known:
            holders = self._holders[word]
            weight = float(np.log(1 + self._seen_count / len(holders)))
            shares[holders] += weight
            total += weight
        return np.asarray(shares / max(total, 1e-12) * len(known) / max(len(words), 1), np.float64)


def _draw_library(
    sources: Integers, clips: Integers, size: int, generator: np.random.Generator
) -> Integers:
    """The clips of a library of about this size."""
    most = max(MIN_OF_SOURCE, size // SOURCE_SHARE)
    chosen: list[Integers] = []
    count = 0
    for source in generator.permutation(np.unique(sources[clips])):
        own = generator.permutation(clips[sources[clips] == source])[:most]
        chosen.append(own)
        count += len(own)
        if count >= size:
            break
    return np.concatenate(chosen)[:size]


def _hits(
    searches: Searches, library: Integers, texts: _Texts | None, query: int, *, lacks: bool
) -> list[Floats]:
    """The hits of one search, as a table [m, 5] in the order of `Hits`."""
    clear = ~searches.unclear[query, library]
    if lacks:
        clear &= ~searches.right[query, library]
    places = np.flatnonzero(clear)
    cosines = searches.cosines[query, library[places]]
    held = np.zeros(len(places))
    first = np.argsort(-cosines, kind="stable")[:HITS]
    if texts is not None:
        held = texts.held(searches.words[query])[places]
        first = first[~texts.seen[places[first]] | (held[first] > 0)]
        matching = np.lexsort((-cosines, -held))[:HITS]
        first = np.union1d(first, matching[held[matching] > 0])
    if not len(first):
        return []
    standard = np.zeros(len(first))
    if searches.levels is not None:
        mean, deviation = searches.levels[query]
        standard = (cosines[first] - mean) / deviation
    size = np.full(len(first), float(len(library)))
    right = searches.right[query, library[places[first]]].astype(np.float64)
    return [np.stack([cosines[first], standard, size, held[first], right], axis=1)]


def _questions(
    embedder: Embedder, validation: ValidationSet, generator: np.random.Generator
) -> list[tuple[str, Sequence[str], list[int]]]:
    """(text, what the model reads of it, numbers of the tags that are meant) of each query."""
    asked: list[tuple[str, list[int]]] = []
    for number, tag in enumerate(embedder.vocabulary):
        texts = [tag.replace("-", " ")]
        if embedder.languages:
            said = phrases_of(tag)
            read = [language for language in LANGUAGES[1:] if language in embedder.languages]
            others = [text for language in read for text in said.get(language, ())]
            associated = associations().get(tag, ())
            for among, count in ((said.get("en", ()), PHRASES), (others, 1), (associated, 1)):
                texts += generator.permutation(np.array(among, dtype=object))[:count].tolist()
        asked += [(text, [number]) for text in texts]
    for source in np.unique(validation.sources):
        tags = np.flatnonzero(validation.has_tag[validation.sources == source][0])
        if len(tags) > 1:
            pair = generator.choice(tags, 2, replace=False).tolist()
            names = " ".join(embedder.vocabulary[tag] for tag in pair)
            asked.append((names.replace("-", " "), pair))
    parsed = [(text, embedder.parse_tags(text).pieces, tags) for text, tags in asked]
    return [(text, pieces, tags) for text, pieces, tags in parsed if _is_known(embedder, pieces)]


def _is_known(embedder: Embedder, pieces: Sequence[str]) -> bool:
    if embedder.languages:  # no phrase is unknown
        return bool(pieces)
    try:
        embedder.embed_tags([pieces])
    except WordsError:
        return False
    return True


def _levels(embedder: Embedder, vectors: npt.NDArray[np.float32]) -> Floats | None:
    if embedder.background is None:
        return None
    return np.stack(embedder.background.moments(vectors), axis=1).astype(np.float64)


def stems(text: str) -> frozenset[str]:
    """The stems of a text's words, without stop words."""
    words = tokens(text.replace("-", " "))
    return frozenset(_stem(word) for word in words if word not in STOP_WORDS)


@functools.lru_cache(maxsize=20_000)
def _stem(word: str) -> str:
    return str(_stemmer().stemWord(word))


@functools.cache
def _stemmer() -> snowballstemmer.stemmer:
    return snowballstemmer.stemmer("english")
