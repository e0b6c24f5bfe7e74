"""The losses of paper §2.3 (METHOD §4), of the COALA baseline, and of the starter preset.

Letters: B = batch, T = frames, F = mels, D = shared dimension, C = tags.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from earmark.model.core.errors import InputError

KL_EPSILON = 1e-5
NT_XENT_EPSILON = 1e-5
MASKED_LOGIT = -1e9


def generalized_kl(target: Tensor, estimate: Tensor) -> Tensor:
    """Generalised Kullback-Leibler divergence, L_a (METHOD §4).

    L_a = X log((X+ε)/(X̂+ε)) + X̂ − X, summed over mels, averaged over the rest.
    target, estimate: [B, 1, T, F], not negative. Returns a scalar. Raises InputError for shapes
    that differ.
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
    false_negatives: Tensor | None = None,
    as_run: bool = False,
) -> Tensor:
    """L_ξ: NT-Xent of SimCLR (Chen et al. 2020) over the 2B vectors [φ_a; φ_w].

    audio, tags: [B, D], row i of one the positive of row i of the other. Similarity is the cosine;
    the denominator runs over all 2B − 1 other vectors. Computed in the log domain.
    `false_negatives`: [B, B], True where two clips are not each other's negatives (for example,
    with the same tags); their four pairings leave the denominators. `as_run`: −log(p + 1e-5), as
    the authors ran it. Raises InputError for shapes that do not fit.
    """
    if audio.shape != tags.shape or audio.ndim != 2:
        raise InputError(
            f"audio, tags: expected one shape [B, D], got {list(audio.shape)} "
            f"and {list(tags.shape)}"
        )
    batch = len(audio)
    vectors = functional.normalize(torch.cat([audio, tags]), dim=1)
    logits = vectors @ vectors.T / temperature
    diagonal = torch.eye(2 * batch, dtype=torch.bool, device=logits.device)
    positives = diagonal.roll(batch, dims=1)
    excluded = diagonal
    if false_negatives is not None:
        excluded = diagonal | (false_negatives.repeat(2, 2) & ~positives)
    log_p = torch.log_softmax(logits.masked_fill(excluded, float("-inf")), dim=1)[positives]
    if as_run:
        log_p = torch.log(log_p.exp() + NT_XENT_EPSILON)
    return -log_p.mean()


def tagwise(
    audio: Tensor, tags: Tensor, has_tag: Tensor, temperature: float | Tensor = 0.1
) -> Tensor:
    """Contrast clips with single tags, in both directions; the sum of the two means.

    Each tag of a clip is contrasted with the tags that the clip does not have, and each clip of a
    tag with the clips that do not have the tag. After L_out of Khosla et al., "Supervised
    Contrastive Learning" (2020), but with the other positives left out of the denominators.

    audio: [B, D]; tags: [C, D], each tag alone; has_tag: [B, C], bool. Clips without a tag, and
    tags without a clip, add nothing. Raises InputError for shapes that do not fit.
    """
    if has_tag.shape != (len(audio), len(tags)):
        raise InputError(
            f"has_tag: expected the shape {[len(audio), len(tags)]}, got {list(has_tag.shape)}"
        )
    cosines = functional.normalize(audio, dim=1) @ functional.normalize(tags, dim=1).T
    logits = cosines / temperature
    return _contrast_rows(logits, has_tag) + _contrast_rows(logits.T, has_tag.T)


def _contrast_rows(logits: Tensor, positives: Tensor) -> Tensor:
    """Mean over rows of the mean −log softmax of each positive among all negatives."""
    negatives = torch.logsumexp(logits.masked_fill(positives, MASKED_LOGIT), dim=1, keepdim=True)
    log_p = logits - torch.logaddexp(logits, negatives)
    counts = positives.sum(dim=1, keepdim=True)
    shares = positives.to(logits.dtype) / counts.clamp(min=1)
    return -(log_p * shares).sum() / (counts > 0).sum().clamp(min=1)


def tag_reconstruction(multihot: Tensor, probabilities: Tensor) -> Tensor:
    """The COALA baseline's tag loss: mean binary cross-entropy of [B, C]."""
    return functional.binary_cross_entropy(probabilities, multihot)
