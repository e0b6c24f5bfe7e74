"""The service under load: `python -m tests.benchmarks.bench_load search|uploads|overload|soak`.

The starter model and a server as `earmark serve` starts it. `search`: by words in a library of
10,000 clips, every query different; as fast as it can (by `wrk` where there is one), then a quarter
of that in an open loop, and a plain route beside it. The others send uploads of 10 s of ogg to
/v1/tags beside the demo library. `uploads`: beside the bare path and other servers. `overload`:
five times what it can do, with its probe watched; with `--work`, every other request works with
the library: facets, collections, review, taught sounds, edits. `soak`: half of what it can do, for
long. Prints and judges nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import torch
import uvloop

from earmark.index.catalogue.embedded_sound import SourceFile
from earmark.index.ingest import local
from earmark.model.embedder import Embedder
from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import starter_model
from earmark.model.tagging import suggest
from tests.benchmarks.bench_service import WORDS, fill
from tests.benchmarks.load import Outcome, Request, ask, closed, opened
from tests.benchmarks.rivals import rival
from tests.model import tiny
from tests.service import sounds
from tests.service.http_connection import Wire, get, upload
from tests.service.server_process import serving

AT_ONCE = 32
TIMES_OVER = 5
PROBE_EVERY = 0.05  # seconds
KINDS = 16  # different sounds
# No connection of an open loop may end between two requests by having been idle: whoever sends at
# that very moment gets no answer, as ever with HTTP/1.1.
IDLE = {"EARMARK_KEEP_ALIVE_SECONDS": "3600"}


def made() -> list[bytes]:
    """Uploads: 10 s each, ogg, 44.1 kHz."""
    return [
        sounds.encoded(tiny.noise(10.0, 44_100, seed), 44_100, format="OGG", subtype="VORBIS")
        for seed in range(KINDS)
    ]


def requests(files: list[bytes]) -> Request:
    """One upload after another."""
    ready = [upload("/v1/tags", file) for file in files]
    numbers = np.random.default_rng(0)
    return lambda: ready[numbers.integers(len(ready))]


def at_work(port: int, files: list[bytes]) -> Request:
    """Uploads, and after each a call that works with the library, in turn."""
    address = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=address, timeout=60) as client:
        clips = client.get("/v1/clips", params={"k": 10}).json()["clips"]
        taught = client.post("/v1/classifiers", json={"name": "rain"}).json()["id"]
        labels = [{"clip": clip["id"], "is": place < 5} for place, clip in enumerate(clips)]
        client.post(f"/v1/classifiers/{taught}/labels", json={"labels": labels})
        client.post("/v1/suggestions")
        ids = [clip["id"] for clip in clips]
        client.patch("/v1/collections/favourites/clips", json={"add": ids})
    numbers = itertools.count()
    work = itertools.cycle(
        [
            lambda: get(f"/v1/facets?q=rain+x{next(numbers)}"),
            lambda: get(f"/v1/facets?max_duration={1 + next(numbers) / 1000}"),
            lambda: get("/v1/collections/favourites/clips"),
            lambda: get("/v1/suggestions?suggested=rain"),
            lambda: get(f"/v1/classifiers/{taught}/hits"),
            lambda: get(f"/v1/classifiers/{taught}/ask"),
            lambda: send("PATCH", "/v1/clips", {"ids": ids, "set": {"author": f"{next(numbers)}"}}),
            lambda: send(
                "PATCH", "/v1/collections/favourites/clips", {"move": [ids[next(numbers) % 10]]}
            ),
        ]
    )
    upload_one, turn = requests(files), itertools.cycle((True, False))
    return lambda: upload_one() if next(turn) else next(work)()


def send(method: str, path: str, body: object) -> bytes:
    """A request with a JSON body."""
    data = json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head.encode() + f"Content-Length: {len(data)}\r\n\r\n".encode() + data


def line(what: str, rate: float, *times: float) -> None:
    """One line of the table."""
    print(f"{what:46} {rate:8.1f} " + " ".join(f"{each:8.1f}" for each in times), flush=True)


def print_outcome(what: str, outcome: Outcome) -> None:
    """An outcome as a line, and what was not a good answer."""
    line(what, outcome.rate(), *(outcome.at(percent) for percent in (50, 95, 99)))
    others = {status: count for status, count in outcome.counts.items() if status != "200"}
    if others:
        print(f"  other answers: {others}")


# Searches

CLIPS = 10_000
WRK = """
local words = {%s}
local number = 0
request = function()
  number = number + 1
  local function word() return words[math.random(#words)] end
  local query = word() .. "+" .. word() .. "+" .. word() .. "+x" .. number
  return wrk.format("GET", "/v1/search?q=" .. query)
end
"""


def new_searches() -> Request:
    """One search after another, each of three words that are known and one that is not."""
    generator, numbers = np.random.default_rng(0), itertools.count()
    return lambda: get(f"/v1/search?q={'+'.join(generator.choice(WORDS, 3))}+x{next(numbers)}")


def by_wrk(port: int, at_once: int, seconds: float, folder: Path) -> float:
    """Searches a second, as many at once."""
    script = folder / "search.lua"
    script.write_text(WRK % ", ".join(f'"{word}"' for word in WORDS))
    command = ["wrk", "-t1", f"-c{at_once}", f"-d{seconds:.0f}s", "--latency", "-s", str(script),
               f"http://127.0.0.1:{port}"]  # fmt: skip
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    assert rate is not None, printed
    assert "Non-2xx" not in printed, printed
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    times = dict(re.findall(r"(50|99)%\s+([\d.]+(?:us|ms|s))", printed))
    own = [re.fullmatch(r"([\d.]+)(\w+)", times[each]) for each in ("50", "99")]
    line(f"wrk, {at_once} at once", float(rate[1]),
         *(float(each[1]) * unit[each[2]] for each in own if each))  # fmt: skip
    return float(rate[1])


def search(seconds: float, folder: Path) -> None:
    """Bar 1: as many as it can beside a plain route, and how long they take at a quarter."""
    fill(folder / "library", load_embedder(starter_model()), CLIPS)
    request = new_searches()
    arguments = ("--library", folder / "library")
    with serving(folder / "log", *arguments, anew=True, OMP_NUM_THREADS="") as server:
        uvloop.run(closed(server.port, request, AT_ONCE, 5))  # takes the clips into memory
        print(f"{'':46} {'a second':>8} {'p50 ms':>8} {'p99':>8}")
        rate = best_rate(server.port, request, seconds, folder)
        outcome = uvloop.run(opened(server.port, request, rate / 4, 2 * seconds))
        line("open loop, a quarter of the best", outcome.rate(), outcome.at(50), outcome.at(99))
        print(f"  {dict(outcome.counts)}; {state(psutil.Process(server.process.pid))}")
    print("a plain route and a flat index:")
    with rival("plain") as port:
        plain = best_rate(port, request, seconds, folder)
    print(f"  {rate / plain:.1f} times the plain route")


def best_rate(port: int, request: Request, seconds: float, folder: Path) -> float:
    """Searches a second, with the number at once that is best."""
    rate = 0.0
    for at_once in (1, 16, 32, 64, 128):
        if shutil.which("wrk"):
            rate = max(rate, by_wrk(port, at_once, seconds, folder))
        else:
            outcome = uvloop.run(closed(port, request, at_once, seconds))
            rate = max(rate, outcome.rate())
            line(f"{at_once} at once", outcome.rate(), outcome.at(50), outcome.at(99))
    return rate


# The bare path


def bare_one(embedder: Embedder, files: list[bytes], seconds: float) -> list[float]:
    """Milliseconds of decoding, encoding and suggesting, one after another."""
    times: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        begun = time.perf_counter()
        suggest(embedder, embedder.embed_audio(files[len(times) % len(files)]), 10)
        times.append(1000 * (time.perf_counter() - begun))
    return times


def bare_all(embedder: Embedder, files: list[bytes], seconds: float, folder: Path) -> float:
    """Sounds a second by the bulk pipeline on all cores, without any HTTP."""
    for number, file in enumerate(files):
        (folder / f"{number}.ogg").write_bytes(file)
    begun = time.perf_counter()
    warm = begun + 2

    def origins() -> Iterator[SourceFile]:
        number = 0
        while time.perf_counter() < warm + seconds:
            yield SourceFile(folder / f"{number % len(files)}.ogg")
            number += 1

    count = 0
    for lot in local.embed(embedder, origins()):
        assert not lot.failed, lot.failed
        count += len(lot) if time.perf_counter() > warm else 0
    return count / (time.perf_counter() - warm)


# The other servers


def measured(name: str, port: int, request: Request, seconds: float) -> tuple[Outcome, Outcome]:
    """One at a time, and many at once."""
    uvloop.run(closed(port, request, 4, 2))
    one = uvloop.run(closed(port, request, 1, seconds))
    print_outcome(f"{name}, 1 in flight", one)
    many = uvloop.run(closed(port, request, AT_ONCE, seconds))
    print_outcome(f"{name}, {AT_ONCE} in flight", many)
    return one, many


def uploads(seconds: float, folder: Path) -> None:
    """Bar 2: beside the bare path and others, in the same run."""
    torch.set_num_threads(1)  # as the server has it
    files, embedder = made(), load_embedder(starter_model())
    request = requests(files)
    bare_one(embedder, files, 1)
    print(f"{'':46} {'a second':>8} {'p50 ms':>8} {'p95':>8} {'p99':>8}")
    times = bare_one(embedder, files, seconds)
    line("decode and encoder alone, one by one", 1000 / np.mean(times),
         *np.percentile(times, [50, 95, 99]))  # fmt: skip
    rate = bare_all(embedder, files, seconds, folder)
    line("decode and encoder alone, all cores", rate)
    with serving(folder / "log", anew=True, OMP_NUM_THREADS="") as server:
        one, many = measured("earmark", server.port, request, seconds)
    print(f"  {one.at(50) / np.median(times):.2f} times the bare path; with {AT_ONCE} in flight "
          f"{100 * many.rate() / rate:.0f} % of its throughput")  # fmt: skip
    for which in ("plain", "litserve"):
        if which == "litserve" and importlib.util.find_spec("litserve") is None:
            print("litserve: not installed (pip install earmark[bench]): left out")
            continue
        with rival(which) as port:
            measured(which, port, request, seconds)


# Overload and soak


async def probing(port: int, done: asyncio.Event) -> Outcome:
    """/healthz, watched until then."""
    outcome, wire, begun = Outcome(), Wire(port), time.perf_counter()
    while not done.is_set():
        await ask(wire, get("/healthz"), time.perf_counter(), outcome)
        await asyncio.sleep(PROBE_EVERY)
    outcome.seconds = time.perf_counter() - begun
    await wire.close()
    return outcome


def resident(process: psutil.Process) -> float:
    """Megabytes of it and of its processes; what they share counts for each."""
    return (
        sum(each.memory_info().rss for each in [process, *process.children(recursive=True)]) / 1e6
    )


def state(process: psutil.Process) -> str:
    """What could leak."""
    return (
        f"{process.memory_info().rss / 1e6:.0f} MB ({resident(process):.0f} with its processes), "
        f"{process.num_threads()} threads, {process.num_fds()} files, "
        f"{len(process.children(recursive=True))} processes"
    )


def overload(seconds: float, folder: Path, work: bool) -> None:
    """Bar 3: five times the capacity, then how soon all is well again."""
    files, arguments = made(), ()
    if work:  # not the user's own demo library
        fill(folder / "library", load_embedder(starter_model()), CLIPS)
        arguments = ("--library", folder / "library")
    with serving(folder / "log", *arguments, anew=True, OMP_NUM_THREADS="", **IDLE) as server:
        process = psutil.Process(server.process.pid)
        request = at_work(server.port, files) if work else requests(files)
        uvloop.run(closed(server.port, request, AT_ONCE, 3))
        before = uvloop.run(closed(server.port, request, AT_ONCE, 5))
        alone = uvloop.run(closed(server.port, request, 1, 3))
        print_outcome("capacity", before)
        print_outcome("one at a time", alone)
        print(f"before: {state(process)}")

        async def both() -> tuple[Outcome, Outcome]:
            done = asyncio.Event()
            probe = asyncio.ensure_future(probing(server.port, done))
            outcome = await opened(server.port, request, TIMES_OVER * before.rate(), seconds)
            done.set()
            return outcome, await probe

        outcome, probe = uvloop.run(both())
        ended = time.perf_counter()
        print(f"after:  {state(process)}")
        print_outcome(f"{TIMES_OVER} times that for {seconds:.0f} s", outcome)
        for status in sorted(outcome.times):
            line(f"  {status}", outcome.rate(status),
                 *(outcome.at(each, status) for each in (50, 95, 99)))  # fmt: skip
        print_outcome("/healthz meanwhile", probe)
        print(f"  at most {max(probe.times['200']):.1f} ms")
        while True:
            now = uvloop.run(closed(server.port, request, 1, 0.5))
            if set(now.counts) == {"200"} and now.at(50) < 1.5 * alone.at(50):
                break
        print(f"as before after {time.perf_counter() - ended:.1f} s; {state(process)}")


def soak(minutes: float, folder: Path) -> None:
    """Bar 6: half of the capacity, for long."""
    request = requests(made())
    with serving(folder / "log", anew=True, OMP_NUM_THREADS="", **IDLE) as server:
        process = psutil.Process(server.process.pid)
        uvloop.run(closed(server.port, request, AT_ONCE, 3))
        rate = uvloop.run(closed(server.port, request, AT_ONCE, 5)).rate() / 2
        print(f"{rate:.1f} uploads a second for {minutes:g} minutes")
        first, begun = 0.0, time.perf_counter()
        total = Outcome()
        while (gone := time.perf_counter() - begun) < 60 * minutes:
            part = uvloop.run(opened(server.port, request, rate, min(60, 60 * minutes - gone)))
            total.counts.update(part.counts)
            first = first or resident(process)
            print(f"{(time.perf_counter() - begun) / 60:5.1f} min: {state(process)}; "
                  f"p50 {part.at(50):.0f}, p99 {part.at(99):.0f} ms", flush=True)  # fmt: skip
        print(f"{dict(total.counts)}; memory {100 * (resident(process) / first - 1):+.1f} % "
              "since the first minute")  # fmt: skip


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["search", "uploads", "overload", "soak"])
    parser.add_argument("--seconds", type=float, help="search, uploads: 10 a figure; overload: 120")
    parser.add_argument("--work", action="store_true", help="overload: work with the library, too")
    parser.add_argument("--minutes", type=float, default=30.0, help="of soak")
    options = parser.parse_args()
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"{os.cpu_count()} cores, load {load}")
    with tempfile.TemporaryDirectory(prefix="earmark-bench-") as temporary:
        folder = Path(temporary)
        if options.what == "search":
            search(options.seconds or 10.0, folder)
        elif options.what == "uploads":
            uploads(options.seconds or 10.0, folder)
        elif options.what == "overload":
            overload(options.seconds or 120.0, folder, options.work)
        else:
            soak(options.minutes, folder)


if __name__ == "__main__":
    main()
