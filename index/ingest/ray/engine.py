"""Embedding on several machines: many files → their embeddings by a Ray Data pipeline.

Actors hold the model, embed batches of paths or addresses and write shards
(`index.ingest.ray.shards`) into a folder on a file system that all machines share, as they share
the sounds. Only the shards' names come back. Each shard becomes a batch, and is deleted once the
batch is written. So the next run uses what an interrupted one has embedded, and whichever machine
fails, each sound is added once.
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

from earmark.index.catalogue.embedded_sound import (
    EmbeddedBatch,
    EmbeddedSound,
    SourceFile,
    printable_path,
)
from earmark.index.errors import EngineError
from earmark.index.ingest import local
from earmark.index.ingest.ray.connection import connected, require_ray, translate_errors
from earmark.index.ingest.ray.shards import ShardError, ShardFolder
from earmark.model.cloud.cloud_file import stored_file
from earmark.model.core.errors import EarmarkError, InputError
from earmark.model.core.threads import use_one_thread
from earmark.model.embedder import Embedder
from earmark.model.encoders.load import is_one_file, load_embedder
from earmark.model.inference.decode_pool import DecodePool
from earmark.model.model_files import FILE_NAME, model_file

log = logging.getLogger(__name__)

BATCH = 32  # sounds in one Ray task


@dataclass(frozen=True)
class RayEngine:
    """An embedding engine of `index.ingest.bulk.add`.

    `model`: its file or directory on this machine; it is sent to the actors. `shards`: a folder on
    a file system that all machines share. `address`: of a cluster; None for RAY_ADDRESS, or else a
    local Ray, started and stopped with the work. If the process is already connected to a Ray,
    that one is used. `actors`: the maximum; None for one per CPU.

    Raises InputError, and ConfigError if Ray is not installed.
    """

    model: Path
    shards: Path
    address: str | None = None
    actors: int | None = None

    def __post_init__(self) -> None:
        if self.actors is not None and self.actors < 1:
            raise InputError(f"actors: expected at least 1, got {self.actors}")
        if not is_one_file(self.model):
            raise InputError(
                "--engine: expected local for a model of several files, got ray, which takes "
                f"one file, and {self.model}"
            )
        require_ray()

    def __call__(
        self,
        embedder: Embedder,
        files: Sequence[SourceFile],
        *,
        on_heard: local.OnHeard = local.ignore,
    ) -> Generator[EmbeddedBatch]:
        """The embedded sounds in batches. The caller writes each batch before it asks for the next.

        `on_heard`: not called, as the actors are elsewhere. Raises ConfigError if the model cannot
        embed sounds, CheckpointError, LibraryError if another run uses the shards' folder,
        StorageError, EngineError.
        """
        del on_heard
        embedder.require_audio()
        shards = ShardFolder(self.shards.resolve(), embedder.fingerprint, embedder.dim)
        remaining: dict[str, SourceFile] = {}
        unprintable: list[SourceFile] = []
        for file in files:
            if str(file.path) == printable_path(file.path):
                remaining[str(file.path)] = file
            else:
                unprintable.append(file)
        yield from local.embed(embedder, unprintable, 1)  # reports why they fail
        with shards.locked() as token:
            yield from _read_leftovers(shards, remaining)
            if not remaining:
                return
            model = model_file(self.model).read_bytes()
            with connected(self.address, self.actors):
                while remaining:
                    before = len(remaining)
                    yield from self._embed(remaining, ActorArgs(model, shards, token))
                    yield from _read_leftovers(shards, remaining)  # of actors that died
                    if len(remaining) == before:
                        raise EngineError(
                            f"ray: of {before} sounds no shard could be read in {shards.folder}"
                        )

    def _embed(
        self, remaining: dict[str, SourceFile], actor_args: ActorArgs
    ) -> Generator[EmbeddedBatch]:
        """Embed all remaining files once; those that come back are removed from `remaining`."""
        import ray.data

        paths = list(remaining)
        tasks = [paths[first : first + BATCH] for first in range(0, len(paths), BATCH)]
        cpus = int(ray.cluster_resources().get("CPU", 1))
        dataset = ray.data.from_items(
            [{"paths": json.dumps(task)} for task in tasks], override_num_blocks=len(tasks)
        ).map_batches(
            _Actor,
            fn_constructor_args=(actor_args,),
            batch_size=None,
            compute=ray.data.ActorPoolStrategy(size=min(self.actors or cpus, len(tasks))),
            num_cpus=1,
        )
        results = dataset.iter_batches(batch_size=None, prefetch_batches=0)
        with closing(translate_errors(iter(results))) as rows:
            for row in rows:
                for problem in filter(None, row["problem"]):
                    raise EngineError(f"ray: {problem}")
                for name in row["part"]:
                    yield from _read_shard(actor_args.shards, str(name), remaining)


@dataclass(frozen=True)
class ActorArgs:
    """Arguments of an actor: the model file's bytes, the shards' folder, and its lock's token."""

    model: bytes
    shards: ShardFolder
    token: str


