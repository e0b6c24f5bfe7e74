"""The thread that computes suggestions: it goes on whatever happens to it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from earmark.index.curation import suggestions
from earmark.index.curation.suggestions import Suggesting
from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from earmark.service.workers import suggestions as module
from earmark.service.workers.suggestions import SuggestionWorker
from tests.service.raw_connection import until


def test_it_goes_on_after_a_fault_and_tells_of_it_once(
    tmp_path: Path,
    model_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    faults, is_due = [MemoryError("short"), MemoryError("short")], Suggesting.is_due

    def looked(suggesting: Suggesting) -> bool:
        if faults:
            raise faults.pop()
        return is_due(suggesting)

    monkeypatch.setattr(Suggesting, "is_due", looked)
    embedder = load_embedder(model_folder)
    with (
        Library.open(tmp_path / "library", embedder, create=True) as library,
        closing(SuggestionWorker(library)) as worker,
    ):
        with library.catalogue.write():
            pass  # another generation is work to do
        worker.ask()
        until(lambda: suggestions.progress(library.catalogue).state == "ready")
    assert [record.exc_info is not None for record in caplog.records] == [True]
