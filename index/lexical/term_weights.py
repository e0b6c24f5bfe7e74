"""Weights of a query's terms: inverse document frequency, with related words for missing terms."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from itertools import islice

from earmark.index.lexical.expansion import RelatedByStem
from earmark.index.lexical.terms import is_gram

MAX_RELATED = 5  # related words that stand for one term, of those that clips hold
RELATED_SHARE = 0.9  # of a term's weight, the most that its related words weigh together


def word_weights(
    words: Collection[str],
    related: RelatedByStem,
    document_frequency: Callable[[str], int],
    clip_count: Callable[[], int],
) -> dict[str, float]:
    """Weights of words (stems) by inverse document frequency; those of a query's words add to 1.

    `document_frequency`: clips that hold a word, of all `clip_count`; called for no more words than
    needed. Related words stand for a word that no clip holds, if clips hold them: they weigh the
    less the farther they are and the more clips hold them, together less than a word. Stems that
    are in `related` but not in `words` (compounds) add their related words' weights to the 1.
    A part of a run (`index.lexical.terms`) that no clip holds counts in the 1 as a rare one: a clip
    that holds the least of a sentence does not hold all of it.
    Rounded, so that clips that hold the same words have the same share.
    """
    counts = {word: document_frequency(word) for word in words}

    def is_held(word: str) -> bool:
        if word not in counts:
            counts[word] = document_frequency(word)
        return counts[word] > 0

    missing = [word for word in words if not counts[word] and word in related]
    compounds = [word for word in related if word not in counts]
    substitutes = {
        word: list(islice((other for other in related[word] if is_held(other.stem)), MAX_RELATED))
        for word in (*missing, *compounds)
    }
    clips = clip_count() if any(counts.values()) else 0
    idf = {word: math.log(1 + clips / count) for word, count in counts.items() if count}
    weights = {word: idf[word] for word in words if word in idf}
    total = sum(weights.values())
    if weights:
        total += math.log(1 + clips) * sum(is_gram(word) and not counts[word] for word in words)
    for word, others in substitutes.items():
        parts = {other.stem: other.weight * idf[other.stem] for other in others}
        whole = max((idf[stem] for stem in parts), default=0.0)
        total += whole if word in missing or not total else 0.0
        scale = min(1.0, RELATED_SHARE * whole / max(sum(parts.values()), 1e-12))
        for stem, part in parts.items():
            weights[stem] = weights.get(stem, 0.0) + scale * part
    rounded = {word: round(weight / total, 4) for word, weight in weights.items()}
    return {word: weight for word, weight in rounded.items() if weight}
