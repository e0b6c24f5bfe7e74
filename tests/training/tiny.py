"""A tiny corpus that can be learnt: tones, hiss and clicks, each with its tags."""

from __future__ import annotations

import csv
import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import torch

from earmark.model.audio.log_mel import LogMel, mel_filters
from earmark.model.config import FeatureConfig, ModelConfig
from earmark.model.core.manifest import ManifestRow
from earmark.model.networks.mobilenet import MobileNet
from earmark.model.text.sentence_vectors import SentenceVectors
from earmark.model.text.word_vectors import WordVectors
from earmark.training.data.corpus import Corpus
from earmark.training.data.dataset import TrainingSet, build_vocabulary, clean_tag_sets
from earmark.training.data.phrases import ConceptPhrases
from earmark.training.distillation.efficientat import BANDS, Teacher
from earmark.training.features.cache import FeatureSet
from earmark.training.recipe import Recipe
from tests.model.tiny import RATE, tiny_config

KINDS = {
    "tone": ("tone", "whistle", "steady"),
    "hiss": ("hiss", "wind", "steady"),
    "click": ("click", "clock", "short"),
}
TAGS = sorted({tag for tags in KINDS.values() for tag in tags})
SECONDS = 1.0
# Of AudioSet, in the place of all 527.
CLASSES = (
    "Speech",
    "Whistling",
    "Dog",
    "Cat",
    "Music",
    "Guitar",
    "Drum",
    "Wind",
    "Thunderstorm",
    "Rain",
    "Fire",
    "Car",
    "Siren",
    "Tick-tock",
    "Hammer",
    "Glass",
    "Hiss",
    "Sine wave",
    "White noise",
    "Clicking",
)


def sound(kind: str, generator: np.random.Generator, rate: int = RATE) -> np.ndarray:
    """One second of a kind; no two are alike."""
    count = int(SECONDS * rate)
    level = generator.uniform(0.1, 0.6)
    if kind == "tone":
        time = np.arange(count) / rate
        samples = np.sin(2 * np.pi * generator.uniform(300, 3000) * time)
    elif kind == "hiss":
        samples = generator.standard_normal(count) * 0.3
    else:
        samples = np.zeros(count)
        samples[:: int(generator.integers(1500, 4000))] = 1.0
    return (level * samples + 1e-4 * generator.standard_normal(count)).astype(np.float32)


def tiny_rows(folder: Path, train: int = 30, validation: int = 18) -> list[ManifestRow]:
    """Rows of a corpus; the kinds take turns, every clip is its own group."""
    kinds = list(KINDS)
    return [
        ManifestRow(
            path=folder / f"{number:03d}.wav",
            tags=KINDS[kinds[number % 3]],
            group=str(number),
            split="train" if number < train else "validation",
            label=kinds[number % 3],
        )
        for number in range(train + validation)
    ]


def write_corpus(folder: Path, train: int = 30, validation: int = 18, rate: int = RATE) -> Path:
    """Sounds and their manifest; returns the manifest."""
    generator = np.random.default_rng(7)
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["path", "tags", "group", "split", "class"])
        for row in tiny_rows(folder, train, validation):
            soundfile.write(row.path, sound(row.label, generator, rate), rate)
            lines.writerow([row.path.name, " ".join(row.tags), row.group, row.split, row.label])
    return manifest


def features_of(rows: Sequence[ManifestRow], config: FeatureConfig, seed: int = 7) -> FeatureSet:
    """Features of the rows' kinds of sounds, made in memory."""
    frames = _frames(tuple(row.label for row in rows), config, seed)
    offsets = np.concatenate([[0], np.cumsum([len(clip) for clip in frames])])
    return FeatureSet(np.concatenate(frames), offsets.astype(np.int64), {})


