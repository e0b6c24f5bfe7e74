"""Prototypes: what is nearest decides; and the tag encoder that begins as their sum."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from earmark.model.config import ModelConfig
from earmark.model.core.errors import ConfigError
from earmark.model.networks.prototypes import Prototypes
from earmark.model.networks.tag_encoder import PrototypeTagEncoder, build_tag_encoder
from tests.model.tiny import sentence_config

WORD_DIM = 12


def config(**tags: object) -> ModelConfig:
    config = sentence_config()
    return replace(config, tags=replace(config.tags, **{"word_dim": WORD_DIM, **tags}))


def encoder(seed: int = 0, *, has_learned: bool = True) -> PrototypeTagEncoder:
    """An encoder; one that has learned has no weights of zero."""
    torch.manual_seed(seed)
    built = build_tag_encoder(config())
    assert isinstance(built, PrototypeTagEncoder)
    if has_learned:
        torch.nn.init.normal_(built.output.weight)
        torch.nn.init.normal_(built.prototypes.perceptron[-1].weight)
    return built.eval()


def sets(*lengths: int, width: int = 10) -> tuple[Tensor, Tensor]:
    """Random unit words [B, width, F_w] of these lengths, zero where padded, and their mask."""
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    words = functional.normalize(torch.randn(len(lengths), width, WORD_DIM), dim=-1)
    return words * mask[..., None], mask


def test_the_nearest_key_s_value_comes_out() -> None:
    prototypes = Prototypes(WORD_DIM, 7, 8, 4, 0.1).eval()
    keys = functional.normalize(torch.randn(7, WORD_DIM), dim=-1)
    with torch.no_grad():
        prototypes.keys.weight.copy_(1e4 * keys)
        words = functional.normalize(torch.randn(20, WORD_DIM), dim=-1)
        found = prototypes(words)
        nearest = (words @ keys.T).argmax(dim=1)
        torch.testing.assert_close(found, prototypes.values.weight.T[nearest])
        torch.testing.assert_close(prototypes(keys), prototypes.values.weight.T)


def test_prototypes_are_the_sum_of_the_definition() -> None:
    prototypes = Prototypes(WORD_DIM, 3, 8, 4, 0.1).eval()
    torch.nn.init.normal_(prototypes.perceptron[-1].weight)
    word = torch.randn(WORD_DIM)
    scores = [torch.exp(key @ word).item() for key in prototypes.keys.weight]
    expected = sum(
        score / sum(scores) * value
        for score, value in zip(scores, prototypes.values.weight.T, strict=True)
    ) + prototypes.perceptron(word)
    torch.testing.assert_close(prototypes(word), expected)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=4), st.integers(6, 12), st.integers(0, 1000)
)
def test_neither_order_nor_padding_matters(lengths: list[int], width: int, seed: int) -> None:
    encode = encoder(seed)
    words, mask = sets(*lengths, width=width)
    phi = encode(words, mask)
    order = torch.randperm(width)
    torch.testing.assert_close(encode(words[:, order], mask[:, order]), phi, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(encode(words[:, :6], mask[:, :6]), phi, atol=1e-5, rtol=1e-4)
    garbage = torch.where(mask[..., None], words, 9.0)  # nothing leaks out of the padding
    torch.testing.assert_close(encode(garbage, mask), phi, atol=1e-5, rtol=1e-4)
    assert torch.isfinite(phi).all()


def test_at_first_a_tag_is_its_prototypes_and_a_set_their_sum() -> None:
    encode = encoder(has_learned=False)
    words, mask = sets(1, 3)
    phi = encode(words, mask)
    each = functional.normalize(encode.prototypes(words), dim=-1)
    torch.testing.assert_close(phi[0], each[0, 0])
    torch.testing.assert_close(phi[1], each[1, :3].sum(dim=0))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.integers(0, 11), st.integers(0, 1000))
def test_a_set_of_one_tag_is_this_tag(width: int, at: int, seed: int) -> None:
    """Whatever attention has learned, and wherever among the padding the tag is."""
    encode = encoder(seed)
    words, mask = sets(1, width=width)
    rolled = (words.roll(at, dims=1), mask.roll(at, dims=1))
    expected = encode.vectors(words[:, 0])
    torch.testing.assert_close(encode(*rolled), expected)
    assert torch.equal(
        encode.attend(expected[:, None], torch.ones(1, 1, dtype=torch.bool)), expected
    )
    garbage = torch.where(rolled[1][..., None], rolled[0], 9.0)
    torch.testing.assert_close(encode(garbage, rolled[1]), expected)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 12), st.integers(0, 1000))
def test_of_two_tags_each_takes_in_the_other(width: int, seed: int) -> None:
    """Wholly, because it does not attend to itself."""
    encode = encoder(seed)
    words, mask = sets(2, width=width)
    tags = encode.vectors(words[0, :2])
    expected = (tags + encode.output(encode.value(tags.flip(0)))).sum(dim=0)
    torch.testing.assert_close(encode(words, mask)[0], expected, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(expected, tags.sum(dim=0), atol=1e-2)  # attention has learned


def test_no_tags_are_zero_and_teach_nothing_wrong() -> None:
    encode = encoder().train()
    words, mask = sets(0, 2)
    phi = encode(words, mask)
    assert phi[0].abs().max().item() == 0
    phi.square().sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in encode.parameters())


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"heads": 3}, "expected heads to divide the 16 dimensions, got 3"),
        ({"hidden": 0}, "attention and a hidden layer for prototypes, got attention, 0 and 8"),
        ({"kind": "mean"}, "for prototypes, got mean, 48 and 8"),
        ({"prototypes": -1}, "for prototypes, got attention, 48 and -1"),
    ],
)
def test_prototypes_have_what_they_need(tags: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**tags)
