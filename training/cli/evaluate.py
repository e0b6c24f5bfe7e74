"""`earmark reproduce`, `import`, `evaluate`; by their own files `train`, `calibrate`, `corpus`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.training.cli import calibrate, corpus, figures, train
from earmark.training.cli.options import STOPPED, check_positive, check_seed

if TYPE_CHECKING:
    from earmark.model.embedder import Embedder

TASKS = ("us8k", "us8k-tags", "gtzan", "nsynth", "esc50", "zero-shot", "retrieval", "ladder")
UNCONFUSED = ("zero-shot", "retrieval", "ladder")  # tasks without a confusion matrix
MFCC = "mfcc"
LADDER = "ladder"


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the parser."""
    train.add_commands(commands)
    _add_reproduce(commands)
    imported = commands.add_parser("import", help="make a model of the authors' checkpoints")
    imported.add_argument("source", type=Path, metavar="SRC", help="a folder or .npz file")
    imported.add_argument("--out", required=True, type=Path, metavar="DIR")
    imported.set_defaults(run=_import)
    _add_evaluate(commands)
    calibrate.add_commands(commands)
    corpus.add_commands(commands)
    figures.add_commands(commands)


def _add_evaluate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    evaluate = commands.add_parser("evaluate", help="measure a model on a task")
    evaluate.add_argument("task", choices=TASKS)
    evaluate.add_argument(
        "--data",
        required=True,
        type=Path,
        action="append",
        metavar="PATH",
        help="a manifest or a data set's folder; ladder: again for more",
    )
    evaluate.add_argument(
        "--model",
        type=Path,
        action="append",
        metavar="PATH",
        help="default: starter model; mfcc: the baseline; ladder: none, or each a row",
    )
    evaluate.add_argument("--repeats", type=int, default=10, metavar="N", help="default: 10")
    evaluate.add_argument("--seed", type=int, default=0, metavar="S")
    evaluate.add_argument("--esc10", action="store_true", help="of ESC-50, the classes of ESC-10")
    evaluate.add_argument("--confusion", type=Path, metavar="PNG", help="draw the confusions there")
    evaluate.add_argument("--device", default="cpu", metavar="D", help="cpu, cuda or cuda:N")
    evaluate.add_argument(
        "--cache", type=Path, metavar="DIR", help="retrieval, ladder: keep features there"
    )
    evaluate.add_argument("--groups", action="store_true", help="retrieval: by group of tags too")
    evaluate.add_argument(
        "--teacher", type=Path, metavar="FILE", help="ladder: a row of aiSFX: its wheel"
    )
    evaluate.add_argument(
        "--seeds", type=int, metavar="N", help="ladder: train each rung N times, from --seed on"
    )
    evaluate.add_argument("--precision", metavar="P", help="ladder: aiSFX hears in it (bfloat16)")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")
    evaluate.set_defaults(run=_evaluate)


def _add_reproduce(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "reproduce", help="train and evaluate a preset on a corpus with folds: a row of Table 1"
    )
    command.add_argument("--preset", required=True, metavar="NAME", help="or mfcc: the baseline")
    command.add_argument("--data", required=True, type=Path, metavar="PATH", help="tags and folds")
    command.add_argument("--transfer", type=Path, metavar="PATH", help="a corpus to classify too")
    command.add_argument("--out", required=True, type=Path, metavar="DIR", help="goes on there")
    command.add_argument("--epochs", type=int, metavar="N", help="default: the preset's")
    command.add_argument("--batch", type=int, metavar="B", help="default: the preset's")
    command.add_argument("--repeats", type=int, default=10, metavar="N", help="default: 10")
    command.add_argument("--seed", type=int, default=0, metavar="S")
    command.add_argument("--device", default="cpu", metavar="D", help="cpu, cuda or cuda:N")
    command.add_argument("--precision", metavar="P", help="float32 or bfloat16")
    command.add_argument(
        "--cache", type=Path, metavar="DIR", help="default: features in DIR of out"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=_reproduce)


def _reproduce(options: argparse.Namespace) -> int:
    from earmark.model.core.errors import ConfigError
    from earmark.training.evaluation import report
    from earmark.training.loop.device import Execution, keep_freed_memory
    from earmark.training.loop.interrupts import Stopped
    from earmark.training.table1 import Plan, baseline, reproduce

    logging.getLogger("earmark.training").setLevel(logging.INFO)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("earmark reproduce: runs in one process; torchrun is for earmark train")
    execution = Execution(options.device, options.precision)
    execution.check()
    keep_freed_memory()
    plan = Plan(
        preset=options.preset,
        data=options.data,
        transfer=options.transfer,
        out=options.out,
        cache=options.cache or options.out / "features",
        epochs=options.epochs,
        batch_size=options.batch,
        repeats=check_positive("--repeats", options.repeats),
        seed=check_seed(options.seed),
    )
    try:
        result = baseline(plan) if options.preset == MFCC else reproduce(plan, execution)
    except Stopped as stopped:
        print(f"{stopped}; the same command goes on", file=sys.stderr)
        return STOPPED
    result = {
        "task": "reproduce",
        "model": {"name": options.preset, "fingerprint": "one a rotation"},
    } | result
    print(json.dumps(result) if options.json else report.table(result))
    return 0


