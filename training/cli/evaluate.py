"""`earmark evaluate`: measures a model on a task."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.training.cli.options import (
    add_cache,
    add_device,
    add_json,
    check_positive,
    check_seed,
)

if TYPE_CHECKING:
    from earmark.model.embedder import Embedder

LADDER = "ladder"
CAPTIONS = "captions"
MFCC = "mfcc"  # the baseline, in place of a model
TASKS = (
    "us8k",
    "us8k-tags",
    "gtzan",
    "nsynth",
    "esc50",
    "zero-shot",
    "retrieval",
    CAPTIONS,
    LADDER,
)
WITHOUT_CONFUSION = ("zero-shot", "retrieval", CAPTIONS, LADDER)
WITH_WORDS = ("us8k-tags", "zero-shot", "retrieval", CAPTIONS)  # tasks that need a tag encoder


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    command = commands.add_parser("evaluate", help="measure a model on a task")
    command.add_argument("task", choices=TASKS)
    command.add_argument(
        "--data",
        required=True,
        type=Path,
        action="append",
        metavar="PATH",
        help="a manifest or a data set's folder; captions: a CSV file; ladder: repeat for more",
    )
    command.add_argument(
        "--audio", type=Path, metavar="DIR", help="captions: the sounds; default: beside the file"
    )
    command.add_argument(
        "--model",
        type=Path,
        action="append",
        metavar="PATH",
        help="default: the starter model; mfcc: the baseline; ladder: each is a row, default none",
    )
    command.add_argument("--repeats", type=int, default=10, metavar="N", help="default: 10")
    command.add_argument("--seed", type=int, default=0, metavar="S")
    command.add_argument(
        "--esc10", action="store_true", help="esc50, zero-shot: only the classes of ESC-10"
    )
    command.add_argument(
        "--confusion", type=Path, metavar="PNG", help="write the confusion matrix as an image"
    )
    add_device(command)
    add_cache(command, "retrieval, ladder: keep features there")
    command.add_argument(
        "--groups", action="store_true", help="retrieval: add metrics by group of tags"
    )
    command.add_argument(
        "--teacher",
        type=Path,
        metavar="FILE",
        help="ladder: add a row of EfficientAT, given its file",
    )
    command.add_argument(
        "--seeds", type=int, metavar="N", help="ladder: train each rung N times, from --seed on"
    )
    add_json(command)
    command.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    from earmark.training.evaluation import report

    _check_options(options)
    if options.task == LADDER:
        result = {"task": LADDER, **_run_ladder(options)}
    else:
        embedder = _load_model(options)
        result = {
            "task": options.task,
            "model": {
                "name": MFCC if embedder is None else embedder.name,
                "fingerprint": "none" if embedder is None else embedder.fingerprint,
            },
            **_run_task(options, embedder),
        }
    if options.confusion is not None:
        report.draw_confusion(result, options.confusion)
    print(json.dumps(result) if options.json else report.table(result))
    return 0


def _check_options(options: argparse.Namespace) -> None:
    """Raise ConfigError for bad options, or another task's, before any work."""
    from earmark.model.core.errors import ConfigError

    check_positive("--repeats", options.repeats)
    check_seed(options.seed)
    if options.esc10 and options.task not in ("esc50", "zero-shot"):
        raise ConfigError(f"--esc10: is for the tasks esc50 and zero-shot, not {options.task}")
    if options.audio is not None and options.task != CAPTIONS:
        raise ConfigError(f"--audio: is for the task {CAPTIONS}, not {options.task}")
    if options.groups and options.task != "retrieval":
        raise ConfigError(f"--groups: is for the task retrieval, not {options.task}")
    if options.task != LADDER:
        for name in ("teacher", "seeds"):
            if getattr(options, name) is not None:
                raise ConfigError(f"--{name}: is for the task {LADDER}, not {options.task}")
        for name in ("data", "model"):
            if len(getattr(options, name) or ()) > 1:
                raise ConfigError(f"--{name}: the task {options.task} takes one, got several")
    if options.confusion is not None:
        if options.task in WITHOUT_CONFUSION:
            raise ConfigError(f"--confusion: the task {options.task} has no confusion matrix")
        if options.confusion.suffix != ".png" or not options.confusion.parent.is_dir():
            raise ConfigError(
                f"--confusion: expected a .png file in a folder, got {options.confusion}"
            )


def _run_ladder(options: argparse.Namespace) -> dict[str, Any]:
    from earmark.model.core.errors import ConfigError
    from earmark.training.evaluation import ladder
    from earmark.training.loop.device import DeviceSettings

    if Path(MFCC) in (options.model or ()):
        raise ConfigError(f"--model: the {LADDER} has a row of {MFCC} by itself")
    DeviceSettings(options.device).check()
    seeds = check_positive("--seeds", 1 if options.seeds is None else options.seeds)
    return ladder.evaluate(
        ladder.LadderSettings(
            data=options.data,
            models=options.model or (),
            teacher=options.teacher,
            seeds=range(options.seed, options.seed + seeds),
            cache=options.cache,
            device=options.device,
        )
    )


def _load_model(options: argparse.Namespace) -> Embedder | None:
    """The model to measure; None for the MFCC baseline. Raises ConfigError."""
    from earmark.model.core.errors import ConfigError
    from earmark.model.encoders.load import load_embedder
    from earmark.model.model_files import starter_model

    model = options.model[0] if options.model else starter_model()
    if model == Path(MFCC):
        if options.task in WITH_WORDS:
            raise ConfigError(f"--model: {MFCC} knows no words, it cannot do {options.task}")
        return None
    return load_embedder(model, options.device)


def _run_task(options: argparse.Namespace, embedder: Embedder | None) -> dict[str, Any]:
    from earmark.training.corpora import esc50
    from earmark.training.corpora.detect import read_corpus
    from earmark.training.evaluation import captions, retrieval, us8k_tags, zero_shot

    [data] = options.data
    repeats = {"repeats": options.repeats, "seed": options.seed}
    if options.task == "us8k-tags" and embedder is not None:
        return us8k_tags.evaluate(embedder, data, **repeats)
    if options.task == CAPTIONS and embedder is not None:
        return captions.evaluate(embedder, data, options.audio or data.parent)
    rows = esc50.read(data, only_esc10=True) if options.esc10 else read_corpus(data)
    if options.task == "zero-shot" and embedder is not None:
        return zero_shot.evaluate(embedder, rows, data)
    if options.task == "retrieval" and embedder is not None:
        return retrieval.evaluate(embedder, rows, options.cache, groups=options.groups)
    from earmark.training.evaluation import audio_tasks  # needs torch, as the others do not

    return audio_tasks.evaluate(options.task, embedder, rows, **repeats)
