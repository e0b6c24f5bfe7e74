"""Hostile requests against a running server: what it answers, how long that takes, what stays.

`python -m tests.service.server.hostile 10000` sends so many uploads and queries, and prints what it
saw.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import starter_model
from tests.service.http_connection import Answer, ClosedError, Wire
from tests.service.server import hostile_requests, hostile_sounds
from tests.service.server_process import NEVER, Server, serving

AT_ONCE = 8
HANGS = 20.0  # seconds without an answer
HASTY = {  # so that what never ends, ends soon
    "EARMARK_HEAD_SECONDS": "1",
    "EARMARK_BODY_SECONDS": "1",
    "EARMARK_UPLOAD_SECONDS": "10",
}
FOREIGN = (  # texts of the libraries that read sounds and tags
    "libsndfile", "psf_", "Error opening", "Format not recognised", "Invalid data found", "FFmpeg",
    "avcodec", "avformat", "Errno", "mpg123", "lost sync", "mutagen", "wavinfo", "Error(", ".part",
)  # fmt: skip
ALLOWED = {504}  # of those over 499: what takes longer than it may


@dataclass
class Report:
    """What came back: statuses, the slowest, and what must not be."""

    seconds: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class State:
    """What a leak would let grow. Bytes of the server and of the processes that read for it."""

    memory: int
    reading: int
    threads: int
    files: int
    processes: int

    @classmethod
    def of(cls, server: Server) -> State:
        """As it is now."""
        process = psutil.Process(server.process.pid)
        children = process.children(recursive=True)
        return cls(
            process.memory_info().rss,
            sum(child.memory_info().rss for child in children),
            process.num_threads(),
            process.num_fds(),
            len(children),
        )


def wrong_with(answer: Answer) -> str:
    """What an answer must not be; empty where it is well."""
    if answer.status >= 500 and answer.status not in ALLOWED:
        return "a fault of the service"
    if (
        answer.status >= 400
        and answer.body
        and answer.header(b"content-type") != b"application/problem+json"
    ):
        return "no problem"
    text = answer.body.decode(errors="replace")
    leaks = [secret for secret in (*NEVER, *FOREIGN) if secret in text]
    return f"tells {leaks}" if leaks else ""


async def _one(port: int, number: int, data: bytes, report: Report) -> None:
    wire, begun = Wire(port), time.perf_counter()
    try:
        # Some say that nothing more comes, and leave by that; the others would wait.
        answer = await asyncio.wait_for(wire.ask(data, end=number % 8 == 7), HANGS)
        status, wrong = str(answer.status), wrong_with(answer)
    except ClosedError:
        status, wrong = "closed", ""
    except TimeoutError:
        status, wrong = "none", "no answer"
    except (ValueError, asyncio.LimitOverrunError) as error:
        status, wrong = "unreadable", repr(error)
    finally:
        await wire.close()
    took = time.perf_counter() - begun
    report.statuses[status] += 1
    report.slowest = max(report.slowest, (took, f"{number}: {status}, {data[:60]!r}"))
    if wrong:
        report.wrong.append(f"{number}: {status}: {wrong}: {data[:300]!r}")


def send(port: int, make: Callable[[int], bytes], numbers: range) -> Report:
    """Send them, some at once, and wait for all that comes."""
    report, waiting = Report(), iter(numbers)
    begun = time.perf_counter()

    async def client() -> None:
        for number in waiting:
            await _one(port, number, make(number), report)

    async def clients() -> None:
        await asyncio.gather(*(client() for _ in range(AT_ONCE)))

    asyncio.run(clients())
    report.seconds = time.perf_counter() - begun
    return report


def uploads(number: int) -> bytes:
    """The hostile upload of that number."""
    return hostile_requests.upload(number, hostile_sounds.made(number))


def queries(number: int) -> bytes:
    """The hostile query of that number."""
    return hostile_requests.query(number)


def leaves(port: int, numbers: range) -> None:
    """Clients that leave amid their uploads or before the answer."""

    async def one(number: int) -> None:
        seed = random.Random(number)
        data = uploads(number)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data[: seed.randrange(len(data)) if seed.random() < 0.5 else len(data)])
        await asyncio.sleep(seed.random() / 20)
        writer.transport.abort()
        del reader

    async def all_of_them() -> None:
        for number in numbers:
            await one(number)

    asyncio.run(all_of_them())


@contextlib.contextmanager
def victim(folder: Path, model: Path) -> Iterator[tuple[Server, Path]]:
    """A server of an empty library, and the folder of all that it may write."""
    home = folder / "home"
    (home / "temporary").mkdir(parents=True)
    Library.open(home / "library", load_embedder(model), create=True).close()
    settings = {**HASTY, "TMPDIR": str(home / "temporary"), "HOME": str(home)}
    arguments = ("--library", home / "library", "--model", model)
    with serving(folder / "log", *arguments, **settings) as server:
        yield server, home


def main(count: int) -> None:
    """Send so many of each, and print what came of it."""
    with tempfile.TemporaryDirectory(prefix="earmark-hostile-") as temporary:
        folder = Path(temporary)
        with victim(folder, starter_model()) as (server, _):
            for make in (uploads, queries):
                send(server.port, make, range(count // 10))
                before = State.of(server)
                report = send(server.port, make, range(count))
                print(f"{count} {make.__name__} in {report.seconds:.0f} s: {report.statuses}")
                print(f"slowest: {report.slowest}\nbefore {before}\nafter  {State.of(server)}")
                print(f"{len(report.wrong)} wrong", *report.wrong[:20], sep="\n", flush=True)
            stopped = server.stop()
            traces = (folder / "log").read_text().split("Traceback")[1:]
            print(f"stopped with {stopped}; {len(traces)} traces in the log")
            print(
                *Counter(trace.split('\n{"time"')[0][-600:] for trace in traces).most_common(5),
                sep="\n",
            )


if __name__ == "__main__":
    main(int(sys.argv[1]))
