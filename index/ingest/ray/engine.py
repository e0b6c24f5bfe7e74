"""Past one machine: many files → their embeddings by a Ray Data pipeline.

Actors hold the model, embed batches of paths and write parts (`index.ingest.ray.shards`) into a
folder that all machines share, as they must share the sounds; only names come back. Each part
becomes a lot, and is deleted once that was written. So what an interrupted run has embedded is
taken in by the next one, and whatever became of a machine, a sound is taken in once or embedded
again.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from earmark.index.catalogue.embedded_sound import Lot, Origin, Sound, shown
from earmark.index.errors import EngineError
from earmark.index.ingest import local
from earmark.index.ingest.ray.connection import connected, in_our_words, package
from earmark.index.ingest.ray.shards import PartError, Parts
from earmark.model import checkpoint
from earmark.model.core.errors import EarmarkError, InputError
from earmark.model.embedder import Embedder
from earmark.model.inference.decode_pool import Readers

log = logging.getLogger(__name__)

BATCH = 32  # sounds in one task


@dataclass(frozen=True)
class RayEngine:
    """An engine of `index.ingest.bulk.add`.

    `model`: its file or directory here; the other machines are sent it. `parts`: a folder on a
    file system that all machines share. `address`: of a cluster; None for that of RAY_ADDRESS,
    else for a Ray on this machine, started and ended with the work. Where the process is
    connected to a Ray already, that one is used. `actors`: at most so many; None for one a CPU.

    Raises InputError, and ConfigError where the package is missing.
    """

    model: Path
    parts: Path
    address: str | None = None
    actors: int | None = None

    def __post_init__(self) -> None:
        if self.actors is not None and self.actors < 1:
            raise InputError(f"actors: expected at least 1, got {self.actors}")
        package()

    def __call__(self, embedder: Embedder, origins: Sequence[Origin]) -> Generator[Lot]:
        """The sounds in lots. A lot must have been written when the next is asked for.

        Raises ConfigError where the model cannot embed sounds, CheckpointError, LibraryError
        where another run uses the parts, StorageError, EngineError.
        """
        embedder.check_hears()
        parts = Parts(self.parts.resolve(), embedder.fingerprint, embedder.dim)
        strange = [origin for origin in origins if str(origin.path) != shown(origin.path)]
        yield from local.embed(embedder, strange, 1)  # not one can be: it says why
        left = {str(each.path): each for each in origins if str(each.path) == shown(each.path)}
        with parts.held() as token:
            yield from _left_over(parts, left)
            if not left:
                return
            model = checkpoint.model_file(self.model).read_bytes()
            with connected(self.address, self.actors):
                while left:
                    before = len(left)
                    yield from self._round(left, _Told(model, parts, token))
                    yield from _left_over(parts, left)  # of actors that died amid a batch
                    if len(left) == before:
                        raise EngineError(
                            f"ray: of {before} sounds no part could be read in {parts.folder}"
                        )

    def _round(self, left: dict[str, Origin], told: _Told) -> Generator[Lot]:
        """Embed all that is left; what comes back whole is taken out of it."""
        import ray.data

        paths = list(left)
        batches = [paths[first : first + BATCH] for first in range(0, len(paths), BATCH)]
        cpus = int(ray.cluster_resources().get("CPU", 1))
        dataset = ray.data.from_items(
            [{"paths": json.dumps(batch)} for batch in batches], override_num_blocks=len(batches)
        ).map_batches(
            _Actor,
            fn_constructor_args=(told,),
            batch_size=None,
            compute=ray.data.ActorPoolStrategy(size=min(self.actors or cpus, len(batches))),
            num_cpus=1,
        )
        answers = dataset.iter_batches(batch_size=None, prefetch_batches=0)
        with closing(in_our_words(iter(answers))) as rows:
            for row in rows:
                for problem in filter(None, row["problem"]):
                    raise EngineError(f"ray: {problem}")
                for name in row["part"]:
                    yield from _taken(told.parts, str(name), left)


@dataclass(frozen=True)
class _Told:
    """What an actor is told: the model's file, where parts go, and how to know that folder."""

    model: bytes
    parts: Parts
    token: str


class _Actor:
    """A process on some machine that holds the model and embeds batches.

    What goes wrong in a way that we know is its answer, not an exception: Ray wraps those.
    """

    def __init__(self, told: _Told) -> None:
        torch.set_num_threads(1)  # the actors share the cores
        self._parts, self._problem = told.parts, ""
        try:
            told.parts.check(told.token)
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / checkpoint.FILE_NAME
                file.write_bytes(told.model)
                self._embedder = Embedder.load(file)
        except (EarmarkError, OSError) as error:
            self._problem = str(error)
            return
        if self._embedder.fingerprint != told.parts.fingerprint:
            self._problem = f"model: replaced since {told.parts.fingerprint} was loaded"
        self._readers = Readers(self._embedder.log_mel, 1)

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
        """Lists of `paths` as JSON → names of parts, or a `problem`."""
        names: list[str] = []
        try:
            for paths in batch["paths"] if not self._problem else ():
                origins = [Origin(Path(path)) for path in json.loads(paths)]
                lots = local.embed(self._embedder, origins, 1, self._readers)
                names += [self._parts.write(lot) for lot in lots]
        except EarmarkError as error:
            self._problem = str(error)
        if self._problem:
            return {"part": [""], "problem": [self._problem]}
        return {"part": names, "problem": [""] * len(names)}


def _taken(
    parts: Parts, name: str, left: dict[str, Origin], *, old: bool = False
) -> Generator[Lot]:
    """A part as a lot of what is left of it, none where nothing is; then the part is deleted.

    Of an `old` part, files that have changed since are embedded again, and those that failed.
    """
    try:
        lot = parts.read(name)
    except PartError as error:
        log.warning("%s: its sounds are embedded again", error)
        parts.drop(name)
        return
    sounds = [
        replace(sound, origin=left[str(sound.origin.path)])
        for sound in lot.sounds
        if str(sound.origin.path) in left and not (old and _changed(sound))
    ]
    failed = {path: why for path, why in lot.failed.items() if path in left and not old}
    _check_shared(failed)
    for path in (*(str(sound.origin.path) for sound in sounds), *failed):
        left.pop(path, None)
    if sounds or failed:
        yield Lot(sounds, failed)
    parts.drop(name)


def _left_over(parts: Parts, left: dict[str, Origin]) -> Generator[Lot]:
    """What parts of an earlier run, or of an actor that died, hold of what is left."""
    for name in parts.names():
        yield from _taken(parts, name, left, old=True)


def _check_shared(failed: Mapping[str, str]) -> None:
    """Raise EngineError where a sound that is here was not found on another machine."""
    for path, why in failed.items():
        if why.endswith(os.strerror(errno.ENOENT)) and Path(path).exists():
            raise EngineError(
                f"ray: {path} is here, but not on a machine of the cluster: expected sounds on a "
                "file system that all machines share"
            )


def _changed(sound: Sound) -> bool:
    try:
        state = sound.origin.path.stat()
    except OSError:
        return True
    return (sound.size, sound.mtime_ns) != (state.st_size, state.st_mtime_ns)
