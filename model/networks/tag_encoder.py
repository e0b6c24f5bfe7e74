"""The tag encoders: an unordered set of word vectors → φ_w (paper §2.2, eqs. (1)–(4)).

Axes: B = batch, N = tags of a set (padded), F_w = word dimension, H = heads, D = shared dimension,
C = words of the COALA baseline, V = code. All encoders take the same tensors: `words` [B, N, F_w],
zero where padded, and `mask` [B, N], True for real tags.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from earmark.model.config import ModelConfig
from earmark.model.networks.layers import Dropout, perceptron
from earmark.model.networks.prototypes import Prototypes


class TagEncoder(Protocol):
    """A tag encoder: words [B, N, F_w] and mask [B, N] → φ_w [B, D]."""

    def __call__(self, words: Tensor, mask: Tensor) -> Tensor: ...


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention softmax(QKᵀ/√F_w)V (eq. (2)).

    query, key, value: [B, H, N, F_w]; mask: [B, N], or [B, N, N] for each query: keys where False
    get no weight. Returns the context [B, H, N, F_w] and the weights [B, H, N, N]; those of a query
    without keys are 0, not NaN.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    keys = mask[:, None] if mask.ndim == 3 else mask[:, None, None, :]
    scores = scores.masked_fill(~keys, -1e9)
    weights = torch.softmax(scores, dim=-1) * keys.any(dim=-1, keepdim=True)
    return weights @ value, weights


class AttentionTagEncoder(nn.Module):
    """Multi-head self-attention over the tags, their sum, LayerNorm (eqs. (1)–(4))."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        tags = config.tags
        self.heads = tags.heads
        self.sum_padding = tags.sum_padding
        width = tags.heads * tags.word_dim
        self.query = nn.Linear(tags.word_dim, width, bias=False)
        self.key = nn.Linear(tags.word_dim, width, bias=False)
        self.value = nn.Linear(tags.word_dim, width, bias=False)
        self.output = nn.Linear(width, config.dim, bias=False)
        self.weights_dropout = Dropout(tags.dropout)
        self.dropout = Dropout(tags.dropout)
        self.norm = nn.LayerNorm(config.dim, eps=1e-6)
        self.last = _perceptron(config)

    def attend(self, words: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(φ_w [B, D], attention weights [B, H, N, N] before dropout)."""
        batch, count, _ = words.shape
        query, key, value = (
            layer(words).view(batch, count, self.heads, -1).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        scaled, weights = attention(query, key, value, mask)
        if self.training:
            scaled = self.weights_dropout(weights) @ value
        merged = scaled.transpose(1, 2).reshape(batch, count, -1)
        outputs = self.dropout(self.output(merged))
        if not self.sum_padding:
            outputs = outputs * mask[..., None]
        phi: Tensor = self.last(self.norm(outputs.sum(dim=1)))
        return phi, weights

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """Words [B, N, F_w], mask [B, N] → φ_w [B, D]."""
        return self.attend(words, mask)[0]


class PrototypeTagEncoder(nn.Module):
    """Self-attention over the tags in the shared space, where prototypes take each of them first.

    Eqs. (1)–(4) with a residual in place of the LayerNorm, and each tag attends to the others only:
    a set of one tag is this tag. The attention's output begins at zero, so that a set is the sum of
    its tags. `width` of a head: D / H.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        tags, dim = config.tags, config.dim
        self.heads = tags.heads
        self.prototypes = Prototypes(tags.word_dim, tags.prototypes, tags.hidden, dim, tags.dropout)
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.output = nn.Linear(dim, dim, bias=False)
        nn.init.zeros_(self.output.weight)
        self.dropout = Dropout(tags.dropout)

    def vectors(self, words: Tensor) -> Tensor:
        """Word vectors [..., F_w] → vectors of length 1 in the shared space, [..., D]."""
        return functional.normalize(self.prototypes(words), dim=-1)

    def attend(self, tags: Tensor, mask: Tensor) -> Tensor:
        """Vectors of tags [B, N, D], mask [B, N] → φ_w [B, D]."""
        batch, count, _ = tags.shape
        query, key, value = (
            layer(tags).view(batch, count, self.heads, -1).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        places = torch.arange(count, device=mask.device)
        others = mask[:, None] & (places[:, None] != places)
        context, _ = attention(query, key, value, others)
        merged = context.transpose(1, 2).reshape(batch, count, -1)
        outputs = tags + self.dropout(self.output(merged))
        phi: Tensor = (outputs * mask[..., None]).sum(dim=1)
        return phi

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """Words [B, N, F_w], mask [B, N] → φ_w [B, D]."""
        return self.attend(self.vectors(words), mask)


class MeanTagEncoder(nn.Module):
    """The paper's "mean": one linear layer, the mean over real tags, LayerNorm."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.output = nn.Linear(config.tags.word_dim, config.dim, bias=False)
        self.dropout = Dropout(config.tags.dropout)
        self.norm = nn.LayerNorm(config.dim, eps=1e-6)
        self.last = _perceptron(config)

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """Words [B, N, F_w], mask [B, N] → φ_w [B, D]."""
        outputs = self.output(words) * mask[..., None]
        mean = outputs.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)
        phi: Tensor = self.last(self.norm(self.dropout(mean)))
        return phi


def _perceptron(config: ModelConfig) -> nn.Module:
    """The perceptron after eq. (4), or the identity, as in the paper."""
    if not config.tags.hidden:
        return nn.Identity()
    return perceptron(config.dim, config.tags.hidden, config.dim, config.tags.dropout)


def _dense(inputs: int, outputs: int, dropout: float) -> list[nn.Module]:
    return [
        nn.Linear(inputs, outputs),
        nn.BatchNorm1d(outputs),
        nn.ReLU(),
        Dropout(dropout),
    ]


class MultiHotTagEncoder(nn.Module):
    """The COALA baseline's encoder. Its word vectors are one-hot; their union is multi-hot."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dropout = config.tags.dropout
        self.dense = nn.Sequential(
            *_dense(config.tags.word_dim, 512, dropout),
            *_dense(512, 512, dropout),
            *_dense(512, config.code_dim, dropout),
        )
        self.projection = nn.Linear(config.code_dim, config.dim, bias=False)
        self.dropout = Dropout(dropout)

    @staticmethod
    def multihot(words: Tensor, mask: Tensor) -> Tensor:
        """One-hot words [B, N, C], mask [B, N] → multi-hot [B, C] of 0 and 1."""
        return ((words * mask[..., None]).sum(dim=1) > 0).to(words.dtype)

    def encode(self, multihot: Tensor) -> Tensor:
        """Multi-hot [B, C] → code z_w [B, V]."""
        code: Tensor = self.dense(multihot)
        return code

    def project(self, codes: Tensor) -> Tensor:
        """Codes z_w [B, V] → φ_w [B, D]."""
        phi: Tensor = self.dropout(self.projection(codes))
        return phi

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """One-hot words [B, N, C], mask [B, N] → φ_w [B, D]."""
        return self.project(self.encode(self.multihot(words, mask)))


class TagDecoder(nn.Module):
    """The COALA baseline's tag decoder: code z_w → probabilities of the C tags."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dropout, vocabulary = config.tags.dropout, config.tags.word_dim
        self.dense = nn.Sequential(
            *_dense(config.code_dim, 512, dropout),
            *_dense(512, 512, dropout)[:-1],
            nn.Linear(512, vocabulary),
            nn.BatchNorm1d(vocabulary),
            nn.Sigmoid(),
        )

    def forward(self, codes: Tensor) -> Tensor:
        """Codes z_w [B, V] → probabilities [B, C]."""
        probabilities: Tensor = self.dense(codes)
        return probabilities


def build_tag_encoder(
    config: ModelConfig,
) -> AttentionTagEncoder | PrototypeTagEncoder | MeanTagEncoder | MultiHotTagEncoder:
    """The tag encoder of the kind `config.tags.kind`."""
    match config.tags.kind:
        case "attention" if config.tags.prototypes:
            return PrototypeTagEncoder(config)
        case "attention":
            return AttentionTagEncoder(config)
        case "mean":
            return MeanTagEncoder(config)
        case "multihot":
            return MultiHotTagEncoder(config)
