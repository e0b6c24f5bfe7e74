"""Rehearsal: nothing to learn at the start, more the further the model has moved."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from earmark.model.networks.dual_encoder import DualEncoder
from earmark.model.networks.tag_encoder import PrototypeTagEncoder
from earmark.training.distillation.rehearsal import Rehearsal, RehearsedPhrases
from earmark.training.loop.initialization import fit_scaler, initialise_weights, rehearsal_of
from tests.training.tiny import (
    CLASSES,
    PHRASES,
    class_phrases,
    tiny_corpus,
    tiny_model,
    tiny_teacher,
)

CONFIG = tiny_model("starter")


@pytest.fixture(scope="module")
def begun() -> DualEncoder:
    """A model that begins as its teacher."""
    corpus = tiny_corpus(CONFIG, train=12, validation=3)
    corpus.teacher = tiny_teacher(CONFIG)
    model = DualEncoder(CONFIG)
    fit_scaler(model, corpus)
    assert initialise_weights(model, corpus, None, 0)
    return model.eval()


@pytest.fixture
def model(begun: DualEncoder) -> DualEncoder:
    """A copy of it for a test to change."""
    return copy.deepcopy(begun)


def tags_of(model: DualEncoder) -> PrototypeTagEncoder:
    assert isinstance(model.tags, PrototypeTagEncoder)
    return model.tags


def made(model: DualEncoder, *, same_codes: bool = False) -> Rehearsal:
    phrases = class_phrases()
    names = torch.from_numpy(phrases.vectors[phrases.first])
    return Rehearsal(model.audio, tags_of(model), names, same_codes=same_codes)


def names_said() -> RehearsedPhrases:
    """Each class by its name, and translations that say just that."""
    phrases = class_phrases()
    names = torch.from_numpy(phrases.vectors[phrases.first])
    return RehearsedPhrases(names, names, torch.arange(len(CLASSES)), names, names)


def loss_of(rehearsal: Rehearsal, model: DualEncoder, said: RehearsedPhrases) -> torch.Tensor:
    codes, phi = model.audio(PATCHES)
    return rehearsal(rehearsal.recall(PATCHES, codes), phi, tags_of(model), said)


PATCHES = torch.rand(6, 1, 64, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("same_codes", [False, True])
def test_the_loss_grows_as_the_model_moves(model: DualEncoder, same_codes: bool) -> None:
    rehearsal = made(model, same_codes=same_codes)
    values = []
    with torch.no_grad():
        values.append(float(loss_of(rehearsal, model, names_said())))
        for _ in range(2):
            weight = model.audio.projection.linear.weight
            weight += 0.5 * weight.std() * torch.randn(weight.shape)
            values.append(float(loss_of(rehearsal, model, names_said())))
    assert values[0] == pytest.approx(0, abs=1e-5)
    assert 0.01 < values[1] < values[2]


def test_the_loss_grows_as_phrases_move(model: DualEncoder) -> None:
    rehearsal, said = made(model), names_said()
    with torch.no_grad():
        tags_of(model).prototypes.values.weight += 0.3 * torch.randn(CONFIG.dim, 60)
        assert float(loss_of(rehearsal, model, said)) > 0.01


def test_a_translation_is_drawn_to_what_it_translates(model: DualEncoder) -> None:
    """And not the other way round; without translations the other losses stay."""
    rehearsal, said = made(model), names_said()
    turned = replace(said, originals=said.originals.roll(1, dims=0))
    with torch.no_grad():
        apart = float(loss_of(rehearsal, model, turned))
        vectors = tags_of(model).vectors(said.classes)
    expected = 1 - float((vectors * vectors.roll(1, dims=0)).sum(dim=1).mean())
    assert apart == pytest.approx(expected, abs=1e-4)
    empty = said.translations[:0]
    with torch.no_grad():
        without = loss_of(rehearsal, model, replace(said, translations=empty, originals=empty))
    assert float(without) == pytest.approx(0, abs=1e-5)


def test_gradients_reach_the_model_and_not_the_copy(model: DualEncoder) -> None:
    rehearsal = made(model)
    assert not any(parameter.requires_grad for parameter in rehearsal.parameters())
    with torch.no_grad():
        model.audio.projection.linear.weight += 0.1
    loss_of(rehearsal.train(), model, names_said()).backward()
    assert not rehearsal.start.training  # its batch statistics are those of the start
    for part in (model.audio.projection.linear, tags_of(model).prototypes.keys):
        assert float(part.weight.grad.abs().sum()) > 0
    assert all(parameter.grad is None for parameter in rehearsal.parameters())


def test_what_is_recalled_when_the_convolutions_learn(model: DualEncoder) -> None:
    """The whole encoder of the start; of fixed convolutions only the projection is kept."""
    fixed, free = made(model, same_codes=True), made(model, same_codes=False)
    with torch.no_grad():
        codes = model.audio.encode(PATCHES)
        torch.testing.assert_close(fixed.recall(PATCHES, codes), free.recall(PATCHES, codes))
        assert torch.equal(fixed.recall(None, codes), fixed.recall(PATCHES, codes))
        before = free.recall(PATCHES, codes)
        for parameter in model.audio.convolutions.parameters():
            parameter.add_(0.1)
        moved = model.audio.encode(PATCHES)
        assert torch.equal(free.recall(PATCHES, moved), before)
        assert not torch.allclose(fixed.recall(PATCHES, moved), before, atol=1e-3)
    fewer = sum(parameter.numel() for parameter in fixed.parameters())
    assert fewer < sum(parameter.numel() for parameter in free.parameters())


def test_only_where_the_recipe_rehearses(model: DualEncoder) -> None:
    corpus = tiny_corpus(CONFIG, train=12, validation=3)
    assert rehearsal_of(model, corpus, PHRASES, fixed=True).same_codes
    assert not rehearsal_of(model, corpus, PHRASES, fixed=False).same_codes
    assert rehearsal_of(model, corpus, replace(PHRASES, teacher_weight=0.0), fixed=True) is None
    other = tiny_model("w2v-128-4h")
    words = tiny_corpus(other, train=12, validation=3)
    assert rehearsal_of(DualEncoder(other), words, PHRASES, fixed=True) is None
