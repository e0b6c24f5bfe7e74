"""Taught sounds: labels, what is fitted, filters, ranking, what is asked, hand-over."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from earmark.index.catalogue.classifiers import classifier, labels
from earmark.index.curation import classifiers as kept
from earmark.index.curation.classifiers import NewLabel
from earmark.index.curation.scoring import average_precision, held_out_figures
from earmark.index.errors import LibraryError, UnknownClassifierError, UnknownClipError
from earmark.index.library import Library
from earmark.index.types import Filter
from earmark.model.taught import LinearClassifier, Teacher, logistic
from tests.index import made

COUNT = 60


def near(axis: int, number: int, dim: int) -> np.ndarray:
    """A unit vector near an axis, another one for each number."""
    vector = 0.5 * made.vector(1_000 * axis + number, dim)
    vector[axis] += 1
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture
def stocked(library: Library) -> Library:
    """Clips `0` to `59`: those whose number ends with 0 or 5 are near one axis, others near
    others. `long` has four windows, of which the third is near the first axis."""
    dim = library.embedder.dim
    with library.catalogue.write() as writer:
        for number in range(COUNT):
            axis = 0 if number % 5 == 0 else 1 + number % 3
            name = str(number)
            writer.put(made.new_clip(name, number, id=name, vector=near(axis, number, dim)))
        windows = np.stack([near(axis, 900 + axis, dim) for axis in (1, 2, 0, 3)])
        writer.put(
            made.new_clip(
                "long", 99, id="long", duration=20.0, vector=near(2, 99, dim), windows=windows,
                starts=np.array([0.0, 5.0, 10.0, 15.0]),
            )
        )  # fmt: skip
    library.refresh()
    return library


def say(library: Library, name: str, numbers: range | list[int]) -> None:
    """Label clips as they are."""
    kept.label(library, name, [NewLabel(str(number), number % 5 == 0) for number in numbers], "ada")


def test_what_is_taught_ranks_filters_and_says_how_sure(stocked: Library) -> None:
    taught = kept.create(stocked, "Dog, my own")
    assert (taught.id, taught.tag, taught.positives) == ("dog-my-own", "dog-my-own", 0)
    say(stocked, taught.id, range(26))
    taught = classifier(stocked.catalogue, taught.id)
    assert (taught.positives, taught.negatives, taught.figures["positives"]) == (6, 20, 6)
    assert taught.figures["average_precision"] > 0.9
    assert taught.figures["balanced_accuracy"] > 0.8
    page = stocked.search_by_classifier(taught, 12)
    right = {str(number) for number in range(0, COUNT, 5)}
    assert len({hit.clip.id for hit in page.hits} & right) >= 11
    chances = [hit.probability or 0.0 for hit in page.hits]
    assert chances == sorted(chances, reverse=True)
    second = stocked.search_by_classifier(taught, 12, cursor=page.next)
    assert not {hit.clip.id for hit in page.hits} & {hit.clip.id for hit in second.hits}
    sure = stocked.search_by_classifier(taught, 100, min_probability=0.5)
    passing = stocked.passing(Filter(classifiers=(taught.id,)))
    assert {hit.clip.row for hit in sure.hits} == set(passing.tolist())
    assert right <= {hit.clip.id for hit in sure.hits}


def test_labels_are_the_last_word_and_can_be_taken_back(stocked: Library) -> None:
    taught = kept.create(stocked, "dog")
    kept.label(stocked, "dog", [NewLabel("0", False), NewLabel("1", True)], "ada")
    kept.label(stocked, "dog", [NewLabel("0", True), NewLabel("1", None)], "bob")
    (only,) = labels(stocked.catalogue, taught.number)
    assert (only.clip, only.right, only.by, only.start, only.end) == ("0", True, "bob", 0, 0)
    assert classifier(stocked.catalogue, "dog").version == taught.version + 2
    stocked.remove(["0"])
    assert not labels(stocked.catalogue, taught.number)


def test_a_moment_is_labelled_by_its_windows(stocked: Library) -> None:
    kept.create(stocked, "zzqx")  # no words that the model knows
    kept.label(stocked, "zzqx", [NewLabel("long", True, 10.0, 12.0), NewLabel("long", False, 0, 3)])
    fitted = classifier(stocked.catalogue, "zzqx").fitted
    assert fitted is not None
    windows = stocked.catalogue.windows(list(stocked.catalogue.windows(range(99))))
    ((_, vectors),) = windows.values()
    assert int(fitted.logits(vectors).argmax()) == 2
    hits = stocked.search_by_classifier(classifier(stocked.catalogue, "zzqx"), 70).hits
    (long,) = [hit for hit in hits if hit.clip.id == "long"]
    assert long.moments


def test_what_is_asked_has_no_label_and_finds_the_sound(stocked: Library) -> None:
    taught = kept.create(stocked, "dog")
    kept.label(stocked, "dog", [NewLabel("0", True)])
    seen = {"0"}
    for _ in range(5):
        asked = [hit.clip.id for hit in kept.ask(stocked, "dog", 5, 0)]
        assert len(set(asked)) == 5
        assert not seen & set(asked)
        seen |= set(asked) - {"long"}
        say(stocked, "dog", [int(clip_id) for clip_id in asked if clip_id != "long"])
    found = classifier(stocked.catalogue, taught.id)
    assert found.positives >= 8  # of twelve
    say(stocked, "dog", range(COUNT))
    assert [hit.clip.id for hit in kept.ask(stocked, "dog", 5, 0)] == ["long"]


def test_a_library_takes_in_what_another_has_taught(stocked: Library) -> None:
    kept.create(stocked, "dog", "Barking")
    say(stocked, "dog", range(26))
    exported = json.loads(json.dumps(kept.to_export(classifier(stocked.catalogue, "dog"))))
    taken = kept.take_in(stocked, exported, "dog two")
    assert (taken.id, taken.imported, taken.version) == ("dog-two", True, 1)
    first, second = classifier(stocked.catalogue, "dog").fitted, taken.fitted
    assert first is not None
    assert second is not None
    assert second.vector.tobytes() == first.vector.tobytes()
    assert second.bias == first.bias
    names = [each.name for each in kept.taught(stocked.catalogue, stocked.embedder)]
    assert names == ["dog", "dog two"]
    say(stocked, "dog-two", [30, 31])  # goes on from there
    assert len(stocked.passing(Filter(classifiers=("dog-two",)))) >= 10
    with pytest.raises(LibraryError, match="name: expected one that no classifier has"):
        kept.take_in(stocked, exported)


JSON_VALUES = (
    st.none() | st.booleans() | st.floats() | st.text(max_size=20) | st.lists(st.integers())
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    field=st.sampled_from("format version name tag fingerprint vector bias".split()),
    value=JSON_VALUES,
)
def test_what_is_no_classifier_is_refused(library: Library, field: str, value: object) -> None:
    dim = library.embedder.dim
    vector = base64.b64encode(np.ones(dim, "<f4").tobytes()).decode()
    good: dict[str, Any] = {
        "format": "earmark-classifier", "version": 1, "name": "n", "tag": "t", "vector": vector,
        "fingerprint": library.embedder.fingerprint, "bias": 0.5,
    }  # fmt: skip
    try:
        taken = kept.take_in(library, {**good, field: value})
    except LibraryError:
        return
    assert field in ("name", "tag", "bias", "version")
    assert taken.fitted is not None
    assert np.isfinite(taken.fitted.bias)
    kept.remove(library, taken.id)


@pytest.mark.parametrize("text", ["nan", "inf", "zero", "short"])
def test_weights_that_are_none_are_refused(library: Library, text: str) -> None:
    dim = library.embedder.dim
    values = np.zeros(dim, "<f4") if text == "zero" else np.full(dim, float(text == "short"), "<f4")
    if text in ("nan", "inf"):
        values[0] = float(text)
    vector = base64.b64encode(values[: dim - (text == "short")].tobytes()).decode()
    exported = {
        "format": "earmark-classifier", "version": 1, "name": "n", "vector": vector, "bias": 0,
        "fingerprint": library.embedder.fingerprint,
    }  # fmt: skip
    with pytest.raises(LibraryError, match="vector: expected"):
        kept.take_in(library, exported)


def test_wrong_labels_change_nothing(stocked: Library) -> None:
    taught = kept.create(stocked, "dog")
    good = NewLabel("1", True)
    with pytest.raises(UnknownClipError, match="no clip 'none'"):
        kept.label(stocked, "dog", [good, NewLabel("none", True)])
    for start, end in ((5.0, 5.0), (-1.0, 3.0), (30.0, None), (3.0, 1.0), (0.0001, 0.0004)):
        with pytest.raises(LibraryError, match="start, end: expected"):
            kept.label(stocked, "dog", [good, NewLabel("long", True, start, end)])
    assert not labels(stocked.catalogue, taught.number)
    with pytest.raises(UnknownClassifierError, match="none has the id 'cat'"):
        kept.label(stocked, "cat", [good])
    with pytest.raises(UnknownClassifierError):
        stocked.passing(Filter(classifiers=("cat",)))
    for name in ("", "DOG", "x" * 101):
        with pytest.raises(LibraryError, match="name: expected"):
            kept.create(stocked, name)


def test_a_clip_is_labelled_by_its_id_composed_or_not(stocked: Library) -> None:
    clip = made.new_clip("é", 98, id="é", vector=near(0, 98, stocked.embedder.dim))
    with stocked.catalogue.write() as writer:
        writer.put(clip)
    taught = kept.create(stocked, "dog")
    kept.label(stocked, "dog", [NewLabel("e\N{COMBINING ACUTE ACCENT}", True)])
    assert [label.clip for label in labels(stocked.catalogue, taught.number)] == ["é"]


def test_a_name_that_changes_keeps_the_id(stocked: Library) -> None:
    kept.create(stocked, "dog")
    changed = kept.edit(stocked, "dog", name="Cat", tag="my cat")
    assert (changed.id, changed.name, changed.tag) == ("dog", "Cat", "my-cat")
    kept.remove(stocked, "dog")
    with pytest.raises(UnknownClassifierError):
        kept.remove(stocked, "dog")


def test_a_library_that_most_clips_have_left_still_gives_a_sample(stocked: Library) -> None:
    with stocked.catalogue.write() as writer:
        db = writer.database
        db.execute("UPDATE sqlite_sequence SET seq = 1000000 WHERE name = 'clips'")
        writer.put(made.new_clip("last", 5, id="last", vector=near(3, 5, stocked.embedder.dim)))
        sample = kept._sample(db, stocked.embedder.dim)
    assert len(sample) == COUNT + 2


def test_sounds_that_are_all_alike_make_no_wild_weights() -> None:
    vectors = np.stack([near(number % 3, number, 64) for number in range(30)])
    for same in (vectors[:1], vectors[[1] * 8], vectors[[1] * 8] + np.float32(1e-7)):
        fitted = Teacher(same, vectors[0]).fit(same[:1], np.array([True]))
        assert np.abs(fitted.logits(vectors)).max() < 40


def test_average_precision_is_the_mean_of_precisions() -> None:
    right = np.array([True, False, True, False])
    assert average_precision(np.array([4.0, 3, 2, 1]), right) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.zeros(2), np.zeros(2, np.bool_)) == 0


def test_figures_need_five_of_each() -> None:
    vectors = np.stack([near(number % 2, number, 8) for number in range(12)])
    right = np.arange(12) % 2 == 0
    teacher = Teacher(vectors)
    rows = np.arange(12)
    assert held_out_figures(teacher, vectors[:9], right[:9], rows[:9]) == {}
    assert held_out_figures(teacher, vectors, right, rows)["average_precision"] == 1.0


def test_the_direction_and_scale_give_the_logits() -> None:
    vectors = np.stack([near(number % 3, number, 6) for number in range(30)])
    right = np.arange(30) % 3 == 0
    fitted = Teacher(vectors, vectors[0]).fit(vectors, right)
    assert isinstance(fitted, LinearClassifier)
    assert fitted.logits(vectors)[right].min() > fitted.logits(vectors)[~right].max()
    cosines = vectors @ fitted.direction
    assert fitted.scale * cosines + fitted.bias == pytest.approx(fitted.logits(vectors), abs=1e-4)


@pytest.mark.parametrize(("count", "dim"), [(40, 5), (6, 20)])  # both ways to a step
def test_a_fit_is_where_its_loss_is_least(count: int, dim: int) -> None:
    chance = np.random.default_rng(3)
    rows, truth = chance.standard_normal((count, dim)), chance.random(count) < 0.4
    weights, start = chance.random(count) + 0.1, chance.standard_normal(dim + 1)

    def loss(at: np.ndarray) -> float:
        logits = rows @ at[:-1] + at[-1]
        losses = np.log1p(np.exp(np.where(truth, -logits, logits)))
        held = ((at - start)[:-1] ** 2).sum() + 1e-3 * (at - start)[-1] ** 2
        return float(weights @ losses + held / 2)

    found = logistic(rows, truth, weights, start)
    assert loss(found) == pytest.approx(loss(minimize(loss, start, method="BFGS").x), rel=1e-3)
