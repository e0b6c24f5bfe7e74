"""Teaching a sound, with a person simulated: `python -m tests.benchmarks.bench_teach DATA`.

DATA holds `esc10` and the corpora of the held-out groups (`sounds`, `everyday`, `more`). Each is a
library whose titles and tags say nothing. Each class is taught by itself: the classifier has its
name, and in rounds of five the clips that `ask` gives are labelled as the class says. Classes of
`esc10` are its ten, by the English names of `labels.csv`. Classes of the held-out groups are all
tags of at least 20 clips from three groups, of at most a quarter of the clips; of tags that the
same clips have the first.

Printed, in the mean over classes: average precision by the name alone over the whole library; and
after 10 and 30 labels
- `rest`: over the clips without a label, and by the name alone over those same clips. What is
  asked is mostly the sound, so the easy ones leave this ranking, and few are left in it;
- `shown`: over the whole library as a person sees it, clips labelled as the sound first, those
  labelled as another last;
- `found`: how many of the labels are the sound.
`ceiling` is what all labels of four fifths of the library tell of the other fifth.

`--sizes`: seconds to fit and to rank the whole of libraries of random vectors.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earmark.index.catalogue.classifiers import Classifier
from earmark.index.catalogue.embedded_sound import EmbeddedSound, SourceFile
from earmark.index.catalogue.metadata import Metadata
from earmark.index.catalogue.records import NewClip
from earmark.index.curation import classifiers
from earmark.index.curation.classifiers import NewLabel
from earmark.index.curation.scoring import average_precision
from earmark.index.library import Library
from earmark.index.search.named_rows import ranked
from earmark.model.audio.sound_info import SoundInfo
from earmark.model.core.arrays import Array
from earmark.model.core.manifest import ManifestRow, read_manifest
from earmark.model.embedder import AudioEmbedding, Embedder
from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import starter_model
from earmark.model.taught import Teacher
from earmark.training.corpora.split import held_out_clips

CORPORA = ("sounds", "everyday", "more")
ROUND, AT, LAST = 5, (10, 30), 30
LEAST_CLIPS, LEAST_GROUPS, LARGEST = 20, 3, 0.25
FOLDS = 5
BATCH = 10_000

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Corpus:
    """Embedded sounds, and the classes to teach: names and which clips are each [n]."""

    name: str
    sounds: Sequence[AudioEmbedding]
    classes: dict[str, Bools]


@dataclass(frozen=True)
class Taught:
    """Average precisions of one class, by numbers of labels: of the rest by the classifier and by
    the name alone, as shown; and how many labels are the sound."""

    name: str
    by_name: float
    rest: dict[int, float]
    rest_by_name: dict[int, float]
    shown: dict[int, float]
    found: dict[int, int]
    ceiling: float
    clips: int


def embed(embedder: Embedder, files: Sequence[Path], cache: Path) -> list[AudioEmbedding]:
    """Of files, from the cache where they are there."""
    listed = "\n".join(map(str, files))
    digest = hashlib.sha256(f"{embedder.fingerprint} {listed}".encode()).hexdigest()[:24]
    kept = cache / f"{digest}.npz"
    if not kept.exists():
        found = [embedder.embed_audio(file, file.name) for file in files]
        cache.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(".part.npz")
        np.savez(part, vectors=np.stack([each.vector for each in found]))
        part.rename(kept)
    with np.load(kept) as arrays:
        return [_embedding(vector, number) for number, vector in enumerate(arrays["vectors"])]


def _embedding(vector: Array, number: int) -> AudioEmbedding:
    """Of a sound of one window, as all of these corpora are found by."""
    nothing = np.zeros((0, len(vector)), np.float32)
    info = SoundInfo(32_000, 1, 32_000, f"{number:064x}")
    return AudioEmbedding(vector, np.zeros(1, np.float32), nothing, np.zeros(0), info)


def esc10(data: Path, embedder: Embedder, cache: Path) -> Corpus:
    """ESC-10; its classes by name."""
    with (data / "labels.csv").open(newline="", encoding="utf-8") as lines:
        names = {row["class"]: row["en"] for row in csv.DictReader(lines) if row["set"] == "esc10"}
    with (data / "esc10/manifest.csv").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    sounds = embed(embedder, [data / "esc10" / row["path"] for row in rows], cache)
    of = np.array([row["class"] for row in rows])
    return Corpus("esc10", sounds, {name: of == each for each, name in names.items()})


def held_out(data: Path, corpora: Sequence[str], embedder: Embedder, cache: Path) -> Corpus:
    """The groups of these corpora that did not train the model; their tags."""
    clips = [clip for name in corpora for clip in _held_out_clips(data / name, embedder)]
    sounds = embed(embedder, [clip.path for clip in clips], cache)
    counts = Counter(tag for clip in clips for tag in set(clip.tags))
    classes: dict[str, Bools] = {}
    seen: set[bytes] = set()
    for tag, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        has = np.array([tag in clip.tags for clip in clips])
        groups = {clip.group for clip, having in zip(clips, has, strict=True) if having}
        fits = LEAST_CLIPS <= count <= LARGEST * len(clips) and len(groups) >= LEAST_GROUPS
        name = tag.replace("-", " ")
        if fits and has.tobytes() not in seen and embedder.parse_tags(name).pieces:
            seen.add(has.tobytes())
            classes[name] = has
    return Corpus("+".join(corpora), sounds, classes)


def _held_out_clips(folder: Path, embedder: Embedder) -> list[ManifestRow]:
    return held_out_clips(embedder.card, read_manifest(folder / "manifest.csv"))[0]


def made_library(folder: Path, embedder: Embedder, sounds: Sequence[AudioEmbedding]) -> Library:
    """A library of these sounds, whose texts say nothing; ids and rows are their numbers + 1."""
    library = Library.open(folder, embedder, create=True)
    library.add(
        [
            EmbeddedSound(
                SourceFile(
                    Path(f"/sounds/{number}.wav"), Metadata(f"{number}", ("-",)), str(number)
                ),
                sound,
                1,
                1,
            )
            for number, sound in enumerate(sounds, 1)
        ]
    )
    library.refresh()
    return library


def teach(library: Library, name: str, right: Bools) -> Taught:
    """Teach one class, and take it away again."""
    vectors = np.stack([library.catalogue.vector(row + 1) for row in range(len(right))])
    embedder = library.embedder
    words = embedder.embed_tags([embedder.parse_tags(name).pieces])[0]
    by_name = (vectors @ words).astype(np.float64)
    taught = classifiers.create(library, name)
    labelled = np.zeros(len(right), np.bool_)
    result = Taught(
        name, average_precision(by_name, right), {}, {}, {}, {}, _ceiling(vectors, right, words),
        int(right.sum()),
    )  # fmt: skip
    while (count := int(labelled.sum())) < LAST:
        asked = classifiers.ask(library, taught.id, ROUND, 0)
        numbers = [hit.clip.row - 1 for hit in asked]
        given = [NewLabel(hit.clip.id, bool(right[hit.clip.row - 1])) for hit in asked]
        taught = classifiers.label(library, taught.id, given)
        labelled[numbers] = True
        count += len(numbers)
        if count in AT:
            logits = _logits(library, taught, len(right))
            rest = ~labelled
            result.rest[count] = average_precision(logits[rest], right[rest])
            result.rest_by_name[count] = average_precision(by_name[rest], right[rest])
            shown = np.where(labelled, np.where(right, np.inf, -np.inf), logits)
            result.shown[count] = average_precision(shown, right)
            result.found[count] = int(right[labelled].sum())
    classifiers.remove(library, taught.id)
    return result


def _logits(library: Library, taught: Classifier, count: int) -> npt.NDArray[np.float64]:
    library.refresh()
    assert taught.fitted is not None
    rows, logits = ranked(library.store, taught.fitted)
    by_row = np.empty(count)
    by_row[rows - 1] = logits
    return by_row


def _ceiling(vectors: Array, right: Bools, words: Array) -> float:
    """Average precision where all labels of the other folds are known."""
    chance = np.random.default_rng(0)
    teacher = Teacher(chance.permutation(vectors)[:2_000], words)
    folds, logits = chance.integers(0, FOLDS, len(right)), np.zeros(len(right))
    for fold in range(FOLDS):
        out = folds == fold
        logits[out] = teacher.fit(vectors[~out], right[~out]).logits(vectors[out])
    return average_precision(logits, right)


def report(embedder: Embedder, corpus: Corpus, *, each: bool) -> None:
    """Teach all classes of a corpus, and print the figures."""
    with (
        tempfile.TemporaryDirectory() as folder,
        made_library(Path(folder), embedder, corpus.sounds) as library,
    ):
        made = [teach(library, name, right) for name, right in corpus.classes.items()]
    if each:
        for one in made:
            figures = "  ".join(
                f"{at}: {one.rest[at]:.3f} {one.shown[at]:.3f} {one.found[at]:2}" for at in AT
            )
            print(f"{one.name:24} {one.clips:4}  {one.by_name:.3f}  {figures}  {one.ceiling:.3f}")
    print(f"{corpus.name}: {len(corpus.sounds)} clips, {len(made)} classes")
    print(f"  by name {np.mean([one.by_name for one in made]):.3f}, "
          f"ceiling {np.mean([one.ceiling for one in made]):.3f}")  # fmt: skip
    for at in AT:
        rest, by_name, shown, found = (
            np.mean([getattr(one, part)[at] for one in made])
            for part in ("rest", "rest_by_name", "shown", "found")
        )
        print(f"  {at} labels: rest {rest:.3f} (by name {by_name:.3f}), shown {shown:.3f}, "
              f"found {found:.1f}")  # fmt: skip


def random_clips(count: int, dim: int) -> Iterator[list[NewClip]]:
    """Batches of clips of one window."""
    chance = np.random.default_rng(0)
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        vectors = chance.standard_normal((size, dim)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        yield [
            NewClip(
                path=f"/sounds/{start + number}.wav",
                id="",
                metadata=Metadata("-", ("-",)),
                size=1,
                mtime_ns=1,
                sha256=f"{start + number:064x}"[::-1],
                duration=1.0,
                sample_rate=32_000,
                channels=1,
                damaged=0.0,
                vector=vector,
                windows=np.zeros((0, dim), np.float32),
                starts=np.zeros(0),
            )
            for number, vector in enumerate(vectors)
        ]


def sizes(embedder: Embedder, counts: Sequence[int]) -> None:
    """Print the seconds to label 5 more clips of 30, fit, and rank all of a library."""
    for count in counts:
        with (
            tempfile.TemporaryDirectory() as folder,
            Library.open(Path(folder), embedder, create=True) as library,
        ):
            for batch in random_clips(count, embedder.dim):
                with library.catalogue.write() as writer:
                    for clip in batch:
                        writer.put(clip)
            library.refresh()
            ids = [clip.id for clip in library.catalogue.clips_by_row(range(1, 36)).values()]
            taught = classifiers.create(library, "rain")
            said = [NewLabel(clip_id, number % 2 == 0) for number, clip_id in enumerate(ids)]
            taught = classifiers.label(library, taught.id, said[:30])
            began = time.perf_counter()
            taught = classifiers.label(library, taught.id, said[30:])
            fitted = time.perf_counter()
            library.refresh()
            assert taught.fitted is not None
            rows, _ = ranked(library.store, taught.fitted)
            done = time.perf_counter()
            assert len(rows) == count
            print(f"{count:9,} clips: fit {fitted - began:.2f} s, rank {done - fitted:.2f} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("build/bench-teach"))
    parser.add_argument("--each", action="store_true", help="print every class")
    parser.add_argument("--sizes", type=int, nargs="+", default=[], metavar="CLIPS")
    parser.add_argument("--only", choices=("esc10", "sounds", "all"), nargs="+", default=[])
    options = parser.parse_args()
    embedder = load_embedder(starter_model())
    if options.sizes:
        sizes(embedder, options.sizes)
        return 0
    only = options.only or ("esc10", "sounds", "all")
    if "esc10" in only:
        report(embedder, esc10(options.data, embedder, options.cache), each=options.each)
    for name, corpora in (("sounds", CORPORA[:1]), ("all", CORPORA)):
        if name in only:
            corpus = held_out(options.data, corpora, embedder, options.cache)
            report(embedder, corpus, each=options.each)
    return 0


if __name__ == "__main__":
    sys.exit(main())
