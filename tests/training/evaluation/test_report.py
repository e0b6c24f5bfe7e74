"""Results for people, and `earmark evaluate` and `earmark import` with the whole command."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from earmark.model import checkpoint
from earmark.model.core.errors import ConfigError
from earmark.model.encoders.load import load_embedder
from earmark.service.cli.main import main
from earmark.training.corpora import urbansound8k
from earmark.training.evaluation import audio_tasks, report
from tests.model.tiny import checkpoint_of, tiny_config
from tests.training import authors, datasets
from tests.training.authors import tag_state

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    checkpoint.save(folder, checkpoint_of(tiny_config()))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return datasets.urbansound8k(tmp_path_factory.mktemp("data"), folds=2, clips=3)


def refused(capsys: Capture, arguments: list[object], says: str) -> None:
    """Exit 2, one line, nothing on standard output."""
    assert main([*map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"earmark {arguments[0]}: ")
    assert says in err
    assert err.count("\n") == 1


def result_of(count: int = 3, **more: Any) -> dict[str, Any]:
    """A result of `count` classes."""
    names = [f"class {number}" for number in range(count)]
    return {
        "task": "us8k",
        "model": {"name": "starter", "fingerprint": "0123456789abcdef"},
        "metrics": {"accuracy": {"mean": 0.71249, "std": 0.0123, "runs": [0.7]}},
        "folds": {"1": 0.5, "2": 0.925},
        "classes": names,
        "confusion": (np.eye(count, dtype=int) * 7 + 1).tolist(),
        "protocol": {"clips": 8732, "features": "MFCC, Δ", "failed": {"a.wav": "x" * 200}},
        **more,
    }


# The table


def test_the_table_says_all() -> None:
    lines = report.table(result_of(per_class={"dog bark": 1 / 3})).split("\n")
    assert lines[0] == "us8k with starter (0123456789abcdef)"
    assert lines[1:3] == ["  clips: 8732", '  features: "MFCC, Δ"']
    assert lines[3].startswith('  failed: {"a.wav": "xxx')
    assert lines[3].endswith("xxx...")  # long ones are cut
    assert len(lines[3]) == len("  failed: ") + 90
    assert re.fullmatch(r"accuracy +0\.7125 ± 0\.0123", lines[4])
    assert [line.split() for line in lines[5:]] == [
        ["1", "0.5000"],
        ["2", "0.9250"],
        ["dog", "bark", "0.3333"],
    ]
    assert len({len(line) for line in lines[5:]}) == 1  # figures stand in one column


def test_a_result_without_folds_or_classes() -> None:
    bare = {key: value for key, value in result_of().items() if key not in ("folds", "confusion")}
    assert report.table(bare).split("\n")[-1].startswith("accuracy")


# The picture


def size_of(png: Path) -> tuple[int, int]:
    """Width and height of a PNG, by its header."""
    data = png.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert data[12:16] == b"IHDR"
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def cells(png: Path) -> np.ndarray:
    """The darkest blue in each cell's place is the diagonal's: pixels of full shares."""
    pixels = imread(png)[..., :3]
    return np.asarray((pixels[..., 2] > 0.35) & (pixels[..., 0] < 0.1) & (pixels[..., 1] < 0.25))


@pytest.mark.parametrize("count", [2, 10, 50])
def test_the_picture(tmp_path: Path, count: int) -> None:
    file = tmp_path / "confusion.png"
    result = result_of(count, confusion=(np.eye(count, dtype=int) * 40).tolist())
    report.draw_confusion(result, file)
    width, height = size_of(file)
    assert 200 < height <= width < 4_000
    rows, columns = np.nonzero(cells(file)[:, : int(width * 0.8)])  # without the colour bar
    assert len(rows) > 1000
    # All of each class was heard as it: a dark diagonal from the upper left to the lower right.
    assert np.corrcoef(rows, columns)[0, 1] > 0.9 - 0.4 / count


def test_rows_are_shares_of_the_true_class(tmp_path: Path) -> None:
    """One class always mistaken, the other never; a class without clips divides by nothing."""
    file = tmp_path / "confusion.png"
    report.draw_confusion(result_of(3, confusion=[[0, 900, 0], [0, 1, 0], [0, 0, 0]]), file)
    rows, columns = np.nonzero(cells(file)[:, : int(size_of(file)[0] * 0.8)])
    # Both dark cells stand in the middle column, one above the other, however many clips.
    assert np.ptp(rows) > 1.6 * np.ptp(columns)


def test_pictures_that_cannot_be_written(tmp_path: Path) -> None:
    for file in (tmp_path / "none" / "a.png", tmp_path):
        with pytest.raises(ConfigError, match=f"^--confusion: {file} cannot be written"):
            report.draw_confusion(result_of(), file)


# earmark evaluate


def test_evaluate_prints_a_table_and_draws(
    data: Path, model: Path, tmp_path: Path, capsys: Capture
) -> None:
    png = tmp_path / "confusion.png"
    common = ["evaluate", "us8k", "--data", data, "--model", model, "--repeats", 2]
    assert main([*map(str, common), "--confusion", str(png)]) == 0
    out = capsys.readouterr().out
    fingerprint = checkpoint.load(model).fingerprint
    assert out.startswith(f"us8k with w2v-128-1h ({fingerprint})\n")
    assert size_of(png)[0] > 200
    assert main([*map(str, common), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert report.table(result) + "\n" == out
    rows = urbansound8k.read(data)
    direct = audio_tasks.evaluate("us8k", load_embedder(model), rows, repeats=2, seed=0)
    assert result["metrics"] == direct["metrics"]


def test_the_baseline(data: Path, capsys: Capture) -> None:
    command = ["evaluate", "us8k", "--data", str(data), "--model", "mfcc", "--repeats", "1"]
    assert main([*command, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["model"] == {"name": "mfcc", "fingerprint": "none"}
    assert result["protocol"]["dimensions"] == 120
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("us8k with mfcc (none)\n")


@pytest.mark.parametrize("task", ["us8k-tags", "zero-shot", "retrieval"])
def test_the_baseline_knows_no_words(data: Path, capsys: Capture, task: str) -> None:
    command = ["evaluate", task, "--data", data, "--model", "mfcc"]
    refused(capsys, command, f"--model: mfcc knows no words, it cannot do {task}")


@pytest.mark.parametrize("task", ["zero-shot", "retrieval"])
def test_tasks_without_confusions(
    data: Path, model: Path, tmp_path: Path, capsys: Capture, task: str
) -> None:
    """Said before the work: what lies in the folder has not been looked at."""
    png = tmp_path / "a.png"
    for folder in (data, tmp_path / "nothing"):
        command = ["evaluate", task, "--data", folder, "--model", model, "--confusion", png]
        refused(capsys, command, f"--confusion: the task {task} has no confusion matrix")
    assert not png.exists()


def test_bad_arguments(data: Path, model: Path, tmp_path: Path, capsys: Capture) -> None:
    common = ["evaluate", "us8k", "--data", data, "--model", model]
    refused(capsys, [*common, "--repeats", 0], "--repeats: expected at least 1, got 0")
    lost = tmp_path / "none" / "a.png"
    for wrong in (lost, tmp_path / "a.svg", tmp_path):
        message = f"--confusion: expected a .png file in a folder, got {wrong}"
        refused(capsys, [*common, "--confusion", wrong], message)
    refused(capsys, [*common[:-1], tmp_path], "expected a model file or its folder")


def test_bad_data(data: Path, model: Path, tmp_path: Path, capsys: Capture) -> None:
    def command(task: str, folder: Path) -> list[object]:
        return ["evaluate", task, "--data", folder, "--model", model]

    refused(capsys, command("us8k", tmp_path), "or a data set by metadata/UrbanSound8K.csv")
    refused(capsys, command("us8k", tmp_path / "none.csv"), "none.csv: cannot be read")
    refused(capsys, command("gtzan", data), "split: expected clips to train and to test, got 0")
    refused(capsys, command("us8k-tags", data), "expected US8K_tags.json in ")


# earmark import


def test_import_says_what_it_embeds(tmp_path: Path, capsys: Capture) -> None:
    source = authors.write_folder(tmp_path, tag_state("4h"))
    out = tmp_path / "out"
    assert main(["import", str(source), "--out", str(out)]) == 0
    fingerprint = checkpoint.load(out).fingerprint
    halves = "tags only (the audio half is absent)"
    assert capsys.readouterr().out == f"w2v-128-4h ({fingerprint}) in {out}: embeds {halves}\n"
    # Such a model measures tags, and refuses sounds in one line.
    data = datasets.urbansound8k(tmp_path / "data", folds=2, clips=1)
    command = ["evaluate", "us8k", "--data", data, "--model", out, "--repeats", 1]
    refused(capsys, command, "model w2v-128-4h: embeds only tags, has no audio encoder")


def test_import_of_both_halves(tmp_path: Path, capsys: Capture) -> None:
    source = authors.write_folder(tmp_path, tag_state("mean"), audio=True)
    out = tmp_path / "mine.safetensors"
    assert main(["import", str(source), "--out", str(out)]) == 0
    message = rf"w2v-128-mean \([0-9a-f]{{16}}\) in {out}: embeds sounds and tags\n"
    assert re.fullmatch(message, capsys.readouterr().out)


def test_bad_imports(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    broken = tmp_path / "tags.npz"
    broken.write_text("no archive")
    for source, says in (
        (tmp_path / "none.npz", "none.npz: cannot be read as parameters"),
        (tmp_path, "expected tag_encoder_att_epoch_N.pt, found none"),
        (broken, "tags.npz: cannot be read as parameters"),
    ):
        refused(capsys, ["import", source, "--out", out], says)
    assert not out.exists()
