"""Exports a model: a file for torch → a folder that ONNX Runtime computes (`encoders.onnx_folder`).

The vectors are the same to 1e-4, so that the fingerprint stays the model's: libraries of either
open with the other.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import compose, helper

from earmark.model import checkpoint
from earmark.model.checkpoint import Checkpoint
from earmark.model.config import ModelConfig
from earmark.model.core.errors import ConfigError
from earmark.model.encoders import onnx_folder
from earmark.model.encoders.clap_files import is_clap
from earmark.model.encoders.onnx_folder import OnnxModel
from earmark.model.onnx_export.log_mel_graph import log_mel_graph
from earmark.model.onnx_export.network_graphs import (
    encoder_graph,
    projection_graph,
    sound_graph,
    text_graph,
)
from earmark.model.text import sentence_vectors


def export(model: Path, folder: Path) -> OnnxModel:
    """Write the export of a model's file or folder to a folder, which must be new or empty.

    Raises CheckpointError, ConfigError, WordsError.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"out: expected a new or empty folder, got {folder}")
    if is_clap(model) or onnx_folder.is_export(model):
        kind = "a CLAP model" if is_clap(model) else "an ONNX export"
        raise ConfigError(f"model: expected one of Earmark's for torch, got {kind}, {model}")
    exported = exported_model(checkpoint.load(model))
    onnx_folder.write_export(folder, exported)
    return exported


def exported_model(loaded: Checkpoint) -> OnnxModel:
    """The graphs of a model, and what lies beside them. Changes the model: norms are folded."""
    model, config = loaded.model.eval(), loaded.model.config
    graphs = {onnx_folder.TEXT: text_graph(model)}
    if model.audio is not None and onnx_folder.can_hear(config):
        model.audio.fuse()
        graphs[onnx_folder.ENCODER] = encoder_graph(model, model.audio)
        graphs[onnx_folder.PROJECTION] = projection_graph(model, model.audio)
        sound = sound_graph(model, model.audio)
        filters = model.mel_filters.numpy()
        opset, version = sound.opset_import[0].version, sound.ir_version
        features = log_mel_graph(config.features, filters, opset, version)
        graphs[onnx_folder.AUDIO] = compose.merge_models(
            features, sound, io_map=[("log_mel", "log_mel")]
        )
    for name, graph in graphs.items():
        helper.set_model_props(graph, _properties(name, config, loaded.fingerprint))
        onnx.checker.check_model(graph)
    return OnnxModel(
        graphs={name: graph.SerializeToString() for name, graph in graphs.items()},
        config=config,
        words=loaded.words,
        mel_filters=model.mel_filters.numpy(),
        fingerprint=loaded.fingerprint,
        vocabulary=loaded.vocabulary,
        card=loaded.card,
        background=loaded.background,
        sentence_encoder="" if config.words == "stored" else sentence_vectors.WEIGHTS_SHA256,
    )


def _properties(name: str, config: ModelConfig, fingerprint: str) -> dict[str, str]:
    """What a graph tells programs that have nothing but it."""
    properties = {"model": config.name, "fingerprint": fingerprint}
    features, tags = config.features, config.tags
    if name == onnx_folder.AUDIO:
        properties["sample_rate"] = str(features.sample_rate)
        properties["input"] = (
            f"samples: mono, from -1 to 1, {features.sample_rate} Hz, the whole sound"
        )
        properties["window_seconds"] = f"{features.window_seconds:g}"
    elif name == onnx_folder.TEXT:
        encoder = "of the model's words"
        if config.words != "stored":
            encoder = f"of phrases in lower case by {config.words}"
        length = f"padded to {tags.max_tags}" if tags.sum_padding else f"at most {tags.max_tags}"
        properties["input"] = f"words: vectors {encoder}, {length}; mask: which are no padding"
    return properties
