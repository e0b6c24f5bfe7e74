"""Writes to a library until it is killed: `python -m tests.index.crashing FOLDER JOURNAL SEED`.

Adds, replaces, retags and removes clips, one transaction each, lets a vector store follow, saves
its snapshot now and then, and searches in a thread; goes on where the disk is full. The journal
gets a line before each transaction and one when it was acknowledged; `replayed` tells what the
library must hold.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sys
import threading
from pathlib import Path
from typing import Any

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.metadata import Metadata
from earmark.index.errors import StorageError
from earmark.index.stores.faiss.store import FaissStore
from earmark.index.types import Filter
from tests.index.made import new_clip, vector

DIM, NAMES = 4, 60
SNAPSHOT = "vectors.snapshot"

State = dict[str, tuple[int, str]]  # a clip's name → (seed of its vector, its tags)


def after(state: State, step: dict[str, Any]) -> State:
    """The state once a step is done."""
    name, seed, tags = step["name"], step["seed"], step["tags"]
    if step["what"] == "remove":
        return {other: own for other, own in state.items() if other != name}
    if step["what"] == "retag":
        return state | {name: (state[name][0], tags)}
    return state | {name: (seed, tags)}


def replayed(journal: Path) -> tuple[State, State]:
    """(all that was acknowledged, and with the step that was under way, if any)."""
    state: State = {}
    begun: dict[str, Any] | None = None
    lines = journal.read_text().splitlines() if journal.exists() else []
    for line in lines:
        step = json.loads(line)
        if step["what"] == "done":
            assert begun is not None
            state, begun = after(state, begun), None
        elif step["what"] == "undone":  # found out after a kill: it was not in the library
            begun = None
        else:
            begun = step
    return state, state if begun is None else after(state, begun)


def perform(catalogue: Catalogue, step: dict[str, Any]) -> None:
    """One step, one transaction."""
    path = f"/sounds/{step['name']}.wav"
    with catalogue.write() as writer:
        if step["what"] == "remove":
            writer.remove(step["name"])
        elif step["what"] == "retag":
            writer.update_metadata(path, Metadata(tags=(step["tags"],)))
        else:
            clip = new_clip(step["name"], step["seed"], id=step["name"], tags=(step["tags"],))
            writer.put(clip)


def search_for_ever(catalogue: Catalogue, store: FaissStore) -> None:
    """What readers do meanwhile."""
    while True:
        store.search(vector(1), 5, Filter(no_tags=("red",)))
        catalogue.clips_by_row(store.match(["red", "blue"], 10)[0].tolist())


def fail(problem: threading.ExceptHookArgs) -> None:
    """A reader's error ends the process with a status that is noticed."""
    threading.__excepthook__(problem)
    os._exit(3)


def main() -> None:
    folder, journal, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    chance = random.Random(seed)
    state, _ = replayed(journal)
    catalogue = Catalogue.open_or_create(folder, "f", DIM)
    store = FaissStore(catalogue.meta("library"), DIM, max_recent=8)
    store.load(folder / SNAPSHOT)
    store.apply(catalogue.changes(store.generation))
    threading.excepthook = fail
    threading.Thread(target=search_for_ever, args=(catalogue, store), daemon=True).start()
    file = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        name = f"clip{chance.randrange(NAMES)}"
        what = chance.choice(["put", "put", "retag", "remove"]) if name in state else "put"
        step = {
            "what": what,
            "name": name,
            "seed": chance.randrange(1_000),
            "tags": chance.choice(["red", "blue", "green"]),
        }
        os.write(file, (json.dumps(step) + "\n").encode())
        try:
            perform(catalogue, step)
        except StorageError:  # the disk is full: not done, and said so
            os.write(file, b'{"what": "undone"}\n')
        else:
            os.write(file, b'{"what": "done"}\n')
            state = after(state, step)
        store.apply(catalogue.changes(store.generation))
        if chance.random() < 0.2:
            with contextlib.suppress(OSError):
                store.save(folder / SNAPSHOT)


if __name__ == "__main__":
    main()
