"""Which reader a folder or file is for, by the files in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from earmark.model.core import manifest
from earmark.model.core.manifest import ManifestRow
from earmark.training.corpora import esc50, fsd50k, gtzan, nsynth, urbansound8k
from earmark.training.errors import CorpusError

READERS: dict[str, tuple[Path, Callable[[Path], list[ManifestRow]]]] = {
    "UrbanSound8K": (urbansound8k.TABLE, urbansound8k.read),
    "ESC-50": (esc50.TABLE, esc50.read),
    "GTZAN": (Path("genres"), gtzan.read),
    "NSynth": (Path("nsynth-train"), nsynth.read),
    "FSD50K": (fsd50k.TABLE, fsd50k.read),
}


def read_corpus(data: Path) -> list[ManifestRow]:
    """The sounds of a manifest or of a published data set's folder.

    Raises CorpusError or ManifestError, naming what was looked for.
    """
    if data.is_dir() and not (data / manifest.FILE_NAME).exists():
        for mark, read in READERS.values():
            if (data / mark).exists():
                return read(data)
        marks = ", ".join(f"{mark} ({name})" for name, (mark, _) in READERS.items())
        raise CorpusError(
            f"data: expected {manifest.FILE_NAME} in {data}, the published features "
            f"(spec_tags_top_1000.hdf5), or a data set by {marks}"
        )
    return manifest.read_manifest(data)
