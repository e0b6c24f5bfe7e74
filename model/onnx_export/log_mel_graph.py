"""The samples of a sound → log-mel windows, as `model.audio.log_mel` has them, in an ONNX graph.

The transform is a product with a matrix of cosines and sines, which every runtime has, in the
precision that `LogMel` has. Axes: n = samples, f = frames of the sound, W = windows, T = frames of
a window, F = mels, L = samples of the transform's window.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from earmark.model.audio.log_mel import stft_window
from earmark.model.config import FeatureConfig
from earmark.model.core.arrays import Array

Numbers = npt.NDArray[Any]


class _Graph:
    """Nodes and constants; `add` and `constant` return the name of a value."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Numbers) -> str:
        """A constant array."""
        name = f"log_mel_constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def whole(self, *values: int) -> str:
        """A constant list of whole numbers."""
        return self.constant(np.array(values, dtype=np.int64))

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:  # noqa: ANN401 (what ONNX takes)
        """A node with one output."""
        output = name or f"log_mel_value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def length(self, value: str) -> str:
        """The size [1] of a value's first axis."""
        return self.add("Slice", self.add("Shape", value), self.whole(0), self.whole(1))

    def lengthen(self, value: str, least: int, fill: str, axes: int = 1) -> str:
        """A value whose first of `axes` axes has at least so many entries."""
        lacking = self.add("Sub", self.whole(least), self.length(value))
        after = self.add("Max", lacking, self.whole(0))
        before = self.whole(*[0] * axes)
        parts = [before, after] if axes == 1 else [before, after, self.whole(*[0] * (axes - 1))]
        return self.add("Pad", value, self.add("Concat", *parts, axis=0), fill)

    def count(self, size: str) -> str:
        """0, 1, …: as many as the `size` [1] says."""
        one = self.constant(np.array(1, dtype=np.int64))
        nothing = self.constant(np.array(0, dtype=np.int64))
        return self.add("Range", nothing, self.add("Squeeze", size, self.whole(0)), one)


def log_mel_graph(
    config: FeatureConfig, filters: Array, opset: int, version: int
) -> onnx.ModelProto:
    """`samples` [n] at the configuration's rate → `log_mel` [W, T, F], `starts` [W] in seconds.

    `filters`: the mel filter bank; `opset`, `version`: of the graph that it is joined with.
    """
    graph = _Graph()
    frames = _log_mel(graph, _framed(graph, config), config, filters)
    _windows(graph, frames, config)
    made = helper.make_graph(
        graph.nodes,
        "log_mel",
        [helper.make_tensor_value_info("samples", TensorProto.FLOAT, ["samples"])],
        [
            helper.make_tensor_value_info(
                "log_mel", TensorProto.FLOAT, ["windows", config.frames, config.n_mels]
            ),
            helper.make_tensor_value_info("starts", TensorProto.DOUBLE, ["windows"]),
        ],
        graph.constants,
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(made, opset_imports=opsets, ir_version=version)


def _framed(graph: _Graph, config: FeatureConfig) -> str:
    """Overlapping stretches [f, L] of the samples between their edges."""
    silence = graph.constant(np.array(0, dtype=np.float32))
    least = max(1, round(config.min_seconds * config.sample_rate))
    samples = graph.lengthen("samples", least, silence)
    if config.pre_emphasis:
        zero, one, last = graph.whole(0), graph.whole(1), graph.whole(-1)
        following = graph.add("Slice", samples, one, graph.whole(np.iinfo(np.int64).max), zero)
        share = graph.constant(np.array(config.pre_emphasis, dtype=np.float32))
        scaled = graph.add("Mul", graph.add("Slice", samples, zero, last, zero), share)
        samples = graph.add("Sub", following, scaled)
    half = config.n_fft // 2
    if config.edges == "reflect":
        samples = graph.lengthen(samples, half + 1, silence)
    mode = "reflect" if config.edges == "reflect" else "constant"
    edged = graph.add("Pad", samples, graph.whole(half, half), silence, mode=mode)
    hops = graph.add("Div", graph.length(samples), graph.whole(config.hop))
    firsts = graph.add(
        "Mul", graph.count(graph.add("Add", hops, graph.whole(1))), graph.whole(config.hop)
    )
    length = config.window_samples or config.n_fft
    before = (config.n_fft - length) // 2
    column = graph.add("Unsqueeze", firsts, graph.whole(1))
    places = graph.add("Add", column, graph.constant(before + np.arange(length, dtype=np.int64)))
    return graph.add("Gather", edged, places)


def _log_mel(graph: _Graph, framed: str, config: FeatureConfig, filters: Array) -> str:
    """Log-mel frames [f', F] of stretches [f, L]; silent ones are added up to a window."""
    window = stft_window(config)
    length = config.window_samples or config.n_fft
    before = (config.n_fft - length) // 2
    bins = config.n_fft // 2 + 1
    # Whole turns do not count: without them the angles are exact.
    turns = np.outer(np.arange(length), np.arange(bins)) % config.n_fft
    angles = 2 * np.pi / config.n_fft * turns
    weights = window[before : before + length, None]
    matrix = np.concatenate([weights * np.cos(angles), weights * np.sin(angles)], axis=1)
    if window.dtype == np.float64:
        framed = graph.add("Cast", framed, to=TensorProto.DOUBLE)
    spectrum = graph.add("MatMul", framed, graph.constant(matrix.astype(window.dtype)))
    squared = graph.add("Mul", spectrum, spectrum)
    first, middle, end, axis = (graph.whole(value) for value in (0, bins, 2 * bins, 1))
    energy = graph.add(
        "Add",
        graph.add("Slice", squared, first, middle, axis),
        graph.add("Slice", squared, middle, end, axis),
    )
    if config.power == 1:
        energy = graph.add("Sqrt", energy)
    energy = graph.add("Cast", energy, to=TensorProto.FLOAT)
    mel = graph.add("MatMul", energy, graph.constant(filters.T.astype(np.float32)))
    offset = graph.constant(np.array(config.log_offset, dtype=np.float32))
    frames = graph.add("Log", graph.add("Add", mel, offset))
    silence = graph.constant(np.log(config.log_offset).astype(np.float32))
    return graph.lengthen(frames, config.frames, silence, axes=2)


def _windows(graph: _Graph, frames: str, config: FeatureConfig) -> None:
    """Frames [f', F] → the outputs: windows side by side, and one aligned to the end."""
    size = graph.whole(config.frames)
    count = graph.length(frames)
    rounded = graph.add("Add", count, graph.whole(config.frames - 1))
    windows = graph.add("Div", rounded if config.tail == "align" else count, size)
    wanted = graph.add("Mul", graph.count(windows), size)
    firsts = graph.add("Min", wanted, graph.add("Sub", count, size))
    column = graph.add("Unsqueeze", firsts, graph.whole(1))
    places = graph.add("Add", column, graph.constant(np.arange(config.frames, dtype=np.int64)))
    graph.add("Gather", frames, places, name="log_mel")
    seconds = graph.constant(np.array(config.hop / config.sample_rate, dtype=np.float64))
    graph.add("Mul", graph.add("Cast", firsts, to=TensorProto.DOUBLE), seconds, name="starts")
