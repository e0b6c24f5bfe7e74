"""`earmark train`, `reproduce`, `import`, `evaluate`; by their own files `calibrate`, `corpus`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training import calibrate_cli, corpus_cli

if TYPE_CHECKING:
    from model.embedder import Embedder
    from training.distributed import Ranks

TASKS = ("us8k", "us8k-tags", "gtzan", "nsynth", "esc50", "zero-shot", "retrieval")
UNCONFUSED = ("zero-shot", "retrieval")  # tasks without a confusion matrix
MFCC = "mfcc"
MAX_SEED = 2**31  # repeats count on from it
STOPPED = 130  # the exit status of a run that was asked to stop, and saved


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the parser."""
    train = commands.add_parser("train", help="train a preset on a corpus")
    train.add_argument("--preset", required=True, metavar="NAME")
    train.add_argument(
        "--data", required=True, type=Path, metavar="PATH", help="a manifest or a data set's folder"
    )
    train.add_argument("--out", required=True, type=Path, metavar="DIR")
    train.add_argument(
        "--words",
        type=Path,
        metavar="FILE",
        help="general word vectors (default: the starter model's)",
    )
    train.add_argument("--resume", action="store_true", help="go on where DIR's run stopped")
    train.add_argument("--device", default="cpu", metavar="D", help="cpu, cuda or cuda:N")
    train.add_argument(
        "--precision", metavar="P", help="float32 or bfloat16 (default: bfloat16 on a GPU)"
    )
    train.add_argument("--compile", action="store_true", help="have torch compile the step")
    train.add_argument("--tensorboard", action="store_true", help="write event files in DIR")
    train.add_argument("--epochs", type=int, metavar="N", help="default: the preset's")
    train.add_argument("--batch", type=int, metavar="B", help="default: the preset's")
    train.add_argument("--seed", type=int, default=0, metavar="S")
    train.add_argument("--cache", type=Path, metavar="DIR", help="default: features in DIR of out")
    train.add_argument("--without-fold", metavar="F", help="leave this fold out, to test on")
    train.set_defaults(run=_train)
    _add_reproduce(commands)
    imported = commands.add_parser("import", help="make a model of the authors' checkpoints")
    imported.add_argument("source", type=Path, metavar="SRC", help="a folder or .npz file")
    imported.add_argument("--out", required=True, type=Path, metavar="DIR")
    imported.set_defaults(run=_import)
    evaluate = commands.add_parser("evaluate", help="measure a model on a task")
    evaluate.add_argument("task", choices=TASKS)
    evaluate.add_argument(
        "--data", required=True, type=Path, metavar="PATH", help="a manifest or a data set's folder"
    )
    evaluate.add_argument(
        "--model", type=Path, metavar="PATH", help="default: starter model; mfcc: the baseline"
    )
    evaluate.add_argument("--repeats", type=int, default=10, metavar="N", help="default: 10")
    evaluate.add_argument("--seed", type=int, default=0, metavar="S")
    evaluate.add_argument("--esc10", action="store_true", help="of ESC-50, the classes of ESC-10")
    evaluate.add_argument("--confusion", type=Path, metavar="PNG", help="draw the confusions there")
    evaluate.add_argument("--device", default="cpu", metavar="D", help="cpu, cuda or cuda:N")
    evaluate.add_argument(
        "--cache", type=Path, metavar="DIR", help="retrieval: keep features there"
    )
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")
    evaluate.set_defaults(run=_evaluate)
    calibrate_cli.add_commands(commands)
    corpus_cli.add_commands(commands)


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
    from model.errors import ConfigError
    from training.evaluation import report
    from training.execution import Execution, keep_freed_memory
    from training.reproduce import Plan, baseline, reproduce
    from training.stopping import Stopped

    logging.getLogger("training").setLevel(logging.INFO)
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
        repeats=_positive("--repeats", options.repeats),
        seed=_seed(options.seed),
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


def _seed(value: int) -> int:
    from model.errors import ConfigError

    if not 0 <= value < MAX_SEED:
        raise ConfigError(f"--seed: expected 0 to {MAX_SEED - 1}, got {value}")
    return value


def _positive(name: str, value: int) -> int:
    from model.errors import ConfigError

    if value < 1:
        raise ConfigError(f"{name}: expected at least 1, got {value}")
    return value


