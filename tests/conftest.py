"""Fixtures of all tests: the reference folder, the golden numbers, one seed for everything."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from tests import tiers

ROOT = Path(__file__).resolve().parent.parent


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tiers.add_tiers(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    tiers.refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    tiers.refuse_skip(report)
    return report


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tiny models gain nothing by threads, and lose much beside other busy processes."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _handlers_take_all() -> None:
    """pytest hangs its handlers on Ray Data's logger too, whose handlers adding by Ray silences."""
    for handler in logging.getLogger().handlers:
        handler.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference files; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("EARMARK_SHARED") or ROOT.parent / "shared")
    if not (folder / "reference").is_dir():
        pytest.skip(f"no reference files: {folder}/reference is absent (set EARMARK_SHARED)")
    return folder


@pytest.fixture(scope="session")
def teachers(shared: Path) -> Path:
    """The folder of EfficientAT's file and of numbers of its outputs."""
    folder = shared / "teachers"
    if not folder.is_dir():
        pytest.skip(f"no reference files: {folder} is absent (set EARMARK_SHARED)")
    return folder


@pytest.fixture(scope="session")
def golden() -> Mapping[str, np.ndarray]:
    """Numbers of the authors' modules (METHOD §7)."""
    with np.load(ROOT / "tests" / "fixtures" / "golden.npz") as data:
        return dict(data)
