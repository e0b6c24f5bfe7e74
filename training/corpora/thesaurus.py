"""The thesaurus that ships: related words out of WordNet, for words that people ask for sounds by.

A word and its related words are among the model's general words, so that both are words that people
write. What is related: words of the same meaning, kinds above it, below it and beside it, words
derived from it, parts and wholes, the nouns and verbs that its gloss explains it by, and the words
that it explains. Each relation has a weight; a word's first meanings weigh more than its later
ones, and where one leads to many words each weighs less.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from earmark.model.text.normalize import STOP_WORDS, singular, tokens
from earmark.training.corpora.wordnet import Key, Pointer, Synset, WordNet

MOST = 12  # related words of a word
LEAST = 0.1  # weight of a word that is kept
MEANINGS = (1.0, 0.7, 0.5)  # a part of speech's first, second, third meaning
SAME, DERIVED, PARTS, GLOSS = 0.9, 0.9, 0.4, 0.6
ABOVE = (0.8, 0.5, 0.3)  # one, two, three steps up
BELOW, BESIDE, EXPLAINED = 0.6, 0.5, 0.3
MANY = 8  # kinds below or beside a meaning, or glosses that a word is in: their weight falls
GENERAL = 2_000  # kinds below a word that says too little: "artifact"
HEAD = 0.7  # of a collocation's weight for its last word: "police car", car
GLOSS_SHARE = 0.002  # of all glosses, from which a word explains too many things

_UP, _DOWN, _DERIVED = "@", "~", "+"
_PARTS = ("%p", "#p", "%s", "#s", "%m", "#m")


def build(net: WordNet, words: Sequence[str]) -> dict[str, dict[str, float]]:
    """For each of the words its related words among them, and their weights in (0, 1)."""
    maker = _Maker(net, words)
    related = {word: maker.related(word) for word in words}
    return {word: others for word, others in related.items() if others}


class _Maker:
    def __init__(self, net: WordNet, words: Sequence[str]) -> None:
        self._net, self._words = net, frozenset(words) - STOP_WORDS
        self._below: dict[Key, int] = {}
        for key in net.synsets:
            self._count_below(key)
        self._glosses = {key: self._explained(synset) for key, synset in net.synsets.items()}
        self._explains: dict[str, list[Key]] = {}
        for key, explaining in self._glosses.items():
            for word in explaining:
                self._explains.setdefault(word, []).append(key)

    def related(self, word: str) -> dict[str, float]:
        """The heaviest of a word's related words."""
        found: dict[str, float] = {}
        for keys in self._net.senses.get(word.replace("-", "_"), {}).values():
            for key, weight in zip(keys, MEANINGS, strict=False):
                for other, own in self._of_meaning(word.replace("-", "_"), key):
                    found[other] = max(found.get(other, 0.0), weight * own)
        found.pop(word, None)
        best = sorted(found.items(), key=lambda pair: (-round(pair[1], 2), pair[0]))[:MOST]
        return {other: round(weight, 2) for other, weight in best if weight >= LEAST}

    def _of_meaning(self, word: str, key: Key) -> Iterator[tuple[str, float]]:
        """Words that a meaning leads to, each perhaps several times, and their weights."""
        synset = self._net.synsets[key]
        yield from self._known(synset.words, SAME)
        for pointer in _pointers(synset, word):
            if pointer.symbol == _DERIVED:
                yield from self._known(self._named(pointer), DERIVED)
            elif pointer.symbol in _PARTS:
                yield from self._known(self._net.synsets[pointer.to].words, PARTS)
        yield from self._above(key)
        yield from self._each(self._to(key, _DOWN), BELOW)
        for above in self._to(key, _UP):
            yield from self._each(self._to(above, _DOWN), BESIDE)
        for other in self._glosses[key]:
            if len(self._explains[other]) < GLOSS_SHARE * len(self._glosses):
                yield other, GLOSS
        yield from self._each(self._explains.get(word, ()), EXPLAINED)

    def _above(self, key: Key) -> Iterator[tuple[str, float]]:
        level = [key]
        for weight in ABOVE:
            level = [to for each in level for to in self._to(each, _UP)]
            for each in level:
                if self._below[each] < GENERAL:
                    yield from self._known(self._net.synsets[each].words, weight)

    def _each(self, keys: Sequence[Key], weight: float) -> Iterator[tuple[str, float]]:
        """The words of meanings, which weigh the less the more meanings there are."""
        for each in keys:
            share = min(1.0, MANY / len(keys))
            yield from self._known(self._net.synsets[each].words, share * weight)

    def _known(self, lemmas: Collection[str], weight: float) -> Iterator[tuple[str, float]]:
        """Lemmas that are words; of collocations that are none the last word, which says less."""
        for lemma in lemmas:
            word = lemma.replace("_", "-")
            if word in self._words:
                yield word, weight
            elif "_" in lemma and (last := lemma.rpartition("_")[2]) in self._words:
                yield last, HEAD * weight

    def _named(self, pointer: Pointer) -> Sequence[str]:
        words = self._net.synsets[pointer.to].words
        return words[pointer.target - 1 : pointer.target] if pointer.target else words

    def _to(self, key: Key, symbol: str) -> list[Key]:
        return [each.to for each in self._net.synsets[key].pointers if each.symbol == symbol]

    def _count_below(self, key: Key) -> int:
        """How many meanings are kinds of one, itself among them."""
        if key not in self._below:
            self._below[key] = 0  # a circle, which some verbs make, ends here
            self._below[key] = 1 + sum(map(self._count_below, self._to(key, _DOWN)))
        return self._below[key]

    def _explained(self, synset: Synset) -> frozenset[str]:
        """The nouns and verbs of a gloss, as lemmas that are words."""
        found = set()
        for token in tokens(synset.gloss):
            lemma = self._lemma(token)
            if lemma is not None and lemma not in synset.words:
                found.add(lemma)
        return frozenset(found)

    def _lemma(self, token: str) -> str | None:
        for form in (token, singular(token, self._words), *_verb(token)):
            parts: Mapping[str, object] = self._net.senses.get(form, {})
            if form in self._words and len(form) > 2 and ("n" in parts or "v" in parts):
                return form
        return None


def _pointers(synset: Synset, word: str) -> Iterator[Pointer]:
    """The pointers of a meaning, and of those that are of one word alone those of this word."""
    for each in synset.pointers:
        if not each.source or synset.words[each.source - 1] == word:
            yield each


def _verb(token: str) -> Iterator[str]:
    for ending in ("ing", "ed"):
        base = token.removesuffix(ending)
        if base != token and len(base) > 2:
            yield from (base, base + "e", base[:-1])
