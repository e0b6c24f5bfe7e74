"""Uploads and queries that were made to hurt: none breaks, holds up, fills or leaves the service.

A few hundred of each by default, EARMARK_HOSTILE=10000 for as many.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.service import sounds
from tests.service.library_edits import tree
from tests.service.raw_connection import until
from tests.service.server import hostile
from tests.service.server.hostile import State, victim
from tests.service.server_process import Server

COUNT = int(os.environ.get("EARMARK_HOSTILE", "300"))
WARM = 120  # requests after which all that is loaded late is there
THREADS = 45  # that come and go with the work: pools grow to so many
GROWN = 60e6  # bytes in all
JOBS_SECONDS = 120  # in which the jobs that were taken are over
KEPT = ("library/uploads/", "library/feedback/", "library/vectors")

Attacked = tuple[Server, Path]


def no_jobs(home: Path) -> bool:
    """Whether no sound of a job is on disk any more."""
    return not any((home / "library/jobs").glob("*"))


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Iterator[Attacked]:
    """A server that is to be attacked, and the folder of all that it may write.

    It has taken uploads and jobs already: files and connections that come with the first are there,
    whichever test this worker begins with.
    """
    folder = tmp_path_factory.mktemp("attacked")
    with victim(folder, model_folder) as (server, home):
        hostile.send(server.port, hostile.uploads, range(WARM))
        assert server.upload(sounds.noise(0.3), "/v1/clips").status_code == 201
        yield server, home
        assert server.stop() == 0
        assert "Traceback" not in (folder / "log").read_text()


@pytest.mark.parametrize("make", [hostile.uploads, hostile.queries])
@pytest.mark.timeout(3_600)
def test_nothing_breaks_hangs_or_leaks(attacked: Attacked, make: Callable[[int], bytes]) -> None:
    server, home = attacked
    hostile.send(server.port, make, range(WARM))
    until(lambda: no_jobs(home), JOBS_SECONDS)
    before, files = State.of(server), tree(home / "library")
    report = hostile.send(server.port, make, range(WARM, WARM + COUNT))
    assert not report.wrong, "\n".join(report.wrong[:10])
    assert sum(report.statuses.values()) == COUNT
    assert {"200", "400", "422"} <= set(report.statuses)  # it did reach what it was made for
    until(lambda: server.client.get("/v1/jobs/x").status_code == 404)
    until(lambda: no_jobs(home), JOBS_SECONDS)
    after = State.of(server)
    # A reader that has come since has memory of its own; how many may come is asked below.
    come = max(0, after.processes - before.processes)
    allowed = GROWN + come * before.reading / max(1, before.processes)
    assert after.memory + after.reading < before.memory + before.reading + allowed, (before, after)
    assert after.threads <= before.threads + THREADS, (before, after)
    assert after.files <= before.files + 2 * hostile.AT_ONCE, (before, after)
    assert after.processes <= before.processes + 2, (before, after)
    stray = {file for file in tree(home / "library") - files if not file.startswith(KEPT)}
    assert not stray
    assert server.upload(sounds.noise(0.3)).status_code == 200
    assert server.client.get("/v1/search?q=dog").status_code == 200


def test_what_is_kept_has_names_of_our_own(attacked: Attacked) -> None:
    server, home = attacked
    until(lambda: not server.client.get("/metrics").text.count("earmark_uploads_working 1"))
    total = server.client.get("/v1/clips?k=1").json()["total"]
    until(lambda: len(list((home / "library/uploads").glob("*.*"))) >= total)
    for file in (home / "library/uploads").iterdir():
        assert file.name.replace(".", "", 1).isalnum() or file.name.startswith("."), file
    assert not [file for file in (home / "temporary").iterdir() if file.is_file()]


def test_clients_that_leave_at_any_time_leave_nothing(attacked: Attacked) -> None:
    server, home = attacked
    before = State.of(server)
    hostile.leaves(server.port, range(100))
    until(lambda: State.of(server).files <= before.files + 4)
    assert server.upload(sounds.noise(0.3)).status_code == 200  # and no trace is in the log
    assert not [file for file in (home / "temporary").iterdir() if file.is_file()]
