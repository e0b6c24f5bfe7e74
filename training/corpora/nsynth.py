"""NSynth (Engel et al. 2017): notes of 10 instrument families, 20,000 of them to train.

Layout: `nsynth-train/audio/NOTE.wav`, `nsynth-test/audio/NOTE.wav`, and
`nsynth_selected_sounds_per_class.json` (family → notes), the paper's balanced training list.
A note's name begins with its family. `synth_lead` is left out, as in the paper.
"""

from __future__ import annotations

from pathlib import Path

from earmark.model.core.manifest import ManifestRow
from earmark.training.corpora.files import read_json_object, require_files
from earmark.training.errors import CorpusError

SELECTED = "nsynth_selected_sounds_per_class.json"
FAMILIES = (
    "bass", "brass", "flute", "guitar", "keyboard", "mallet", "organ", "reed", "string", "vocal",
)  # fmt: skip


def read(root: Path) -> list[ManifestRow]:
    """The selected training notes and all test notes. Raises CorpusError."""
    selected = read_json_object(root / SELECTED)
    if not all(isinstance(notes, list) for notes in selected.values()):
        raise CorpusError(f"{root / SELECTED}: expected families with lists of notes")
    rows = [
        _row(root / "nsynth-train" / "audio" / f"{note}.wav", "train")
        for family, notes in selected.items()
        if family in FAMILIES
        for note in notes
    ]
    tests = [_row(path, "test") for path in sorted((root / "nsynth-test" / "audio").glob("*.wav"))]
    if not tests:
        raise CorpusError(f"NSynth: no notes in {root / 'nsynth-test' / 'audio'}")
    return require_files(rows + [row for row in tests if row.label in FAMILIES], "NSynth")


def _row(path: Path, split: str) -> ManifestRow:
    instrument = path.stem.split("-")[0]
    family = next((name for name in FAMILIES if instrument.startswith(f"{name}_")), "")
    return ManifestRow(path=path, tags=(family,), group=instrument, label=family, split=split)