@functools.lru_cache(maxsize=16)
def _frames(kinds: tuple[str, ...], config: FeatureConfig, seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    log_mel = LogMel(config, mel_filters(config))
    clips = (log_mel(sound(kind, generator, config.sample_rate)) for kind in kinds)
    silence = np.log(config.log_offset)
    return [
        np.pad(
            clip, ((0, max(0, config.frames - len(clip))), (0, 0)), constant_values=silence
        ).astype(np.float16)
        for clip in clips
    ]


def words_of(dim: int) -> WordVectors:
    """A vector for each tag: random, or one-hot where `dim` is their number."""
    generator = np.random.default_rng(3)
    return WordVectors(TAGS, generator.standard_normal((len(TAGS), dim)).astype(np.float32))


@functools.cache
def sentences() -> SentenceVectors:
    """The sentence encoder's vectors; phrases are encoded once for all tests."""
    return SentenceVectors(TAGS)


@functools.cache
def class_phrases() -> ConceptPhrases:
    """The phrases of CLASSES, in all languages."""
    return ConceptPhrases(CLASSES, sentences())


def tiny_model(name: str = "first-starter", dim: int = 16) -> ModelConfig:
    """A preset's small model for the tiny corpus; that of the starter hears windows of 0.6 s."""
    config = tiny_config(name, dim)
    if config.tags.kind == "multihot":
        config = replace(config, tags=replace(config.tags, word_dim=len(TAGS)))
    if config.audio.kind == "mobilenet":
        frames, features = 64, config.features
        seconds = ((frames - 1) * features.hop + 1) / features.sample_rate
        features = replace(features, frames=frames, n_mels=32, min_seconds=seconds)
        config = replace(config, features=features, tags=replace(config.tags, prototypes=60))
    return config


def tiny_teacher(config: ModelConfig, seed: int = 0) -> Teacher:
    """A network that tells CLASSES, built as EfficientAT is: random weights, but the batch
    statistics of real sounds."""
    torch.manual_seed(seed)
    network, hidden = MobileNet(config.audio.width), config.audio.hidden
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the plain mean over what is shown
    features = features_of(tiny_rows(Path("nowhere"), 12, 0), config.features)
    frames = np.stack([features.clip(clip)[: config.features.frames] for clip in range(12)])
    patches = (torch.from_numpy(frames.astype(np.float32)) - BANDS[0]) / (BANDS[1] - BANDS[0])
    with torch.no_grad():
        network(patches[:, None])
    return Teacher(
        network.state_dict(),
        (torch.randn(hidden, config.code_dim), torch.zeros(hidden)),
        (torch.randn(len(CLASSES), hidden), torch.zeros(len(CLASSES))),
    )


def tiny_corpus(
    config: ModelConfig, train: int = 30, validation: int = 18, seed: int = 7
) -> Corpus:
    """The corpus in memory, as `load_corpus` would give it."""
    rows = tiny_rows(Path("nowhere"), train, validation)
    words, classes = words_of(config.tags.word_dim), None
    if config.tags.kind == "multihot":
        words = WordVectors.one_hot(TAGS)
    if config.words != "stored":
        words, classes = sentences(), class_phrases()
    sides = (
        [row for row in rows if row.split == "train"],
        [row for row in rows if row.split == "validation"],
    )
    tag_sets = [clean_tag_sets(side) for side in sides]
    features = [features_of(side, config.features, seed + at) for at, side in enumerate(sides)]
    sets = [
        TrainingSet(*parts, words, config, classes)
        for parts in zip(sides, tag_sets, features, strict=True)
    ]
    vocabulary = build_vocabulary(tag_sets[0], 100, 2)
    return Corpus(sets[0], sets[1], tag_sets[1], words, vocabulary, {"preset": config.name})


# Learns the tiny corpus in a few epochs.
QUICK = Recipe(
    epochs=3,
    batch_size=10,
    optimizer="adamw",
    learning_rate=3e-3,
    audio_weight=0.0,
    contrastive_weight=1.0,
    as_run=False,
    temperature=0.2,
    tag_dropout=0.3,
    gain=1.0,
    mask_frames=8,
    mask_mels=8,
    patch="random",
    exclude_same=False,
    min_count=2,
    split="groups",
    select="mAP@10",
)

# The same with phrases, and what the model knew at its start rehearsed.
PHRASES = replace(
    QUICK,
    epochs=2,
    words="phrases",
    exclude_same=True,
    learned_temperature=True,
    tagwise_weight=1.0,
    teacher_weight=1.0,
    translated=0.3,
    paraphrased=0.5,
)
