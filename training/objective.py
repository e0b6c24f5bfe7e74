"""What a training step minimises: eq. (6), all losses of a batch in one forward pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.aligned import AlignedModel
from model.tags import MultiHotTagEncoder
from training.dataset import Batch
from training.distributed import Ranks, gathered
from training.losses import generalized_kl, nt_xent, tag_reconstruction
from training.recipe import Recipe


class Objective(nn.Module):
    """A model's losses by name, and their weighted sum as "loss" (eq. (6)).

    `mixed`: encoders and decoders run in bfloat16 where torch finds it safe; losses never do.
    `ranks`: in training mode, NT-Xent runs over the rows of all processes.
    """

    def __init__(
        self, model: AlignedModel, recipe: Recipe, *, mixed: bool = False, ranks: Ranks
    ) -> None:
        super().__init__()
        self.model, self.recipe, self.mixed, self.ranks = model, recipe, mixed, ranks

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars by name: "contrastive", "audio" and "tags" where they weigh, "loss"."""
        model, recipe = self.model, self.recipe
        assert model.audio is not None, "presets have both halves"
        patches = model.scale(batch.log_mel)[:, None]
        patches = patches.contiguous(memory_format=torch.channels_last)
        losses: dict[str, Tensor] = {}
        with torch.autocast(patches.device.type, torch.bfloat16, enabled=self.mixed):
            codes, phi_audio = model.audio(patches)
            estimate = None
            if model.audio_decoder is not None and recipe.audio_weight:
                estimate = model.audio_decoder(codes)
            if isinstance(model.tags, MultiHotTagEncoder):
                multihot = model.tags.multihot(batch.words, batch.mask)
                tag_codes = model.tags.encode(multihot)
                phi_tags = model.tags.project(tag_codes)
            else:
                phi_tags = model.tags(batch.words, batch.mask)
        losses["contrastive"] = self._contrastive(_full(phi_audio), _full(phi_tags), batch.same)
        if estimate is not None:
            losses["audio"] = generalized_kl(patches, _full(estimate))
        if model.tag_decoder is not None and recipe.tag_weight:
            # In float32: near 1, bfloat16 knows nothing between 0.996 and 1.
            losses["tags"] = tag_reconstruction(multihot, model.tag_decoder(_full(tag_codes)))
        weights = {
            "audio": recipe.audio_weight,
            "contrastive": recipe.contrastive_weight,
            "tags": recipe.tag_weight,
        }
        losses["loss"] = torch.stack([weights[name] * each for name, each in losses.items()]).sum()
        return losses

    def _contrastive(self, audio: Tensor, tags: Tensor, same: Tensor | None) -> Tensor:
        if self.training and self.ranks.count > 1:
            audio, tags = gathered(audio), gathered(tags)
        recipe = self.recipe
        return nt_xent(audio, tags, recipe.temperature, same=same, as_run=recipe.as_run)


def _full(values: Tensor) -> Tensor:
    """bfloat16 → float32, for losses."""
    return values.float() if values.dtype == torch.bfloat16 else values
