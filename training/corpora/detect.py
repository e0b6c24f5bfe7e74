"""Detects a corpus's format by the files in its folder, and reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from earmark.model.core import manifest
from earmark.model.core.manifest import ManifestRow
from earmark.model.text.normalize import clean_tags
from earmark.training.corpora import audio_folder, esc50, fsd50k, gtzan, nsynth, urbansound8k
from earmark.training.errors import CorpusError

# Name → (a file or folder that identifies the data set, its reader).
READERS: dict[str, tuple[Path, Callable[[Path], list[ManifestRow]]]] = {
    "UrbanSound8K": (urbansound8k.TABLE, urbansound8k.read),
    "ESC-50": (esc50.TABLE, esc50.read),
    "GTZAN": (Path("genres"), gtzan.read),
    "NSynth": (Path("nsynth-train"), nsynth.read),
    "FSD50K": (fsd50k.TABLE, fsd50k.read),
}


def read_corpus(data: Path) -> list[ManifestRow]:
    """The clips of a manifest or of a published data set's folder.

    Where a manifest has captions and no tags, the words of the captions are the tags. Raises
    ManifestError, or CorpusError, which lists the files that identify a format.
    """
    if data.is_dir() and manifest.in_folder(data) is None:
        for identifying, read in READERS.values():
            if (data / identifying).exists():
                return read(data)
        rows = audio_folder.read(data)
    else:
        rows = manifest.read_manifest(data)
    if not rows:
        formats = ", ".join(f"{file} ({name})" for name, (file, _) in READERS.items())
        raise CorpusError(
            f"data: expected {manifest.FILE_NAME}, metadata.csv or train/metadata.csv in {data}, "
            f"the published features (spec_tags_top_1000.hdf5), or a data set by {formats}"
        )
    if any(row.tags for row in rows):
        return rows
    return [replace(row, tags=tuple(clean_tags(row.description))) for row in rows]
