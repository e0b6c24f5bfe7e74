"""Keeps what a model knew when its training began, while it learns the tags of a corpus.

Three losses: the model tells the classes of a sound, said in any phrase, as it told them at the
start; a phrase of a class stays at the class's direction; a translation lies where the English
phrase lies. Letters: B = batch, V = audio code, D = shared dimension, F_w = word dimension,
C = classes, R and S = phrases.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from earmark.model.networks.audio_encoder import AudioEncoder
from earmark.model.networks.tag_encoder import PrototypeTagEncoder

TEMPERATURE = 0.07


@dataclass(frozen=True)
class RehearsedPhrases:
    """Word vectors of a step's phrases: one of each class [C, F_w]; phrases [R, F_w] and their
    classes [R]; translations [S, F_w] and what they translate [S, F_w]."""

    classes: Tensor
    phrases: Tensor
    class_of: Tensor
    translations: Tensor
    originals: Tensor


class Rehearsal(nn.Module):
    """What the model knew: a copy of its audio encoder, and its directions [C, D] of the classes.

    `names` [C, F_w]: word vectors of the classes' names. `same_codes`: the model's convolutions are
    fixed, so that its codes are those of the start.
    """

    directions: Tensor

    def __init__(
        self, audio: AudioEncoder, tags: PrototypeTagEncoder, names: Tensor, *, same_codes: bool
    ) -> None:
        super().__init__()
        self.same_codes = same_codes
        self.start = copy.deepcopy(audio.projection if same_codes else audio).eval()
        self.start.requires_grad_(False)
        tags.eval()
        with torch.no_grad():
            self.register_buffer("directions", functional.normalize(tags.vectors(names), dim=1))

    def train(self, mode: bool = True) -> Rehearsal:
        """Set the mode; the copy stays in evaluation mode."""
        super().train(mode)
        self.start.eval()
        return self

    def recall(self, patches: Tensor | None, codes: Tensor) -> Tensor:
        """Patches [B, 1, T, F], their codes now [B, V] → unit vectors [B, D] of the start.

        Patches are needed where the codes are not those of the start.
        """
        with torch.no_grad():
            before: Tensor = self.start(codes) if self.same_codes else self.start(patches)[1]
        return functional.normalize(before, dim=1)

    def forward(
        self, before: Tensor, phi: Tensor, tags: PrototypeTagEncoder, said: RehearsedPhrases
    ) -> Tensor:
        """The sum of the losses, for what `recall` gives [B, D] and φ_a now [B, D]."""
        vectors = tags.vectors(
            torch.cat([said.classes, said.phrases, said.translations, said.originals])
        )
        sizes = [len(said.classes), len(said.phrases), len(said.translations), len(said.originals)]
        vectors = functional.normalize(vectors, dim=1)
        names, phrases, translations, originals = torch.split(vectors, sizes)
        told = functional.normalize(phi, dim=1) @ names.T / TEMPERATURE
        known = before @ self.directions.T / TEMPERATURE
        loss: Tensor = _divergence(told, known) + _divergence(told.T, known.T)
        loss = loss + _distance(phrases, self.directions[said.class_of])
        if len(translations):
            loss = loss + _distance(translations, originals.detach())
        return loss


def _distance(vectors: Tensor, targets: Tensor) -> Tensor:
    """One less the mean cosine of unit vectors, both [n, D]."""
    return 1 - (vectors * targets).sum(dim=1).mean()


def _divergence(told: Tensor, known: Tensor) -> Tensor:
    """KL divergence of the rows' softmax from what was known, the mean over the rows."""
    return functional.kl_div(
        torch.log_softmax(told, dim=1), torch.softmax(known, dim=1), reduction="batchmean"
    )
