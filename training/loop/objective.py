"""The loss of a training step: eq. (6), the tagwise loss, and the rehearsal of what was known.

Letters: B = batch, T = frames, F = mels, C = tags.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from earmark.model.networks.dual_encoder import DualEncoder
from earmark.model.networks.mobilenet import MobileNet
from earmark.model.networks.tag_encoder import MultiHotTagEncoder, PrototypeTagEncoder
from earmark.training.data.dataset import TrainingBatch
from earmark.training.distillation.rehearsal import Rehearsal, RehearsedPhrases
from earmark.training.loop.distributed import ProcessGroup, gather_rows
from earmark.training.loop.losses import generalized_kl, nt_xent, tag_reconstruction, tagwise
from earmark.training.recipe import Recipe

MIN_TEMPERATURE = 0.02  # a learned one falls no further


class Objective(nn.Module):
    """A model's losses by name, and their weighted sum as "loss" (eq. (6)).

    `mixed_precision`: encoders and decoders run in bfloat16 where torch finds it safe; losses never
    do. `processes`: in training mode, contrastive losses run over the rows of all processes.
    `frozen`: layers of the audio encoder's convolutions that stay fixed, from the first on.
    `rehearsal`: of what the model knows before its first step, where the recipe gives it a weight.
    """

    def __init__(
        self,
        model: DualEncoder,
        recipe: Recipe,
        *,
        mixed_precision: bool = False,
        processes: ProcessGroup,
        frozen: int = 0,
        rehearsal: Rehearsal | None = None,
    ) -> None:
        super().__init__()
        self.model, self.recipe, self.processes = model, recipe, processes
        self.mixed_precision = mixed_precision
        self._frozen = _first_convolutions(model, frozen)
        for layer in self._frozen:
            layer.requires_grad_(False)
        self.scale: nn.Parameter | None = None  # ln(1 / τ)
        if recipe.learned_temperature:
            self.scale = nn.Parameter(torch.tensor(-math.log(recipe.temperature)))
        self.tagwise_scale: nn.Parameter | None = None
        if recipe.tagwise_weight:
            self.tagwise_scale = nn.Parameter(torch.tensor(-math.log(recipe.temperature)))
        self.rehearsal = rehearsal

    def train(self, mode: bool = True) -> Objective:
        """Set the mode as for any module; frozen layers stay in evaluation mode."""
        super().train(mode)
        for layer in self._frozen:
            layer.eval()
        return self

    @property
    def temperature(self) -> float:
        """τ, fixed or as learned so far."""
        if self.scale is None:
            return self.recipe.temperature
        return max(MIN_TEMPERATURE, math.exp(-self.scale.item()))

    def forward(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """Scalars by name: "contrastive" and "loss"; "tagwise", "audio", "tags" and "teacher" where
        their weights are not 0.
        """
        model, recipe = self.model, self.recipe
        assert model.audio is not None, "presets have both halves"
        losses: dict[str, Tensor] = {}
        with torch.autocast(batch.words.device.type, torch.bfloat16, enabled=self.mixed_precision):
            patches, codes = _encode(model, batch)
            phi_audio = model.audio.project(codes)
            estimate = None
            if model.audio_decoder is not None and recipe.audio_weight:
                estimate = model.audio_decoder(codes)
            phi_single = None
            if isinstance(model.tags, PrototypeTagEncoder) and batch.all_tags is not None:
                phi_single, phi_tags = _prototype_vectors(model.tags, batch)
            elif isinstance(model.tags, MultiHotTagEncoder):
                multihot = model.tags.multihot(batch.words, batch.mask)
                tag_codes = model.tags.encode(multihot)
                phi_tags = model.tags.project(tag_codes)
            else:
                phi_tags = model.tags(batch.words, batch.mask)
            if phi_single is None and self.tagwise_scale is not None and batch.all_tags is not None:
                mask = batch.mask.new_ones(len(batch.all_tags), 1)
                phi_single = model.tags(batch.all_tags[:, None], mask)
        losses["contrastive"] = self._contrastive_loss(
            _to_float32(phi_audio), _to_float32(phi_tags), batch.false_negatives
        )
        if self.tagwise_scale is not None and phi_single is not None and batch.has_tag is not None:
            losses["tagwise"] = self._tagwise_loss(
                _to_float32(phi_audio), _to_float32(phi_single), batch.has_tag
            )
        if estimate is not None and patches is not None:
            losses["audio"] = generalized_kl(patches, _to_float32(estimate))
        if model.tag_decoder is not None and recipe.tag_weight:
            # In float32: bfloat16 has no value between 0.996 and 1.
            probabilities = model.tag_decoder(_to_float32(tag_codes))
            losses["tags"] = tag_reconstruction(multihot, probabilities)
        if self.rehearsal is not None and batch.rehearsed is not None:
            before = self.rehearsal.recall(patches, _to_float32(codes))
            losses["teacher"] = self._rehearsal_loss(
                before, _to_float32(phi_audio), self.rehearsal, batch.rehearsed
            )
        losses["loss"] = self._weighted_sum(losses)
        return losses

    def _contrastive_loss(
        self, audio: Tensor, tags: Tensor, false_negatives: Tensor | None
    ) -> Tensor:
        if self.training and self.processes.size > 1:
            audio, tags = gather_rows(audio), gather_rows(tags)
        temperature: float | Tensor = self.recipe.temperature
        if self.scale is not None:
            temperature = bounded_temperature(self.scale)
        return nt_xent(
            audio,
            tags,
            temperature,
            false_negatives=false_negatives,
            as_run=self.recipe.as_run,
        )

    def _tagwise_loss(self, audio: Tensor, tags: Tensor, has_tag: Tensor) -> Tensor:
        if self.training and self.processes.size > 1:
            audio = gather_rows(audio)
        assert self.tagwise_scale is not None, "only where the loss has a weight"
        return tagwise(audio, tags, has_tag, bounded_temperature(self.tagwise_scale))

    def _rehearsal_loss(
        self, before: Tensor, audio: Tensor, rehearsal: Rehearsal, said: RehearsedPhrases
    ) -> Tensor:
        assert isinstance(self.model.tags, PrototypeTagEncoder), "what was known is said in phrases"
        if self.training and self.processes.size > 1:
            before, audio = gather_rows(before), gather_rows(audio)
        loss: Tensor = rehearsal(before, audio, self.model.tags, said)
        return loss

    def _weighted_sum(self, losses: dict[str, Tensor]) -> Tensor:
        """Eq. (6) over the losses that there are."""
        weights = {
            "teacher": self.recipe.teacher_weight,
            "audio": self.recipe.audio_weight,
            "contrastive": self.recipe.contrastive_weight,
            "tagwise": self.recipe.tagwise_weight,
            "tags": self.recipe.tag_weight,
        }
        return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()


def _encode(model: DualEncoder, batch: TrainingBatch) -> tuple[Tensor | None, Tensor]:
    """(patches [B, 1, T, F], codes [B, V]) of a batch; None for patches where it holds codes."""
    if batch.codes is not None:
        return None, batch.codes
    assert batch.log_mel is not None and model.audio is not None, "a batch has one of both"
    patches = model.scale(batch.log_mel)[:, None]
    patches = patches.contiguous(memory_format=torch.channels_last)
    return patches, model.audio.encode(patches)


def _prototype_vectors(encoder: PrototypeTagEncoder, batch: TrainingBatch) -> tuple[Tensor, Tensor]:
    """(vectors of all tags in use [C, D], φ_w [B, D] of the clips' tags among them)."""
    assert batch.all_tags is not None and batch.tag_rows is not None, "made with single tags"
    single = encoder.vectors(batch.all_tags)
    padded = torch.cat([single, single.new_zeros(1, single.shape[1])])
    return single, encoder.attend(padded[batch.tag_rows], batch.mask)


def bounded_temperature(scale: Tensor) -> Tensor:
    """τ of a learned ln(1 / τ), at least MIN_TEMPERATURE."""
    return torch.exp(-scale).clamp(min=MIN_TEMPERATURE)


def _first_convolutions(model: DualEncoder, count: int) -> list[nn.Module]:
    """The first `count` convolutions, or blocks of a MobileNet, with their normalisation."""
    assert model.audio is not None, "presets have both halves"
    if isinstance(model.audio.convolutions, MobileNet):
        return list(model.audio.convolutions)[:count]
    layers: list[nn.Module] = []
    for layer in model.audio.convolutions:
        if isinstance(layer, nn.Conv2d):
            count -= 1
        if count < 0:
            break
        layers.append(layer)
    return layers if layers and count <= 0 else []


def _to_float32(values: Tensor) -> Tensor:
    """bfloat16 → float32, for losses; other values stay as they are."""
    return values.float() if values.dtype == torch.bfloat16 else values
