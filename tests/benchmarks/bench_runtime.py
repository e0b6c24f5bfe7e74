"""torch beside ONNX Runtime: `python -m tests.benchmarks.bench_runtime`.

The starter model and its export, a library of made-up clips, `earmark serve` on each; load goes to
one and the other by turns. Prints a table and judges nothing: on a busy machine the ratios of
rounds side by side, their median and quartiles, say most. Memory is that of all processes of a
server, in which shared pages count once.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psutil
import uvloop

from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import starter_model
from earmark.model.onnx_export.export import export
from tests.benchmarks.bench_load import new_searches
from tests.benchmarks.bench_service import fill
from tests.benchmarks.load import Request, closed
from tests.model import tiny
from tests.service import sounds
from tests.service.http_connection import upload
from tests.service.server_process import Server, serving

Figures = dict[str, dict[str, list[float]]]  # what → name of the model → a value for each round
MODELS = ("torch", "onnx")
AT_ONCE = 8


def memory(pid: int) -> float:
    """Of a process and its children, in megabytes."""
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return sum(each.memory_full_info().pss for each in family) / 1e6


def loads() -> dict[str, Request]:
    """What is asked for, by name."""
    sound = upload("/v1/tags", sounds.encoded(tiny.noise(10.0, 44_100), 44_100))
    return {"searches a second": new_searches(), "uploads of 10 s a second": lambda: sound}


def measure(models: dict[str, Path], folder: Path, rounds: int, seconds: float) -> Figures:
    """Both servers at once, of which one at a time has work."""
    figures: Figures = defaultdict(lambda: defaultdict(list))
    with ExitStack() as stack:
        servers: dict[str, Server] = {}
        for name, model in models.items():
            begun = time.perf_counter()
            arguments = ("--library", folder / "library", "--model", model)
            servers[name] = stack.enter_context(
                serving(folder / name, *arguments, anew=True, OMP_NUM_THREADS="")
            )
            figures["start to first answer, s"][name].append(time.perf_counter() - begun)
            figures["memory after start, MB"][name].append(memory(servers[name].process.pid))
        for what, request in loads().items():
            for number in range(rounds + 1):
                for name in MODELS[:: 1 if number % 2 == 0 else -1]:
                    outcome = uvloop.run(closed(servers[name].port, request, AT_ONCE, seconds))
                    assert set(outcome.counts) == {"200"}, outcome.counts
                    if number:  # the first is to warm up
                        figures[what][name].append(outcome.rate())
        for name, server in servers.items():
            figures["memory after load, MB"][name].append(memory(server.process.pid))
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {options.clips} clips")
    with tempfile.TemporaryDirectory(prefix="earmark-bench-") as temporary:
        folder = Path(temporary)
        export(starter_model(), folder / "export")
        models = {"torch": starter_model(), "onnx": folder / "export"}
        fill(folder / "library", load_embedder(models["onnx"]), options.clips)
        figures = measure(models, folder, options.rounds, options.seconds)
    print(f"\n{'medians':26} {'torch':>8} {'onnx':>8} {'onnx / torch, by round':>26}")
    for what, found in figures.items():
        torch, onnx = (np.array(found[name]) for name in MODELS)
        low, middle, high = np.percentile(onnx / torch, [25, 50, 75])
        print(
            f"{what:26} {np.median(torch):8.2f} {np.median(onnx):8.2f} "
            f"{middle:8.2f} ({low:.2f} to {high:.2f})"
        )


if __name__ == "__main__":
    main()
