"""Tiers come from fixtures and markers; in CI a skip is a failure unless it is allowed."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT
from tests.tiers import ALLOWED_SKIPS, TIER_OF_FIXTURE, TIERS, read_allowed_skips

pytest_plugins = ["pytester"]

CONFTEST = """
import pytest
from tests.conftest import (
    pytest_collection_modifyitems, pytest_make_collect_report, pytest_runtest_makereport,
)

@pytest.fixture
def chromium():
    pass
"""
TESTS = """
import pytest

def test_quick():
    pass

def test_page(chromium):
    pass

@pytest.fixture
def page(chromium):
    pass

def test_by_way_of_another_fixture(page):
    pass

@pytest.mark.skipif(True, reason="needs a GPU")
def test_on_a_gpu():
    pass

def test_without_a_tool():
    pytest.skip("no tool")

@pytest.mark.xfail(reason="known", strict=True)
def test_known_fault():
    assert False
"""


def outcomes(pytester: pytest.Pytester, *arguments: str) -> dict[str, int]:
    """Outcome → how many of those tests have it."""
    pytester.makeconftest(CONFTEST)
    pytester.makeini("[pytest]\nmarkers =\n" + "".join(f"  {tier}: t\n" for tier in TIERS))
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)
    return result.parseoutcomes()


@pytest.fixture(autouse=True)
def _not_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)


def test_the_tier_comes_from_the_fixtures(pytester: pytest.Pytester) -> None:
    assert outcomes(pytester, "-m", "browser") == {"passed": 2, "deselected": 4}


def test_elsewhere_a_skip_is_a_skip(pytester: pytest.Pytester) -> None:
    assert outcomes(pytester) == {"passed": 3, "skipped": 2, "xfailed": 1}


def test_in_ci_a_skip_fails_unless_it_is_allowed(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    assert outcomes(pytester) == {"passed": 3, "skipped": 1, "failed": 1, "xfailed": 1}
    monkeypatch.setenv("PYTEST_ADDOPTS", "--runxfail")
    pytester.makepyfile(test_module='import pytest\npytest.importorskip("no_such_module")\n')
    assert outcomes(pytester)["errors"] == 1


def test_the_fixtures_with_a_tier_exist() -> None:
    text = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    assert {
        name for name in TIER_OF_FIXTURE if not re.search(rf"^def {name}\(", text, re.MULTILINE)
    } == set()
    assert set(TIER_OF_FIXTURE.values()) <= set(TIERS)


def test_the_list_of_skips_can_be_read() -> None:
    allowed = read_allowed_skips(ALLOWED_SKIPS)
    assert all(entry.message and entry.why for entry in allowed)
