"""`earmark calibrate` of a CLAP model: all labelled sounds validate, its weights stay."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from earmark.model.checkpoint import save
from earmark.model.core.errors import ConfigError
from earmark.model.encoders.load import load_embedder
from earmark.model.tagging import suggest
from earmark.training.calibration import clap_folder
from earmark.training.calibration.clap_folder import read_vocabulary
from earmark.training.errors import CorpusError
from tests.model.encoders.clap_folder import write_clap_folder
from tests.model.tiny import checkpoint_of, sine, tiny_config, write
from tests.training.cli.test_calibrate import run

pytestmark = pytest.mark.slow  # imports transformers
KINDS = {"dog": 200.0, "bird": 2_000.0, "bell": 6_000.0}  # tag → Hz
RATE = 16_000


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of 12 tones, two of each source, and one of the split "test"."""
    folder = tmp_path_factory.mktemp("labelled")
    rows = [("path", "tags", "group", "split")]
    for number in range(12):
        tag = list(KINDS)[number % 3]
        samples = sine(0.5, KINDS[tag] * (1 + number / 100), RATE, 0.1 + number / 40)
        write(folder / f"{number}.wav", samples, RATE)
        rows.append((f"{number}.wav", f"{tag} loud", str(number % 6), ""))
    rows.append(("0.wav", "bell", "6", "test"))
    with (folder / "labelled.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    (folder / "tags.txt").write_text("# kinds\ndog\nbird\n\nBell\nair conditioner\n")
    return folder / "labelled.csv"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clap_folder(tmp_path_factory.mktemp("clap") / "clap")


@pytest.fixture
def clap(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "clap"))


def test_what_is_fitted_lies_beside_the_model(
    clap: Path, original: Path, labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--model", clap, "--data", labelled, "--json")
    vocabulary = ("--vocabulary", labelled.with_name("tags.txt"))
    assert run(*arguments, *vocabulary) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["clips"], result["sources"]) == (12, 6)
    before, after = load_embedder(original), load_embedder(clap)
    assert after.fingerprint == before.fingerprint == result["model"]["fingerprint"]
    for file in original.iterdir():
        assert (clap / file.name).read_bytes() == file.read_bytes()
    assert after.vocabulary == ["dog", "bird", "bell", "air-conditioner"]
    again = after.embed_tags([[tag] for tag in after.vocabulary])
    np.testing.assert_allclose(after.vocabulary_vectors, again, atol=1e-5)
    assert after.calibration_summary()["thresholds"]["dog"]["clips"] == 4
    assert after.card["temperature"] == before.card["temperature"]
    assert after.background is None  # too few clips
    suggestion = suggest(after, after.embed_audio(labelled.with_name("0.wav")), 2)
    assert all(tag.lift is not None for tag in suggestion.tags)
    (clap / "README.md").write_text("---\nlicense: mit\n---\n")
    assert load_embedder(clap).licence == "MIT"
    written = (clap / "earmark.json").read_bytes()
    assert run(*arguments) == 0  # keeps the vocabulary
    assert (clap / "earmark.json").read_bytes() == written
    assert {file.name for file in clap.iterdir()} == {
        *(file.name for file in original.iterdir()),
        "earmark.json",
    }


def test_sounds_at_large_are_measured_where_there_are_many(
    clap: Path, labelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clap_folder, "MIN_CLIPS", 12)
    vocabulary = labelled.with_name("tags.txt")
    assert run("--model", clap, "--data", labelled, "--vocabulary", vocabulary) == 0
    found = load_embedder(clap)
    audio = np.stack(
        [found.embed_audio(labelled.with_name(f"{number}.wav")).vector for number in range(12)]
    )
    np.testing.assert_allclose(found.background.mean, audio.mean(axis=0), atol=1e-5)
    assert found.vocabulary_moments[0].shape == (4,)


def test_what_does_not_fit_is_refused(clap: Path, labelled: Path, tmp_path: Path) -> None:
    common = ("--model", clap, "--data", labelled)
    with pytest.raises(ConfigError, match="--out: expected none with a CLAP model"):
        run(*common, "--out", tmp_path / "out")
    (tmp_path / "other.txt").write_text("zebra\n")
    with pytest.raises(CorpusError, match="no clip carries a tag of the vocabulary"):
        run(*common, "--vocabulary", tmp_path / "other.txt")
    assert not (clap / "earmark.json").exists()
    save(tmp_path / "ours", checkpoint_of(tiny_config()))
    with pytest.raises(ConfigError, match="--vocabulary: expected a CLAP model"):
        run("--model", tmp_path / "ours", "--data", labelled, "--vocabulary", labelled)


def test_a_vocabulary_is_a_tag_a_line(tmp_path: Path) -> None:
    file = tmp_path / "tags.txt"
    file.write_bytes("\ufeffdog\r\nDog\r\ncar horn\r\n".encode())
    assert read_vocabulary(file) == ["dog", "car-horn"]
    for text, message in (
        ("dog\ndog, rain\n", "line 2: expected a tag, got 'dog, rain'"),
        ("dog\n!?\n", "line 2: expected a tag"),
        ("# none\n", "expected at least one tag"),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=message):
            read_vocabulary(file)
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError, match="cannot be read as UTF-8 text"):
        read_vocabulary(file)
