"""Fixtures of the service's tests: a tiny model, a small library, a real server over both."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from earmark.index.ingest import bulk
from earmark.index.library import Library
from earmark.model import checkpoint
from earmark.model.encoders.load import load_embedder
from earmark.service.observability.logs import StandardError
from tests.index import made
from tests.model import tiny
from tests.service.observability.collector import Collector, collecting
from tests.service.server_process import Server, serving
from tests.service.ui.fixtures import (  # noqa: F401 (fixtures)
    chromium,
    long_sound,
    page,
    page_address,
    page_library,
    visit,
)

MANIFEST = (
    ("dog.wav", "Dog barking in a yard", "dog bark"),
    ("rain.wav", "Rain on a metal roof", "rain metal"),
    ("car.wav", "Car engine", "car engine"),
    ("bell.wav", "Church bell", "bell church"),
    ("gone.wav", "A file that goes away", "glass"),
    ("long.wav", "Waves for a long time", "wave sea"),
)
ODD_ID = "bell/../№ 1?#%2F&+"  # of bell.wav
# Of the tiny model's cosines, 0.42 to 0.51 with "dog" and 0.68 to 1 of its sounds, these make some
# sure, some maybe, some unlikely.
SAME = {"standard": 0, "size": 0, "clips": [50, 1_000]}
CURVES = {
    "words": {**SAME, "cosine": 60, "intercept": -33, "words": [8.5, 0, 0, 0]},
    "sounds": {**SAME, "cosine": 30, "intercept": -29.5, "words": [0, 0, 0, 0]},
}


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, saved."""
    return made.save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def judging_model(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Path:
    """The tiny model with a card that states how probable hits are."""
    folder = tmp_path_factory.mktemp("judging-model")
    card = checkpoint.load(model_folder).card
    checkpoint.replace_card(model_folder, {**card, "relevance": CURVES}, folder)
    return folder


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another tiny model, saved."""
    return made.save_model(tmp_path_factory.mktemp("other-model"), seed=1)


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of six sounds with their manifest."""
    folder = tmp_path_factory.mktemp("sounds")
    lines = ["path,title,tags,author,source,licence,id,description"]
    for number, (name, title, tags) in enumerate(MANIFEST):
        seconds = 14.0 if name == "long.wav" else 1.0
        soundfile.write(folder / name, tiny.noise(seconds, seed=number), tiny.RATE)
        extra = f"{ODD_ID},Heard at noon" if name == "bell.wav" else ","
        lines.append(f"{name},{title},{tags},Ann,Field tapes,CC0-1.0,{extra}")
    (folder / "manifest.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="session")
def library_folder(
    tmp_path_factory: pytest.TempPathFactory, model_folder: Path, sounds: Path
) -> Path:
    """The library of those sounds, without the file of one of them."""
    folder = tmp_path_factory.mktemp("library")
    with Library.open(folder, load_embedder(model_folder), create=True) as library:
        report = bulk.add(library, [sounds / "manifest.csv"])
        assert (len(report.added), report.failed) == (len(MANIFEST), {})
    (sounds / "gone.wav").unlink()
    return folder


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, model_folder: Path, library_folder: Path
) -> Iterator[Server]:
    """A server of that library, shared by all tests that do not write to it."""
    log = tmp_path_factory.mktemp("server") / "log"
    arguments = ("--library", library_folder, "--model", model_folder)
    with serving(log, *arguments, anew=True) as server:
        yield server
        assert "Traceback" not in log.read_text()


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """The collector that the traced server sends its spans to."""
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="session")
def traced(
    tmp_path_factory: pytest.TempPathFactory,
    model_folder: Path,
    library_folder: Path,
    collector: Collector,
) -> Iterator[Server]:
    """A server with traces, recall of every search, and its log from debug on."""
    log = tmp_path_factory.mktemp("traced") / "log"
    settings = {
        "EARMARK_TRACES": collector.address,
        "EARMARK_RECALL_SAMPLE": "1",
        "EARMARK_LOG_LEVEL": "debug",
        "OTEL_BSP_SCHEDULE_DELAY": "50",  # milliseconds
    }
    arguments = ("--library", library_folder, "--model", model_folder)
    with serving(log, *arguments, **settings) as server:
        yield server
        assert server.stop() == 0
        assert "Traceback" not in log.read_text()


@pytest.fixture(scope="session")
def writable_folder(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Path:
    """A library, empty at first, in a folder of its own."""
    folder = tmp_path_factory.mktemp("writable") / "library"
    Library.open(folder, load_embedder(model_folder), create=True).close()
    return folder


@pytest.fixture(scope="session")
def writable(
    tmp_path_factory: pytest.TempPathFactory, model_folder: Path, writable_folder: Path
) -> Iterator[Server]:
    """A server of the writable library."""
    log = tmp_path_factory.mktemp("writable-server") / "log"
    with serving(log, "--library", writable_folder, "--model", model_folder) as server:
        yield server
        assert server.stop() == 0
        assert "Traceback" not in log.read_text()


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Takes back what `earmark serve`, run in this process, does to all loggers."""
    root = logging.getLogger()
    level = root.level
    yield
    for handler in [handler for handler in root.handlers if isinstance(handler, StandardError)]:
        root.removeHandler(handler)
        root.setLevel(level)
        logging.captureWarnings(capture=False)
