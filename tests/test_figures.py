"""The figures of the code, on a small checkout whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import figures
from tests.source_tree import PACKAGES

THING = 'class Thing:\n    """T."""\n'
MAIN = 'def main():\n    """M."""\n'
FILES = {
    "model/core/a.py": f'"""A."""\nFEW = 1\n{THING}    def f(self):\n        x = 1\n',
    "model/core/b.py": '"""B."""\nFEW = 2\nlog = 3\ndef g():\n    import earmark.model.text.c\n',
    "model/text/c.py": '"""C."""\nlog = 1\nfrom model.core.b import g\n',
    "index/a.py": f'"""A."""\n{THING}{MAIN}',
    "service/a.py": f'"""A."""\n{MAIN}',
    "training/a.py": f'"""A."""\n{MAIN}',
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_figures_of_a_small_checkout(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert figures.main(["--root", str(checkout), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    model = found["packages"]["model"]
    assert (model["files"], model["lines"], model["functions"]) == (3, 14, 2)
    assert model["longest function"]["lines"] == 2
    assert model["cycles at run time"] == []
    assert model["cycles with lazy and typing imports"] == [["model.core.b", "model.text.c"]]
    assert model["cycles between folders"] == [["core", "text"]]
    assert model["largest folder"] == {"files": 2, "name": "model/core (*.py)"}
    assert model["without a docstring"] == ["model.core.a.Thing.f", "model.core.b.g"]
    assert model["constants defined twice"] == {"FEW": ["model.core.a", "model.core.b"]}
    assert found["names that stand for two things"]["types"] == {
        "Thing": ["index.a", "model.core.a"]
    }
    assert found["names that stand for two things"]["functions"] == {}


def test_the_table_has_a_column_for_each_package(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert figures.main(["--root", str(checkout), "--names"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == list(PACKAGES)
    assert (
        next(line for line in lines if line.startswith("files")).split() == "files 3 1 1 1".split()
    )
    assert "types: Thing (index.a, model.core.a)" in lines
