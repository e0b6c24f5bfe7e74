"""Every preset's recipe takes training steps that lower its own loss."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from earmark.model.config import PRESETS
from earmark.model.core.errors import ConfigError
from earmark.training.loop.trainer import Trainer
from earmark.training.recipe import RECIPES, Recipe, recipe_for
from tests.training.tiny import tiny_corpus, tiny_model


@pytest.mark.parametrize("name", PRESETS)
def test_steps_lower_the_loss(tmp_path: Path, name: str) -> None:
    config, chosen = tiny_model(name), recipe_for(name)
    corpus = tiny_corpus(config, train=12, validation=3)
    trainer = Trainer(config, chosen, corpus, tmp_path)
    quiet = chosen.without_augmentation()
    batch = corpus.train.make_batch(corpus.train.indices, quiet, np.random.default_rng(0))
    values = []
    for _ in range(8):
        torch.manual_seed(0)  # the same dropout each step
        losses = trainer.objective.train()(batch)
        trainer.optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        trainer.optimizer.step()
        values.append({key: value.item() for key, value in losses.items()})
    assert all(math.isfinite(value) for row in values for value in row.values())
    assert values[-1]["loss"] < values[0]["loss"]
    assert set(values[0]) == expected_losses(name)
    weights = {"audio": 5.0, "contrastive": 10.0, "tags": 5.0}
    if name != "starter":
        total = sum(weights[key] * value for key, value in values[0].items() if key != "loss")
        assert values[0]["loss"] == pytest.approx(total, rel=1e-5)


def expected_losses(name: str) -> set[str]:
    if name == "starter":
        return {"loss", "contrastive", "tagwise"}
    return {"loss", "contrastive", "audio", *(["tags"] if name == "coala" else [])}


def test_every_parameter_of_a_paper_preset_learns(tmp_path: Path) -> None:
    for name in ("w2v-128-4h", "coala", "w2v-128-mean"):
        config = tiny_model(name)
        corpus = tiny_corpus(config, train=12, validation=3)
        trainer = Trainer(config, recipe_for(name), corpus, tmp_path)
        [batch] = corpus.train.batches(recipe_for(name), (0, 0))
        trainer.objective.train()(batch)["loss"].backward()
        for key, parameter in trainer.model.named_parameters():
            assert parameter.grad is not None, key
            assert torch.isfinite(parameter.grad).all(), key


def test_recipes_are_as_the_paper_says() -> None:
    assert set(RECIPES) == set(PRESETS)
    for name in PRESETS:
        if name == "starter":
            continue
        chosen = recipe_for(name)
        assert (chosen.optimizer, chosen.learning_rate, chosen.batch_size) == ("sgd", 0.005, 128)
        assert (chosen.epochs, chosen.temperature, chosen.as_run) == (200, 0.1, True)
        assert (chosen.audio_weight, chosen.contrastive_weight) == (5.0, 10.0)
        assert chosen.without_augmentation() == chosen
    assert recipe_for("coala").words == "one-hot"
    with pytest.raises(ConfigError, match=r"preset: expected one of .*starter, got 'nope'"):
        recipe_for("nope")


def test_later_fields_are_stored_where_they_say_something() -> None:
    """So that the settings of a run of before are still its settings."""
    later = {"code_noise": 0.1, "other_tags": 0.5}
    assert not later.keys() & Recipe().to_dict().keys()
    for name, value in later.items():
        assert replace(Recipe(), **{name: value}).to_dict() == Recipe().to_dict() | {name: value}


def test_without_augmentation_keeps_the_losses() -> None:
    plain = recipe_for("starter").without_augmentation()
    assert (plain.patch, plain.tag_dropout, plain.gain) == ("loudest", 0.0, 0.0)
    assert (plain.mask_frames, plain.mask_mels) == (0, 0)
    changed = replace(recipe_for("starter"), code_noise=0.1, other_tags=0.5)
    assert changed.without_augmentation() == plain
    assert (plain.code_noise, plain.other_tags) == (0.0, 1.0)
    assert plain.temperature == recipe_for("starter").temperature
    assert plain.exclude_same
    assert replace(recipe_for("starter"), balance=0.5).without_augmentation() == plain
    assert Recipe().without_augmentation() == Recipe()
