"""Ablations of the starter's recipe: `python -m tests.benchmarks.bench_recipe --help`.

The recipe, shortened to a few epochs, and the recipe with one step removed or changed, with several
seeds, on the same clips and split. Measured is the last epoch on the validation clips: mean and
standard deviation over the seeds. Finished runs are not repeated and stopped ones resume, so that
more seeds can be added later; `--again` shows how far two runs of one seed differ.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from earmark.model.config import preset
from earmark.training.cli.options import EXIT_STOPPED
from earmark.training.data.corpus import load_corpus
from earmark.training.loop.device import DeviceSettings, keep_freed_memory
from earmark.training.loop.initialization import attach_teacher
from earmark.training.loop.interrupts import RunInterrupted
from earmark.training.loop.trainer import LOG, Trainer
from earmark.training.recipe import recipe_for

PRESET = "starter"
WARMUP = 1  # epochs, of few
WHOLE = "the whole recipe"
NO_TEACHER = "no teacher: random weights"
STEPS: dict[str, dict[str, Any]] = {
    WHOLE: {},
    NO_TEACHER: {"teacher_weight": 0.0},
    "the teacher to begin with only": {"teacher_weight": 0.0},
    "no mixing": {"mix": 0.0},
    "no dropped tags": {"tag_dropout": 0.0},
    "all convolutions learn": {"frozen": 0},
    "the loudest window": {"patch": "loudest"},
    "as loud as recorded": {"quieter": 0.0},
    "no tilt": {"tilt": 0.0},
    "no masks": {"mask_frames": 0, "mask_mels": 0},
    "a fixed temperature": {"learned_temperature": False},
    "negatives of the same source": {"exclude_same": False},
    "word vectors of the tags (CBOW)": {"words": "cbow"},
    "a constant rate": {"schedule": "constant"},
    "tags in sets only": {"tagwise_weight": 0.0},
}
FIGURES = ("mAP@10", "audio_to_tag_mAP@10")


def run(options: argparse.Namespace, step: str, seed: int, out: Path) -> None:
    """Train one run, or resume it."""
    keep_freed_memory()
    chosen = replace(
        recipe_for(PRESET),
        epochs=options.epochs,
        warmup_epochs=WARMUP,
        select="mAP@10",
        **STEPS[step],
    )
    cache = options.out / "features"
    device = DeviceSettings("cpu", options.precision)
    config, corpus = load_corpus(options.data, preset(PRESET), chosen, cache, None, seed)
    if step != NO_TEACHER:
        attach_teacher(
            options.teacher,
            corpus,
            recipe_for(PRESET),
            cache,
            mixed_precision=device.mixed_precision,
        )
    trainer = Trainer(config, chosen, corpus, out, seed=seed, settings=device)
    trainer.resume()
    try:
        trainer.fit()
    except RunInterrupted as interruption:
        print(f"{interruption}; the same command goes on", file=sys.stderr)
        sys.exit(EXIT_STOPPED)


def last(out: Path, epochs: int) -> dict[str, float] | None:
    """The metrics of a run's last epoch; None if it is not finished."""
    if not (out / LOG).is_file():
        return None
    lines = (out / LOG).read_text().splitlines()
    return json.loads(lines[-1]) if len(lines) == epochs else None


def folders(options: argparse.Namespace) -> Iterator[tuple[str, int, Path]]:
    """(step, seed, folder) of all runs, seed by seed."""
    for seed in range(options.seeds):
        for number, step in enumerate(STEPS):
            yield step, seed, options.out / f"{number:02}-{seed}"
    if options.again:
        yield WHOLE, 0, options.out / "again"


def table(options: argparse.Namespace) -> None:
    """Print the finished runs."""
    done: dict[str, list[dict[str, float]]] = {}
    for step, _, out in folders(options):
        if out.name != "again" and (figures := last(out, options.epochs)) is not None:
            done.setdefault(step, []).append(figures)
    print(f"{'':34}{'tag to audio':>22}{'audio to tag':>22}  seeds   (mAP@10)")
    for step, rows in done.items():
        cells = [
            f"{np.mean(values):10.4f} ± {np.std(values):.4f}"
            for values in ([row[figure] for row in rows] for figure in FIGURES)
        ]
        print(f"{step:34}{cells[0]:>22}{cells[1]:>22}  {len(rows):5}")
    first, again = (last(options.out / name, options.epochs) for name in ("00-0", "again"))
    if first is not None and again is not None:
        apart = {name: abs(first[name] - again[name]) for name in FIGURES}
        print(f"two runs with one seed differ by {apart}")


def main() -> None:
    """Train what is missing, and print the table after each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--teacher", type=Path, required=True, help="the wheel of aiSFX")
    parser.add_argument("--out", type=Path, required=True, help="the folder of runs and features")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--precision", default="bfloat16", choices=("float32", "bfloat16"))
    parser.add_argument("--again", action="store_true", help="repeat the first run")
    options = parser.parse_args()
    for step, seed, out in folders(options):
        if last(out, options.epochs) is None:
            print(f"seed {seed}: {step}", flush=True)
            # A process for each run, so that its memory is freed.
            process = get_context("spawn").Process(target=run, args=(options, step, seed, out))
            process.start()
            process.join()
            if process.exitcode:
                sys.exit(process.exitcode)
            table(options)


if __name__ == "__main__":
    main()
