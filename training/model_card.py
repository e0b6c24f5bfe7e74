"""The README of a trained model, as Hugging Face's model cards are: a head in YAML, then text.

It says what the model's own card knows, and nothing else: how it was trained, and what was measured
on the clips that validated it. Values of the head are written as JSON, which is YAML too.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from earmark.model.core.atomic_write import write_whole
from earmark.model.embedder import Embedder
from earmark.training.errors import TrainingError

log = logging.getLogger(__name__)

FILE_NAME = "README.md"
MARK = (
    "<!-- Written by earmark train, and again when the run goes on, until this line is removed. -->"
)
TAGS = ("audio", "audio-retrieval", "audio-tagging", "zero-shot-audio-classification")
METRICS = {  # of the last epoch in the card's history → a line of the card
    "mAP@10": "tag to audio",
    "audio_to_tag_mAP@10": "audio to tag",
}


def write_model_card(folder: Path, embedder: Embedder) -> None:
    """Write the README of a model into its folder, unless a person's is there.

    Raises TrainingError if it cannot be written.
    """
    file = folder / FILE_NAME
    try:
        if file.exists() and MARK not in file.read_text(encoding="utf-8", errors="replace"):
            log.warning("%s: left as it is", file)
            return
        write_whole(file, [model_card(embedder).encode()])
    except OSError as error:
        raise TrainingError(f"{file}: cannot be written ({error.strerror})") from error


def model_card(embedder: Embedder) -> str:
    """The text of a model's README."""
    card = embedder.card
    figures = _figures(card)
    rows = {
        "preset": embedder.name,
        "fingerprint": f"`{embedder.fingerprint}`",
        "shared space": f"{embedder.dim} dimensions, cosine",
        "hears": f"mono, {embedder.front_end.sample_rate:,} Hz",
        "reads": _reads(embedder),
        "tags it suggests": f"{len(embedder.vocabulary):,}",
        "trained on": f"{card.get('train_clips', 0):,} clips, {card.get('epochs')} epochs, seed "
        f"{card.get('seed')}",
        "validated on": _validated_on(card),
    }
    teacher = card.get("teacher")
    if teacher:
        rows["begins as"] = f"{teacher['name']} ({teacher['licence']})"
    lines = [
        *_head(embedder, figures),
        MARK,
        "",
        f"# {embedder.name}",
        "",
        "A model of Earmark: it puts sounds and words into one space, to find sounds by words, "
        "suggest tags and tell classes apart.",
        "",
        *_table(rows),
        "",
    ]
    if figures:
        lines += [
            "The epoch was chosen on the clips that it was measured on, so the figures flatter.",
            "",
            *_table({name: f"{value:.4f}" for name, value in figures.items()}, "mAP@10"),
            "",
        ]
    lines += ["    earmark serve --model FOLDER", ""]
    return "\n".join(lines)


def _head(embedder: Embedder, figures: Mapping[str, float]) -> list[str]:
    plain = [language for language in embedder.languages if "-" not in language]
    regional = [language for language in embedder.languages if "-" in language]
    values: dict[str, Any] = {
        "license": embedder.licence.lower(),
        "language": plain,
        "language_bcp47": regional,
        "library_name": "earmark",
        "pipeline_tag": "audio-classification",
        "tags": TAGS,
        "metrics": ["mAP@10"] if figures else [],
    }
    if figures:
        values["model-index"] = [{"name": embedder.name, "results": _results(embedder, figures)}]
    head = (f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in values.items())
    return ["---", *(line for line in head if not line.endswith((' ""', " []"))), "---", ""]


def _results(embedder: Embedder, figures: Mapping[str, float]) -> list[dict[str, Any]]:
    return [
        {
            "task": {"type": "audio-retrieval", "name": name},
            "dataset": {"type": "own", "name": _validated_on(embedder.card)},
            "metrics": [{"type": "mAP@10", "value": round(value, 4)}],
        }
        for name, value in figures.items()
    ]


def _figures(card: Mapping[str, Any]) -> dict[str, float]:
    """What was measured in the model's epoch, by its line."""
    history = card.get("history") or [{}]
    found = {line: history[-1].get(name) for name, line in METRICS.items()}
    return {
        line: float(value)
        for line, value in found.items()
        if value is not None and math.isfinite(value)
    }


def _validated_on(card: Mapping[str, Any]) -> str:
    groups = len(card.get("validation_groups", ()))
    return f"{card.get('validation_clips', 0):,} clips of {groups:,} groups that it did not hear"


def _reads(embedder: Embedder) -> str:
    if embedder.languages:
        return f"whole phrases in {len(embedder.languages)} languages"
    return "single words"


def _table(rows: Mapping[str, str], title: str = "") -> list[str]:
    return [f"| | {title} |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows.items())]
