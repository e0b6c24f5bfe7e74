"""The task `us8k-tags`: which clips take part, with which tags, and what is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from earmark.model import checkpoint
from earmark.model.embedder import Embedder
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.encoders.load import load_embedder
from earmark.training.authors_checkpoint import import_model
from earmark.training.corpora.files import read_table
from earmark.training.corpora.urbansound8k import COLUMNS
from earmark.training.errors import CorpusError
from earmark.training.evaluation import downstream, us8k_tags
from tests.model.tiny import WORDS, checkpoint_of, tiny_config
from tests.training import datasets

# Class → two sets of tags of its sources: each class has words of its own.
CLASSES = {
    "dog_bark": (["dog", "bark"], ["bark", "voice", "dog"]),
    "car_horn": (["car"], ["car", "engine", "door"]),
    "street_music": (["guitar", "song"], ["drum", "song"]),
}
NUMBERS = {word: number for number, word in enumerate(WORDS)}


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    model = checkpoint_of(tiny_config())
    with torch.no_grad():  # as after training: φ_w is of many lengths
        model.model.tags.norm.weight.copy_(torch.linspace(0.1, 2, 16))
        model.model.tags.norm.bias.copy_(torch.linspace(1, -1, 16))
    return DualEmbedder(model)


@dataclass(frozen=True)
class TagFiles:
    """A folder's content: source → its tags."""

    folder: Path
    tags: dict[str, list[str]]


def write_table_and_tags(folder: Path, where: str = "UrbanSound8K.csv") -> TagFiles:
    """Three folds; two sources of each class in each fold, of two clips; one untagged source."""
    rows: list[list[object]] = []
    tags: dict[str, list[str]] = {}
    for fold in range(1, 4):
        for number, (label, sets) in enumerate(CLASSES.items()):
            for take, words in enumerate(sets):
                source = str(100 * fold + 10 * number + take)
                tags[source] = words
                rows += [[f"{source}-{clip}.wav", source, fold, label] for clip in range(2)]
    tags["900"] = []
    rows += [["900-0.wav", "900", 1, "dog_bark"], ["901-0.wav", "901", 2, "dog_bark"]]
    datasets.write_table(folder / where, "slice_file_name,fsID,fold,class", rows)
    return TagFiles(folder, tags)


def with_numbers(files: TagFiles, vocabulary: list[str] = WORDS) -> TagFiles:
    """Its tags as the vocabulary's numbers, and that vocabulary."""
    numbers = {
        source: [vocabulary.index(word) for word in tags] for source, tags in files.tags.items()
    }
    datasets.write_json(files.folder / "US8K_tag_ids.json", numbers)
    tokens = {str(number): word for number, word in enumerate(vocabulary)}
    datasets.write_json(files.folder / us8k_tags.TOKENS, tokens)
    return files


def with_raw_tags(files: TagFiles) -> TagFiles:
    """Its tags as their users wrote them: capitals, plurals, and words that no one knows."""
    raw = {
        source: [*(f"{word.upper()}s" for word in tags), "xyzzyq", "the"]
        for source, tags in files.tags.items()
    }
    datasets.write_json(files.folder / "US8K_tags.json", raw)
    return files


def known_source_tags(embedder: Embedder, folder: Path) -> dict[str, list[str]]:
    table = read_table(folder / "UrbanSound8K.csv", COLUMNS)
    return us8k_tags.clips_with_known_tags(embedder, folder, table)[1]


# What is measured


@pytest.mark.parametrize("write", [with_numbers, with_raw_tags])
@pytest.mark.parametrize("where", ["UrbanSound8K.csv", "metadata/UrbanSound8K.csv"])
def test_classes_with_words_of_their_own(
    tmp_path: Path, embedder: Embedder, write: Callable[[TagFiles], TagFiles], where: str
) -> None:
    files = write(write_table_and_tags(tmp_path, where))
    result = us8k_tags.evaluate(embedder, files.folder, repeats=2, seed=0)
    assert result["metrics"]["accuracy"]["mean"] > 0.9
    assert result["classes"] == sorted(CLASSES)
    protocol = result["protocol"]
    assert protocol["clips_in_all"] == 38
    assert protocol["clips"] == 36  # source 900 has no tag, source 901 no entry
    assert protocol["splits"] == {fold: [24, 12] for fold in "123"}
    assert protocol["dimensions"] == embedder.dim


