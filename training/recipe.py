"""How a preset is trained: frozen recipes by the preset's name (METHOD §4 for the paper's)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from earmark.model.config import PRESETS
from earmark.model.core.errors import ConfigError


@dataclass(frozen=True)
class Recipe:
    """Optimisation, losses, and how clips are shown.

    `audio_weight`, `contrastive_weight`, `tag_weight`: λ_a, λ_ξ of eq. (6), and COALA's.
    `patch`: the loudest window of a clip as in the paper, or a random one each epoch.
    `tag_dropout`: share of each clip's tags left out at random, at least one stays.
    `gain`, `mask_frames`, `mask_mels`: augmentation; log-mel offset (uniform ±, in nats) and
    widest masked stretch.
    `quieter`: clips are brought to one level, then shown up to so many nats quieter.
    `mix`: share of clips that are heard with another, 0 to 15 dB quieter; its tags join where it
    is nearly as loud.
    `tilt`: standard deviation of a slope over the mels, in nats at the edges.
    `learned_temperature`: τ starts at `temperature` and is learned, at least 0.02.
    `tagwise_weight`: of the loss of each tag alone (`training.loop.losses.tagwise`).
    `teacher_weight`: of the distance to what a teacher hears
    (`training.distillation.teacher_codes`); the encoder then begins as a compressed teacher, whose
    first `frozen` convolutions stay as they are.
    `exclude_same`: clips of one group with the same tags are not each other's negatives.
    `balance`: 0 shows each clip once an epoch; else as many are drawn, each with a probability
    that falls with its group's size to this power (1: every group weighs the same).
    `words`: e_w trained on the corpus ("cbow"), "general" vectors, or "one-hot" (COALA).
    `vocabulary`, `min_count`: the most tags kept, and the clips a tag needs.
    `split`: how validation clips are chosen (`training.corpora.manifest`).
    `select`: what chooses the best checkpoint on the validation groups.
    """

    epochs: int = 200
    batch_size: int = 128
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.005
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_epochs: float = 0.0
    audio_weight: float = 5.0
    contrastive_weight: float = 10.0
    tag_weight: float = 0.0
    temperature: float = 0.1
    learned_temperature: bool = False
    tagwise_weight: float = 0.0
    teacher_weight: float = 0.0
    frozen: int = 0
    as_run: bool = True
    patch: Literal["loudest", "random"] = "loudest"
    tag_dropout: float = 0.0
    gain: float = 0.0
    mask_frames: int = 0
    mask_mels: int = 0
    quieter: float = 0.0
    mix: float = 0.0
    tilt: float = 0.0
    exclude_same: bool = False
    balance: float = 0.0
    words: Literal["cbow", "general", "one-hot"] = "cbow"
    general_words: int = 40_000
    vocabulary: int = 1_000
    min_count: int = 10
    split: Literal["groups", "stratified"] = "stratified"
    select: Literal["loss", "mAP@10"] = "loss"

    def changed(self, **values: int | None) -> Recipe:
        """The recipe with other numbers where one is given. Raises ConfigError under 1."""
        for name, value in values.items():
            if value is not None and value < 1:
                raise ConfigError(f"{name}: expected at least 1, got {value}")
        given = {name: value for name, value in values.items() if value is not None}
        return replace(self, **given)  # type: ignore[arg-type]

    def fine_tuned(self) -> Recipe:
        """For a model that is trained already: shorter, in smaller steps, without its teacher."""
        return replace(
            self,
            epochs=max(1, self.epochs // 3),
            learning_rate=self.learning_rate / 5,
            warmup_epochs=min(1.0, self.warmup_epochs),
            teacher_weight=0.0,
        )

    def without_augmentation(self) -> Recipe:
        """The same losses on each clip once, shown plainly, as validation needs them."""
        return replace(
            self,
            patch="loudest",
            tag_dropout=0.0,
            gain=0.0,
            mask_frames=0,
            mask_mels=0,
            quieter=0.0,
            mix=0.0,
            tilt=0.0,
            balance=0.0,
        )


_STARTER = Recipe(
    epochs=45,
    batch_size=256,
    optimizer="adamw",
    learning_rate=2e-3,
    weight_decay=0.05,
    schedule="cosine",
    warmup_epochs=2,
    audio_weight=0.0,
    contrastive_weight=1.0,
    learned_temperature=True,
    tagwise_weight=0.3,
    teacher_weight=1.0,
    frozen=2,
    as_run=False,
    patch="random",
    tag_dropout=0.5,
    quieter=5.8,
    mix=0.3,
    tilt=0.5,
    mask_frames=24,
    mask_mels=16,
    exclude_same=True,
    words="general",
    min_count=5,
    split="groups",
    select="mAP@10",
)

RECIPES: dict[str, Recipe] = {
    **{name: Recipe() for name in PRESETS},
    "coala": Recipe(words="one-hot", tag_weight=5.0),
    "starter": _STARTER,
}


def recipe(name: str) -> Recipe:
    """The recipe of a preset. Raises ConfigError, listing the known ones."""
    if name not in RECIPES:
        raise ConfigError(f"preset: expected one of {', '.join(RECIPES)}, got {name!r}")
    return RECIPES[name]
