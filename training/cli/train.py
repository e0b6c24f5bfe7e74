"""`earmark train`: trains a preset on a corpus."""

from __future__ import annotations

import argparse
import logging
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.training.cli.options import (
    EXIT_STOPPED,
    add_cache,
    add_data,
    add_device,
    check_seed,
)

if TYPE_CHECKING:
    from earmark.model.checkpoint import Checkpoint
    from earmark.training.loop.distributed import ProcessGroup
    from earmark.training.loop.trainer import Trainer


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    command = commands.add_parser("train", help="train a preset on a corpus")
    command.add_argument("--preset", required=True, metavar="NAME")
    add_data(command)
    command.add_argument(
        "--from", dest="start", type=Path, metavar="PATH", help="fine-tune this model"
    )
    command.add_argument(
        "--teacher",
        type=Path,
        metavar="FILE",
        help="begin as EfficientAT mn04_as, given its file (starter)",
    )
    command.add_argument("--out", required=True, type=Path, metavar="DIR")
    command.add_argument(
        "--words",
        type=Path,
        metavar="FILE",
        help="a list of English words, as a model or word vectors (default: the starter model's)",
    )
    command.add_argument("--resume", action="store_true", help="continue the run in DIR")
    add_device(command)
    command.add_argument(
        "--precision", metavar="P", help="float32 or bfloat16 (default: bfloat16 on a GPU)"
    )
    command.add_argument("--compile", action="store_true", help="compile the step with torch")
    command.add_argument("--tensorboard", action="store_true", help="write event files in DIR")
    command.add_argument("--epochs", type=int, metavar="N", help="default: the preset's")
    command.add_argument("--batch", type=int, metavar="B", help="default: the preset's")
    command.add_argument("--seed", type=int, default=0, metavar="S")
    add_cache(command, "default: the folder features in DIR of --out")
    command.add_argument("--without-fold", metavar="F", help="leave this fold out, to test on")
    command.add_argument(
        "--without-suspects",
        type=Path,
        metavar="CSV",
        help="leave out tags that `earmark corpus suspects` found wrong",
    )
    command.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> int:
    from earmark.training.loop.distributed import exit_process, join_process_group
    from earmark.training.loop.interrupts import RunInterrupted

    logging.getLogger("earmark.training").setLevel(logging.INFO)
    status = 0
    with join_process_group(options.device) as (processes, device):
        try:
            _train_in_process(processes, device, options)
        except RunInterrupted as interruption:
            if processes.is_first:
                print(f"{interruption}; --resume goes on", file=sys.stderr)
            status = EXIT_STOPPED
    if processes.size > 1:
        exit_process(status)
    return status


def _load_start(options: argparse.Namespace) -> Checkpoint | None:
    """The model of --from. Raises ConfigError, CheckpointError."""
    from earmark.model import checkpoint
    from earmark.model.core.errors import ConfigError

    if options.start is None:
        return None
    if options.words is not None or options.teacher is not None:
        raise ConfigError("--from: the model brings its words, and needs no teacher")
    return checkpoint.load(options.start)


def _train_in_process(processes: ProcessGroup, device: str, options: argparse.Namespace) -> None:
    """Train as one of the processes."""
    from earmark.model.encoders.load import load_embedder
    from earmark.training.loop.tensorboard import TensorBoardWriter
    from earmark.training.model_card import write_model_card

    trainer = _build_trainer(processes, device, options)
    resumed = options.resume and trainer.resume()
    # Without a shared folder, some processes would resume and others begin.
    processes.check_equal("run", f"{trainer.epoch} {trainer.step} {trainer.best}".encode())
    if resumed and processes.is_first:
        print(f"resuming after epoch {trainer.epoch}, step {trainer.step}", file=sys.stderr)
    with ExitStack() as stack:
        if options.tensorboard and processes.is_first:
            writer = TensorBoardWriter(options.out / "tensorboard", trainer.epoch)
            trainer.tensorboard = stack.enter_context(closing(writer))
        trainer.fit()
    if processes.is_first:
        write_model_card(options.out, load_embedder(options.out))
        print(f"best model: {options.out}")


def _build_trainer(processes: ProcessGroup, device: str, options: argparse.Namespace) -> Trainer:
    """The trainer of these options, its corpus loaded. Raises ConfigError, CorpusError."""
    from earmark.model.config import preset
    from earmark.model.core.errors import ConfigError
    from earmark.training.data.corpus import load_corpus
    from earmark.training.loop.device import DeviceSettings, keep_freed_memory
    from earmark.training.loop.initialization import attach_teacher
    from earmark.training.loop.resume_state import FILE_NAME
    from earmark.training.loop.trainer import Trainer
    from earmark.training.recipe import recipe_for

    check_seed(options.seed)
    config = preset(options.preset)
    start, recipe = _load_start(options), recipe_for(options.preset)
    recipe = recipe if start is None else recipe.for_fine_tuning()
    recipe = recipe.with_values(epochs=options.epochs, batch_size=options.batch)
    settings = DeviceSettings(device, options.precision, options.compile, processes)
    settings.check()
    if (options.out / FILE_NAME).exists() and not options.resume:
        raise ConfigError(f"--out: {options.out} holds a run; give --resume or another folder")
    keep_freed_memory()
    cache = options.cache or options.out / "features"
    with processes.first_before_others():
        config, corpus = load_corpus(
            options.data,
            config,
            recipe,
            cache,
            options.words or options.start,
            options.seed,
            without_fold=options.without_fold,
            suspects=options.without_suspects,
        )
        if options.teacher is not None:
            attach_teacher(options.teacher, corpus, config)
    processes.check_equal("corpus", corpus.digest())
    return Trainer(
        config, recipe, corpus, options.out, seed=options.seed, settings=settings, start=start
    )
