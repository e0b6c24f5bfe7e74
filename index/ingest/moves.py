"""Renamed and moved files: a clip whose file is gone keeps its sound under the new path.

A file is known again by its samples. Where several clips have them, the new path goes to the one
whose path is most like it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePath

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.embedded_sound import EmbeddedSound
from earmark.index.catalogue.records import Move
from earmark.index.files.paths import is_gone, spelling


class MoveFinder:
    """Finds the moves among sounds that are to be added, batch by batch."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._places: dict[str, str] = {}  # path → its spelling now; empty if the file is gone

    def find(self, sounds: Sequence[EmbeddedSound]) -> list[Move]:
        """Of these sounds, those at new paths that a clip without its file holds already.

        A clip whose path is another spelling of the new one counts as well.
        """
        clips = self._catalogue.clips_with_sounds(
            list({sound.embedding.info.sha256 for sound in sounds})
        )
        if not clips:
            return []
        known = self._catalogue.ids_by_path([str(sound.file.path) for sound in sounds])
        by_sound = defaultdict(list)
        for clip_id, path, sha256 in clips:
            by_sound[sha256].append((clip_id, path))
        pairs = []
        for number, sound in enumerate(sounds):
            new = str(sound.file.path)
            for order, (clip_id, old) in enumerate(by_sound[sound.embedding.info.sha256]):
                if new not in known and self._place(old) in ("", new):
                    likeness = _equal_ends(old, new)
                    pairs.append((-likeness, number, order, Move(clip_id, old, new)))
        moves: dict[str, Move] = {}
        taken = set()
        for *_, move in sorted(pairs, key=lambda pair: pair[:3]):
            if move.after not in moves and move.clip_id not in taken:
                moves[move.after] = move
                taken.add(move.clip_id)
        return list(moves.values())

    def _place(self, path: str) -> str:
        if path not in self._places:
            self._places[path] = "" if is_gone(path) else str(spelling(Path(path)))
        return self._places[path]


def _equal_ends(one: str, other: str) -> int:
    """How many parts at the end of two paths are equal."""
    count = 0
    for part, counterpart in zip(
        reversed(PurePath(one).parts), reversed(PurePath(other).parts), strict=False
    ):
        if part != counterpart:
            break
        count += 1
    return count
