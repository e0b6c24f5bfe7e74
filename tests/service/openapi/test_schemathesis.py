"""The service keeps all that its OpenAPI document promises: schemathesis with all of its checks.

EARMARK_EXAMPLES: how many random examples a call gets in each phase; a few by default.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from earmark.index.ingest import bulk
from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from earmark.service.auth.api_keys import KeyFile
from tests.conftest import ROOT
from tests.service.server_process import Server, serving

HERE = Path(__file__).parent
EXAMPLES = int(os.environ.get("EARMARK_EXAMPLES", "2"))


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "keys"


@pytest.fixture(scope="module")
def secret(key_file: Path) -> str:
    return KeyFile(key_file).add("schemathesis", "write")


@pytest.fixture(scope="module")
def keyed(
    tmp_path_factory: pytest.TempPathFactory,
    model_folder: Path,
    sounds: Path,
    key_file: Path,
    secret: str,
) -> Iterator[Server]:
    """A server of a library to be changed, that wants a key for it."""
    folder = tmp_path_factory.mktemp("schemathesis")
    with Library.open(folder / "library", load_embedder(model_folder), create=True) as library:
        bulk.add(library, [sounds / "dog.wav", sounds / "rain.wav"])
    settings = {
        "EARMARK_KEYS": str(key_file),
        "EARMARK_REQUIRE_KEY": "always",
        **dict.fromkeys(
            ("EARMARK_RATE_UPLOADS", "EARMARK_RATE_SEARCHES", "EARMARK_RATE_WRITES"), ""
        ),
    }
    arguments = ("--library", folder / "library", "--model", model_folder)
    log = folder / "log"
    with serving(log, *arguments, **settings) as server:
        yield server
        assert server.stop() == 0
        assert "Traceback" not in log.read_text()


@pytest.mark.timeout(120 + 10 * EXAMPLES)
def test_all_that_the_document_promises(keyed: Server, secret: str, tmp_path: Path) -> None:
    command = [
        sys.executable,
        *("-m", "schemathesis.cli", "--config-file", HERE / "schemathesis.toml", "run"),
        f"http://127.0.0.1:{keyed.port}/openapi.json",
        *("--max-examples", EXAMPLES, "--seed", 1, "--no-color"),
        *("--generation-database", "none"),
    ]
    environment = os.environ | {
        "EARMARK_KEY": secret,
        "EARMARK_HOOKS": "tests.service.openapi.schemathesis_hooks",
        "PYTHONPATH": str(ROOT),
    }
    ran = subprocess.run(
        [*map(str, command)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    print(ran.stdout)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
