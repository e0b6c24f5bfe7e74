"""Classes of everyday sounds that no model trained on: `python -m tests.everyday_classes --help`.

Zero-shot accuracy with labels in several languages (a CSV file `set,class,en,de,…`, where `set` is
the name of a data set's folder), and how often one of the words for a clip's class is among the
first three suggested tags.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from earmark.model.audio.sound_info import SoundInfo
from earmark.model.core.arrays import Array
from earmark.model.core.manifest import read_manifest
from earmark.model.embedder import AudioEmbedding, Embedder
from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import starter_model
from earmark.model.tagging import suggest
from earmark.model.zero_shot import class_probabilities, embed_labels
from earmark.training.features.encode_clips import corpus_codes

WORDS = {  # the suggestions that mean a class of ESC-10
    "fire crackling": {"fire", "crackling", "campfire", "fireplace", "bonfire", "burning"},
    "rain": {"rain", "rainstorm", "downpour"},
    "chainsaw": {"chainsaw", "saw"},
    "clock tick": {"clock", "tick", "tick-tock", "ticking"},
    "dog bark": {"dog", "bark", "barking"},
    "baby cry": {"baby", "cry", "crying", "baby-cry", "infant"},
    "rooster": {"rooster", "crowing", "cockerel", "chicken", "cock-a-doodle-doo"},
    "helicopter": {"helicopter"},
    "sea waves": {"sea", "waves", "wave", "ocean", "surf", "beach"},
    "person sneeze": {"sneeze", "sneezing"},
}
SUGGESTED = 3


def accuracy(
    embedder: Embedder, sounds: Array, classes: Sequence[str], labels: dict[str, str]
) -> float:
    """Share of sounds [n, D] whose class is the most probable of the labels."""
    vectors = embed_labels(embedder, {name: [text] for name, text in labels.items()})
    right = [
        vectors.names[int(class_probabilities(embedder, vectors, sound).argmax())] == name
        for sound, name in zip(sounds, classes, strict=True)
    ]
    return float(np.mean(right))


def suggested(embedder: Embedder, sounds: Array, classes: Sequence[str]) -> dict[str, float]:
    """For each class, the share of its sounds with one of its words among the first suggestions."""
    hits: dict[str, list[bool]] = {}
    for sound, name in zip(sounds, classes, strict=True):
        info = SoundInfo(embedder.front_end.sample_rate, 1, 1)
        embedding = AudioEmbedding(sound, sound, sound[None], np.zeros(1), info)
        tags = suggest(embedder, embedding, SUGGESTED).tags
        hits.setdefault(name, []).append(bool({tag.tag for tag in tags} & WORDS[name]))
    return {name: float(np.mean(values)) for name, values in hits.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+", type=Path, help="folders with a manifest of classes")
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=starter_model())
    parser.add_argument("--cache", type=Path)
    options = parser.parse_args()
    embedder = load_embedder(options.model)
    with options.labels.open(newline="", encoding="utf-8") as lines:
        labels = list(csv.DictReader(lines))
    for folder in options.data:
        rows = read_manifest(folder)
        codes, indices = corpus_codes(embedder, rows, options.cache)
        sounds = embedder.project(codes)
        classes = [rows[index].label for index in indices]
        names = sorted(set(classes))
        plain = {name: name.replace("_", " ") for name in names}
        print(folder.name, f"names {accuracy(embedder, sounds, classes, plain):.3f}", end="")
        by_name = {
            row["class"].replace("_", " "): row for row in labels if row["set"] == folder.name
        }
        for language in list(labels[0])[2:]:
            texts = {name: by_name[name.replace("_", " ")][language] for name in names}
            print(f"  {language} {accuracy(embedder, sounds, classes, texts):.3f}", end="")
        print()
        if set(names) == set(WORDS):
            shares = suggested(embedder, sounds, classes)
            print(f"  among the first {SUGGESTED} suggested: {np.mean(list(shares.values())):.3f}")
            print("  ", {name: round(share, 2) for name, share in shares.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
