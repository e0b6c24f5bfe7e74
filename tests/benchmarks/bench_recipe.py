"""What each step of the starter's recipe brings: `python -m tests.benchmarks.bench_recipe --help`.

The recipe, and the recipe with one step left out or changed, trained with several seeds on the same
clips and split. Measured is the model that a run would ship: mAP@10 of tag → audio and of
audio → tag on the held-out groups of each data set (`earmark evaluate retrieval`), and the accuracy
of zero-shot classes (`--zero-shot`), as mean ± standard deviation over the seeds. Printed as a
Markdown table after each run. Finished runs are not repeated and stopped ones resume, so that more
seeds or rows can be added later.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from earmark.model.config import ModelConfig, preset
from earmark.model.embedder import Embedder
from earmark.model.encoders.load import load_embedder
from earmark.model.zero_shot import classify, embed_labels
from earmark.training.cli.options import EXIT_STOPPED
from earmark.training.corpora.detect import read_corpus
from earmark.training.data.corpus import load_corpus
from earmark.training.evaluation import retrieval
from earmark.training.evaluation.ladder import data_set_names
from earmark.training.features.encode_clips import corpus_codes
from earmark.training.loop.device import PRECISIONS, DeviceSettings, keep_freed_memory
from earmark.training.loop.initialization import attach_teacher
from earmark.training.loop.interrupts import RunInterrupted
from earmark.training.loop.trainer import Trainer
from earmark.training.recipe import Recipe, recipe_for

PRESET = "starter"
RESULTS = "results.jsonl"  # a line for each finished run
DIRECTIONS = {"tag → audio": "tag_to_audio mAP@10", "audio → tag": "audio_to_tag mAP@10"}


@dataclass(frozen=True)
class Step:
    """What differs from the recipe; `config`: from the preset's model."""

    recipe: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    teacher: bool = True

    def apply(self, epochs: int) -> tuple[ModelConfig, Recipe]:
        """The configuration and the recipe of a run."""
        recipe = replace(recipe_for(PRESET), epochs=epochs, **self.recipe)
        return replace(preset(PRESET), **self.config), recipe


STEPS: dict[str, Step] = {
    "the whole recipe": Step(),
    "no teacher: random weights": Step(teacher=False),
    "no rehearsal": Step({"teacher_weight": 0.0}),
    "no translations, no other words": Step({"translated": 0.0, "paraphrased": 0.0}),
    "single tags only (no NT-Xent of sets)": Step({"contrastive_weight": 0.0}),
    "tag sets only (no tagwise loss)": Step({"tagwise_weight": 0.0}),
    "a fixed temperature": Step({"learned_temperature": False}),
    "negatives of the same source": Step({"exclude_same": False}),
    "no dropped tags": Step({"tag_dropout": 0.0}),
    "no noise on the codes": Step({"code_noise": 0.0}),
    "all tags in each step": Step({"other_tags": 1.0}),
    "256 dimensions": Step(config={"dim": 256}),
    "random windows": Step({"patch": "random"}),
    "random windows, mixed": Step({"patch": "random", "mix": 0.3}),
    "random windows, random level and tilt": Step({"patch": "random", "quieter": 5.8, "tilt": 0.5}),
    "random windows, all convolutions learn": Step({"patch": "random", "frozen": 0}),
}