def test_the_input_is_phi_as_the_encoder_gives_it(tmp_path: Path, embedder: Embedder) -> None:
    files = with_numbers(write_table_and_tags(tmp_path))
    table = [row for row in read_table(tmp_path / us8k_tags.TABLE, COLUMNS) if row["fsID"] < "900"]
    phi = np.stack([embedder.encode_tags([files.tags[row["fsID"]]])[0] for row in table])
    assert np.ptp(np.linalg.norm(phi, axis=1)) > 0.3  # not scaled to length 1
    splits = downstream.fold_splits([row["fold"] for row in table])
    labels = [row["class"] for row in table]
    # At random, so that there are mistakes to compare.
    labels = np.random.default_rng(0).permutation(labels).tolist()
    rows = [[*list(row.values())[:3], label] for row, label in zip(table, labels, strict=True)]
    datasets.write_table(tmp_path / us8k_tags.TABLE, "slice_file_name,fsID,fold,class", rows)
    direct = downstream.evaluate(phi, labels, splits, repeats=1, seed=2)
    result = us8k_tags.evaluate(embedder, tmp_path, repeats=1, seed=2)
    assert result["confusion"] == direct["confusion"]
    assert 0 < np.trace(direct["confusion"]) < len(table)


# Which tags


def test_numbers_are_taken_as_they_are(tmp_path: Path, embedder: Embedder) -> None:
    files = with_numbers(write_table_and_tags(tmp_path))
    assert known_source_tags(embedder, tmp_path) == {
        source: tags for source, tags in files.tags.items() if tags
    }


def test_raw_tags_are_cleaned_and_put_in_the_order_of_the_vocabulary(
    tmp_path: Path, embedder: Embedder
) -> None:
    files = with_raw_tags(write_table_and_tags(tmp_path))
    ordered = {
        source: sorted(tags, key=NUMBERS.__getitem__) for source, tags in files.tags.items() if tags
    }
    assert known_source_tags(embedder, tmp_path) == ordered
    assert any(ordered[source] != files.tags[source] for source in ordered)  # order was changed


def test_words_that_are_only_alike_are_not_known(tmp_path: Path, embedder: Embedder) -> None:
    """A search would take "guitarr" for a guitar; the protocol knows its vocabulary's words."""
    files = with_raw_tags(write_table_and_tags(tmp_path))
    raw = {"100": ["guitarr"], "110": ["car", "guitarr"], "120": ["songwater"]}
    datasets.write_json(files.folder / "US8K_tags.json", raw)
    assert len(embedder.word_vectors(["guitarr"])) == 1
    assert known_source_tags(embedder, tmp_path) == {"110": ["car"]}


def test_numbers_of_another_vocabulary_are_not_used(tmp_path: Path, embedder: Embedder) -> None:
    files = with_numbers(with_raw_tags(write_table_and_tags(tmp_path)), WORDS[::-1])
    assert known_source_tags(embedder, tmp_path)["100"] == sorted(
        files.tags["100"], key=NUMBERS.__getitem__
    )


def test_the_first_ten_of_many(tmp_path: Path, embedder: Embedder) -> None:
    files = write_table_and_tags(tmp_path)
    datasets.write_json(tmp_path / "US8K_tags.json", {"100": WORDS[::-1]})
    tags = known_source_tags(embedder, files.folder)["100"]
    assert tags[:10] == WORDS[:10]
    assert np.array_equal(embedder.encode_tags([tags]), embedder.encode_tags([WORDS[:10]]))


# The authors' own files


def test_the_papers_number_of_clips_takes_part(shared: Path, tmp_path: Path) -> None:
    """METHOD §6: 8,251 of 8,732; by the authors' numbers, with their encoder."""
    reference = shared / "reference"
    embedder = DualEmbedder(import_model(reference / "tag_encoder_128_selfatt_c_1h.npz"))
    table = read_table(reference / us8k_tags.TABLE, COLUMNS)
    rows, tags_of = us8k_tags.clips_with_known_tags(embedder, reference, table)
    assert (len(rows), len(table)) == (8_251, 8_732)
    assert {row["fsID"] for row in rows} <= tags_of.keys()
    assert tags_of["159744"] == [embedder.words.words[number] for number in (150, 553)]
    # As many, within a hundredth, by their raw tags and our own cleaning.
    for name in (us8k_tags.TABLE, "US8K_tags.json"):
        (tmp_path / name).symlink_to(reference / name)
    ours, _ = us8k_tags.clips_with_known_tags(embedder, tmp_path, table)
    assert abs(len(ours) - 8_251) < 90