def _import(options: argparse.Namespace) -> int:
    from earmark.model import checkpoint
    from earmark.training.authors_checkpoint import import_model

    imported = import_model(options.source)
    fingerprint = checkpoint.save(options.out, imported)
    config = imported.model.config
    halves = "sounds and tags" if config.hears else "tags only (the audio half is absent)"
    print(f"{config.name} ({fingerprint}) in {options.out}: embeds {halves}")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from earmark.training.evaluation import report

    _check_evaluate(options)
    if options.task == LADDER:
        result = {"task": LADDER, **_ladder(options)}
    else:
        embedder = _embedder(options)
        result = {
            "task": options.task,
            "model": {
                "name": MFCC if embedder is None else embedder.config.name,
                "fingerprint": "none" if embedder is None else embedder.fingerprint,
            },
            **_run_task(options, embedder),
        }
    if options.confusion is not None:
        report.confusion_picture(result, options.confusion)
    print(json.dumps(result) if options.json else report.table(result))
    return 0


def _check_evaluate(options: argparse.Namespace) -> None:
    """Raise ConfigError for options that are wrong or of another task, before any work."""
    from earmark.model.core.errors import ConfigError

    check_positive("--repeats", options.repeats)
    check_seed(options.seed)
    if options.esc10 and options.task not in ("esc50", "zero-shot"):
        raise ConfigError(f"--esc10: is for the tasks esc50 and zero-shot, not {options.task}")
    if options.groups and options.task != "retrieval":
        raise ConfigError(f"--groups: is for the task retrieval, not {options.task}")
    if options.task != LADDER:
        for name in ("teacher", "seeds", "precision"):
            if getattr(options, name) is not None:
                raise ConfigError(f"--{name}: is for the task {LADDER}, not {options.task}")
        for name in ("data", "model"):
            if len(getattr(options, name) or ()) > 1:
                raise ConfigError(f"--{name}: the task {options.task} takes one, got several")
    if options.confusion is not None:  # refused before the long work, not after it
        if options.task in UNCONFUSED:
            raise ConfigError(f"--confusion: the task {options.task} has no confusion matrix")
        if options.confusion.suffix != ".png" or not options.confusion.parent.is_dir():
            raise ConfigError(
                f"--confusion: expected a .png file in a folder, got {options.confusion}"
            )


def _ladder(options: argparse.Namespace) -> dict[str, Any]:
    from earmark.model.core.errors import ConfigError
    from earmark.training.evaluation import ladder
    from earmark.training.loop.device import Execution

    if Path(MFCC) in (options.model or ()):
        raise ConfigError(f"--model: the {LADDER} has a row of {MFCC} by itself")
    Execution(options.device, options.precision).check()
    seeds = check_positive("--seeds", 1 if options.seeds is None else options.seeds)
    return ladder.evaluate(
        ladder.Plan(
            data=options.data,
            models=options.model or (),
            teacher=options.teacher,
            seeds=range(options.seed, options.seed + seeds),
            cache=options.cache,
            device=options.device,
            mixed=options.precision == "bfloat16",
        )
    )


def _embedder(options: argparse.Namespace) -> Embedder | None:
    """The model to measure; None for the MFCC baseline, which only tells classes apart."""
    from earmark.model.checkpoint import starter_model
    from earmark.model.core.errors import ConfigError
    from earmark.model.embedder import Embedder

    model = options.model[0] if options.model else starter_model()
    if model == Path(MFCC):
        if options.task in ("us8k-tags", "zero-shot", "retrieval"):
            raise ConfigError(f"--model: {MFCC} knows no words, it cannot do {options.task}")
        return None
    return Embedder.load(model, options.device)


def _run_task(options: argparse.Namespace, embedder: Embedder | None) -> dict[str, Any]:
    from earmark.training.corpora import esc50
    from earmark.training.corpora.detect import read_corpus
    from earmark.training.evaluation import audio_tasks, retrieval, tags, zero_shot

    [data] = options.data
    repeated = {"repeats": options.repeats, "seed": options.seed}
    if options.task == "us8k-tags" and embedder is not None:
        return tags.evaluate(embedder, data, **repeated)
    rows = esc50.read(data, only_esc10=True) if options.esc10 else read_corpus(data)
    if options.task == "zero-shot" and embedder is not None:
        return zero_shot.evaluate(embedder, rows, data)
    if options.task == "retrieval" and embedder is not None:
        return retrieval.evaluate(embedder, rows, options.cache, groups=options.groups)
    return audio_tasks.evaluate(options.task, embedder, rows, **repeated)
