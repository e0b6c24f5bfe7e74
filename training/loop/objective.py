"""What a training step minimises: eq. (6), each tag alone, and the distance to what a teacher
hears; all losses of a batch in one forward pass.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from earmark.model.networks.dual_encoder import DualEncoder
from earmark.model.networks.tag_encoder import MultiHotTagEncoder
from earmark.training.data.dataset import Batch
from earmark.training.loop.distributed import Ranks, gathered
from earmark.training.loop.losses import generalized_kl, nt_xent, tag_reconstruction, tagwise
from earmark.training.recipe import Recipe

MIN_TEMPERATURE = 0.02  # a learned one falls no further


class Objective(nn.Module):
    """A model's losses by name, and their weighted sum as "loss" (eq. (6)).

    `mixed`: encoders and decoders run in bfloat16 where torch finds it safe; losses never do.
    `ranks`: in training mode, contrastive losses run over the rows of all processes.
    `moments`: mean and deviation [V] of a teacher's codes, where there is one. `frozen`:
    convolutions of a pooled encoder that do not learn.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        model: DualEncoder,
        recipe: Recipe,
        *,
        mixed: bool = False,
        ranks: Ranks,
        moments: tuple[Tensor, Tensor] | None = None,
        frozen: int = 0,
    ) -> None:
        super().__init__()
        self.model, self.recipe, self.mixed, self.ranks = model, recipe, mixed, ranks
        self._frozen = _first(model, frozen)
        for layer in self._frozen:
            layer.requires_grad_(False)
        self.scale: nn.Parameter | None = None  # ln(1 / τ)
        if recipe.learned_temperature:
            self.scale = nn.Parameter(torch.tensor(-math.log(recipe.temperature)))
        self.tagwise_scale: nn.Parameter | None = None
        if recipe.tagwise_weight:
            self.tagwise_scale = nn.Parameter(torch.tensor(-math.log(recipe.temperature)))
        self.to_teacher: nn.Linear | None = None
        if moments is not None:
            self.to_teacher = nn.Linear(model.config.code_dim, len(moments[0]))
            self.register_buffer("mean", moments[0])
            self.register_buffer("deviation", moments[1])

    def train(self, mode: bool = True) -> Objective:
        """As of any module; frozen layers stay in evaluation mode."""
        super().train(mode)
        for layer in self._frozen:
            layer.eval()
        return self

    @property
    def temperature(self) -> float:
        """τ, as given or as learned so far."""
        if self.scale is None:
            return self.recipe.temperature
        return max(MIN_TEMPERATURE, math.exp(-self.scale.item()))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars by name: "contrastive", "loss"; "tagwise", "audio", "tags", "teacher" where they
        weigh.
        """
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
            phi_every = None
            if self.tagwise_scale is not None and batch.every is not None:
                alone = batch.mask.new_ones(len(batch.every), 1)
                phi_every = model.tags(batch.every[:, None], alone)
        losses["contrastive"] = self._contrastive(_full(phi_audio), _full(phi_tags), batch.same)
        if phi_every is not None and batch.carried is not None:
            losses["tagwise"] = self._tagwise(_full(phi_audio), _full(phi_every), batch.carried)
        if estimate is not None:
            losses["audio"] = generalized_kl(patches, _full(estimate))
        if model.tag_decoder is not None and recipe.tag_weight:
            # In float32: near 1, bfloat16 knows nothing between 0.996 and 1.
            losses["tags"] = tag_reconstruction(multihot, model.tag_decoder(_full(tag_codes)))
        if self.to_teacher is not None and batch.codes is not None and batch.alone is not None:
            wanted = (batch.codes - self.mean) / self.deviation
            distance = (self.to_teacher(_full(codes)) - wanted).square().mean(dim=1)
            losses["teacher"] = (distance * batch.alone).sum() / batch.alone.sum().clamp(min=1)
        weights = {
            "teacher": recipe.teacher_weight,
            "audio": recipe.audio_weight,
            "contrastive": recipe.contrastive_weight,
            "tagwise": recipe.tagwise_weight,
            "tags": recipe.tag_weight,
        }
        losses["loss"] = torch.stack([weights[name] * each for name, each in losses.items()]).sum()
        return losses

    def _contrastive(self, audio: Tensor, tags: Tensor, same: Tensor | None) -> Tensor:
        if self.training and self.ranks.count > 1:
            audio, tags = gathered(audio), gathered(tags)
        temperature: float | Tensor = self.recipe.temperature
        if self.scale is not None:
            temperature = temperature_of(self.scale)
        return nt_xent(audio, tags, temperature, same=same, as_run=self.recipe.as_run)

    def _tagwise(self, audio: Tensor, tags: Tensor, carried: Tensor) -> Tensor:
        if self.training and self.ranks.count > 1:
            audio = gathered(audio)
        assert self.tagwise_scale is not None, "where the loss weighs"
        return tagwise(audio, tags, carried, temperature_of(self.tagwise_scale))


def temperature_of(scale: Tensor) -> Tensor:
    """τ of a learned ln(1 / τ), no lower than it may fall."""
    return torch.exp(-scale).clamp(min=MIN_TEMPERATURE)


def _first(model: DualEncoder, convolutions: int) -> list[nn.Module]:
    """The layers of the first convolutions, their norms included."""
    assert model.audio is not None, "presets have both halves"
    layers: list[nn.Module] = []
    for layer in model.audio.convolutions:
        if isinstance(layer, nn.Conv2d):
            convolutions -= 1
        if convolutions < 0:
            break
        layers.append(layer)
    return layers if layers and convolutions <= 0 else []


def _full(values: Tensor) -> Tensor:
    """bfloat16 → float32, for losses."""
    return values.float() if values.dtype == torch.bfloat16 else values