def test_a_part_of_the_real_table(shared: Path, tmp_path: Path) -> None:
    """Far above chance on three classes and three folds, through save and load."""
    reference = shared / "reference"
    checkpoint.save(tmp_path, import_model(reference / "tag_encoder_128_mean_c.npz"))
    table = read_table(reference / us8k_tags.TABLE, COLUMNS)
    classes = ("dog_bark", "siren", "street_music")
    some = [row for row in table if row["class"] in classes and row["fold"] in "123"][::4]
    rows = [[row[name] for name in COLUMNS] for row in some]
    datasets.write_table(tmp_path / us8k_tags.TABLE, ",".join(COLUMNS), rows)
    for name in ("US8K_tag_ids.json", us8k_tags.TOKENS):
        (tmp_path / name).symlink_to(reference / name)
    result = us8k_tags.evaluate(load_embedder(tmp_path), tmp_path, repeats=1, seed=0)
    assert result["metrics"]["accuracy"]["mean"] > 0.8
    assert result["protocol"]["clips_in_all"] == len(some)


# What is refused


def refused(embedder: Embedder, folder: Path, says: str) -> None:
    with pytest.raises(CorpusError, match=says):
        us8k_tags.evaluate(embedder, folder, repeats=1, seed=0)


def test_missing_files(tmp_path: Path, embedder: Embedder) -> None:
    refused(embedder, tmp_path, r"^us8k-tags: expected UrbanSound8K\.csv in ")
    files = write_table_and_tags(tmp_path)
    refused(embedder, tmp_path, r"^us8k-tags: expected US8K_tags\.json in ")
    with_numbers(files)
    (tmp_path / "US8K_tag_ids.json").unlink()
    refused(embedder, tmp_path, r"^us8k-tags: expected US8K_tag_ids\.json in ")


@pytest.mark.parametrize("raw", [{}, {"100": []}, {"100": ["xyzzyq"]}, {"7": ["dog"]}])
def test_no_source_is_known(tmp_path: Path, embedder: Embedder, raw: dict[str, list[str]]) -> None:
    datasets.write_json(write_table_and_tags(tmp_path).folder / "US8K_tags.json", raw)
    refused(embedder, tmp_path, "^us8k-tags: no source of .* has a tag that the model knows$")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("US8K_tag_ids.json", {"100": [24]}, "expected lists of the vocabulary's numbers"),
        ("US8K_tag_ids.json", {"100": ["dog"]}, "expected lists of the vocabulary's numbers"),
        ("US8K_tag_ids.json", {"100": 3}, "expected lists of the vocabulary's numbers"),
        ("US8K_tag_ids.json", [1, 2], "expected an object, got list"),
        (us8k_tags.TOKENS, WORDS, "expected an object, got list"),
    ],
)
def test_broken_files(
    tmp_path: Path, embedder: Embedder, name: str, value: object, says: str
) -> None:
    with_numbers(write_table_and_tags(tmp_path))
    datasets.write_json(tmp_path / name, value)
    refused(embedder, tmp_path, f"{name}: {says}")


def test_raw_tags_that_are_no_object(tmp_path: Path, embedder: Embedder) -> None:
    datasets.write_json(write_table_and_tags(tmp_path).folder / "US8K_tags.json", ["dog"])
    refused(embedder, tmp_path, r"US8K_tags\.json: expected an object, got list")


def test_the_table_needs_its_folds(tmp_path: Path, embedder: Embedder) -> None:
    with_numbers(write_table_and_tags(tmp_path))
    rows = [["100-0.wav", "100", "1", "dog_bark"], ["110-0.wav", "110", "1", "car_horn"]] * 2
    datasets.write_table(tmp_path / us8k_tags.TABLE, "slice_file_name,fsID,fold,class", rows)
    refused(embedder, tmp_path, r"^fold: expected two folds or more for every clip, got \['1'\]$")
