"""Renamed and moved files: their clips keep them under the new paths.

A file is known again by its samples: those of a clip whose own file is gone, or has other samples
now. Where several clips have them, the new path goes to the one whose path is most like it. Files
may also take each other's names, as when a series is numbered anew. A clip whose file was replaced
so, and is not found elsewhere, is without a file: its path becomes one where nothing can be
(`displaced_path`).

Sounds come batch by batch, so a clip's own file may be read only later. It is then taken to have
other samples, which is put right should it have been touched only. And a clip that was given new
samples, since its old ones had not been seen, is given back to them if they come after all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.embedded_sound import EmbeddedSound, SourceFile
from earmark.index.catalogue.records import HeldSound, KnownFile, Move
from earmark.index.files.paths import displaced_path, is_gone, own_path, spelling
from earmark.model.cloud.cloud_file import CloudFile, stored_file


@dataclass(frozen=True)
class _Place:
    """What is at a path now; of a file that is gone, the spelling is empty."""

    spelling: str
    size: int = 0
    mtime_ns: int = 0


@dataclass(frozen=True)
class _Guess:
    """A move that was made before the clip's own file was read; `owner`: whom it displaced."""

    move: Move
    sha256: str
    file: SourceFile
    owner: str


class MoveFinder:
    """Finds the moves among sounds that are to be added, batch by batch.

    `changed`: the known files that are read again, by path. `origins`: the clips that were moved →
    their paths before. `again`: files to add once more in the end, since a clip that they were
    given belongs to another file.
    """

    def __init__(self, catalogue: Catalogue, changed: Mapping[str, KnownFile]) -> None:
        self._catalogue = catalogue
        self._places: dict[str, _Place | None] = {}
        self._changed, self._pending = changed, set(changed)
        self._guesses: dict[str, _Guess] = {}  # by the clip's path before
        self._replaced: dict[str, list[tuple[HeldSound, SourceFile]]] = defaultdict(list)
        self.origins: dict[str, str] = {}
        self.again: list[SourceFile] = []

    def find(self, sounds: Sequence[EmbeddedSound]) -> list[Move]:
        """The moves to make before these sounds are written, in their order.

        A clip whose path is another spelling of a sound's path moves there as well. Wrong guesses
        of earlier batches are put right in the catalogue. Raises StorageError.
        """
        self._take_back(sounds)
        by_path = {str(sound.file.path): sound for sound in sounds}
        owners = self._catalogue.sounds_at(list(by_path))
        moves = self._assign(by_path)
        displaced = {
            owner.clip_id: Move(
                owner.clip_id, owner.path, displaced_path(owner.path, owner.clip_id)
            )
            for move in moves
            if (owner := owners.get(move.after))
        }
        for move in (*moves, *displaced.values()):
            self.origins.setdefault(move.clip_id, own_path(move.before, move.clip_id))
        self._note(by_path, owners, moves)
        return list(displaced.values()) + [
            Move(move.clip_id, displaced[move.clip_id].after, move.after)
            if move.clip_id in displaced
            else move
            for move in moves
        ]

    def _take_back(self, sounds: Sequence[EmbeddedSound]) -> None:
        """Undo guesses about files that come now, and have the samples that they had."""
        moves = []
        for sound in sounds:
            guess = self._guesses.pop(str(sound.file.path), None)
            if guess and guess.sha256 == sound.embedding.info.sha256:
                path = guess.move.after
                moves.append(Move(guess.move.clip_id, path, guess.move.before))
                if guess.owner:
                    moves.append(Move(guess.owner, displaced_path(path, guess.owner), path))
                self.again.append(guess.file)
        if moves:
            with self._catalogue.write() as writer:
                for move in moves:
                    if writer.move(move):
                        self.origins.pop(move.clip_id, None)
                        if known := self._changed.get(move.after):
                            writer.restore_metadata(move.clip_id, known.metadata)

    def _note(
        self,
        by_path: Mapping[str, EmbeddedSound],
        owners: Mapping[str, HeldSound],
        moves: Sequence[Move],
    ) -> None:
        """Note the guesses among the moves, and which clips get new samples."""
        after = {clip.path: clip for clip in owners.values()}
        for move in moves:
            owner = after.pop(move.after, None)
            after.pop(move.before, None)
            file = by_path[move.after].file
            if move.before in self._pending and move.before not in by_path:
                sha256 = by_path[move.after].embedding.info.sha256
                owner_id = owner.clip_id if owner else ""
                self._guesses[move.before] = _Guess(move, sha256, file, owner_id)
        self._pending.difference_update(by_path)
        if self._pending:
            for path, clip in after.items():
                if path in self._changed and clip.sha256 != by_path[path].embedding.info.sha256:
                    self._replaced[clip.sha256].append((clip, by_path[path].file))

    def _assign(self, by_path: Mapping[str, EmbeddedSound]) -> list[Move]:
        """The move of each sound's clip, if it has one at another path."""
        sums = {path: sound.embedding.info.sha256 for path, sound in by_path.items()}
        held: dict[str, list[HeldSound]] = defaultdict(list)
        at_home = set()
        for clip in self._catalogue.clips_with_sounds(list(set(sums.values()))):
            if sums.get(clip.path) == clip.sha256:
                at_home.add(clip.path)  # it was touched only
            else:
                held[clip.sha256].append(clip)
        wanted: dict[str, dict[str, EmbeddedSound]] = defaultdict(dict)
        for path, sound in by_path.items():
            if path not in at_home:
                wanted[sums[path]][path] = sound
        moves = []
        for sha256, same in wanted.items():
            moves += self._take_held(same, held[sha256])
            moves += self._take_replaced(same, sha256)
        return moves

    def _take_held(
        self, wanted: dict[str, EmbeddedSound], clips: Sequence[HeldSound]
    ) -> list[Move]:
        """Moves of clips with the same samples to the paths of `wanted`, which lose these."""
        states = {(sound.size, sound.mtime_ns): path for path, sound in wanted.items()}
        moves: list[Move] = []
        gone: list[HeldSound] = []
        guessed: list[HeldSound] = []
        replaced: list[tuple[HeldSound, str]] = []
        for clip in clips:
            place, recorded = self._place(clip.path), (clip.size, clip.mtime_ns)
            if place is None:
                continue
            if place.spelling in wanted:
                moves += _take(wanted, [(clip, place.spelling)])
            elif not place.spelling:
                gone.append(clip)
            elif clip.path in self._pending:
                guessed.append(clip)
            elif recorded in states and recorded != (place.size, place.mtime_ns):
                replaced.append((clip, states[recorded]))
        moves += _take(wanted, _alike(list(wanted), gone))
        moves += _take(wanted, replaced)
        moves += _take(wanted, _alike(list(wanted), guessed))
        return moves

    def _take_replaced(self, wanted: dict[str, EmbeddedSound], sha256: str) -> list[Move]:
        """As `_take_held`, of clips that had the samples until an earlier batch."""
        replaced = self._replaced.get(sha256, [])
        moves: list[Move] = []
        while replaced and wanted:
            clip, file = replaced.pop(0)
            moves += _take(wanted, [(clip, next(iter(wanted)))])
            self.again.append(file)
            with self._catalogue.write() as writer:  # the new samples' may have come to it
                writer.restore_metadata(clip.clip_id, self._changed[clip.path].metadata)
        return moves

    def _place(self, path: str) -> _Place | None:
        if path not in self._places:
            self._places[path] = _look(path)
        return self._places[path]


