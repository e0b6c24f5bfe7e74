"""The losses of paper §2.3 (METHOD §4): generalised Kullback-Leibler divergence and NT-Xent; and
the baseline's and the starter's own.

Letters: B = batch, T = frames, F = mels, D = shared dimension, C = tags.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from earmark.model.core.errors import InputError

KL_EPSILON = 1e-5
NT_XENT_EPSILON = 1e-5
NEVER = -1e9  # a logit


def generalized_kl(target: Tensor, estimate: Tensor) -> Tensor:
    """L_a = X log((X+ε)/(X̂+ε)) + X̂ − X, summed over mels, mean over the rest (METHOD §4).

    target, estimate: [B, 1, T, F], not negative. Returns a scalar.
    """
    if target.shape != estimate.shape:
        raise InputError(
            f"estimate: expected the target's shape {list(target.shape)}, "
            f"got {list(estimate.shape)}"
        )
    ratio = torch.log((target + KL_EPSILON) / (estimate + KL_EPSILON))
    return (target * ratio + estimate - target).sum(dim=-1).mean()


def nt_xent(
    audio: Tensor,
    tags: Tensor,
    temperature: float | Tensor = 0.1,
    *,
    same: Tensor | None = None,
    as_run: bool = False,
) -> Tensor:
    """L_ξ: NT-Xent of SimCLR (Chen et al. 2020) over the 2B vectors [φ_a; φ_w].

    audio, tags: [B, D], row i of one the positive of row i of the other; cosine similarity;
    the denominator runs over all 2B − 1 others. Computed in the log domain.
    `same`: [B, B], True where two clips are not each other's negatives (the same tags, say);
    their four pairings leave the denominators. `as_run`: −log(p + 1e-5), as the authors ran it.
    """
    if audio.shape != tags.shape or audio.ndim != 2:
        raise InputError(
            f"audio, tags: expected one shape [B, D], got {list(audio.shape)} "
            f"and {list(tags.shape)}"
        )
    batch = len(audio)
    vectors = functional.normalize(torch.cat([audio, tags]), dim=1)
    logits = vectors @ vectors.T / temperature
    own = torch.eye(2 * batch, dtype=torch.bool, device=logits.device)
    positives = own.roll(batch, dims=1)
    excluded = own if same is None else own | (same.repeat(2, 2) & ~positives)
    log_p = torch.log_softmax(logits.masked_fill(excluded, float("-inf")), dim=1)[positives]
    if as_run:
        log_p = torch.log(log_p.exp() + NT_XENT_EPSILON)
    return -log_p.mean()


def tagwise(
    audio: Tensor, tags: Tensor, carried: Tensor, temperature: float | Tensor = 0.1
) -> Tensor:
    """Each tag of a clip against those that it does not carry, and each clip of a tag against the
    clips without it: the sum of both. After L_out of Khosla et al., "Supervised Contrastive
    Learning" (2020), with what else is true left out of the denominators.

    audio [B, D]; tags [C, D], each tag alone; carried [B, C], bool. Clips without a tag, and tags
    without a clip, take no part. Raises InputError for shapes that do not fit.
    """
    if carried.shape != (len(audio), len(tags)):
        raise InputError(
            f"carried: expected the shape {[len(audio), len(tags)]}, got {list(carried.shape)}"
        )
    cosines = functional.normalize(audio, dim=1) @ functional.normalize(tags, dim=1).T
    logits = cosines / temperature
    return _against_others(logits, carried) + _against_others(logits.T, carried.T)


def _against_others(logits: Tensor, true: Tensor) -> Tensor:
    """Mean over rows of the mean −log softmax of what is true beside all that is not."""
    others = torch.logsumexp(logits.masked_fill(true, NEVER), dim=1, keepdim=True)
    log_p = logits - torch.logaddexp(logits, others)
    counts = true.sum(dim=1, keepdim=True)
    shares = true.to(logits.dtype) / counts.clamp(min=1)
    return -(log_p * shares).sum() / (counts > 0).sum().clamp(min=1)


def tag_reconstruction(multihot: Tensor, probabilities: Tensor) -> Tensor:
    """The COALA baseline's tag loss: mean binary cross-entropy of [B, C]."""
    return functional.binary_cross_entropy(probabilities, multihot)
