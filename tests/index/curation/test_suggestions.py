"""Suggestions for all sounds: as tagging each would give, computed once, resumed, kept up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earmark.index.curation import suggestions, thresholds
from earmark.index.curation.suggestions import Progress, Suggesting
from earmark.index.errors import LibraryError
from earmark.index.feedback import Opinion, add_for_clip
from earmark.index.library import Library
from earmark.model.embedder import Embedder
from earmark.model.tagging import suggest
from tests.index import made
from tests.index.curation.reviews import add, compute, kept


def expected(embedder: Embedder, vectors: dict[str, np.ndarray]) -> dict[tuple[str, str], float]:
    """Of clips by id, all tags that are likely enough, one by one."""
    starts = embedder.calibration.thresholds.astype(np.float64)
    lowest = dict(zip(embedder.vocabulary, thresholds.lowest(starts), strict=True))
    return {
        (clip_id, tag): float(probability)
        for clip_id, vector in vectors.items()
        for tag, probability in zip(
            embedder.vocabulary,
            embedder.calibration.probabilities(embedder.vocabulary_vectors @ vector),
            strict=True,
        )
        if probability >= lowest[tag]
    }


def test_a_sound_of_the_library_gets_what_an_upload_of_it_gets(
    library: Library, embedder: Embedder, tmp_path: Path
) -> None:
    batch = made.embed_files(embedder, made.write_sounds(tmp_path / "sounds", 3))
    ids = library.add(batch.sounds)
    generation = library.generation
    compute(library)
    assert library.generation == generation  # the index has not changed
    found = kept(library)
    assert found
    for clip_id, sound in zip(ids, batch.sounds, strict=True):
        tags = suggest(embedder, sound.embedding, suggestions.MAX_TAGS).tags
        for tag in tags:
            probability = found.pop((clip_id, tag.tag), None)
            if tag.suggested:
                assert probability == pytest.approx(tag.score, abs=1e-5)
    assert found == {}


def test_most_telling_tags_come_first_where_there_are_more(
    library: Library, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(library, 4)
    monkeypatch.setattr(suggestions, "MAX_TAGS", 3)
    compute(library)
    found = kept(library)
    for seed in range(4):
        all_of_it = expected(embedder, {f"s{seed}": made.vector(seed, embedder.dim)})
        best = sorted(all_of_it.values(), reverse=True)[:3]
        own = [value for (clip_id, _), value in found.items() if clip_id == f"s{seed}"]
        assert sorted(own, reverse=True) == pytest.approx(best)


def test_what_is_new_or_changed_is_computed_alone(library: Library, embedder: Embedder) -> None:
    add(library, 5)
    assert suggestions.progress(library.catalogue) == Progress("never", 0, 0)
    compute(library)
    assert suggestions.progress(library.catalogue) == Progress("ready", 5, 5)
    before = kept(library)
    add(library, 2, first=5)
    library.edit("s0", {"tags": ("DOG",)})
    library.remove(["s1"])
    with library.catalogue.write() as writer:  # another sound at the same path
        vector = made.vector(9, embedder.dim)
        writer.put(made.new_clip("s2", 9, vector=vector, windows=vector[:0].reshape(0, 16)))
    assert suggestions.progress(library.catalogue).state == "working"
    told: list[Progress] = []
    Suggesting(library).run(told.append)
    assert told[-1] == Progress("working", 4, 4)  # s0, s2, s5, s6
    vectors = {f"s{seed}": made.vector(seed, embedder.dim) for seed in (0, 3, 4, 5, 6)}
    wanted = expected(embedder, {**vectors, "s2": made.vector(9, embedder.dim)})
    for pair in (("s0", "dog"), ("s2", "dog"), ("s2", "bark")):  # which they have
        wanted.pop(pair, None)
    assert kept(library) == pytest.approx(wanted)
    assert kept(library) != before


@pytest.mark.parametrize(("few", "way"), [(20_000, "clips_by_generation"), (0, "rowid>")])
def test_few_changes_are_found_without_reading_all_sounds(
    library: Library, monkeypatch: pytest.MonkeyPatch, few: int, way: str
) -> None:
    monkeypatch.setattr(suggestions, "FEW_CHANGED", few)
    add(library, 3)
    compute(library)
    library.edit("s1", {"title": "other"})
    database, plans = library.catalogue.database, list[str]()
    query = database.query

    def explained(statement: str, values: Sequence[object] = ()) -> list[Any]:
        plans.extend(row[3] for row in query(f"EXPLAIN QUERY PLAN {statement}", values))
        return query(statement, values)

    monkeypatch.setattr(database, "query", explained)
    compute(library)
    assert plans
    assert any(way in plan for plan in plans)
    assert suggestions.progress(library.catalogue) == Progress("ready", 1, 1)


def test_work_that_was_interrupted_goes_on_where_it_stood(
    library: Library, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suggestions, "BATCH", 4)
    add(library, 10)
    suggestions.ask(library)
    batches: list[Progress] = []
    Suggesting(library, lambda: bool(batches)).run(batches.append)
    assert batches == [Progress("working", 4, 10)]
    assert {clip_id for clip_id, _ in kept(library)} <= {"s0", "s1", "s2", "s3"}
    add(library, 1, first=10)  # not of this run
    Suggesting(library).run(batches.append)
    assert batches[1:3] == [Progress("working", 8, 10), Progress("working", 10, 10)]
    compute(library)
    assert kept(library) == pytest.approx(
        expected(embedder, {f"s{seed}": made.vector(seed, embedder.dim) for seed in range(11)})
    )


def test_only_one_process_computes_and_another_takes_over_from_a_dead_one(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suggestions, "BATCH", 1)
    add(library, 3)
    suggestions.ask(library)
    first, second = Suggesting(library), Suggesting(library)

    def meanwhile(_: Progress) -> None:
        assert not second.is_due()
        with pytest.raises(LibraryError, match="another process is computing its suggestions"):
            second.run()
        raise InterruptedError

    monkeypatch.setattr(first, "_release", lambda: None)  # killed
    with pytest.raises(InterruptedError):
        first.run(meanwhile)
    assert not second.is_due()
    with library.catalogue.database.transaction() as db:  # a while later
        db.execute("UPDATE suggesting SET until = until - ?", (suggestions.TAKEN_SECONDS,))
    assert second.is_due()
    second.run()
    assert suggestions.progress(library.catalogue) == Progress("ready", 3, 3)


def test_a_process_that_was_away_for_long_gives_way(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suggestions, "BATCH", 1)
    add(library, 3)
    suggestions.ask(library)

    def meanwhile(_: Progress) -> None:
        with library.catalogue.database.transaction() as db:
            db.execute("UPDATE suggesting SET until = until - ?", (suggestions.TAKEN_SECONDS,))
        Suggesting(library).run()

    with pytest.raises(LibraryError, match="another process is computing its suggestions"):
        Suggesting(library).run(meanwhile)
    assert suggestions.progress(library.catalogue) == Progress("ready", 3, 3)


def test_it_stops_when_asked_and_begins_only_when_asked(library: Library) -> None:
    add(library, 2)
    assert not Suggesting(library).is_due()
    suggestions.ask(library)
    assert suggestions.stop(library) == Progress("stopped", 0, 0)
    assert not Suggesting(library).is_due()
    Suggesting(library).run()
    assert kept(library) == {}
    assert suggestions.ask(library).state == "working"
    Suggesting(library).run()
    assert suggestions.progress(library.catalogue).state == "ready"


def test_another_calibration_computes_all_anew(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(library, 3)
    compute(library)
    before = kept(library)
    assert not Suggesting(library).is_due()
    monkeypatch.setattr(suggestions, "model_key", lambda _: "another")
    other = Suggesting(library)
    assert other.is_due()
    other.run()
    assert not other.is_due()
    assert kept(library) == before


def test_tags_with_feedback_are_not_suggested(library: Library) -> None:
    add(library, 1)
    compute(library)
    first, second, *_ = [tag for _, tag in kept(library)]
    add_for_clip(library, "s0", Opinion((first.upper(),), (second,)))
    library.edit("s0", {"title": "Anew"})
    Suggesting(library).run()
    assert not {("s0", first), ("s0", second)} & kept(library).keys()