def _look(path: str) -> _Place | None:
    """What is at a path; None where that cannot be known."""
    file = stored_file(path)
    try:
        state = file.stat()
    except (OSError, ValueError) as error:
        is_absent = isinstance(error, FileNotFoundError) and isinstance(file, CloudFile)
        return _Place("") if is_absent or is_gone(path) else None
    own = file if isinstance(file, CloudFile) else spelling(file)
    return _Place(str(own), state.st_size, state.st_mtime_ns)


def _take(wanted: dict[str, EmbeddedSound], pairs: Iterable[tuple[HeldSound, str]]) -> list[Move]:
    """The moves of the pairs whose path is wanted still."""
    return [Move(clip.clip_id, clip.path, path) for clip, path in pairs if wanted.pop(path, None)]


def _alike(paths: Sequence[str], clips: Sequence[HeldSound]) -> list[tuple[HeldSound, str]]:
    """Pairs of a clip and a path, each once: those first that are equal longest at the end.

    Takes time in proportion to the numbers of both.
    """
    ends = {path: list(_ends(path)) for path in paths}
    known = {end for own in ends.values() for end in own}
    by_end: dict[tuple[str, ...], list[HeldSound]] = defaultdict(list)
    for clip in reversed(clips):  # the first is taken first, from the end
        for end in _ends(clip.path):
            if end not in known:
                break
            by_end[end].append(clip)
    pairs: dict[str, tuple[HeldSound, str]] = {}
    used: set[str] = set()
    for length in range(max(map(len, ends.values()), default=0) - 1, -1, -1):
        for path, own in ends.items():
            if path in pairs or length >= len(own):
                continue
            candidates = by_end[own[length]]
            while candidates and path not in pairs:
                clip = candidates.pop()
                if clip.clip_id not in used:
                    used.add(clip.clip_id)
                    pairs[path] = (clip, path)
    return list(pairs.values())


def _ends(path: str) -> Iterator[tuple[str, ...]]:
    """The last parts of a path: none, one, two and so on."""
    parts = PurePath(path).parts
    return (parts[len(parts) - count :] for count in range(len(parts) + 1))
