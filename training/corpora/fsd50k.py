"""FSD50K (Fonseca et al. 2022): 51,197 Freesound clips with labels of the AudioSet ontology.

Layout: `FSD50K.ground_truth/dev.csv`, `FSD50K.dev_audio/ID.wav`, and optionally
`FSD50K.metadata/dev_clips_info_FSD50K.json` with the Freesound users' tags, which are then added to
the labels. Only the development set is read; its column `split` assigns the validation clips.
"""

from __future__ import annotations

from pathlib import Path

from earmark.model.core.manifest import ManifestRow
from earmark.training.corpora.files import read_json_object, read_table, require_files

TABLE = Path("FSD50K.ground_truth/dev.csv")
INFO = Path("FSD50K.metadata/dev_clips_info_FSD50K.json")
COLUMNS = ("fname", "labels", "split")
SPLITS = {"train": "train", "val": "validation"}


def read(root: Path) -> list[ManifestRow]:
    """The development set. Raises CorpusError, naming missing files."""
    metadata = read_json_object(root / INFO) if (root / INFO).exists() else {}
    rows = []
    for row in read_table(root / TABLE, COLUMNS):
        labels = row["labels"].lower().replace("_", "-").split(",")
        clip = metadata.get(row["fname"], {})
        rows.append(
            ManifestRow(
                path=root / "FSD50K.dev_audio" / f"{row['fname']}.wav",
                tags=tuple(dict.fromkeys([*labels, *clip.get("tags", [])])),
                title=str(clip.get("title", "")),
                group=str(clip.get("uploader", row["fname"])),
                licence=str(clip.get("license", "")),
                split=SPLITS.get(row["split"], "train"),
            )
        )
    return require_files(rows, "FSD50K")
