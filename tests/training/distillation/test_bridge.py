"""A model that begins as its teacher hears what the teacher hears, and says it in any phrase."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from earmark.model.config import ModelConfig
from earmark.model.core.errors import ConfigError
from earmark.model.embedder import unit
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.encoders.load import load_embedder
from earmark.model.networks.dual_encoder import DualEncoder
from earmark.model.networks.tag_encoder import PrototypeTagEncoder
from earmark.model.text.normalize import tokens
from earmark.service.cli.main import main
from earmark.training.data.phrases import audioset_classes
from earmark.training.distillation import bridge
from earmark.training.distillation.bridge import begin_audio, begin_tags, teacher_model
from earmark.training.distillation.efficientat import read_teacher
from tests.model.networks.test_teacher import sounds
from tests.training.tiny import CLASSES, class_phrases, tiny_model, tiny_teacher

CLIPS = 60


def codes_of(config: ModelConfig) -> np.ndarray:
    """Codes as of training clips."""
    generator = np.random.default_rng(0)
    return generator.standard_normal((CLIPS, config.code_dim)).astype(np.float32)


def begun_audio(config: ModelConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(vectors of sounds [n, D], directions [C, D], standardised logits [n, C])."""
    model, teacher, codes = DualEncoder(config).eval(), tiny_teacher(config), codes_of(config)
    assert model.audio is not None
    directions = begin_audio(model.audio, teacher, codes)
    with torch.inference_mode():
        vectors = model.audio.project(torch.from_numpy(codes)).numpy()
    logits = teacher.logits(codes)
    return vectors, directions, (logits - logits.mean(axis=0)) / logits.std(axis=0)


def begun_tags(config: ModelConfig, seed: int) -> tuple[PrototypeTagEncoder, np.ndarray]:
    """(a tag encoder that says the classes, its directions [C, D])."""
    generator = np.random.default_rng(0)
    directions = unit(generator.standard_normal((len(CLASSES), config.dim)).astype(np.float32))
    tags = DualEncoder(config).tags
    assert isinstance(tags, PrototypeTagEncoder)
    phrases = class_phrases()
    begin_tags(tags, phrases.vectors, phrases.concept_of, directions, seed)
    return tags.eval(), directions


def test_the_loudest_class_is_nearest() -> None:
    """With as many dimensions as classes the cosines are the standardised logits, but for scale."""
    vectors, directions, logits = begun_audio(tiny_model("starter", len(CLASSES)))
    cosines = unit(vectors) @ directions.T
    np.testing.assert_allclose(cosines, unit(logits), atol=1e-4)
    np.testing.assert_array_equal(cosines.argmax(axis=1), logits.argmax(axis=1))


def test_in_fewer_dimensions_most_is_kept() -> None:
    vectors, directions, logits = begun_audio(tiny_model("starter", 16))
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, rtol=1e-5)
    variances = np.linalg.eigvalsh(np.corrcoef(logits.T))[-16:]  # of as many principal axes
    squares = np.square(vectors).sum(axis=1).mean()
    assert squares == pytest.approx(variances.sum(), rel=1e-3)
    cosines = unit(vectors) @ directions.T
    assert (cosines.argmax(axis=1) == logits.argmax(axis=1)).mean() > 0.7
    assert (unit(cosines) * unit(logits)).sum(axis=1).mean() > 0.9


def test_axes_have_one_sign() -> None:
    """Two runs must not differ by the sign that an eigenvector happens to have."""
    config = tiny_model("starter", 16)
    _, one, _ = begun_audio(config)
    _, again, _ = begun_audio(config)
    np.testing.assert_array_equal(one, again)


def test_a_phrase_lies_at_its_class() -> None:
    """In all languages; the prototypes alone know most."""
    tags, directions = begun_tags(tiny_model("starter"), 0)
    phrases = class_phrases()
    with torch.inference_mode():
        vectors = tags.vectors(torch.from_numpy(phrases.vectors)).numpy()
    right = (vectors @ directions.T).argmax(axis=1) == phrases.concept_of
    assert len(right) > 500
    assert right.mean() > 0.97


def test_a_seed_gives_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge, "FIT_STEPS", 20)
    config = tiny_model("starter")
    torch.manual_seed(5)  # only what begin_tags does not set
    one, _ = begun_tags(config, 1)
    torch.manual_seed(5)
    again, _ = begun_tags(config, 1)
    torch.manual_seed(5)
    other, _ = begun_tags(config, 2)
    for name, value in one.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert not torch.equal(one.prototypes.keys.weight, other.prototypes.keys.weight)


def test_prototypes_for_each_class() -> None:
    config = tiny_model("starter")
    few = replace(config, tags=replace(config.tags, prototypes=len(CLASSES) - 1))
    with pytest.raises(
        ConfigError, match=r"prototypes: .* at least one for each of 20 classes, .*19"
    ):
        begun_tags(few, 0)


# The teacher by itself, as `earmark import` makes it


def test_the_teacher_names_what_it_hears(
    teachers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = teachers / "mn04_as_mAP_432.pt"
    names = audioset_classes()
    checkpoint = teacher_model(read_teacher(file), names)
    assert main(["import", str(file), "--out", str(tmp_path)]) == 0
    assert "embeds sounds and tags" in capsys.readouterr().out
    saved, embedder = load_embedder(tmp_path), DualEmbedder(checkpoint)
    assert saved.card["teacher"] == {"name": "EfficientAT mn04_as", "licence": "MIT"}
    assert len(embedder.vocabulary) > 520
    tags = embedder.vocabulary_vectors
    with np.load(teachers / "golden.npz") as golden:
        for name, samples in sounds().items():
            logits = golden[f"{name}_logits"]
            frames = embedder.log_mel(samples.astype(np.float32))
            windows = np.stack([frames[:256], frames[-256:]])
            vector = embedder.project(embedder.encode(windows).mean(axis=0, keepdims=True))[0]
            assert vector @ unit(logits[None])[0] > 0.9, name
            nearest = embedder.vocabulary[int((tags @ vector).argmax())]
            loudest = [names[number].split(",")[0] for number in logits.argsort()[::-1][:3]]
            assert nearest in ["-".join(tokens(name)) for name in loudest]
            code = saved.encode(windows).mean(axis=0, keepdims=True)
            assert saved.project(code)[0] @ vector > 0.999  # saved in half precision
