"""Calibration: probabilities that agree with how often a tag is carried."""

from __future__ import annotations

import numpy as np
import pytest

from model.checkpoint import Checkpoint
from model.embedder import Embedder
from tests.model.tiny import trained_like
from tests.training.tiny import tiny_corpus, tiny_model
from training.calibration import fit_calibration
from training.evaluation.retrieval import embed_features
from training.trainer import Corpus


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return tiny_corpus(tiny_model())


def checkpoint(corpus: Corpus) -> Checkpoint:
    return Checkpoint(trained_like(tiny_model()), corpus.words, corpus.vocabulary)


def test_the_mean_probability_is_the_share_of_carried_tags(corpus: Corpus) -> None:
    saved = checkpoint(corpus)
    fit_calibration(saved, corpus.validation, corpus.validation_tags)
    found = saved.card["calibration"]
    clips, tags = len(corpus.validation), len(corpus.vocabulary)
    assert found["pairs"] == clips * tags
    embedder = Embedder(saved)
    numbers = corpus.validation.numbers.tolist()
    audio = embed_features(embedder, corpus.validation.features, numbers)
    probabilities = embedder.tag_probabilities(audio @ embedder.vocabulary_vectors.T)
    carried = np.array(
        [[tag in own for tag in corpus.vocabulary] for own in corpus.validation_tags]
    )
    assert 0 < probabilities.min() <= probabilities.max() < 1
    assert probabilities.mean() == pytest.approx(carried.mean(), abs=0.01)
    guess = np.mean((carried - carried.mean()) ** 2)
    assert np.mean((carried - probabilities) ** 2) <= guess + 1e-3


def test_a_planted_slope_is_found(corpus: Corpus) -> None:
    """Tag sets drawn from the model's own cosines by a known curve."""
    saved = checkpoint(corpus)
    embedder = Embedder(saved)
    numbers = corpus.validation.numbers.tolist()
    audio = embed_features(embedder, corpus.validation.features, numbers)
    cosines = audio @ embedder.vocabulary_vectors.T
    middle = float(np.median(cosines))
    chosen = cosines + 0.02 * np.random.default_rng(0).standard_normal(cosines.shape) > middle
    tag_sets = [
        [tag for tag, taken in zip(corpus.vocabulary, row, strict=True) if taken] for row in chosen
    ]
    fit_calibration(saved, corpus.validation, tag_sets)
    found = saved.card["calibration"]
    assert found["slope"] > 10
    assert -found["intercept"] / found["slope"] == pytest.approx(middle, abs=0.05)


@pytest.mark.parametrize("every", [True, False])
def test_untouched_where_nothing_can_be_fit(corpus: Corpus, every: bool) -> None:
    saved = checkpoint(corpus)
    tags = corpus.vocabulary if every else []
    fit_calibration(saved, corpus.validation, [tags] * len(corpus.validation))
    assert "calibration" not in saved.card