class _Actor:
    """A process on some machine that holds the model and embeds batches of paths.

    Expected errors are part of its results, not exceptions: Ray wraps exceptions.
    """

    def __init__(self, args: ActorArgs) -> None:
        self._shards, self._problem = args.shards, ""
        try:
            args.shards.check(args.token)
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / FILE_NAME
                file.write_bytes(args.model)
                self._embedder = load_embedder(file, runtime="torch")
        except (EarmarkError, OSError) as error:
            self._problem = str(error)
            return
        use_one_thread()  # the actors share the cores; torch is there only now
        if self._embedder.fingerprint != args.shards.fingerprint:
            self._problem = f"model: replaced since {args.shards.fingerprint} was loaded"
        self._readers = DecodePool(self._embedder.front_end, 1)

    def __call__(self, rows: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
        """`paths`, each a JSON list → `part`, the names of shards, or `problem`, a message."""
        names: list[str] = []
        try:
            for paths in rows["paths"] if not self._problem else ():
                files = [SourceFile(stored_file(path)) for path in json.loads(paths)]
                batches = local.embed(self._embedder, files, 1, self._readers)
                names += [self._shards.write(batch) for batch in batches]
        except EarmarkError as error:
            self._problem = str(error)
        if self._problem:
            return {"part": [""], "problem": [self._problem]}
        return {"part": names, "problem": [""] * len(names)}


def _read_shard(
    shards: ShardFolder, name: str, remaining: dict[str, SourceFile], *, leftover: bool = False
) -> Generator[EmbeddedBatch]:
    """A shard's results for remaining files as a batch, if there are any; deletes the shard.

    Of a `leftover` shard, failures and files that have changed since are not used: they are
    embedded again.
    """
    try:
        batch = shards.read(name)
    except ShardError as error:
        log.warning("%s: its sounds are embedded again", error)
        shards.delete(name)
        return
    sounds = [
        replace(sound, file=remaining[str(sound.file.path)])
        for sound in batch.sounds
        if str(sound.file.path) in remaining and not (leftover and _is_changed(sound))
    ]
    failed = {path: why for path, why in batch.failed.items() if path in remaining and not leftover}
    _check_shared(failed)
    for path in (*(str(sound.file.path) for sound in sounds), *failed):
        remaining.pop(path, None)
    if sounds or failed:
        yield EmbeddedBatch(sounds, failed)
    shards.delete(name)


def _read_leftovers(
    shards: ShardFolder, remaining: dict[str, SourceFile]
) -> Generator[EmbeddedBatch]:
    """Results for remaining files in shards of an earlier run, or of an actor that died."""
    for name in shards.names():
        yield from _read_shard(shards, name, remaining, leftover=True)


def _check_shared(failed: Mapping[str, str]) -> None:
    """Raise EngineError if an actor did not find a sound that exists on this machine."""
    for path, why in failed.items():
        if why.endswith(os.strerror(errno.ENOENT)) and Path(path).exists():
            raise EngineError(
                f"ray: {path} is here, but not on a machine of the cluster: expected sounds on a "
                "file system that all machines share"
            )


def _is_changed(sound: EmbeddedSound) -> bool:
    try:
        state = sound.file.path.stat()
    except OSError:
        return True
    return (sound.size, sound.mtime_ns) != (state.st_size, state.st_mtime_ns)
