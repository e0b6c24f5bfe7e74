"""Earmark's own models, computed by ONNX Runtime: nothing here imports torch.

Each window goes through the encoder by itself: as quick as in a batch, and a code never depends on
what else is in one. Sessions start no threads, so that they survive a fork, and those who ask in
several threads share the cores. Axes as in `model.encoders.earmark`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors

from earmark.model.core.arrays import Array
from earmark.model.core.errors import CheckpointError
from earmark.model.encoders import onnx_folder
from earmark.model.encoders.earmark import EarmarkEmbedder, Mask

PARTS = {  # inputs and outputs
    onnx_folder.ENCODER: [["log_mel"], ["codes", "steps"]],
    onnx_folder.PROJECTION: [["codes"], ["phi"]],
    onnx_folder.TEXT: [["words", "mask"], ["phi", "vectors"]],
}
OTHER_FILES = "session.model_external_initializers_file_folder_path"
UNREADABLE = tuple(
    getattr(runtime_errors, name)
    for name in ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented")
)


class OnnxEmbedder(EarmarkEmbedder):
    """An exported model, ready to embed. Safe to share between threads, and with forks."""

    def __init__(self, exported: onnx_folder.OnnxModel) -> None:
        super().__init__(
            exported.config,
            exported.words,
            exported.mel_filters,
            exported.fingerprint,
            exported.vocabulary,
            exported.card,
            exported.background,
        )
        self._sessions = {
            name: _session(name, graph)
            for name, graph in exported.graphs.items()
            if name != onnx_folder.AUDIO  # sounds are decoded in blocks, in other processes
        }

    @classmethod
    def load(cls, folder: Path) -> OnnxEmbedder:
        """From an export's folder. Raises CheckpointError, WordsError."""
        return cls(onnx_folder.read_export(folder))

    def encode(self, windows: Array) -> Array:
        """Log-mel windows [n, T, F] → codes z_a [n, V]."""
        return self._encode(windows, "codes", (self.code_dim,))

    def encode_steps(self, windows: Array) -> Array:
        """Log-mel windows [n, T, F] → codes [n, S, V] of their steps of time."""
        return self._encode(windows, "steps", (self.window_steps, self.code_dim))

    def _encode(self, windows: Array, output: str, shape: tuple[int, ...]) -> Array:
        self.require_audio()
        codes = np.empty((len(windows), *shape), dtype=np.float32)
        for row in range(len(windows)):
            inputs = {"log_mel": windows[row : row + 1]}
            codes[row] = self._run(onnx_folder.ENCODER, output, inputs)[0]
        return codes

    def _project(self, codes: Array) -> Array:
        return self._run(onnx_folder.PROJECTION, "phi", {"codes": codes})

    def _encode_words(self, words: Array, mask: Mask) -> Array:
        return self._run(onnx_folder.TEXT, "phi", {"words": words, "mask": mask})

    def _run(self, graph: str, output: str, inputs: Mapping[str, Array | Mask]) -> Array:
        return np.asarray(self._sessions[graph].run([output], inputs)[0], dtype=np.float32)


def _session(name: str, graph: bytes) -> onnxruntime.InferenceSession:
    """A session that computes in the thread that asks. Raises CheckpointError for what is no graph,
    or another one."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    # What a graph has in other files is not hashed: there are none here.
    options.add_session_config_entry(OTHER_FILES, os.devnull)
    try:
        session = onnxruntime.InferenceSession(graph, options, ["CPUExecutionProvider"])
    except UNREADABLE as error:
        raise CheckpointError(f"{name}: this ONNX Runtime cannot run it") from error
    found = [
        [part.name for part in parts] for parts in (session.get_inputs(), session.get_outputs())
    ]
    if found != PARTS[name]:
        raise CheckpointError(f"{name}: expected inputs and outputs {PARTS[name]}, got {found}")
    return session
