"""Training recipes by the preset's name; the paper's follow METHOD §4."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from earmark.model.config import PRESETS
from earmark.model.core.errors import ConfigError

LATER = ("translated", "paraphrased", "code_noise", "other_tags")


@dataclass(frozen=True)
class Recipe:
    """A preset's optimisation, losses and augmentation. Resume states and cards store its fields.

    `audio_weight`, `contrastive_weight`, `tag_weight`: λ_a and λ_ξ of eq. (6), and COALA's.
    `patch`: the loudest window of a clip as in the paper, a random one in each epoch, or the whole
    clip where the convolutions are fixed (else a random one). Of whole clips only `code_noise` and
    what concerns their tags is augmented.
    `code_noise`: of Gaussian noise on the codes of whole clips, in their standard deviations.
    `tag_dropout`: the probability that a tag of a clip is left out; one tag always stays.
    `gain`: a random log-mel offset, uniform ± nats. `mask_frames`, `mask_mels`: the widest mask.
    `quieter`: clips are brought to full level, then made quieter by up to so many nats.
    `mix`: the share of clips mixed with another one, 0 to 15 dB quieter, whose tags are added
    where it is nearly as loud.
    `tilt`: standard deviation of a slope over the mels, in nats at the edges.
    `learned_temperature`: τ starts at `temperature` and is learned, at least 0.02.
    `tagwise_weight`: of the contrast with single tags (`training.loop.losses.tagwise`).
    `other_tags`: of phrases, the share of the tags of no clip in a batch that its clips are
    contrasted with.
    `teacher_weight`: of the rehearsal of what the model knew when its training began
    (`training.distillation.rehearsal`). With a teacher it begins as this
    (`training.distillation.bridge`), and its first `frozen` layers stay fixed.
    `translated`, `paraphrased`: the probability that a tag is said in another language, or else in
    other English words (`training.data.phrases`).
    `as_run`: as the authors ran it, where that differs from the paper.
    `exclude_same`: clips of one group with the same tags are not each other's negatives.
    `balance`: 0 shows each clip once in an epoch; else as many clips are drawn, each with a
    probability that falls with its group's size to this power (1: all groups are equally likely).
    `words`: word vectors e_w trained on the corpus ("cbow"), those of whole "phrases", or "one-hot"
    (COALA).
    `general_words`: how many English words a model of phrases knows as such.
    `vocabulary`, `min_count`: the most tags of the vocabulary, and the fewest clips of a tag.
    `split`: how validation clips are chosen (`training.corpora.split`).
    `select`: the validation metric that chooses the best checkpoint.
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
    patch: Literal["loudest", "random", "whole"] = "loudest"
    tag_dropout: float = 0.0
    gain: float = 0.0
    mask_frames: int = 0
    mask_mels: int = 0
    quieter: float = 0.0
    mix: float = 0.0
    tilt: float = 0.0
    exclude_same: bool = False
    balance: float = 0.0
    words: Literal["cbow", "phrases", "one-hot"] = "cbow"
    general_words: int = 40_000
    vocabulary: int = 1_000
    min_count: int = 10
    split: Literal["groups", "stratified"] = "stratified"
    select: Literal["loss", "mAP@10"] = "loss"
    translated: float = 0.0
    paraphrased: float = 0.0
    code_noise: float = 0.0
    other_tags: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        """As a dictionary for JSON; later fields only where they differ from their defaults, so
        that runs of before can be resumed."""
        values = asdict(self)
        defaults = Recipe()
        return {
            name: value
            for name, value in values.items()
            if name not in LATER or value != getattr(defaults, name)
        }

    def with_values(self, **values: int | None) -> Recipe:
        """The recipe with other values for these fields; None keeps the field's value.

        Raises ConfigError for a value under 1.
        """
        for name, value in values.items():
            if value is not None and value < 1:
                raise ConfigError(f"{name}: expected at least 1, got {value}")
        changes = {name: value for name, value in values.items() if value is not None}
        return replace(self, **changes)  # type: ignore[arg-type]

    def for_fine_tuning(self) -> Recipe:
        """For a trained model: fewer epochs, a lower learning rate."""
        return replace(
            self,
            epochs=max(1, self.epochs // 3),
            learning_rate=self.learning_rate / 5,
            warmup_epochs=min(1.0, self.warmup_epochs),
        )

    def without_augmentation(self) -> Recipe:
        """The same losses without augmentation, each clip once, as for validation."""
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
            translated=0.0,
            paraphrased=0.0,
            code_noise=0.0,
            other_tags=1.0,
        )


_STARTER = Recipe(
    epochs=14,
    batch_size=256,
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=0.01,
    schedule="cosine",
    warmup_epochs=1,
    audio_weight=0.0,
    contrastive_weight=0.2,
    temperature=0.07,
    learned_temperature=True,
    tagwise_weight=1.0,
    teacher_weight=2.0,
    frozen=17,
    as_run=False,
    patch="whole",
    tag_dropout=0.5,
    exclude_same=True,
    words="phrases",
    min_count=5,
    split="groups",
    select="mAP@10",
    translated=0.3,
    paraphrased=0.5,
    code_noise=0.3,
    other_tags=0.2,
)

RECIPES: dict[str, Recipe] = {
    **{name: Recipe() for name in PRESETS},
    "coala": Recipe(words="one-hot", tag_weight=5.0),
    "starter": _STARTER,
}


def recipe_for(preset: str) -> Recipe:
    """The recipe of a preset. Raises ConfigError for an unknown one."""
    if preset not in RECIPES:
        raise ConfigError(f"preset: expected one of {', '.join(RECIPES)}, got {preset!r}")
    return RECIPES[preset]
