"""torch beside ONNX Runtime: `python -m tests.benchmarks.bench_runtime`.

The starter model and its export, a library of made-up clips, `earmark serve` on each in turn, round
after round. Prints a table and judges nothing: on a busy machine the ratio of rounds side by side
says most. Memory is that of all processes of a server, in which shared pages count once.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import uvloop

from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import starter_model
from earmark.model.onnx_export.export import export
from tests.benchmarks.bench_load import new_searches
from tests.benchmarks.bench_service import fill
from tests.benchmarks.load import closed
from tests.model import tiny
from tests.service import sounds
from tests.service.http_connection import upload
from tests.service.server_process import serving

MODELS = ("torch", "onnx")


@dataclass
class Figures:
    """Of one server in one round: seconds, megabytes, and answers a second."""

    start: float = 0.0
    fresh: float = 0.0
    used: float = 0.0
    searches: float = 0.0
    uploads: float = 0.0


def memory(pid: int) -> float:
    """Of a process and its children, in megabytes."""
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return sum(each.memory_full_info().pss for each in family) / 1e6


def measure(model: Path, library: Path, log: Path, seconds: float) -> Figures:
    """The figures of a server."""
    figures = Figures()
    sound = sounds.encoded(tiny.noise(10.0, 44_100), 44_100)
    asked = upload("/v1/tags", sound)
    begun = time.perf_counter()
    arguments = ("--library", library, "--model", model)
    with serving(log, *arguments, anew=True, OMP_NUM_THREADS="") as server:
        figures.start = time.perf_counter() - begun
        figures.fresh = memory(server.process.pid)
        loads: dict[str, Callable[[], bytes]] = {
            "searches": new_searches(),
            "uploads": lambda: asked,
        }
        for name, request in loads.items():
            uvloop.run(closed(server.port, request, 8, 1))  # to warm up
            outcome = uvloop.run(closed(server.port, request, 8, seconds))
            assert set(outcome.counts) == {"200"}, outcome.counts
            setattr(figures, name, outcome.rate())
        figures.used = memory(server.process.pid)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {options.clips} clips")
    found: dict[str, list[Figures]] = {name: [] for name in MODELS}
    with tempfile.TemporaryDirectory(prefix="earmark-bench-") as temporary:
        folder = Path(temporary)
        export(starter_model(), folder / "onnx")
        models = {"torch": starter_model(), "onnx": folder / "onnx"}
        fill(folder / "library", load_embedder(models["onnx"]), options.clips)
        for number in range(options.rounds):
            for name in MODELS[:: 1 if number % 2 == 0 else -1]:
                log = folder / "log"
                found[name].append(measure(models[name], folder / "library", log, options.seconds))
    print(f"\n{'medians of the rounds':30} {'torch':>9} {'onnx':>9} {'onnx / torch':>14}")
    for field, what in (
        ("start", "start to first answer, s"),
        ("fresh", "memory after start, MB"),
        ("used", "memory after load, MB"),
        ("searches", "searches a second"),
        ("uploads", "uploads of 10 s a second"),
    ):
        values = {name: np.array([getattr(each, field) for each in found[name]]) for name in MODELS}
        ratio = np.median(values["onnx"] / values["torch"])
        medians = " ".join(f"{np.median(values[name]):9.2f}" for name in MODELS)
        print(f"{what:30} {medians} {ratio:14.2f}")


if __name__ == "__main__":
    main()
