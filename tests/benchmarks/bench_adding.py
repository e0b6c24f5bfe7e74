"""Bulk adding beside decode and encoder alone: `python -m tests.benchmarks.bench_adding DATA [N]`.

DATA: a folder with a manifest; N: its first clips only. Prints, in one run: clips per second of
reading and embedding alone (one process a core, each with the model, nothing kept) and of
`ingest.add`, in turn, twice; the memory of adding, all its processes, from the 1,000th clip on;
and whether a library that was interrupted five times is the one made in one go.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

import psutil

from earmark.index.catalogue.catalogue import Catalogue
from earmark.model.core.manifest import read_manifest

ROOT = Path(__file__).resolve().parents[2]


def embed_alone(files: list[Path]) -> None:
    """What one core does in the bare run."""
    import torch

    from earmark.model.encoders.load import load_embedder
    from earmark.model.model_files import starter_model

    torch.set_num_threads(1)
    embedder = load_embedder(starter_model())
    embedder.embed_audio(files[0])
    ready.wait()
    for file in files:
        embedder.embed_audio(file)


def initialise(barrier: object) -> None:
    global ready  # noqa: PLW0603 (one a process)
    ready = barrier


def bare(files: list[Path]) -> float:
    """Clips per second of one process a core, from when all have loaded the model."""
    cores = os.cpu_count() or 1
    # Teams of threads in each process would fight for the cores.
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(cores + 1)
    parts = [files[core::cores] for core in range(cores)]
    with context.Pool(cores, initialise, (barrier,)) as pool:
        done = pool.map_async(embed_alone, parts, chunksize=1)
        barrier.wait()
        begun = time.perf_counter()
        done.get()
        return len(files) / (time.perf_counter() - begun)


def command(manifest: Path, library: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "earmark.service.cli.main"),
        *("add", str(manifest), "--library", str(library)),
    ]


def clips_in(library: Path) -> int:
    if not (library / "catalogue.sqlite").exists():
        return 0
    with closing(Catalogue.open_or_create(library, "", 0)) as catalogue:
        return catalogue.count()


def add(manifest: Path, library: Path) -> tuple[float, list[tuple[int, float]]]:
    """(Clips per second from the first to the last, [(clips, megabytes of all processes)])."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.pop(name, None)  # as a user has it
    process = subprocess.Popen(command(manifest, library), cwd=ROOT, stderr=subprocess.DEVNULL)
    own = psutil.Process(process.pid)
    memory, times = [], []
    while process.poll() is None:
        time.sleep(0.5)
        count = clips_in(library)
        try:
            each = [own, *own.children(recursive=True)]
            size = sum(one.memory_full_info().uss for one in each) / 1e6
        except psutil.NoSuchProcess:
            continue
        if process.poll() is None:
            memory.append((count, size))
        if count:
            times.append((time.perf_counter(), count))
    (first, before), (last, after) = times[0], max(times, key=lambda each: each[1])
    last = next(when for when, count in times if count == after)
    return (after - before) / (last - first), memory


def content(library: Path) -> list[tuple[object, ...]]:
    """All that a library holds, but for numbers and times."""
    with closing(Catalogue.open(library)) as catalogue:
        found = []
        for clip in catalogue.clips():
            vector = catalogue.vector(clip.row)
            windows = catalogue.windows([clip.row]).get(clip.row)
            assert vector is not None
            sums = None if windows is None else (windows[0].tobytes(), windows[1].tobytes())
            found.append((clip.path, clip.metadata, clip.duration, vector.tobytes(), sums))
        return sorted(found, key=lambda each: str(each[0]))


def interrupted(manifest: Path, library: Path, times: int, seconds: float) -> None:
    """Add, stopped so many times at random (a shell's background work does not hear Ctrl-C)."""
    for _ in range(times):
        process = subprocess.Popen(command(manifest, library), cwd=ROOT, stderr=subprocess.DEVNULL)
        waking = threading.Timer(
            random.uniform(3, 3 + seconds / times), process.send_signal, [signal.SIGTERM]
        )
        waking.start()
        process.wait()
        waking.cancel()
        print(f"  interrupted (exit {process.returncode}) at {clips_in(library)} clips")
    subprocess.run(command(manifest, library), cwd=ROOT, stderr=subprocess.DEVNULL, check=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("clips", type=int, nargs="?")
    parser.add_argument("--turns", type=int, default=2)
    options = parser.parse_args()
    rows = read_manifest(options.data)[: options.clips]
    files = [row.path.resolve() for row in rows]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = folder / "manifest.csv"
        lines = [f'"{file}",{" ".join(row.tags)}' for file, row in zip(files, rows, strict=True)]
        manifest.write_text("path,tags\n" + "\n".join(lines) + "\n")
        for turn in range(options.turns):
            alone = bare(files)
            speed, memory = add(manifest, folder / f"library{turn}")
            print(
                f"{len(files)} clips: alone {alone:.1f}/s, added {speed:.1f}/s "
                f"({speed / alone:.0%})"
            )
            for share in (0.12, 0.5, 0.9):
                sizes = [size for count, size in memory if count >= share * len(files)]
                print(f"  memory at {share:.0%} of the clips: {sizes[0]:.0f} MB")
        interrupted(manifest, folder / "broken", 5, len(files) / speed)
        same = content(folder / "broken") == content(folder / "library0")
        print(f"interrupted five times: {'the same library' if same else 'ANOTHER LIBRARY'}")


if __name__ == "__main__":
    main()
