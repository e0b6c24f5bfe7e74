"""What keeps Ray from being used is said in one line, before there is a library."""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path

import psutil
import pytest

from earmark.index.errors import EngineError
from earmark.index.ingest.ray.connection import MAX_ATTEMPTS, connected
from earmark.model.core.errors import InputError
from earmark.service.cli.main import main
from tests.index import made
from tests.processes import children


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--engine", "ray", "--watch"], "--watch: expected --engine local"),
        (["--engine", "ray", "--actors", "0"], "actors: expected at least 1, got 0"),
        (["--actors", "2"], "expected only with --engine ray"),
        (["--parts", "p"], "expected only with --engine ray"),
        (["--ray-address", "auto"], "expected only with --engine ray"),
    ],
)
def test_options_that_do_not_fit(
    options: list[str], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [file] = made.write_sounds(tmp_path, 1)
    folder = tmp_path / "library"
    assert main(["add", str(file), "--library", str(folder), *options]) == 2
    assert problem in capsys.readouterr().err
    assert not folder.exists()


@pytest.mark.parametrize(
    ("address", "kind", "problem"),
    [
        ("nonsense", InputError, "expected HOST:PORT, auto or local, got 'nonsense'"),
        ("ray://127.0.0.1:10001", InputError, "expected HOST:PORT"),
        ("127.0.0.1:1", EngineError, r"ray at 127.0.0.1:1: cannot be reached \(.*refused"),
        ("127.0.0.1:99999", EngineError, "cannot be reached"),
    ],
)
def test_addresses_where_no_cluster_is(address: str, kind: type[Exception], problem: str) -> None:
    with pytest.raises(kind, match=problem), connected(address, None):
        pass


def test_the_missing_package_is_named(tmp_path: Path) -> None:
    [file] = made.write_sounds(tmp_path, 1)
    command = ["add", str(file), "--library", str(tmp_path / "library"), "--engine", "ray"]
    program = (
        "import sys; sys.modules['ray'] = None; from earmark.service.cli.main import main; "
        f"sys.exit(main({command!r}))"
    )
    assert made.run_program(program) == (
        2,
        "earmark add: engine ray: the package ray is missing: pip install 'earmark[ray]'\n",
    )
    assert not (tmp_path / "library").exists()


def servers() -> list[psutil.Process]:
    """The heads of clusters that this process has started and that run."""
    return children("gcs_server")


@pytest.mark.slow
def test_a_ray_that_does_not_come_up_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setenv("RAY_gcs_server_port_wait_time_s", "3")
    killed: list[int] = []

    def kill_the_first() -> None:
        until = time.monotonic() + 240
        while not killed and time.monotonic() < until:
            for each in servers():
                each.kill()
                killed.append(each.pid)
            time.sleep(0.001)
        time.sleep(1.5)  # the first start waits in vain by now; the next may take its time
        monkeypatch.setenv("RAY_gcs_server_port_wait_time_s", "60")

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    with connected("local", 1):
        assert ray.is_initialized()
        assert [each.pid for each in servers()] != killed
    killer.join()
    assert len(killed) == 1
    assert servers() == []


def test_a_ray_that_never_comes_up_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setenv("RAY_gcs_server_port_wait_time_s", "0")
    problem = f"ray at local: Timed out .*, {MAX_ATTEMPTS} times"
    with pytest.raises(EngineError, match=problem), connected("local", 1):
        pass
    assert not ray.is_initialized()
    assert servers() == []
    gc.collect()  # a process that nobody waited for would warn now
