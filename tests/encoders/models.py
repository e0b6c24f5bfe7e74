"""A small model of each kind of encoder, as a folder that `load_embedder` opens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from earmark.model.checkpoint import save
from earmark.model.config import ModelConfig
from earmark.model.onnx_export.export import export
from tests.model.tiny import checkpoint_of, sentence_config, tiny_config

Write = Callable[[Path, int], None]  # a model of a seed into a folder


def _ours(config: ModelConfig) -> Write:
    def write(folder: Path, seed: int) -> None:
        save(folder, checkpoint_of(config, seed))

    return write


def _exported(config: ModelConfig) -> Write:
    def write(folder: Path, seed: int) -> None:
        model = folder.with_name(f"{folder.name}-model")
        _ours(config)(model, seed)
        export(model, folder)

    return write


def _write_clap(folder: Path, seed: int) -> None:
    from tests.model.encoders.clap_folder import write_clap_folder  # imports transformers

    write_clap_folder(folder, seed)


KINDS: dict[str, Write] = {
    **{
        name: _ours(tiny_config(name))
        for name in ("w2v-128-1h", "w2v-128-4h", "w2v-128-mean", "coala", "first-starter")
    },
    "starter": _ours(sentence_config()),
    "onnx": _exported(tiny_config("w2v-128-4h")),
    "clap": _write_clap,
}
