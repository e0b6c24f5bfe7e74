"""GTZAN (Tzanetakis, Cook 2002), fault-filtered (Kereliuk, Sturm, Larsen 2015).

443 songs to train, 290 to test, 10 genres.
Layout: `genres/GENRE/GENRE.NNNNN.wav` (or `.au`), and beside `genres` the published lists
`train_filtered.txt` and `test_filtered.txt`, with one `GENRE/GENRE.NNNNN.wav` on each line.
"""

from __future__ import annotations

from pathlib import Path

from earmark.model.core.manifest import ManifestRow
from earmark.training.corpora.files import require_files
from earmark.training.errors import CorpusError

LISTS = {"train": "train_filtered.txt", "test": "test_filtered.txt"}


def read(root: Path) -> list[ManifestRow]:
    """The songs of both lists. Raises CorpusError, naming missing files."""
    rows = []
    for split, name in LISTS.items():
        try:
            lines = (root / name).read_text(encoding="utf-8").split()
        except OSError as error:
            raise CorpusError(f"GTZAN: {root / name} cannot be read ({error.strerror})") from error
        except UnicodeDecodeError as error:
            raise CorpusError(f"GTZAN: {root / name} is not text in UTF-8 ({error})") from error
        rows += [_row(root, line, split) for line in lines]
    return require_files(rows, "GTZAN")


def _row(root: Path, line: str, split: str) -> ManifestRow:
    song = Path(line)
    genre = song.stem.split(".")[0]
    wav = root / "genres" / genre / f"{song.stem}.wav"
    au = wav.with_suffix(".au")
    return ManifestRow(
        path=au if au.is_file() else wav,
        tags=(genre,),
        group=song.stem,
        label=genre,
        split=split,
    )
