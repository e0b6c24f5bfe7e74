"""Builds the thesaurus that ships, for query expansion: related words from WordNet.

Words and related words are among the model's general words, so both are words that people write.
Related are words of the same meaning; kinds above, below and beside it; words derived from it;
parts and wholes; the nouns and verbs of its gloss; and the words in whose gloss it stands. Each
relation has a weight. A word's first meanings weigh more than later ones, and the more words a
relation leads to, the less each weighs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from earmark.model.text.normalize import STOP_WORDS, singular, tokens
from earmark.training.corpora.wordnet import Pointer, Synset, SynsetKey, WordNet

MAX_RELATED = 12  # words of a word
MIN_WEIGHT = 0.1
MEANINGS = (1.0, 0.7, 0.5)  # a part of speech's first, second, third meaning
SAME, DERIVED, PARTS, GLOSS = 0.9, 0.9, 0.4, 0.6
ABOVE = (0.8, 0.5, 0.3)  # one, two, three levels up
BELOW, BESIDE, EXPLAINED = 0.6, 0.5, 0.3
MANY = 8  # more synsets than this below or beside a meaning, or explained by it, share the weight
GENERAL = 2_000  # a kind with so many kinds below it says too little: "artifact"
HEAD = 0.7  # of a collocation's weight for its last word: "police car", car
GLOSS_SHARE = 0.002  # a word in more glosses than this explains too much

_UP, _DOWN, _DERIVED = "@", "~", "+"
_PARTS = ("%p", "#p", "%s", "#s", "%m", "#m")


def build(net: WordNet, words: Sequence[str]) -> dict[str, dict[str, float]]:
    """Word → its related words among the given ones → their weights in (0, 1)."""
    builder = _ThesaurusBuilder(net, words)
    related = {word: builder.related(word) for word in words}
    return {word: others for word, others in related.items() if others}


class _ThesaurusBuilder:
    """Yields (related word, weight) for each relation of a meaning."""

    def __init__(self, net: WordNet, words: Sequence[str]) -> None:
        self._net, self._words = net, frozenset(words) - STOP_WORDS
        self._kinds_below: dict[SynsetKey, int] = {}
        for key in net.synsets:
            self._count_kinds_below(key)
        self._gloss_words = {key: self._read_gloss(synset) for key, synset in net.synsets.items()}
        self._explained_by: dict[str, list[SynsetKey]] = {}
        for key, gloss_words in self._gloss_words.items():
            for word in gloss_words:
                self._explained_by.setdefault(word, []).append(key)

    def related(self, word: str) -> dict[str, float]:
        """The related words of a word with the largest weights."""
        lemma = word.replace("-", "_")
        weights: dict[str, float] = {}
        for keys in self._net.senses.get(lemma, {}).values():
            for key, meaning_weight in zip(keys, MEANINGS, strict=False):
                for other, weight in self._relations(lemma, key):
                    weights[other] = max(weights.get(other, 0.0), meaning_weight * weight)
        weights.pop(word, None)
        best = sorted(weights.items(), key=lambda pair: (-round(pair[1], 2), pair[0]))
        return {
            other: round(weight, 2) for other, weight in best[:MAX_RELATED] if weight >= MIN_WEIGHT
        }

    def _relations(self, lemma: str, key: SynsetKey) -> Iterator[tuple[str, float]]:
        """Words related to a meaning of a lemma, each perhaps several times."""
        synset = self._net.synsets[key]
        yield from self._known_words(synset.words, SAME)
        for pointer in _pointers(synset, lemma):
            if pointer.symbol == _DERIVED:
                yield from self._known_words(self._target_words(pointer), DERIVED)
            elif pointer.symbol in _PARTS:
                yield from self._known_words(self._net.synsets[pointer.to].words, PARTS)
        yield from self._kinds_above(key)
        yield from self._shared_weight(self._follow(key, _DOWN), BELOW)
        for above in self._follow(key, _UP):
            yield from self._shared_weight(self._follow(above, _DOWN), BESIDE)
        for other in self._gloss_words[key]:
            if len(self._explained_by[other]) < GLOSS_SHARE * len(self._gloss_words):
                yield other, GLOSS
        yield from self._shared_weight(self._explained_by.get(lemma, ()), EXPLAINED)

    def _kinds_above(self, key: SynsetKey) -> Iterator[tuple[str, float]]:
        level = [key]
        for weight in ABOVE:
            level = [above for below in level for above in self._follow(below, _UP)]
            for above in level:
                if self._kinds_below[above] < GENERAL:
                    yield from self._known_words(self._net.synsets[above].words, weight)

    def _shared_weight(
        self, keys: Sequence[SynsetKey], weight: float
    ) -> Iterator[tuple[str, float]]:
        """The words of several meanings; more than MANY meanings share the weight."""
        for key in keys:
            share = min(1.0, MANY / len(keys))
            yield from self._known_words(self._net.synsets[key].words, share * weight)

    def _known_words(self, lemmas: Collection[str], weight: float) -> Iterator[tuple[str, float]]:
        """The lemmas that are words; of other collocations the last word, which says less."""
        for lemma in lemmas:
            word = lemma.replace("_", "-")
            if word in self._words:
                yield word, weight
            elif "_" in lemma and (last := lemma.rpartition("_")[2]) in self._words:
                yield last, HEAD * weight

    def _target_words(self, pointer: Pointer) -> Sequence[str]:
        words = self._net.synsets[pointer.to].words
        return words[pointer.target - 1 : pointer.target] if pointer.target else words

    def _follow(self, key: SynsetKey, symbol: str) -> list[SynsetKey]:
        """The synsets that a synset's pointers of this kind lead to."""
        pointers = self._net.synsets[key].pointers
        return [pointer.to for pointer in pointers if pointer.symbol == symbol]

    def _count_kinds_below(self, key: SynsetKey) -> int:
        """How many meanings are kinds of one, itself included."""
        if key not in self._kinds_below:
            self._kinds_below[key] = 0  # ends the cycles that some verbs form
            below = map(self._count_kinds_below, self._follow(key, _DOWN))
            self._kinds_below[key] = 1 + sum(below)
        return self._kinds_below[key]

    def _read_gloss(self, synset: Synset) -> frozenset[str]:
        """The nouns and verbs of a gloss that are words, as lemmas."""
        lemmas = (self._lemma(token) for token in tokens(synset.gloss))
        return frozenset(lemma for lemma in lemmas if lemma and lemma not in synset.words)

    def _lemma(self, token: str) -> str | None:
        """A token's form that is a word and a noun or a verb."""
        for form in (token, singular(token, self._words), *_verb_forms(token)):
            parts: Mapping[str, object] = self._net.senses.get(form, {})
            if form in self._words and len(form) > 2 and ("n" in parts or "v" in parts):
                return form
        return None


def _pointers(synset: Synset, lemma: str) -> Iterator[Pointer]:
    """The pointers of a whole synset, and those of this lemma alone."""
    for pointer in synset.pointers:
        if not pointer.source or synset.words[pointer.source - 1] == lemma:
            yield pointer


def _verb_forms(token: str) -> Iterator[str]:
    """Possible base forms of a token in -ing or -ed."""
    for ending in ("ing", "ed"):
        base = token.removesuffix(ending)
        if base != token and len(base) > 2:
            yield from (base, base + "e", base[:-1])
