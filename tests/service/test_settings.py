"""Settings: from the environment, from the command line, bounds, and what cannot be served."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from earmark.service.cli.main import main
from earmark.service.settings import Settings
from tests.conftest import ROOT

SHIPPED = {"library": "the demo sounds", "model": "the starter model"}  # where none is given
ROW = re.compile(r"^\| `EARMARK_\w+` \|.*\|$", re.MULTILINE)


def test_the_table_of_settings_is_what_the_code_says() -> None:
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, bool):
            default = str(default).lower()
        elif default in (None, "", ()):
            default = SHIPPED.get(name, "none")
        assert field.description, f"{name} has no description"
        rows.append(f"| `EARMARK_{name.upper()}` | {default} | {field.description} |")
    documented = ROW.findall((ROOT / "docs" / "operating.md").read_text(encoding="utf-8"))
    wanting = "\n".join(row for row in rows if row not in documented)
    too_much = "\n".join(row for row in documented if row not in rows)
    assert not wanting + too_much, f"missing:\n{wanting}\nnot of the code:\n{too_much}"
    assert documented == rows  # in their order, each once


def test_defaults_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (Settings().port, Settings().host, Settings().library) == (8000, "127.0.0.1", None)
    monkeypatch.setenv("EARMARK_MAX_UPLOAD_MB", "1.5")
    monkeypatch.setenv("EARMARK_LIBRARY", "/somewhere")
    monkeypatch.setenv("EARMARK_PORT", "81")
    settings = Settings(port=82)
    assert (settings.max_upload_mb, settings.library) == (1.5, Path("/somewhere"))
    assert settings.port == 82
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 83


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("EARMARK_MAX_UPLOAD_MB", "0", "max_upload_mb: Input should be greater than 0, got '0'"),
        ("EARMARK_THREADS", "many", "threads: .*integer.*, got 'many'"),
        ("EARMARK_MAX_WAITING", "0", "max_waiting: .*, got '0'"),
        ("EARMARK_PORT", "99999", "port: .*, got '99999'"),
    ],
)
def test_a_bad_setting_is_one_line_and_exit_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    says: str,
) -> None:
    monkeypatch.setenv(name, value)
    assert main(["serve"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(rf"earmark serve: {says}\n", err)


def test_a_library_or_model_that_cannot_be_served(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    library_folder: Path,
    other_model: Path,
) -> None:
    served = ["serve", "--port", "1", "--model", str(other_model), "--library"]
    assert main([*served, str(library_folder)]) == 2
    assert "made by the model" in capsys.readouterr().err
    assert main([*served, str(tmp_path)]) == 2
    assert "expected a folder made by `earmark add`" in capsys.readouterr().err
    assert main(["serve", "--model", str(tmp_path)]) == 2
    assert "expected a model file" in capsys.readouterr().err
    assert main(["serve", "--device", "cuda:99", "--model", str(other_model)]) == 2
    assert "device" in capsys.readouterr().err
