"""The tag encoders: unordered, indifferent to padding, never NaN."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from earmark.model.config import ModelConfig
from earmark.model.networks.tag_encoder import (
    AttentionTagEncoder,
    MeanTagEncoder,
    MultiHotTagEncoder,
    PrototypeTagEncoder,
    TagDecoder,
    attention,
    build_tag_encoder,
)
from tests.model.tiny import tiny_config

DIM = 16


def config(name: str, sum_padding: bool = False) -> ModelConfig:
    config = tiny_config(name, DIM)
    return replace(config, tags=replace(config.tags, sum_padding=sum_padding))


def sets(*lengths: int, width: int = 10) -> tuple[Tensor, Tensor]:
    """Random words [B, width, DIM] of these lengths, zero where padded, and their mask."""
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    return torch.randn(len(lengths), width, DIM) * mask[..., None], mask


ENCODERS = [
    pytest.param("w2v-128-1h", id="1h"),
    pytest.param("w2v-128-4h", id="4h"),
    pytest.param("w2v-128-mean", id="mean"),
]


@pytest.mark.parametrize("name", ENCODERS)
def test_the_order_of_tags_does_not_matter(name: str) -> None:
    encoder = build_tag_encoder(config(name)).eval()
    words, mask = sets(3, 10, 1)
    order = torch.randperm(words.shape[1])
    phi = encoder(words, mask)
    torch.testing.assert_close(encoder(words[:, order], mask[:, order]), phi, atol=1e-5, rtol=0)
    assert not torch.allclose(phi[0], phi[1], atol=1e-2)


@pytest.mark.parametrize("name", ENCODERS)
def test_padding_does_not_matter(name: str) -> None:
    encoder = build_tag_encoder(config(name)).eval()
    words, mask = sets(3, 5)
    wider = torch.cat([words, torch.randn(2, 7, DIM)], dim=1)
    wider_mask = torch.cat([mask, torch.zeros(2, 7, dtype=torch.bool)], dim=1)
    torch.testing.assert_close(encoder(wider, wider_mask), encoder(words, mask), atol=1e-5, rtol=0)


def test_a_set_gives_the_same_alone_and_in_a_batch() -> None:
    encoder = build_tag_encoder(config("w2v-128-4h")).eval()
    words, mask = sets(3, 10, 1)
    together = encoder(words, mask)
    for row in range(3):
        alone = encoder(words[row : row + 1], mask[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=0)


def test_sum_padding_makes_the_number_of_missing_tags_matter() -> None:
    words, mask = sets(3)
    plain = AttentionTagEncoder(config("w2v-128-1h")).eval()
    as_run = AttentionTagEncoder(config("w2v-128-1h", sum_padding=True)).eval()
    as_run.load_state_dict(plain.state_dict())
    assert not torch.allclose(as_run(words, mask), plain(words, mask), atol=1e-3)
    short = as_run(words[:, :4], mask[:, :4])
    assert not torch.allclose(as_run(words, mask), short, atol=1e-3)
    full, all_real = sets(10)
    torch.testing.assert_close(as_run(full, all_real), plain(full, all_real))


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("sum_padding", [False, True])
def test_an_empty_set_is_not_nan(name: str, sum_padding: bool) -> None:
    encoder = build_tag_encoder(config(name, sum_padding)).train()
    words, mask = sets(0, 2)
    words.requires_grad_()
    phi = encoder(words, mask)
    phi.sum().backward()
    assert torch.isfinite(phi).all()
    assert torch.isfinite(words.grad).all()


def test_attention_is_the_softmax_of_scaled_products() -> None:
    query, key, value = torch.randn(3, 1, 1, 3, 4).unbind()
    mask = torch.tensor([[True, True, False]])
    context, weights = attention(query, key, value, mask)
    for i in range(3):
        scores = [math.exp(float(query[0, 0, i] @ key[0, 0, j]) / 2) for j in range(2)]
        expected = [score / sum(scores) for score in scores] + [0.0]
        assert weights[0, 0, i].tolist() == pytest.approx(expected, abs=1e-6)
        by_hand = sum(w * value[0, 0, j] for j, w in enumerate(expected))
        torch.testing.assert_close(context[0, 0, i], by_hand)


def test_attention_to_nothing_is_zero() -> None:
    query = torch.randn(1, 2, 3, 4)
    context, weights = attention(query, query, query, torch.zeros(1, 3, dtype=torch.bool))
    assert weights.abs().max().item() == 0
    assert context.abs().max().item() == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(0, 1000))
def test_each_query_can_have_keys_of_its_own(batch: int, count: int, seed: int) -> None:
    """Each as if it were alone with its keys; one without keys gets nothing."""
    generator = torch.Generator().manual_seed(seed)
    query, key, value = torch.randn(3, batch, 2, count, 4, generator=generator).unbind()
    mask = torch.rand(batch, count, count, generator=generator) < 0.5
    context, weights = attention(query, key, value, mask)
    assert not weights[~mask[:, None].expand_as(weights)].any()
    for at in range(count):
        alone, _ = attention(query[:, :, at : at + 1], key, value, mask[:, at])
        torch.testing.assert_close(context[:, :, at : at + 1], alone)
    assert not context.transpose(1, 2)[~mask.any(dim=2)].any()
    shared = mask[:, 0]
    for one, other in zip(
        attention(query, key, value, shared),
        attention(query, key, value, shared[:, None].expand(-1, count, -1)),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_dropout_acts_in_training_only() -> None:
    encoder = AttentionTagEncoder(config("w2v-128-4h"))
    words, mask = sets(8)
    assert not torch.equal(encoder.train()(words, mask), encoder(words, mask))
    assert torch.equal(encoder.eval()(words, mask), encoder(words, mask))


def test_mean_is_a_mean() -> None:
    encoder = MeanTagEncoder(config("w2v-128-mean")).eval()
    words, mask = sets(4)
    expected = encoder.norm(encoder.output(words[0, :4]).mean(dim=0))
    torch.testing.assert_close(encoder(words, mask)[0], expected)


def test_multihot_is_the_union() -> None:
    words = torch.eye(5)[torch.tensor([[0, 3, 3, 1]])]
    mask = torch.tensor([[True, True, True, False]])
    assert MultiHotTagEncoder.multihot(words, mask).tolist() == [[1, 0, 0, 1, 0]]


def test_coala_encodes_and_decodes_tags() -> None:
    config = tiny_config("coala")
    encoder, decoder = MultiHotTagEncoder(config).eval(), TagDecoder(config).eval()
    words = torch.eye(config.tags.word_dim)[None, :4]
    mask = torch.ones(1, 4, dtype=torch.bool)
    codes = encoder.encode(encoder.multihot(words, mask))
    assert codes.shape == (1, config.code_dim)
    torch.testing.assert_close(encoder(words, mask), encoder.project(codes))
    probabilities = decoder(codes)
    assert probabilities.shape == (1, config.tags.word_dim)
    assert 0 < probabilities.min().item() <= probabilities.max().item() < 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("w2v-128-1h", AttentionTagEncoder),
        ("w2v-128-mean", MeanTagEncoder),
        ("coala", MultiHotTagEncoder),
        ("first-starter", AttentionTagEncoder),
        ("starter", PrototypeTagEncoder),
    ],
)
def test_the_configuration_chooses_the_encoder(name: str, kind: type) -> None:
    assert type(build_tag_encoder(tiny_config(name))) is kind
