"""Small data sets in the layouts of the published ones: real sounds, three kinds of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from tests.model.tiny import RATE
from tests.training.tiny import sound

# Class → the kind of sound that stands for it.
URBAN = {"siren": "tone", "air_conditioner": "hiss", "jackhammer": "click"}
ENVIRONMENTAL = {"dog": "click", "rain": "hiss", "clock_alarm": "tone"}  # the last not in ESC-10
GENRES = {"classical": "tone", "metal": "hiss", "hiphop": "click"}
FAMILIES = {"organ": "tone", "reed": "hiss", "mallet": "click"}


def write_sound(path: Path, kind: str, number: int) -> Path:
    """A second of a kind of sound; `number` makes it one of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound(kind, np.random.default_rng(number)), RATE)
    return path


def write_table(path: Path, columns: str, rows: Sequence[Sequence[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(columns.split(","))
        lines.writerows(rows)
    return path


def write_json(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def urbansound8k(root: Path, folds: int = 2, clips: int = 1) -> Path:
    """`clips` clips of each class in each fold, all those of a class and fold of one source."""
    rows = []
    for fold in range(1, folds + 1):
        for number, (label, kind) in enumerate(URBAN.items()):
            for take in range(clips):
                name = f"{100 * fold + number}-{number}-0-{take}.wav"
                seed = 1000 * fold + 10 * take + number
                write_sound(root / "audio" / f"fold{fold}" / name, kind, seed)
                rows.append([name, 100 * fold + number, 0, 1, 1, fold, number, label])
    columns = "slice_file_name,fsID,start,end,salience,fold,classID,class"
    write_table(root / "metadata" / "UrbanSound8K.csv", columns, rows)
    return root


def esc50(root: Path, folds: int = 2, clips: int = 1) -> Path:
    rows = []
    for fold in range(1, folds + 1):
        for number, (label, kind) in enumerate(ENVIRONMENTAL.items()):
            for take in range(clips):
                source = 1000 * fold + 10 * take + number
                name = f"{fold}-{source}-A-{number}.wav"
                write_sound(root / "audio" / name, kind, source)
                rows.append([name, fold, number, label, label != "clock_alarm", source, "A"])
    columns = "filename,fold,target,category,esc10,src_file,take"
    write_table(root / "meta" / "esc50.csv", columns, rows)
    return root


def gtzan(root: Path, train: int = 2, test: int = 1, ending: str = "wav") -> Path:
    """Songs of both lists, and of each genre one more that the filtering threw out."""
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for genre, kind in GENRES.items():
        for number in range(train + test + 1):
            name = f"{genre}/{genre}.{number:05d}"
            path = root / "genres" / f"{name}.{ending}"
            write_sound(path, kind, 10 * number + len(genre))
            if number < train + test:
                lists["train" if number < train else "test"].append(f"{name}.wav")
    for split, names in lists.items():
        (root / f"{split}_filtered.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    return root


def nsynth(root: Path, train: int = 2, test: int = 1) -> Path:
    """Notes, of which all but one of a family are selected; some of the unused `synth_lead`."""
    selected: dict[str, list[str]] = {}
    families = {**FAMILIES, "synth_lead": "tone"}
    for family, kind in families.items():
        names = [f"{family}_acoustic_{number:03d}-060-100" for number in range(train + test + 1)]
        for number, name in enumerate(names):
            part = "nsynth-test" if train <= number < train + test else "nsynth-train"
            seed = 10 * number + len(family)
            write_sound(root / part / "audio" / f"{name}.wav", kind, seed)
        selected[family] = names[:train]
    write_json(root / "nsynth_selected_sounds_per_class.json", selected)
    return root


def fsd50k(root: Path) -> Path:
    """Three clips without the users' tags."""
    rows = [
        [1234, "Rain,Water_tap_and_faucet", "/m/1,/m/2", "train"],
        [56, "Dog", "/m/3", "val"],
        [789, "Siren", "/m/4", "train"],
    ]
    for name, _, _, _ in rows:
        write_sound(root / "FSD50K.dev_audio" / f"{name}.wav", "hiss", int(str(name)))
    write_table(root / "FSD50K.ground_truth" / "dev.csv", "fname,labels,mids,split", rows)
    return root
