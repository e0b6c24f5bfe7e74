"""Tasks of MTEB with the demo library's sounds, which need no network. Imports mteb."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from datasets import Audio, Dataset, DatasetDict
from mteb.abstasks import AbsTaskClassification, AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.abstasks.zeroshot_classification import AbsTaskZeroShotClassification

from tests.conftest import ROOT

DEMO = ROOT / "index" / "demo"
ROWS = list(csv.DictReader((DEMO / "manifest.csv").open(encoding="utf-8")))
CLASSES = ("bell", "water", "machine", "animal")  # tags that many sounds have


def metadata(
    name: str, kind: str, score: str, modalities: list[str], category: str
) -> TaskMetadata:
    """Of a task with these sounds."""
    return TaskMetadata(
        name=name,
        type=kind,
        main_score=score,
        modalities=modalities,
        category=category,
        description="Sounds of the demo library",
        reference="https://example.org",
        dataset={"path": "NA", "revision": "NA"},
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        date=("2026-01-01", "2026-12-31"),
        dialect=["Written"],
        domains=[],
        task_subtypes=[],
        license="not specified",
        annotations_creators="derived",
        sample_creation="found",
        bibtex_citation="",
    )


def sounds(files: list[Path], **columns: list[Any]) -> Dataset:
    """A data set of files, as AudioFolder makes it."""
    rows = Dataset.from_dict({"audio": [str(file) for file in files], **columns})
    return rows.cast_column("audio", Audio())


def labelled() -> tuple[list[Path], list[int]]:
    """The sounds that have one of the classes' tags, and the numbers of their classes."""
    found = [
        (DEMO / row["path"], CLASSES.index(here[0]))
        for row in ROWS
        if len(here := [name for name in CLASSES if name in row["tags"].split()]) == 1
    ]
    return [file for file, _ in found], [number for _, number in found]


class TitleToSound(AbsTaskRetrieval):
    """A title → its sound among all."""

    metadata = metadata("TitleToSound", "Any2AnyRetrieval", "ndcg_at_10", ["audio", "text"], "t2a")

    def load_data(self, **_: Any) -> None:
        ids = [str(number) for number in range(len(ROWS))]
        titles = Dataset.from_dict({"id": ids, "text": [row["title"] for row in ROWS]})
        files = sounds([DEMO / row["path"] for row in ROWS], id=ids)
        self.queries, self.corpus = DatasetDict(test=titles), DatasetDict(test=files)
        self.relevant_docs = {"test": {each: {each: 1} for each in ids}}
        self.data_loaded = True


class ZeroShot(AbsTaskZeroShotClassification):
    """A sound → its class, by the classes' names."""

    input_column_name = "audio"
    label_column_name = "label"
    metadata = metadata(
        "ZeroShot", "AudioZeroshotClassification", "accuracy", ["audio", "text"], "a2t"
    )

    def load_data(self, **_: Any) -> None:
        files, labels = labelled()
        self.dataset = DatasetDict(test=sounds(files, label=labels))
        self.data_loaded = True

    def get_candidate_labels(self) -> list[str]:
        return [f"sound of a {name}" for name in CLASSES]


class Taught(AbsTaskClassification):
    """A sound → its class, learnt from half of them."""

    input_column_name = "audio"
    metadata = metadata("Taught", "AudioClassification", "accuracy", ["audio"], "a2c")

    def load_data(self, **_: Any) -> None:
        files, labels = labelled()
        self.dataset = DatasetDict(
            train=sounds(files[::2], label=labels[::2]),
            test=sounds(files[1::2], label=labels[1::2]),
        )
        self.data_loaded = True
