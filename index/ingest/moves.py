"""Renamed and moved files: their clips keep them under the new paths.

A file is known again by its samples: those of a clip whose own file is gone. Where several clips
have them, the new path goes to the one whose path is most like it. Files may also take each
other's names, as when a series is numbered anew: then size and time tell in addition that the file
is the same. A clip whose file was replaced so, and is not found elsewhere, is without a file: its
path becomes one where nothing can be (`displaced_path`).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.embedded_sound import EmbeddedSound
from earmark.index.catalogue.records import HeldSound, Move
from earmark.index.files.paths import displaced_path, is_gone, spelling


@dataclass(frozen=True)
class _Place:
    """What is at a path now; of a file that is gone, the spelling is empty."""

    spelling: str
    size: int = 0
    mtime_ns: int = 0


class MoveFinder:
    """Finds the moves among sounds that are to be added, batch by batch.

    `origins`: the clips that were moved → their paths before.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._places: dict[str, _Place | None] = {}
        self.origins: dict[str, str] = {}

    def find(self, sounds: Sequence[EmbeddedSound]) -> list[Move]:
        """The moves to make before these sounds are written, in their order.

        A clip whose path is another spelling of a sound's path moves there as well.
        """
        held = self._catalogue.clips_with_sounds(
            list({sound.embedding.info.sha256 for sound in sounds})
        )
        if not held:
            return []
        owners = self._catalogue.ids_by_path([str(sound.file.path) for sound in sounds])
        moves = self._assign(sounds, held, owners)
        displaced = [
            Move(owners[move.after], move.after, displaced_path(move.after, owners[move.after]))
            for move in moves
            if move.after in owners
        ]
        for move in (*moves, *displaced):
            self.origins.setdefault(move.clip_id, move.before)
        paths = {move.clip_id: move.after for move in displaced}
        return displaced + [
            Move(move.clip_id, paths.get(move.clip_id, move.before), move.after) for move in moves
        ]

    def _assign(
        self, sounds: Sequence[EmbeddedSound], held: Sequence[HeldSound], owners: dict[str, str]
    ) -> list[Move]:
        """Each sound's clip, if it has one at another path: the likest paths first."""
        by_sound: dict[str, list[HeldSound]] = defaultdict(list)
        for clip in held:
            by_sound[clip.sha256].append(clip)
        pairs, holding = (
            [],
            {(str(sound.file.path), sound.embedding.info.sha256) for sound in sounds},
        )
        for number, sound in enumerate(sounds):
            new, clips = str(sound.file.path), by_sound[sound.embedding.info.sha256]
            if any(clip.path == new for clip in clips):
                continue
            for order, clip in enumerate(clips):
                if (clip.path, clip.sha256) in holding:
                    continue  # it was touched only
                if self._has_moved(clip, sound, is_taken=new in owners):
                    likeness = _equal_ends(clip.path, new)
                    move = Move(clip.clip_id, clip.path, new)
                    pairs.append(((-likeness, number, order), move))
        moves: dict[str, Move] = {}
        used = set()
        for _, move in sorted(pairs, key=lambda pair: pair[0]):
            if move.after not in moves and move.clip_id not in used:
                moves[move.after] = move
                used.add(move.clip_id)
        return list(moves.values())

    def _has_moved(self, clip: HeldSound, sound: EmbeddedSound, *, is_taken: bool) -> bool:
        """Whether a clip's file, of the same samples, is at the sound's path now."""
        place = self._place(clip.path)
        if place is None:
            return False
        recorded = (clip.size, clip.mtime_ns)
        is_same_file = recorded == (sound.size, sound.mtime_ns)
        if is_taken and not is_same_file:
            return False  # a file that was changed, and happens to sound the same
        if place.spelling in ("", str(sound.file.path)):
            return True
        return is_same_file and recorded != (place.size, place.mtime_ns)

    def _place(self, path: str) -> _Place | None:
        if path not in self._places:
            self._places[path] = _look(path)
        return self._places[path]


def _look(path: str) -> _Place | None:
    """What is at a path; None where that cannot be known."""
    try:
        state = os.stat(path)  # noqa: PTH116 (as `is_gone`)
    except OSError:
        return _Place("") if is_gone(path) else None
    return _Place(str(spelling(Path(path))), state.st_size, state.st_mtime_ns)


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
