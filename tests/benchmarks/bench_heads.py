"""Ablations of the starter's recipe that need no sound: `python -m tests.benchmarks.bench_heads
--help`.

Losses, word vectors, tags and optimiser, on aiSFX's frozen codes: a projection and a tag encoder
are trained for a few epochs with one step of the recipe removed or changed, with several seeds.
Measured is the last epoch: retrieval on the validation clips, by the tags that all word vectors
have, and zero-shot accuracy on corpora with classes (`--labelled`). Finished
runs are not repeated. `bench_recipe` has the steps that need the sound.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earmark.model.config import preset
from earmark.model.core.arrays import Array
from earmark.model.embedder import pad_words, unit
from earmark.model.text.normalize import clean_tags
from earmark.model.text.word_vectors import WordVectors
from earmark.training.corpora.detect import read_corpus
from earmark.training.data.dataset import clean_tag_sets
from earmark.training.data.word2vec import load_words, train_word2vec
from earmark.training.distillation.teacher import read_teacher
from earmark.training.evaluation import frozen_features
from earmark.training.evaluation.ladder import PRESET, LadderCorpus, LadderQueries, shared_queries
from earmark.training.evaluation.projection import Projection, ProjectionData, train_projection
from earmark.training.features.cache import load_features
from earmark.training.label_noise.suspects import without_suspects
from earmark.training.loop.device import keep_freed_memory
from earmark.training.metrics.tag_queries import retrieval_metrics
from earmark.training.recipe import recipe_for

GENERAL = "general"


@dataclass(frozen=True)
class Step:
    """What differs from the recipe. `words`: the tags' word vectors."""

    recipe_for: dict[str, Any] = field(default_factory=dict)
    audio: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, Any] = field(default_factory=dict)
    words: str = GENERAL
    suspects: bool = True


STEPS: dict[str, Step] = {
    "the whole recipe": Step(),
    "tags in sets only": Step({"tagwise_weight": 0.0}),
    "no dropped tags": Step({"tag_dropout": 0.0}),
    "a fixed temperature": Step({"learned_temperature": False}),
    "negatives of the same source": Step({"exclude_same": False}),
    "a constant rate": Step({"schedule": "constant"}),
    "the paper's optimiser": Step(
        {
            "optimizer": "sgd",
            "learning_rate": 0.005,
            "weight_decay": 0.0,
            "schedule": "constant",
            "warmup_epochs": 0.0,
        }
    ),
    "sources of unlike size balanced": Step({"balance": 0.5}),
    "a linear layer after the code": Step(audio={"hidden": 0}),
    "no perceptron after the attention": Step(tags={"hidden": 0}),
    "the mean of the tags": Step(tags={"kind": "mean"}),
    "words: CBOW of the tags": Step(words="cbow"),
    "words: FastText of the tags": Step(words="fasttext"),
}
WITHOUT_SUSPECTS = "likely wrong tags left out"