def run(options: argparse.Namespace, name: str, seed: int, out: Path) -> None:
    """Train one run, or resume it, and write what it reaches."""
    keep_freed_memory()
    config, recipe = STEPS[name].apply(options.epochs)
    config, corpus = load_corpus(options.data, config, recipe, options.cache, None, seed)
    if STEPS[name].teacher:
        attach_teacher(options.teacher, corpus, config)
    settings = DeviceSettings(options.device, options.precision)
    trainer = Trainer(config, recipe, corpus, out, seed=seed, settings=settings)
    trainer.resume()
    try:
        trainer.fit()
    except RunInterrupted as interruption:
        print(f"{interruption}; the same command goes on", file=sys.stderr)
        sys.exit(EXIT_STOPPED)
    figures = measure(load_embedder(out, options.device), options)
    line = {"step": name, "seed": seed, "epochs": options.epochs, "figures": figures}
    with (options.out / RESULTS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


def measure(embedder: Embedder, options: argparse.Namespace) -> dict[str, float]:
    """A model's figures by column."""
    figures = {}
    for data_set, path in zip(data_set_names(options.data), options.data, strict=True):
        metrics = retrieval.evaluate(embedder, read_corpus(path), options.cache)["metrics"]
        for direction, metric in DIRECTIONS.items():
            figures[f"{data_set}: {direction}"] = metrics[metric]["mean"]
    for name, path in zip(data_set_names(options.zero_shot), options.zero_shot, strict=True):
        figures[f"{name}: zero-shot"] = zero_shot_accuracy(embedder, path, options.cache)
    return figures


def zero_shot_accuracy(embedder: Embedder, data: Path, cache: Path) -> float:
    """As of the task `zero-shot`, from cached features."""
    rows = read_corpus(data)
    codes, indices = corpus_codes(embedder, rows, cache)
    names = sorted({row.label for row in rows})
    labels = embed_labels(embedder, {name: [name.replace("_", " ")] for name in names})
    vectors = embedder.project(codes)
    return float(
        np.mean(
            [
                classify(embedder, labels, vector).classes[0].label == rows[index].label
                for vector, index in zip(vectors, indices, strict=True)
            ]
        )
    )


def finished(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The runs of this many epochs that are finished, in the order of the rows."""
    file = options.out / RESULTS
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    runs = [json.loads(line) for line in lines]
    order = list(STEPS)
    return sorted(
        (line for line in runs if line["epochs"] == options.epochs and line["step"] in STEPS),
        key=lambda line: (order.index(line["step"]), line["seed"]),
    )


def table(runs: Sequence[dict[str, Any]]) -> str:
    """The finished runs as a Markdown table: a row a step, a column a figure."""
    columns = list(dict.fromkeys(column for line in runs for column in line["figures"]))
    lines = [f"| | {' | '.join(columns)} | seeds |", f"|---|{'---|' * (len(columns) + 1)}"]
    for step in dict.fromkeys(line["step"] for line in runs):
        of_step = [line["figures"] for line in runs if line["step"] == step]
        cells = []
        for column in columns:
            values = [figures[column] for figures in of_step if column in figures]
            cells.append(f"{np.mean(values):.3f} ± {np.std(values):.3f}" if values else "")
        lines.append(f"| {step} | {' | '.join(cells)} | {len(of_step)} |")
    return "\n".join(lines)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, action="append", required=True, help="train on these")
    parser.add_argument("--teacher", type=Path, required=True, help="EfficientAT's file")
    parser.add_argument("--cache", type=Path, required=True, help="the feature cache")
    parser.add_argument("--out", type=Path, required=True, help="the folder of runs and results")
    parser.add_argument(
        "--zero-shot", type=Path, action="append", default=[], help="a data set with classes"
    )
    parser.add_argument("--epochs", type=int, default=recipe_for(PRESET).epochs)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--step", action="append", choices=list(STEPS), help="only these rows (default: all)"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=PRECISIONS)
    return parser.parse_args()


def main() -> None:
    """Train what is missing, and print the table after each run."""
    options = parse_options()
    for folder in (options.out, options.cache):
        folder.mkdir(parents=True, exist_ok=True)
    steps = [name for name in STEPS if name in (options.step or STEPS)]
    for seed in range(options.seeds):
        for name in steps:
            if any((line["step"], line["seed"]) == (name, seed) for line in finished(options)):
                continue
            print(f"seed {seed}: {name}", file=sys.stderr, flush=True)
            out = options.out / f"{list(STEPS).index(name):02}-{seed}-{options.epochs}"
            # A process for each run, so that its memory is freed.
            process = get_context("spawn").Process(target=run, args=(options, name, seed, out))
            process.start()
            process.join()
            if process.exitcode:
                sys.exit(process.exitcode)
            print(table(finished(options)), end="\n\n", flush=True)
    print(table(finished(options)))


if __name__ == "__main__":
    main()
