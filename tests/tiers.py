"""Which tests `make test` leaves to `make test-all`, and which skips CI accepts.

A test's tier comes from the fixtures that it uses, or from a marker: `browser`, `container`,
`slow`. What has no tier is quick: `make test`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

TIERS = ("browser", "container", "slow")

# Fixture → the tier of all tests that use it, and why.
TIER_OF_FIXTURE = {
    "chromium": "browser",
    "_ray": "slow",  # starts Ray
    "milvus_uri": "slow",  # starts milvus-lite
    "milvus_file": "slow",
    "milvus_server": "slow",
    "keyed": "slow",  # schemathesis tries every route
    "attacked": "slow",  # hundreds of malformed requests
    "services": "slow",  # several server processes on one library
    "front": "slow",  # two servers behind HAProxy
}

ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.toml")


@dataclass(frozen=True)
class AllowedSkip:
    """Tests (a pattern of ids) that may be skipped in CI with a message that starts so."""

    tests: str
    message: str
    why: str

    def allows(self, test: str, message: str) -> bool:
        """Whether it covers this test's skip."""
        return fnmatchcase(test, self.tests) and message.startswith(self.message)


def read_allowed_skips(file: Path = ALLOWED_SKIPS) -> list[AllowedSkip]:
    """The list of skips that CI accepts."""
    entries = tomllib.loads(file.read_text(encoding="utf-8"))["skip"]
    return [AllowedSkip(**entry) for entry in entries]


def add_tiers(items: Iterable[pytest.Item]) -> None:
    """Mark each test with the tiers of its fixtures."""
    for item in items:
        for name in getattr(item, "fixturenames", ()):
            if name in TIER_OF_FIXTURE:
                item.add_marker(TIER_OF_FIXTURE[name])


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI (`CI=true`), let a skip that no entry allows be a failure."""
    if not report.skipped or hasattr(report, "wasxfail") or os.environ.get("CI") != "true":
        return
    message = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    message = message.removeprefix("Skipped: ")
    if not any(entry.allows(report.nodeid, message) for entry in read_allowed_skips()):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, and not in {ALLOWED_SKIPS.name}: {message}"