class Bench:
    """Clips, their codes, and the queries of all rows."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.clips = LadderCorpus(options.data)
        teacher = read_teacher(options.teacher)

        def codes(paths: Sequence[Path]) -> Array:
            features = load_features(paths, preset(PRESET).features, options.cache)
            return frozen_features.mean_teacher_codes(teacher, features, options.cache, mixed=True)

        self.codes = [
            codes([clip.path for clip in side])
            for side in (self.clips.train, self.clips.validation)
        ]
        self.labelled = {}
        for folder in options.labelled:
            rows = read_corpus(folder)
            label_codes = codes([row.path for row in rows])
            readable = np.isfinite(label_codes).all(axis=1)
            labels = np.array([row.label for row in rows])
            self.labelled[folder.name] = (label_codes[readable], labels[readable])
        self.words = cache(self._words)

    def _words(self, name: str) -> WordVectors:
        if name == GENERAL:
            return self.clips.words
        if name in ("cbow", "fasttext"):
            dim = preset(PRESET).tags.word_dim
            tags = self.clips.train_tags
            return train_word2vec(tags, dim, kind=name).unit()  # type: ignore[arg-type]
        return load_words(Path(name)).unit()

    def queries(self) -> LadderQueries:
        """The queries that the word vectors of all rows have."""
        readable = np.isfinite(self.codes[1]).all(axis=1)
        words = {step.words for step in steps(self.options).values()}
        return shared_queries(self.clips, readable, [self.words(name) for name in sorted(words)])

    def run(self, step: Step, seed: int) -> dict[str, float]:
        """Train one run; returns the metrics of its last epoch."""
        config, words = preset(PRESET), self.words(step.words)
        config = replace(
            config,
            audio=replace(config.audio, **step.audio),
            tags=replace(config.tags, word_dim=words.dim, **step.tags),
        )
        clips, tags = self.clips.train, self.clips.train_tags
        if not step.suspects:
            clips = without_suspects(clips, self.options.suspects)
            tags = clean_tag_sets(clips, words)
        recipe = replace(recipe_for(PRESET), epochs=self.options.epochs, **step.recipe)
        epochs = iter(range(recipe.epochs))
        data = ProjectionData(clips, tags, words, config, recipe)
        projection, _ = train_projection(
            data, self.codes[0], seed, lambda _: next(epochs)
        )  # the last is best
        queries = self.queries()
        vectors = np.stack([certain_vector(words, tag) for tag in queries.tags])
        cosines = projection.sounds(self.codes[1][queries.indices]) @ projection.words(vectors).T
        scores = retrieval_metrics(cosines, queries.has_tag)
        metrics = {
            "tag to audio": scores["tag_to_audio"]["mAP@10"],
            "audio to tag": scores["audio_to_tag"]["mAP@10"],
        }
        for name, (codes, labels) in self.labelled.items():
            metrics[name] = zero_shot(projection, words, codes, labels)
        return metrics


def certain_vector(words: WordVectors, tag: str) -> Array:
    """The vector of a query tag."""
    vector = words.certain_vector(tag)
    assert vector is not None, "queries have a vector"
    return vector


def zero_shot(
    projection: Projection, words: WordVectors, codes: Array, labels: np.ndarray
) -> float:
    """The share of sounds nearest to their label; NaN where a label has no word vector."""
    names = np.unique(labels)
    sets = []
    for name in names:
        tags = clean_tags(name.replace("_", " "), words)
        vectors = [vector for tag in tags if (vector := words.vector(tag)) is not None]
        if not vectors:
            return float("nan")
        sets.append(np.stack(vectors))
    projection.eval()
    with torch.inference_mode():
        targets = unit(projection.tags(*pad_words(sets, max(map(len, sets)))).numpy())
    nearest = (projection.sounds(codes) @ targets.T).argmax(axis=1)
    return float((names[nearest] == labels).mean())


def steps(options: argparse.Namespace) -> dict[str, Step]:
    """All rows of the table, with those of `--words` and `--suspects`."""
    more = {f"words: {Path(file).stem}": Step(words=str(file)) for file in options.words}
    if options.suspects:
        more[WITHOUT_SUSPECTS] = Step(suspects=False)
    return STEPS | more


_benches: list[Bench] = []  # the one of a training process


def start(options: argparse.Namespace) -> None:
    """Prepare a process for training."""
    torch.set_num_threads(1)
    keep_freed_memory()
    _benches.append(Bench(options))


def work(job: tuple[str, int]) -> tuple[str, int, dict[str, float]]:
    """One run, by the name of its row and its seed."""
    name, seed = job
    [bench] = _benches
    return name, seed, bench.run(steps(bench.options)[name], seed)


def table(done: Sequence[dict[str, Any]]) -> None:
    """Print the finished runs."""
    figures = list(done[0]["figures"])
    print(f"{'':36}" + "".join(f"{name:>18}" for name in figures) + "  seeds")
    for name in dict.fromkeys(run["step"] for run in done):
        runs = [run["figures"] for run in done if run["step"] == name]
        rows = np.array([[run[figure] for figure in figures] for run in runs])
        cells = [
            f"{mean:.4f} ± {deviation:.4f}"
            for mean, deviation in zip(rows.mean(axis=0), rows.std(axis=0), strict=True)
        ]
        print(f"{name:36}" + "".join(f"{cell:>18}" for cell in cells) + f"{len(runs):7}")


def main() -> None:
    """Train what is missing, a process a core, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--teacher", type=Path, required=True, help="the wheel of aiSFX")
    parser.add_argument("--cache", type=Path, required=True, help="the feature cache")
    parser.add_argument(
        "--labelled", type=Path, action="append", default=[], help="a corpus with classes"
    )
    parser.add_argument(
        "--words", type=Path, action="append", default=[], help="a row with other word vectors"
    )
    parser.add_argument(
        "--suspects", type=Path, help="a row without these tags (of `earmark corpus suspects`)"
    )
    parser.add_argument("--out", type=Path, required=True, help="results, a line for each run")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    lines = options.out.read_text().splitlines() if options.out.exists() else []
    runs = [json.loads(line) for line in lines]
    done = [run for run in runs if run["epochs"] == options.epochs]
    finished = {(run["step"], run["seed"]) for run in done}
    todo = [
        (name, seed)
        for seed in range(options.seeds)
        for name in steps(options)
        if (name, seed) not in finished
    ]
    Bench(options)  # features are computed once, before the processes that read them
    with get_context("spawn").Pool(os.cpu_count(), start, (options,)) as pool:
        for name, seed, figures in pool.imap_unordered(work, todo):
            print(f"seed {seed}: {name}: {figures}", flush=True)
            run = {"step": name, "seed": seed, "epochs": options.epochs, "figures": figures}
            done.append(run)
            with options.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(run) + "\n")
    order = list(steps(options))
    table(sorted(done, key=lambda run: (order.index(run["step"]), run["seed"])))


if __name__ == "__main__":
    main()