def _train(options: argparse.Namespace) -> int:
    from training.distributed import joined, leave
    from training.stopping import Stopped

    logging.getLogger("training").setLevel(logging.INFO)
    status = 0
    with joined(options.device) as (ranks, device):
        try:
            _train_as(ranks, device, options)
        except Stopped as stopped:
            if ranks.first:
                print(f"{stopped}; --resume goes on", file=sys.stderr)
            status = STOPPED
    if ranks.count > 1:
        leave(status)
    return status


def _train_as(ranks: Ranks, device: str, options: argparse.Namespace) -> None:
    """Train as one of the processes."""
    from model.config import preset
    from model.errors import ConfigError
    from training.board import Board
    from training.corpus import load_corpus
    from training.execution import Execution, keep_freed_memory
    from training.recipe import recipe
    from training.state import FILE_NAME
    from training.trainer import Trainer

    _seed(options.seed)
    config = preset(options.preset)
    chosen = recipe(options.preset).changed(epochs=options.epochs, batch_size=options.batch)
    execution = Execution(device, options.precision, options.compile, ranks)
    execution.check()
    if (options.out / FILE_NAME).exists() and not options.resume:
        raise ConfigError(f"--out: {options.out} holds a run; give --resume or another folder")
    keep_freed_memory()
    cache = options.cache or options.out / "features"
    with ranks.first_alone():
        config, corpus = load_corpus(
            options.data,
            config,
            chosen,
            cache,
            options.words,
            options.seed,
            without_fold=options.without_fold,
        )
    ranks.check_same("corpus", corpus.digest())
    trainer = Trainer(config, chosen, corpus, options.out, seed=options.seed, execution=execution)
    resumed = options.resume and trainer.resume()
    # Without a shared folder, some would go on and some begin.
    ranks.check_same("run", f"{trainer.epoch} {trainer.step} {trainer.best}".encode())
    if resumed and ranks.first:
        print(f"resuming after epoch {trainer.epoch}, step {trainer.step}", file=sys.stderr)
    with ExitStack() as stack:
        if options.tensorboard and ranks.first:
            board = Board(options.out / "tensorboard", trainer.epoch)
            trainer.board = stack.enter_context(closing(board))
        trainer.fit()
    if ranks.first:
        print(f"best model: {options.out}")


def _import(options: argparse.Namespace) -> int:
    from model import checkpoint
    from training.importing import import_model

    imported = import_model(options.source)
    fingerprint = checkpoint.save(options.out, imported)
    config = imported.model.config
    halves = "sounds and tags" if config.hears else "tags only (the audio half is absent)"
    print(f"{config.name} ({fingerprint}) in {options.out}: embeds {halves}")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from model.errors import ConfigError
    from training.evaluation import report

    _positive("--repeats", options.repeats)
    _seed(options.seed)
    if options.esc10 and options.task not in ("esc50", "zero-shot"):
        raise ConfigError(f"--esc10: is for the tasks esc50 and zero-shot, not {options.task}")
    if options.confusion is not None:  # refused before the long work, not after it
        if options.task in UNCONFUSED:
            raise ConfigError(f"--confusion: the task {options.task} has no confusion matrix")
        if options.confusion.suffix != ".png" or not options.confusion.parent.is_dir():
            raise ConfigError(
                f"--confusion: expected a .png file in a folder, got {options.confusion}"
            )
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


def _embedder(options: argparse.Namespace) -> Embedder | None:
    """The model to measure; None for the MFCC baseline, which only tells classes apart."""
    from model.checkpoint import starter_model
    from model.embedder import Embedder
    from model.errors import ConfigError

    if options.model == Path(MFCC):
        if options.task in ("us8k-tags", "zero-shot", "retrieval"):
            raise ConfigError(f"--model: {MFCC} knows no words, it cannot do {options.task}")
        return None
    return Embedder.load(options.model or starter_model(), options.device)


def _run_task(options: argparse.Namespace, embedder: Embedder | None) -> dict[str, Any]:
    from training.corpora import esc50
    from training.corpora.detect import read_corpus
    from training.evaluation import audio_tasks, retrieval, tags, zero_shot

    repeated = {"repeats": options.repeats, "seed": options.seed}
    if options.task == "us8k-tags" and embedder is not None:
        return tags.evaluate(embedder, options.data, **repeated)
    rows = esc50.read(options.data, only_esc10=True) if options.esc10 else read_corpus(options.data)
    if options.task == "zero-shot" and embedder is not None:
        return zero_shot.evaluate(embedder, rows, options.data)
    if options.task == "retrieval" and embedder is not None:
        return retrieval.evaluate(embedder, rows, options.cache)
    return audio_tasks.evaluate(options.task, embedder, rows, **repeated)
