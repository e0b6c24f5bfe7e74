"""Small real models and sounds for tests. Seconds, Hz; samples are float32 in [-1, 1]."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import soundfile
import torch
from torch import nn

from earmark.model.audio.log_mel import LogMel, mel_filters
from earmark.model.checkpoint import Checkpoint
from earmark.model.config import AudioConfig, FeatureConfig, ModelConfig, TagConfig, preset
from earmark.model.networks.dual_encoder import DualEncoder
from earmark.model.text.sentence_vectors import DIM, SentenceVectors
from earmark.model.text.word_vectors import WordVectors

RATE = 22_000
CHANNELS = {"strided": (4, 4, 8, 8, 8), "pooled": (4, 4, 8, 8, 8, 8, 8, 8), "mobilenet": ()}
WIDTH = 0.1  # of a MobileNet
HIDDEN = 48  # of perceptrons, where the preset has any
PROTOTYPES = 8
# The starter model before it began as EfficientAT: its checkpoints still load.
FIRST_STARTER = ModelConfig(
    name="starter",
    dim=256,
    features=FeatureConfig(
        sample_rate=44_100,
        n_fft=2_048,
        hop=1_024,
        mel_scale="htk",
        power=2,
        frames=112,
        min_seconds=111 * 1_024 / 44_100,
        tail="align",
        log_offset=1e-4,
    ),
    audio=AudioConfig(
        kind="pooled",
        channels=(16, 16, 48, 48, 96, 96, 192, 256),
        dropout=0.2,
        layer_norm=False,
        hidden=512,
        decoder=False,
    ),
    tags=TagConfig(word_dim=100, heads=4, dropout=0.1, hidden=512),
    storage="float16",
)
WORDS = (
    "dog bark rain wind car engine bell church bird song sea wave door footstep guitar drum "
    "voice child water metal hard hit wood glass"
).split()

Samples = np.ndarray


def tiny_config(name: str = "w2v-128-1h", dim: int = 16, **features: object) -> ModelConfig:
    """A preset with few channels, of `dim` dimensions, that takes sounds of one window.

    `name`: a preset's, or "first-starter".
    """
    config = FIRST_STARTER if name == "first-starter" else preset(name)
    word_dim = len(WORDS) if config.tags.kind == "multihot" else dim
    if config.words != "stored":
        word_dim = DIM
    settings = {"min_seconds": config.features.window_seconds, **features}
    return replace(
        config,
        dim=dim,
        features=replace(config.features, **settings),
        audio=replace(
            config.audio,
            channels=CHANNELS[config.audio.kind],
            hidden=min(config.audio.hidden, HIDDEN),
            width=WIDTH if config.audio.kind == "mobilenet" else config.audio.width,
        ),
        tags=replace(
            config.tags,
            word_dim=word_dim,
            hidden=min(config.tags.hidden, HIDDEN),
            prototypes=min(config.tags.prototypes, PROTOTYPES),
        ),
    )


def sentence_config(dim: int = 16, **features: object) -> ModelConfig:
    """A small MobileNet whose words are of the sentence encoder, over eight prototypes.

    Its features are EfficientAT's, in windows of 64 frames.
    """
    settings = {"frames": 64, "min_seconds": (63 * 320 + 1) / 32_000, **features}
    return ModelConfig(
        name="sentences",
        dim=dim,
        features=everyday_features(**settings),
        audio=AudioConfig(
            kind="mobilenet", channels=(), layer_norm=False, hidden=HIDDEN, decoder=False, width=0.1
        ),
        tags=TagConfig(word_dim=DIM, heads=2, hidden=HIDDEN, prototypes=8),
        words="use-multilingual-3",
    )


def random_words(dim: int = 16, seed: int = 0) -> WordVectors:
    """A vector for each of WORDS."""
    generator = np.random.default_rng(seed)
    return WordVectors(WORDS, generator.standard_normal((len(WORDS), dim)).astype(np.float32))


def trained_like(config: ModelConfig, seed: int = 0) -> DualEncoder:
    """Random weights, but the scaler and the batch statistics of real (noisy) sounds."""
    torch.manual_seed(seed)
    model = DualEncoder(config)
    filters = mel_filters(config.features)
    log_mel = LogMel(config.features, filters)
    seconds, rate = 1.05 * config.features.window_seconds, config.features.sample_rate
    frames = [
        log_mel(noise(seconds, rate, number))[: config.features.frames] for number in range(8)
    ]
    model.mel_filters.copy_(torch.from_numpy(filters))
    model.band_min.fill_(float(np.log(config.features.log_offset)))
    model.band_max.fill_(4.0)
    for module in model.audio.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            module.momentum = None  # the plain mean over what is shown
    if config.tags.prototypes:  # begins at zero: all words would be one
        nn.init.normal_(model.tags.prototypes.perceptron[-1].weight, std=1)
    with torch.no_grad():
        model.train().audio.project(model.encode_windows(torch.from_numpy(np.stack(frames))))
    return model.eval()


def checkpoint_of(config: ModelConfig, seed: int = 0, vocabulary: int = 6) -> Checkpoint:
    """A whole tiny model with words."""
    if config.words != "stored":
        words = SentenceVectors(WORDS)
    elif config.tags.kind == "multihot":
        words = WordVectors.one_hot(WORDS)
    else:
        words = random_words(config.tags.word_dim)
    return Checkpoint(trained_like(config, seed), words, WORDS[:vocabulary], {"seed": seed})


def noise(seconds: float, rate: int = RATE, seed: int = 0) -> Samples:
    """Noise of a slowly changing colour and loudness: no two stretches are alike."""
    generator = np.random.default_rng(seed)
    count = int(seconds * rate)
    white = generator.standard_normal(count)
    width = int(generator.integers(1, 12))
    coloured = np.convolve(white, np.ones(width) / width, mode="same")
    steps = generator.uniform(0.05, 1.0, size=max(2, int(seconds * 4)))
    loudness = np.interp(np.linspace(0, len(steps) - 1, count), np.arange(len(steps)), steps)
    return (0.2 * coloured * loudness).astype(np.float32)


def sine(seconds: float, hertz: float = 440.0, rate: int = RATE, level: float = 0.5) -> Samples:
    """A pure tone, starting at phase 0."""
    time = np.arange(int(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = RATE, **options: str) -> Path:
    soundfile.write(path, samples, rate, **options)
    return path


def write_av(path: Path, samples: Samples, rate: int, codec: str, kind: str) -> Path:
    """Encode mono samples with PyAV: what browsers and phones record."""
    with av.open(str(path), "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


# Name of a file → how soundfile writes it: format, subtype, rate in Hz.
SOUNDFILE_KINDS = {
    "a.wav": ("WAV", "PCM_16", RATE),
    "a.flac": ("FLAC", "PCM_16", RATE),
    "vorbis.ogg": ("OGG", "VORBIS", RATE),
    "opus.ogg": ("OGG", "OPUS", 48_000),
    "a.mp3": ("MP3", "MPEG_LAYER_III", 44_100),
}
# Name of a file → how PyAV writes it: codec, container, rate in Hz.
AV_KINDS = {
    "a.webm": ("libopus", "webm", 48_000),
    "a.m4a": ("aac", "mp4", 44_100),
    "a.aac": ("aac", "adts", 44_100),
}
ALL_KINDS = [*SOUNDFILE_KINDS, *AV_KINDS]


def write_sine(folder: Path, name: str, seconds: float = 1.0) -> Path:
    """A 440 Hz sine in the format that the file's name stands for."""
    path = folder / name
    if name in SOUNDFILE_KINDS:
        kind, subtype, rate = SOUNDFILE_KINDS[name]
        soundfile.write(path, sine(seconds, rate=rate), rate, format=kind, subtype=subtype)
        return path
    codec, container, rate = AV_KINDS[name]
    return write_av(path, sine(seconds, rate=rate), rate, codec, container)


def everyday_features(**changes: object) -> FeatureConfig:
    """EfficientAT's features."""
    return replace(preset("starter").features, **changes)


def default_features(**changes: object) -> FeatureConfig:
    """The paper's features, for sounds of any length."""
    return replace(FeatureConfig(min_seconds=0.0), **changes)
