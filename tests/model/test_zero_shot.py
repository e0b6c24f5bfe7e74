"""Labels of the caller's choice: their vectors, probabilities and limits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from earmark.model.background import Background
from earmark.model.core.errors import InputError
from earmark.model.embedder import Embedder, unit
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.zero_shot import (
    MAX_LABEL_LETTERS,
    MAX_LABELS,
    MAX_PROMPTS,
    check_prompts,
    classify,
    embed_labels,
    plain_prompts,
)
from tests.model.tiny import checkpoint_of, sentence_config, tiny_config


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    checkpoint = checkpoint_of(tiny_config(), vocabulary=4)
    checkpoint.card |= {
        "class_temperature": 0.2,
        "calibration": {
            "temperature": 0.1,
            "slope": 6.0,
            "crowd": 0.0,
            "intercepts": [-1.0, -2.0, -4.0, -8.0],
            "thresholds": [0.5] * 4,
            "rates": [0.1] * 4,
        },
    }
    return DualEmbedder(checkpoint)


@pytest.fixture(scope="module")
def vector(embedder: Embedder) -> np.ndarray:
    return unit(np.random.default_rng(0).standard_normal((1, embedder.dim)))[0]


def test_a_label_is_the_mean_of_its_prompts(embedder: Embedder) -> None:
    labels = embed_labels(embedder, {"pet": ["dog", "xyzzyx", "bark qwrtz"], "sky": ["rain"]})
    assert (labels.names, labels.ignored) == (["pet", "sky"], ["xyzzyx", "qwrtz"])
    prompts = embedder.embed_tags([["dog"], ["bark"]])
    np.testing.assert_allclose(labels.vectors[0], unit(prompts.mean(axis=0)), atol=1e-6)
    np.testing.assert_allclose(labels.vectors[1], embedder.embed_tags([["rain"]])[0], atol=1e-6)


@pytest.fixture(scope="module")
def sentences() -> Embedder:
    return DualEmbedder(checkpoint_of(sentence_config()))


def test_a_prompt_is_its_phrase(sentences: Embedder) -> None:
    labels = embed_labels(sentences, {"pet": ["Hund bellt", "a dog"], "sky": ["xyzzyx"]})
    prompts = sentences.embed_tags([["hund bellt"], ["a dog"]])
    np.testing.assert_allclose(labels.vectors[0], unit(prompts.mean(axis=0)), atol=1e-6)
    np.testing.assert_allclose(labels.vectors[1], sentences.embed_tags([["xyzzyx"]])[0], atol=1e-6)
    assert labels.ignored == []


def test_only_a_label_without_letters_is_unknown_to_a_model_of_phrases(
    sentences: Embedder,
) -> None:
    names = ["xyzzyx", "Küchengerät", "犬", "42"]
    assert embed_labels(sentences, plain_prompts(names)).vectors.shape == (4, sentences.dim)
    for nothing in ("…", "🐶", " "):
        with pytest.raises(InputError, match="labels: not understood: "):
            embed_labels(sentences, {"dog": ["dog"], nothing: [nothing]})
    with pytest.raises(InputError, match="labels: expected at least one, got none"):
        embed_labels(sentences, {})


def test_labels_that_mean_the_same_are_said(sentences: Embedder, vector: np.ndarray) -> None:
    names = ["Dog", "rain", "DOG!", "church bell", "(dog)"]
    labels = embed_labels(sentences, plain_prompts(names))
    assert labels.notes == [
        "“Dog” and “DOG!” mean nearly the same to the model",
        "“Dog” and “(dog)” mean nearly the same to the model",
    ]
    assert classify(sentences, labels, vector).notes == labels.notes
    assert embed_labels(sentences, plain_prompts(["dog", "rain"])).notes == []
    assert embed_labels(sentences, plain_prompts(["dog"])).notes == []


def test_labels_that_negate_are_said(sentences: Embedder, embedder: Embedder) -> None:
    prompts = {"dry": ["wind", "ohne Regen"], "wet": ["rain"]}
    said = ["“dry”: the model does not understand “ohne”"]
    assert embed_labels(sentences, prompts).notes == said
    assert embed_labels(embedder, {"no dog": ["no dog"], "rain": ["rain"]}).notes == [
        "“no dog”: the model does not understand “no”"
    ]


def test_plain_prompts_are_distinct_and_not_empty() -> None:
    assert plain_prompts([" dog", "rain", "dog ", "", " "]) == {"dog": ["dog"], "rain": ["rain"]}


def test_exclusive_classes_are_a_softmax(embedder: Embedder, vector: np.ndarray) -> None:
    names = ["dog", "rain", "bell"]
    result = classify(embedder, embed_labels(embedder, plain_prompts(names)), vector)
    cosines = embedder.embed_tags([[name] for name in names]) @ vector
    powers = {name: math.exp(cosine / 0.2) for name, cosine in zip(names, cosines, strict=True)}
    scores = [score.probability for score in result.classes]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1)
    for score in result.classes:
        assert score.probability == pytest.approx(powers[score.label] / sum(powers.values()))


def test_labels_that_can_all_be_true_have_curves_of_tags(
    embedder: Embedder, vector: np.ndarray
) -> None:
    names = [*embedder.vocabulary, "bell"]
    assert "bell" not in embedder.vocabulary
    labels = embed_labels(embedder, plain_prompts(names))
    result = classify(embedder, labels, vector, multiple=True)
    intercepts = dict(zip(names, [-1.0, -2.0, -4.0, -8.0, -3.0], strict=True))  # the median last
    cosines = dict(zip(names, labels.vectors @ vector, strict=True))
    for score in result.classes:
        logit = 6 * cosines[score.label] + intercepts[score.label]
        assert score.probability == pytest.approx(1 / (1 + math.exp(-logit)), rel=1e-5)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ({"a": ["dog"]}, "labels: expected 2 to 200 different ones, got 1"),
        (
            {str(number): ["dog"] for number in range(MAX_LABELS + 1)},
            "labels: expected 2 to 200 different ones, got 201",
        ),
        ({"a": [], "b": ["dog"]}, "prompts: expected 1 to 20 for 'a', got 0"),
        (
            {"a": ["dog"], "b": ["dog"] * (MAX_PROMPTS + 1)},
            "prompts: expected 1 to 20 for 'b', got 21",
        ),
        (
            {"a": ["dog"], "b" * (MAX_LABEL_LETTERS + 1): ["dog"]},
            "labels: expected at most 100 letters each, got 101: 'bbb",
        ),
        ({"a": ["x" * 101], "b": ["dog"]}, "labels: expected at most 100 letters each, got 101"),
    ],
    ids=["one label", "201 labels", "no prompt", "21 prompts", "long label", "long prompt"],
)
def test_limits(prompts: dict[str, list[str]], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        check_prompts(prompts, min_labels=2)


def test_at_the_limits_prompts_pass() -> None:
    label = "b" * MAX_LABEL_LETTERS
    check_prompts({"a": ["dog"] * MAX_PROMPTS, label: [label]}, min_labels=2)
    check_prompts({"a": ["dog"]}, min_labels=1)
    check_prompts({str(number): ["dog"] for number in range(MAX_LABELS)}, min_labels=2)


def test_an_unknown_label_is_refused(embedder: Embedder) -> None:
    with pytest.raises(InputError, match="labels: not understood: 'xyzzyx'"):
        embed_labels(embedder, {"dog": ["dog"], "xyzzyx": ["xyzzyx", "qwrtz"]})


def test_classes_stand_out_from_what_they_score_at_large() -> None:
    checkpoint = checkpoint_of(tiny_config())
    labels = embed_labels(DualEmbedder(checkpoint), plain_prompts(["dog", "rain"]))
    dog, rain = labels.vectors
    # Nearly all sounds at large are near to "dog": that a sound is too says little.
    generator = np.random.default_rng(0)
    at_large = dog + 0.1 * generator.standard_normal((200, len(dog)))
    sound = unit((1.02 * dog + rain).astype(np.float32))
    assert classify(DualEmbedder(checkpoint), labels, sound).classes[0].label == "dog"
    checkpoint.background = Background.of(unit(at_large))
    found = classify(DualEmbedder(checkpoint), labels, sound)
    assert found.classes[0].label == "rain"
    assert sum(score.probability for score in found.classes) == pytest.approx(1)
