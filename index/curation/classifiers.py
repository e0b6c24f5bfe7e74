"""Sounds that people teach: labels, what is fitted to them, what to label next, and hand-over.

Each change of labels fits a new version in the same transaction, and every version is kept with
its figures (the last 50). A classifier that was taken in from another library starts from what it
was there. Labels of moments are labels of the windows that they cover.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import json
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from unicodedata import normalize

import numpy as np
import numpy.typing as npt

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.classifiers import Classifier, classifier, unknown
from earmark.index.catalogue.embedded_sound import LONG_SECONDS
from earmark.index.catalogue.metadata import clean_line, printable_tags
from earmark.index.catalogue.moment_vectors import moment_vectors
from earmark.index.curation.scoring import held_out_figures
from earmark.index.curation.slugs import free_slug
from earmark.index.errors import LibraryError, NotTaughtError, OtherModelError, UnknownClipError
from earmark.index.library import Library
from earmark.index.search.named_rows import ranked
from earmark.index.types import Filter, Hit
from earmark.model.core.arrays import Array, Rows
from earmark.model.core.errors import WordsError
from earmark.model.embedder import AudioEmbedding, Embedder, unit
from earmark.model.taught import LinearClassifier, Teacher
from earmark.model.text.text_key import text_key

MAX_CLASSIFIERS = 200
MAX_LABELS = 2_000  # of a classifier
MAX_VERSIONS = 50  # that are kept
MAX_NAME_CHARACTERS = 100
SAMPLE = 2_000  # sounds of the library that tell how it varies
SURE_SHARE = 0.6  # of what is asked: the surest; the others are the least sure
LOOKED_AT = 400  # candidates of each kind, for what is asked
ALIKE = 0.9  # cosine of two sounds of which one is asked first
FORMAT = "earmark-classifier"

_SEPARATOR = re.compile(r"[,;]")


@dataclass(frozen=True)
class NewLabel:
    """What a person says of a clip, by its id, or of its moment from `start` to `end` (seconds):
    it is the sound, it is not, or None to take back what was said."""

    clip: str
    right: bool | None
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class TaughtSound:
    """A classifier that is ready to be used."""

    id: str
    name: str
    tag: str
    fitted: LinearClassifier


@dataclass(frozen=True)
class HeardSound:
    """How probable a taught sound is in another one; `classifier`: its id, `tag`: its tag."""

    classifier: str
    tag: str
    probability: float

    @property
    def suggested(self) -> bool:
        """Whether it is more probable than not."""
        return self.probability >= 0.5


def create(library: Library, name: str, tag: str | None = None) -> Classifier:
    """A new classifier without labels, which ranks by the words of its name.

    `tag`: what it suggests; None: its name. Raises LibraryError for a name or tag that is taken,
    none or too long, and for too many classifiers.
    """
    return _insert(library, name, tag)


def edit(
    library: Library, classifier_id: str, name: str | None = None, tag: str | None = None
) -> Classifier:
    """Set name, tag or both; the id stays. Raises UnknownClassifierError, LibraryError."""
    with library.catalogue.write() as writer:
        db, found = writer.database, classifier(library.catalogue, classifier_id)
        name, tag = _names(found.name if name is None else name, found.tag if tag is None else tag)
        db.execute(
            "UPDATE classifiers SET name = ?, name_key = ?, tag = ?, changed_at = ?, "
            "generation = ? WHERE number = ?",
            (name, _free_key(db, name, found.number), tag, _now(), writer.generation, found.number),
        )
        if text_key(name) != text_key(found.name):
            _fit(library, db, found.number, name)
    return classifier(library.catalogue, classifier_id)


def remove(library: Library, classifier_id: str) -> None:
    """Remove a classifier with its labels and versions. Raises UnknownClassifierError."""
    with library.catalogue.write() as writer:
        if not writer.database.execute(
            "DELETE FROM classifiers WHERE id = ?", (classifier_id,)
        ).rowcount:
            raise unknown(classifier_id)


def label(
    library: Library, classifier_id: str, given: Sequence[NewLabel], by: str = ""
) -> Classifier:
    """Keep what a person says, all or nothing, and fit the next version to all labels.

    Raises UnknownClassifierError, UnknownClipError, LibraryError for moments that are none, and for
    too many labels.
    """
    with library.catalogue.write() as writer:
        db, found = writer.database, classifier(library.catalogue, classifier_id)
        _keep(db, found.number, _checked(db, given), by)
        (count,) = db.execute(
            "SELECT count(*) FROM classifier_labels WHERE classifier = ?", (found.number,)
        ).fetchone()
        if count > MAX_LABELS:
            raise LibraryError(f"labels: expected at most {MAX_LABELS:,} in all, got {count:,}")
        db.execute(
            "UPDATE classifiers SET changed_at = ?, generation = ? WHERE number = ?",
            (_now(), writer.generation, found.number),
        )
        _fit(library, db, found.number, found.name)
    return classifier(library.catalogue, classifier_id)


def ask(library: Library, classifier_id: str, k: int, moments: int) -> list[Hit]:
    """The k clips to label next: three of five the surest, then those it is least sure of, none
    much like another one of them, none that has a label already.

    Raises UnknownClassifierError; NotTaughtError where neither a word of the name nor a label tells
    anything.
    """
    found = classifier(library.catalogue, classifier_id)
    if found.fitted is None:
        raise NotTaughtError(f"classifier: expected labels of {found.name[:60]!r} first, got none")
    library.refresh()
    labelled = [
        row
        for (row,) in library.catalogue.database.query(
            "SELECT DISTINCT row FROM classifier_labels WHERE classifier = ?", (found.number,)
        )
    ]
    rows, logits = ranked(library.store, found.fitted)
    is_new = ~np.isin(rows, labelled)
    rows, logits = rows[is_new], logits[is_new]
    sure_count = k if not labelled else max(1, round(SURE_SHARE * k))
    chosen = _apart(library.catalogue, rows[:LOOKED_AT], sure_count)
    others = np.argsort(np.abs(logits), kind="stable")[: LOOKED_AT + len(chosen)]
    unsure = [row for row in rows[others].tolist() if row not in chosen]
    chosen += _apart(library.catalogue, unsure, k - len(chosen))
    if not chosen:
        return []
    page = library.search_by_classifier(
        found, len(chosen), Filter(rows=tuple(chosen)), moments=moments
    )
    return sorted(page.hits, key=lambda hit: chosen.index(hit.clip.row))


def to_export(found: Classifier) -> dict[str, Any]:
    """What `take_in` reads: plain JSON, no code. Raises NotTaughtError."""
    if found.fitted is None:
        raise NotTaughtError(f"classifier: expected labels of {found.name[:60]!r} first, got none")
    vector = found.fitted.vector.astype("<f4")
    return {
        "format": FORMAT,
        "version": 1,
        "name": found.name,
        "tag": found.tag,
        "fingerprint": found.fingerprint,
        "dim": len(vector),
        "vector": base64.b64encode(vector.tobytes()).decode(),
        "bias": found.fitted.bias,
        "figures": dict(found.figures),
    }


def take_in(library: Library, exported: Mapping[str, Any], name: str | None = None) -> Classifier:
    """A classifier that another library of the same model has exported. Labels go on from it.

    `name`: instead of its own. Raises OtherModelError, LibraryError where it is none.
    """
    if exported.get("format") != FORMAT or exported.get("version") != 1:
        raise LibraryError(f"classifier: expected what export gives, in the format {FORMAT!r} 1")
    embedder = library.embedder
    if exported.get("fingerprint") != embedder.fingerprint:
        raise OtherModelError(
            f"fingerprint: expected a classifier of this library's model, {embedder.fingerprint}, "
            f"got {str(exported.get('fingerprint'))[:80]!r}"
        )
    fitted = _read_weights(exported, embedder.dim)
    named = exported.get("name", "") if name is None else name
    tag = exported.get("tag") if name is None else None
    if not isinstance(named, str) or not isinstance(tag, str | None):
        raise LibraryError("name, tag: expected texts")
    return _insert(library, named, tag, fitted)


def taught(catalogue: Catalogue, embedder: Embedder) -> list[TaughtSound]:
    """All that people have said is the sound of something, by this very model."""
    found = catalogue.database.query(
        "SELECT id, name, tag, vector, bias FROM classifiers "
        "JOIN classifier_versions AS fitted "
        "ON fitted.classifier = classifiers.number AND fitted.version = classifiers.version "
        "WHERE fingerprint = ? AND (classifiers.start IS NOT NULL OR EXISTS (SELECT 1 "
        "FROM classifier_labels WHERE classifier = classifiers.number AND right)) "
        "ORDER BY name_key",
        (embedder.fingerprint,),
    )
    return [
        TaughtSound(id_, name, tag, LinearClassifier(np.frombuffer(vector, np.float32), bias))
        for id_, name, tag, vector, bias in found
    ]


def labels_taught(
    catalogue: Catalogue, embedder: Embedder, names: Iterable[str]
) -> dict[str, LinearClassifier]:
    """The classifiers of those labels that are named as a taught sound."""
    by_key = {text_key(sound.name): sound.fitted for sound in taught(catalogue, embedder)}
    return {name: by_key[text_key(name)] for name in names if text_key(name) in by_key}


def hear(catalogue: Catalogue, embedder: Embedder, sound: AudioEmbedding) -> list[HeardSound]:
    """How probable each taught sound is in a sound, the most probable first; in a long one it is
    that of its best window, where something stands out."""
    vectors = sound.vector[None]
    if sound.info.duration > LONG_SECONDS:
        vectors = np.concatenate([vectors, moment_vectors(sound.windows)])
    heard = [
        HeardSound(each.id, each.tag, float(each.fitted.probabilities(vectors).max()))
        for each in taught(catalogue, embedder)
    ]
    return sorted(heard, key=lambda each: -each.probability)


def _insert(
    library: Library, name: str, tag: str | None, start: LinearClassifier | None = None
) -> Classifier:
    name, tag = _names(name, tag)
    with library.catalogue.write() as writer:
        db, now = writer.database, _now()
        (count,) = db.execute("SELECT count(*) FROM classifiers").fetchone()
        if count >= MAX_CLASSIFIERS:
            raise LibraryError(f"classifiers: expected at most {MAX_CLASSIFIERS}, got one more")
        new_id = free_slug(db, "classifiers", name)
        number = db.execute(
            "INSERT INTO classifiers (id, name, name_key, tag, start, start_bias, created_at, "
            "changed_at, generation, version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
            (
                *(new_id, name, _free_key(db, name), tag),
                None if start is None else start.vector.tobytes(),
                None if start is None else start.bias,
                *(now, now, writer.generation),
            ),
        ).lastrowid
        assert number is not None, "a row was inserted"
        _fit(library, db, number, name)
    return classifier(library.catalogue, new_id)


def _names(name: str, tag: str | None) -> tuple[str, str]:
    """Name and tag as they are kept. Raises LibraryError."""
    name = clean_line(name)
    if not 0 < len(name) <= MAX_NAME_CHARACTERS:
        raise LibraryError(
            f"name: expected 1 to {MAX_NAME_CHARACTERS} characters, got {len(name)}: {name[:40]!r}"
        )
    # One tag: lists of tags are split at commas and semicolons.
    printable = printable_tags([_SEPARATOR.sub(" ", name.lower() if tag is None else tag)])
    tag = "-".join(" ".join(printable).split())
    if not 0 < len(tag) <= MAX_NAME_CHARACTERS:
        raise LibraryError(f"tag: expected 1 to {MAX_NAME_CHARACTERS} characters, got {len(tag)}")
    return name, tag


def _free_key(db: sqlite3.Connection, name: str, number: int = 0) -> str:
    """The key of a name that no other classifier has. Raises LibraryError."""
    key = text_key(name)
    if db.execute(
        "SELECT 1 FROM classifiers WHERE name_key = ? AND number != ?", (key, number)
    ).fetchone():
        raise LibraryError(f"name: expected one that no classifier has, got {name[:60]!r}")
    return key


def _checked(
    db: sqlite3.Connection, given: Sequence[NewLabel]
) -> list[tuple[int, float, float, bool | None]]:
    """(row, start, end, right) of labels. Raises UnknownClipError, LibraryError."""
    ids = json.dumps([normalize("NFC", each.clip) for each in given])
    known = {
        clip_id: (row, duration)
        for clip_id, row, duration in db.execute(
            "SELECT id, row, duration FROM clips WHERE id IN (SELECT value FROM json_each(?))",
            (ids,),
        )
    }
    checked = []
    for each in given:
        clip_id = normalize("NFC", each.clip)
        if clip_id not in known:
            raise UnknownClipError(f"id: no clip {each.clip!r} in this library")
        row, duration = known[clip_id]
        start, end = 0.0, 0.0
        if each.start is not None or each.end is not None:
            start = round(each.start or 0.0, 3)
            end = round(min(duration if each.end is None else each.end, duration), 3)
            if not 0 <= start < end:
                raise LibraryError(
                    f"start, end: expected 0 ≤ start < end within {duration:g} s, "
                    f"got {each.start} and {each.end}"
                )
        checked.append((row, start, end, each.right))
    return checked


def _keep(
    db: sqlite3.Connection,
    number: int,
    labels: Sequence[tuple[int, float, float, bool | None]],
    by: str,
) -> None:
    """Write labels; the later one of a clip or moment counts."""
    now = _now()
    for row, start, end, right in labels:
        db.execute(
            "DELETE FROM classifier_labels WHERE classifier = ? AND row = ? AND start = ? "
            "AND end = ?",
            (number, row, start, end),
        )
        if right is not None:
            db.execute(
                "INSERT INTO classifier_labels (classifier, row, start, end, right, given_by, "
                "given_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (number, row, start, end, right, by, now),
            )


def _fit(library: Library, db: sqlite3.Connection, number: int, name: str) -> None:
    """Fit the next version to the labels, unless neither they nor the name tell anything."""
    rows, vectors, right = _labelled_vectors(library, db, number)
    start, start_bias = db.execute(
        "SELECT start, start_bias FROM classifiers WHERE number = ?", (number,)
    ).fetchone()
    if start is not None:
        fitted = LinearClassifier(np.frombuffer(start, np.float32), start_bias)
        prior: Array | None = fitted.vector
    else:
        prior = _words_vector(library.embedder, name)
        if prior is None and not len(right):
            return
    figures: dict[str, Any] = {
        "positives": int(right.sum()),
        "negatives": len(right) - int(right.sum()),
    }
    if len(right) or start is None:
        sounds = _sample(db, library.embedder.dim)
        if not len(sounds):
            return
        teacher = Teacher(sounds, prior)
        fitted = teacher.fit(vectors, right)
        figures |= held_out_figures(teacher, vectors, right, rows)
    _write_version(library, db, number, fitted, figures)


def _write_version(
    library: Library,
    db: sqlite3.Connection,
    number: int,
    fitted: LinearClassifier,
    figures: Mapping[str, Any],
) -> None:
    (version,) = db.execute(
        "UPDATE classifiers SET version = version + 1 WHERE number = ? RETURNING version", (number,)
    ).fetchone()
    db.execute(
        "INSERT INTO classifier_versions VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            *(number, version, library.embedder.fingerprint),
            *(fitted.vector.astype(np.float32).tobytes(), fitted.bias),
            *(json.dumps(figures), _now()),
        ),
    )
    db.execute(
        "DELETE FROM classifier_versions WHERE classifier = ? AND version <= ?",
        (number, version - MAX_VERSIONS),
    )


def _labelled_vectors(
    library: Library, db: sqlite3.Connection, number: int
) -> tuple[Rows, Array, npt.NDArray[np.bool_]]:
    """Of the labels, in their order: rows [n], unit vectors [n, D], whether each is the sound [n].

    The vector of a moment is that of the mean of the windows that it covers; of a clip whose
    windows are not kept, and of a whole clip, the clip's own.
    """
    length = library.embedder.front_end.window_seconds
    rows, vectors, right = [], [], []
    for row, start, end, is_right, own, starts, windows in db.execute(
        "SELECT row, labels.start, labels.end, right, vector, windows.starts, windows.vectors "
        "FROM classifier_labels AS labels JOIN clips USING (row) LEFT JOIN windows USING (row) "
        "WHERE classifier = ? ORDER BY labels.number",
        (number,),
    ):
        vector = np.frombuffer(own, np.float32)
        if end and starts:
            begins = np.frombuffer(starts, np.float64)
            overlap = np.minimum(begins + length, end) - np.maximum(begins, start)
            covered = overlap >= 0.5 * min(length, end - start)
            if not covered.any():
                covered = overlap == overlap.max()
            of_windows = np.frombuffer(windows, np.float32).reshape(len(begins), -1)
            vector = unit(of_windows[covered].mean(axis=0))
        rows.append(row)
        vectors.append(vector)
        right.append(bool(is_right))
    dim = library.embedder.dim
    matrix = np.stack(vectors) if vectors else np.zeros((0, dim), np.float32)
    return np.array(rows, np.int64), matrix, np.array(right, np.bool_)


def _sample(db: sqlite3.Connection, dim: int) -> Array:
    """Vectors [m, D] of clips that a fixed chance draws, in an order by chance."""
    (last,) = db.execute("SELECT coalesce(max(row), 0) FROM clips").fetchone()
    chance, found = np.random.default_rng(0), np.zeros((0, dim), np.float32)
    if last > 10 * SAMPLE:
        found = _vectors(db, 1 + chance.integers(0, last, SAMPLE), dim)
    if len(found) < SAMPLE // 2:  # a small library, or one that most clips have left
        rows = [row for (row,) in db.execute("SELECT row FROM clips ORDER BY row")]
        found = _vectors(db, chance.permutation(np.array(rows, np.int64))[:SAMPLE], dim)
    return found


def _vectors(db: sqlite3.Connection, rows: Rows, dim: int) -> Array:
    """The vectors [m, D] of the clips that are there of these, in their order."""
    order = {row: place for place, row in enumerate(rows.tolist())}
    found = db.execute(
        "SELECT row, vector FROM clips WHERE row IN (SELECT value FROM json_each(?))",
        (json.dumps(list(order)),),
    ).fetchall()
    found.sort(key=lambda each: order[each[0]])
    joined = b"".join(vector for _, vector in found)
    return np.frombuffer(joined, np.float32).reshape(-1, dim)


def _words_vector(embedder: Embedder, name: str) -> Array | None:
    """What a name sounds like to the model [D]; None where it knows none of its words."""
    pieces = embedder.parse_tags(name).pieces
    try:
        return embedder.embed_tags([pieces])[0] if pieces else None
    except WordsError:
        return None


def _apart(catalogue: Catalogue, rows: Sequence[int] | Rows, count: int) -> list[int]:
    """The first `count` of these rows whose sounds are not alike; then others in their order."""
    if count <= 0:
        return []
    ordered = [int(row) for row in rows]
    vectors = catalogue.vectors(ordered)
    ordered = [row for row in ordered if row in vectors]
    chosen: list[int] = []
    for row in ordered:
        if len(chosen) < count and all(
            float(vectors[row] @ vectors[other]) < ALIKE for other in chosen
        ):
            chosen.append(row)
    rest = [row for row in ordered if row not in chosen]
    return [*chosen, *rest][:count]


def _read_weights(exported: Mapping[str, Any], dim: int) -> LinearClassifier:
    """The weights of an exported classifier. Raises LibraryError."""
    text, bias = exported.get("vector"), exported.get("bias")
    if isinstance(bias, bool) or not isinstance(bias, int | float) or not abs(bias) < 1e6:
        raise LibraryError("bias: expected a number between -1e6 and 1e6")
    if not isinstance(text, str) or len(text) != 4 * -(-4 * dim // 3):
        raise LibraryError(f"vector: expected {dim} numbers of float32 in base64")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise LibraryError(f"vector: expected {dim} numbers of float32 in base64") from error
    vector = np.frombuffer(data, "<f4") if len(data) == 4 * dim else np.zeros(0, np.float32)
    if not len(vector) or not np.isfinite(vector).all() or not 0 < np.abs(vector).max() < 1e6:
        raise LibraryError(f"vector: expected {dim} finite numbers that are not all 0")
    return LinearClassifier(vector.astype(np.float32), float(bias))


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
