"""The configuration of a model, as frozen dataclasses, and the presets.

Sample rates in Hz, lengths in seconds, windows in STFT frames. Axes: T = frames of a window,
F = mels, V = audio code, D = shared dimension, F_w = word dimension, H = attention heads,
N = tags of a set.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal

from earmark.model.core.errors import ConfigError

TagKind = Literal["attention", "mean", "multihot"]
Words = Literal["stored", "use-multilingual-3"]


@dataclass(frozen=True)
class FeatureConfig:
    """Sound → log-mel windows (paper §3.1).

    `min_seconds`: shorter clips are padded with zeros to this length.
    `tail`: the frames after the last whole window; "drop" them like the paper's authors, or
    "align" one more window to the end of the clip.
    `stft_window`: "hann-symmetric" ends in two zeros, the others are periodic.
    `window_samples`: length of the STFT's window, centred in the n_fft samples; 0: all of them.
    `mel_scale`: Slaney's bands, normalised by their width; HTK's, normalised to unit sum; or
    Kaldi's, triangles in mel of height 1.
    `max_hz`: upper edge of the highest band; 0: half the sample rate.
    `pre_emphasis`: the share of each sample that is subtracted from the next one.
    `edges`: whether the sound is framed by zeros or by its own reflection.
    `power`: exponent of the magnitudes, 1 or 2.
    `log_offset`: added before the logarithm; a larger one hides the noise floor, which differs
    between codecs and bit depths.
    """

    sample_rate: int = 22_000
    n_fft: int = 1_024
    hop: int = 512
    n_mels: int = 96
    stft_window: Literal["hann", "hamming", "hann-symmetric"] = "hann"
    mel_scale: Literal["slaney", "htk", "kaldi"] = "slaney"
    power: int = 1
    frames: int = 96
    min_seconds: float = 10.0
    tail: Literal["drop", "align"] = "drop"
    log_offset: float = 2.0**-23
    window_samples: int = 0
    max_hz: float = 0.0
    pre_emphasis: float = 0.0
    edges: Literal["zeros", "reflect"] = "zeros"

    @property
    def window_seconds(self) -> float:
        """Length of one window of `frames` frames, in seconds."""
        return self.frames * self.hop / self.sample_rate


def rounded_channels(count: float) -> int:
    """MobileNet's multiple of 8 nearest to a number of channels; never less than 90 % of it."""
    rounded = max(8, int(count + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * count else rounded + 8


@dataclass(frozen=True)
class AudioConfig:
    """The convolutional encoder e_a and its mirror d_a (paper §2.1).

    `kind`: "strided", the paper's stride-2 convolutions; "pooled", pairs of 3×3 convolutions
    with a max pool after each pair but the last, the code z_a is the mean over mels, then the
    maximum over time; or "mobilenet", a MobileNetV3 (`model.networks.mobilenet`), z_a is the mean
    over mels and time.
    `channels`: output channels of the convolutions; a MobileNet has `width` instead, the share of
    MobileNetV3-Large's channels.
    `layer_norm`: LayerNorm on the code z_a (the COALA baseline has none).
    `hidden`: width of the projection's hidden layers; 0 for the paper's linear layer.
    `decoder`: whether the model has the autoencoder's d_a; only for "strided".
    """

    kind: Literal["strided", "pooled", "mobilenet"] = "strided"
    channels: tuple[int, ...] = (128, 128, 128, 128, 128)
    dropout: float = 0.25
    layer_norm: bool = True
    hidden: int = 0
    decoder: bool = True
    width: float = 1.0

    @property
    def halvings(self) -> int:
        """How many times frames and mels are halved before the code."""
        if self.kind == "mobilenet":
            return 5
        return len(self.channels) if self.kind == "strided" else len(self.channels) // 2 - 1


@dataclass(frozen=True)
class TagConfig:
    """The tag encoder (paper §2.2).

    `hidden`: width of a perceptron with two hidden layers after eq. (4); 0 for none, as in the
    paper.
    `sum_padding`: whether the sum of eq. (4) includes padded positions, as in the authors' code.
    `decoder`: whether the model decodes its tags, like the COALA baseline.
    `prototypes`: how many prototypes take each word vector to the shared space before the
    attention (`model.networks.prototypes`); 0 for none, as in the paper.
    """

    kind: TagKind = "attention"
    word_dim: int = 128
    heads: int = 1
    max_tags: int = 10
    dropout: float = 0.1
    hidden: int = 0
    sum_padding: bool = False
    decoder: bool = False
    prototypes: int = 0


# Settings that came after format 1. Checkpoints and runs without them stay as they were.
LATER = {
    "features": ("window_samples", "max_hz", "pre_emphasis", "edges"),
    "audio": ("width",),
    "tags": ("prototypes",),
}


def without_later_defaults(
    part: FeatureConfig | AudioConfig | TagConfig, later: Collection[str]
) -> dict[str, Any]:
    """A part as a dictionary, without settings of `later` at their defaults."""
    values = dataclasses.asdict(part)
    defaults = {field.name: field.default for field in dataclasses.fields(part)}
    return {
        name: value
        for name, value in values.items()
        if name not in later or value != defaults[name]
    }


@dataclass(frozen=True)
class ModelConfig:
    """A model: features, both encoders, and the shared dimension D.

    `storage`: precision of the weights on disk. `hears`: False if the model has no audio encoder
    and embeds only tags. `scaler_known`: False if it was trained on scaled patches whose scaler is
    unknown, so that it cannot embed sounds. `words`: the word vectors e_w, stored in the checkpoint
    or of a sentence encoder (`model.text.sentence_vectors`).
    """

    name: str
    dim: int
    features: FeatureConfig = field(default_factory=FeatureConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    tags: TagConfig = field(default_factory=TagConfig)
    storage: Literal["float32", "float16"] = "float32"
    hears: bool = True
    scaler_known: bool = True
    words: Words = "stored"

    def __post_init__(self) -> None:
        if self.audio.kind != "strided" and self.audio.decoder:
            raise ConfigError(f"audio: a {self.audio.kind} encoder has no decoder, got one")
        if self.audio.kind == "pooled" and len(self.audio.channels) % 2:
            raise ConfigError(
                "audio: expected pairs of convolutions for a pooled encoder, got "
                f"{len(self.audio.channels)} convolutions"
            )
        if self.audio.kind == "mobilenet" and not (self.audio.width > 0 and self.audio.hidden):
            raise ConfigError(
                "audio: expected a width over 0 and a hidden layer for a mobilenet encoder, got "
                f"{self.audio.width} and {self.audio.hidden}"
            )
        factor = 2**self.audio.halvings
        if self.features.frames % factor or self.features.n_mels % factor:
            raise ConfigError(
                f"features: expected frames and n_mels to be multiples of {factor} for "
                f"{self.audio.halvings} halvings, got "
                f"{self.features.frames} and {self.features.n_mels}"
            )
        if self.features.power not in (1, 2):
            raise ConfigError(f"features: expected power 1 or 2, got {self.features.power}")
        if not 0 <= self.features.window_samples <= self.features.n_fft:
            raise ConfigError(
                f"features: expected window_samples from 0 to {self.features.n_fft}, got "
                f"{self.features.window_samples}"
            )
        sizes = (self.dim, self.tags.word_dim, self.tags.heads, self.tags.max_tags)
        if min(sizes) < 1:
            raise ConfigError(
                f"dim, word_dim, heads, max_tags: expected at least 1 each, got {list(sizes)}"
            )
        self._check_prototypes()

    def _check_prototypes(self) -> None:
        """Raise ConfigError for prototypes without what their tag encoder needs."""
        tags = self.tags
        if not tags.prototypes:
            return
        if tags.kind != "attention" or tags.prototypes < 0 or not tags.hidden:
            raise ConfigError(
                "tags: expected attention and a hidden layer for prototypes, got "
                f"{tags.kind}, {tags.hidden} and {tags.prototypes}"
            )
        if self.dim % tags.heads:
            raise ConfigError(
                f"tags: expected heads to divide the {self.dim} dimensions, got {tags.heads}"
            )

    @property
    def code_shape(self) -> tuple[int, int, int]:
        """Shape [channels, frames, mels] of the maps that are flattened to z_a."""
        if self.audio.kind == "pooled":
            return (self.audio.channels[-1], 1, 1)
        if self.audio.kind == "mobilenet":
            return (6 * rounded_channels(self.audio.width * 160), 1, 1)
        factor = 2**self.audio.halvings
        return (
            self.audio.channels[-1],
            self.features.frames // factor,
            self.features.n_mels // factor,
        )

    @property
    def code_dim(self) -> int:
        """V, the size of the flattened audio code z_a."""
        channels, frames, mels = self.code_shape
        return channels * frames * mels

    @property
    def window_steps(self) -> int:
        """Steps of time in a window that `AudioEncoder.encode_steps` has codes of."""
        if self.audio.kind == "strided":
            return 4
        return self.features.frames >> self.audio.halvings

    def to_dict(self) -> dict[str, Any]:
        """As a dictionary for JSON; later settings only where they differ from their defaults."""
        parts = ("features", "audio", "tags")
        return {
            field.name: without_later_defaults(getattr(self, field.name), LATER.get(field.name, ()))
            if field.name in parts
            else getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "words" or self.words != "stored"
        }

    @staticmethod
    def from_dict(data: dict[str, Any]) -> ModelConfig:
        """The inverse of `to_dict`. Raises ConfigError on unknown or missing keys."""
        try:
            return ModelConfig(
                name=data["name"],
                dim=data["dim"],
                features=FeatureConfig(**data["features"]),
                audio=AudioConfig(
                    **{**data["audio"], "channels": tuple(data["audio"]["channels"])}
                ),
                tags=TagConfig(**data["tags"]),
                storage=data["storage"],
                hears=data.get("hears", True),
                scaler_known=data.get("scaler_known", True),
                words=data.get("words", "stored"),
            )
        except (KeyError, TypeError) as error:
            raise ConfigError(
                f"model configuration: does not match this version: {error}"
            ) from error


def _word2vec(word_dim: int, heads: int) -> ModelConfig:
    """The authors' presets: w2v-{F_w}-{H}h, or w2v-{F_w}-mean with 0 heads."""
    kind: TagKind = "attention" if heads else "mean"
    suffix = f"{heads}h" if heads else "mean"
    tags = TagConfig(kind=kind, word_dim=word_dim, heads=max(heads, 1), sum_padding=bool(heads))
    return ModelConfig(name=f"w2v-{word_dim}-{suffix}", dim=word_dim, tags=tags)


def _coala() -> ModelConfig:
    """The baseline of Table 1: multi-hot tags over 1,000 words, and a tag decoder."""
    return ModelConfig(
        name="coala",
        dim=1_152,
        audio=AudioConfig(layer_norm=False),
        tags=TagConfig(kind="multihot", word_dim=1_000, max_tags=64, dropout=0.25, decoder=True),
    )


def _starter() -> ModelConfig:
    """The model that ships: EfficientAT's features and network, phrases of a sentence encoder."""
    frames, hop, sample_rate = 256, 320, 32_000
    return ModelConfig(
        name="starter",
        dim=384,
        features=FeatureConfig(
            sample_rate=sample_rate,
            n_fft=1_024,
            hop=hop,
            n_mels=128,
            stft_window="hann-symmetric",
            window_samples=800,
            mel_scale="kaldi",
            max_hz=15_000.0,
            pre_emphasis=0.97,
            edges="reflect",
            power=2,
            frames=frames,
            min_seconds=((frames - 1) * hop + 1) / sample_rate,
            tail="align",
            log_offset=1e-5,
        ),
        audio=AudioConfig(
            kind="mobilenet",
            channels=(),
            dropout=0.2,
            layer_norm=False,
            hidden=512,
            decoder=False,
            width=0.4,
        ),
        tags=TagConfig(word_dim=512, heads=4, dropout=0.2, hidden=512, prototypes=6 * 527),
        storage="float16",
        words="use-multilingual-3",
    )


PRESETS: dict[str, ModelConfig] = {
    config.name: config
    for config in (
        *(_word2vec(size, heads) for size in (128, 1_152) for heads in (1, 4, 0)),
        _coala(),
        _starter(),
    )
}


def preset(name: str) -> ModelConfig:
    """The preset of that name. Raises ConfigError, which lists the names."""
    if name not in PRESETS:
        raise ConfigError(f"preset: expected one of {', '.join(PRESETS)}, got {name!r}")
    return PRESETS[name]
