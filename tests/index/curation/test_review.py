"""Review: what waits, leases, verdicts with their history, and what is exported."""

from __future__ import annotations

import csv
import io
import threading
from dataclasses import replace

import numpy as np
import pytest

from earmark.index import feedback
from earmark.index.curation import edits, review, suggestions, thresholds
from earmark.index.curation.review import ReviewRequest, lease, list_suggestions, tag_reviews
from earmark.index.curation.suggestions import Suggesting
from earmark.index.curation.verdicts import Verdict, judge
from earmark.index.errors import CursorError, LibraryError
from earmark.index.library import Library
from earmark.index.types import Filter
from tests.index import made
from tests.index.curation.reviews import add, compute, kept, tags_of

CLIPS = 12


@pytest.fixture
def reviewed(library: Library) -> Library:
    """A library with suggestions."""
    add(library, CLIPS)
    compute(library)
    return library


def waiting(library: Library) -> dict[tuple[str, str], float]:
    """All suggestions from their thresholds on."""
    limits = dict(library.catalogue.database.query("SELECT tag, threshold FROM suggested_tags"))
    return {pair: p for pair, p in kept(library).items() if p >= limits[pair[1]]}


def listed(library: Library, **of: object) -> list[tuple[str, str]]:
    """All that a list shows, page by page."""
    request, found = ReviewRequest(k=3, **of), []  # type: ignore[arg-type]
    while True:
        page = list_suggestions(library, request)
        assert len(page.sounds) <= 3
        found += [(sound.clip.id, tag.tag) for sound in page.sounds for tag in sound.tags]
        if not page.next:
            return found
        request = replace(request, cursor=page.next)


@pytest.mark.parametrize("order", ["surest", "unsurest"])
def test_a_tag_is_reviewed_in_its_order(reviewed: Library, order: review.Order) -> None:
    own = {pair: p for pair, p in waiting(reviewed).items() if pair[1] == "rain"}
    assert 3 < len(own) < CLIPS
    ordered = sorted(own, key=own.__getitem__, reverse=order == "surest")
    assert listed(reviewed, tag="RAIN", order=order) == ordered


def test_sound_by_sound_each_comes_with_all_that_waits(reviewed: Library) -> None:
    found = listed(reviewed)
    assert sorted(found) == sorted(waiting(reviewed))
    sounds = [clip_id for clip_id, _ in found]
    assert sounds == sorted(sounds, key=lambda clip_id: int(clip_id[1:]))
    [first] = list_suggestions(reviewed, ReviewRequest(k=1)).sounds
    probabilities = [tag.probability for tag in first.tags]
    assert probabilities == sorted(probabilities, reverse=True)
    [other] = list_suggestions(reviewed, ReviewRequest(k=1, order="unsurest")).sounds
    assert other.tags == first.tags[::-1]


@pytest.mark.parametrize("looked_up", [0, 20_000])
def test_filters_pass_only_their_clips(
    reviewed: Library, monkeypatch: pytest.MonkeyPatch, looked_up: int
) -> None:
    monkeypatch.setattr(review, "LOOKED_UP", looked_up)
    reviewed.edit("s1", {"licence": "CC0-1.0"})
    reviewed.edit("s5", {"licence": "CC0-1.0"})
    compute(reviewed)
    found = listed(reviewed, where=Filter(licences=("cc0-1.0",)))
    assert found
    assert sorted(found) == sorted(pair for pair in waiting(reviewed) if pair[0] in ("s1", "s5"))
    for tag in {tag for _, tag in found}:
        own = listed(reviewed, tag=tag, where=Filter(licences=("cc0-1.0",)))
        assert sorted(own) == sorted(pair for pair in found if pair[1] == tag)


def test_what_is_over_does_not_wait_though_nothing_is_computed_anew(reviewed: Library) -> None:
    (first, tag), (second, other), *_ = listed(reviewed)
    reviewed.edit(first, {"tags": (tag.upper(),)})
    before = {each.tag: each.waiting for each in tag_reviews(reviewed)}
    feedback.add_for_clip(reviewed, second, feedback.Opinion((), (other.upper(),)))
    after = {each.tag: each.waiting for each in tag_reviews(reviewed)}
    assert after.get(other, 0) == before[other] - 1
    assert not {(first, tag), (second, other)} & set(listed(reviewed))
    assert not {(first, tag), (second, other)} & set(listed(reviewed, tag=tag))


@pytest.mark.parametrize("cursor", ["x", "W10", "é" * 9, "a" * 999])
def test_a_cursor_is_of_its_list(reviewed: Library, cursor: str) -> None:
    with pytest.raises(CursorError, match="cursor: expected one that a list gave, got"):
        list_suggestions(reviewed, ReviewRequest(cursor=cursor))
    page = list_suggestions(reviewed, ReviewRequest(tag="rain", k=1))
    with pytest.raises(CursorError, match="expected one of this very list"):
        list_suggestions(reviewed, ReviewRequest(tag="rain", order="unsurest", cursor=page.next))


def test_other_tags_do_not_wait_and_a_reviewer_has_a_name(reviewed: Library) -> None:
    assert listed(reviewed, tag="zebra") == []
    with pytest.raises(LibraryError, match="reviewer: expected a name, got none"):
        lease(reviewed, ReviewRequest())


def test_reviewers_get_different_ones_and_lose_nothing_when_one_leaves(reviewed: Library) -> None:
    def leased(holder: str, **of: object) -> set[tuple[str, str]]:
        page = lease(reviewed, ReviewRequest(holder=holder, **of))  # type: ignore[arg-type]
        return {(sound.clip.id, tag.tag) for sound in page.sounds for tag in sound.tags}

    ann, bob = leased("ann", tag="rain", k=2), leased("bob", tag="rain", k=2)
    assert len(ann) == len(bob) == 2
    assert not ann & bob
    assert leased("ann", tag="rain", k=2) == ann  # her own are kept
    assert not set(listed(reviewed, tag="rain")) & (ann | bob)
    assert ann <= set(listed(reviewed, tag="rain", holder="ann"))
    by_sound = leased("cy", k=100)
    assert not {clip for clip, _ in by_sound} & {clip for clip, _ in ann | bob}
    assert leased("ann", tag="rain", k=100) == ann  # all others are in other hands
    leased("cy", tag="wind", k=1)  # in place of what was leased before
    assert leased("ann", tag="rain", k=100) > ann
    assert leased("ann", tag="zebra") == set()  # nothing is left, and all is given back
    assert ann <= leased("dan", tag="rain", k=100)
    with reviewed.catalogue.database.transaction() as db:  # minutes later
        db.execute("UPDATE leases SET until = until - ?", (review.LEASE_SECONDS,))
    assert leased("eve", k=100) == set(waiting(reviewed))


def test_where_a_tag_is_heard_in_a_long_sound(library: Library) -> None:
    dim = library.embedder.dim
    windows = np.stack([made.vector(seed, dim) for seed in range(30, 36)])
    clip = made.new_clip("long", 1, vector=made.vector(1, dim), tags=(), duration=12.0,
                         windows=windows, starts=np.arange(6) * 2.0)  # fmt: skip
    with library.catalogue.write() as writer:
        writer.put(clip)
    compute(library)
    [sound] = list_suggestions(library, ReviewRequest()).sounds
    for tag in sound.tags:
        cosines = windows @ library.embedder.vocabulary_vectors[tag.number]
        assert tag.starts == tuple((np.argsort(-cosines)[:3] * 2.0).tolist())


def test_an_accepted_tag_is_a_tag_with_its_provenance(reviewed: Library) -> None:
    (clip_id, tag), *_ = listed(reviewed)
    before = tags_of(reviewed, clip_id)
    done = judge(reviewed, [Verdict(clip_id, tag, "accept")], "ann")
    assert (done.accepted, done.rejected, done.unchanged, done.gone) == (1, 0, 0, [])
    assert tags_of(reviewed, clip_id) == (*before, tag)
    [edit] = reviewed.catalogue.database.query("SELECT number, made_by, means FROM edits")
    assert edit == (done.edit, "ann", "review")
    assert (clip_id, tag) not in listed(reviewed)
    generation = reviewed.generation
    again = judge(reviewed, [Verdict(clip_id, tag.upper(), "accept")], "bob")
    assert (again.accepted, again.unchanged, again.edit) == (0, 1, None)
    assert done.edit is not None
    edits.undo(reviewed, done.edit)
    assert tags_of(reviewed, clip_id) == before
    assert judge(reviewed, [Verdict(clip_id, tag, "accept")]).accepted == 1
    assert tags_of(reviewed, clip_id) == (*before, tag)
    back = judge(reviewed, [Verdict(clip_id, tag, "undecided")], "ann")
    assert back.undecided == 1
    assert tags_of(reviewed, clip_id) == before
    assert (clip_id, tag) in listed(reviewed)
    assert reviewed.generation > generation


def test_a_rejected_tag_is_not_suggested_again_by_any_model(
    reviewed: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clip_id, tag), *_ = listed(reviewed)
    generation = reviewed.generation
    judge(reviewed, [Verdict(clip_id, tag, "reject")])
    assert reviewed.generation == generation  # searches keep their caches
    reviewed.edit(clip_id, {"title": "Anew"})
    compute(reviewed)
    assert (clip_id, tag) not in kept(reviewed)
    monkeypatch.setattr(suggestions, "model_key", lambda _: "another")
    Suggesting(reviewed).run()
    assert (clip_id, tag) not in kept(reviewed)
    monkeypatch.undo()
    judge(reviewed, [Verdict(clip_id, tag, "undecided")])
    compute(reviewed)
    assert (clip_id, tag) in kept(reviewed)


def test_of_two_who_disagree_the_later_counts_and_both_are_kept(reviewed: Library) -> None:
    (clip_id, tag), *_ = listed(reviewed)
    judge(reviewed, [Verdict(clip_id, tag, "accept")], "ann")
    judge(reviewed, [Verdict(clip_id, tag, "reject")], "bob")
    assert tag not in tags_of(reviewed, clip_id)
    assert reviewed.catalogue.database.query(
        "SELECT verdict, given_by, latest FROM verdicts ORDER BY number"
    ) == [("accept", "ann", 0), ("reject", "bob", 1)]
    [row] = [one for one in tag_reviews(reviewed) if one.tag == tag]
    assert (row.accepted, row.rejected) == (0, 1)


def test_a_tag_that_review_did_not_add_stays(reviewed: Library) -> None:
    reviewed.edit("s0", {"tags": ("hall",)})
    judge(reviewed, [Verdict("s0", "hall", "accept")])
    judge(reviewed, [Verdict("s0", "hall", "undecided")])
    assert tags_of(reviewed, "s0") == ("hall",)


def test_verdicts_are_all_kept_or_none(reviewed: Library) -> None:
    (first, tag), *_ = listed(reviewed)
    with pytest.raises(LibraryError, match="tag: expected printable text, got"):
        judge(reviewed, [Verdict(first, tag, "accept"), Verdict("s1", "\x07", "accept")])
    with pytest.raises(LibraryError, match="expected at most 200 characters"):
        judge(reviewed, [Verdict(first, tag, "reject"), Verdict("s1", "a" * 201, "accept")])
    with pytest.raises(LibraryError, match="verdicts: expected at most 500, got 501"):
        judge(reviewed, [Verdict(first, tag, "reject")] * 501)
    assert reviewed.catalogue.database.query("SELECT count(*) FROM verdicts") == [(0,)]
    reviewed.remove(["s1"])
    done = judge(reviewed, [Verdict("s1", "rain", "accept"), Verdict(first, tag, "reject")])
    assert (done.gone, done.rejected, done.accepted) == (["s1"], 1, 0)


def test_thresholds_follow_the_verdicts(reviewed: Library) -> None:
    def threshold() -> float:
        [one] = [one for one in tag_reviews(reviewed) if one.tag == "rain"]
        assert one.threshold is not None
        return one.threshold

    start = threshold()
    assert start == pytest.approx(0.5)
    own = listed(reviewed, tag="rain")
    judge(reviewed, [Verdict(clip_id, "rain", "reject") for clip_id, _ in own[:2]])
    raised = threshold()
    assert raised > start
    assert len(listed(reviewed, tag="rain")) <= len(own) - 2
    judge(reviewed, [Verdict(clip_id, "rain", "accept") for clip_id, _ in own[:2]])
    lowered = threshold()
    assert thresholds.lowest(np.array(start)) <= lowered < start
    judge(reviewed, [Verdict(clip_id, "rain", "undecided") for clip_id, _ in own[:2]])
    assert threshold() == pytest.approx(start)
    assert listed(reviewed, tag="rain") == own


def test_the_manifest_to_train_on_holds_what_review_decided(reviewed: Library) -> None:
    reviewed.edit("s2", {"tags": ("hall",)})
    feedback.add_for_clip(reviewed, "s1", feedback.Opinion((), ("Rain",)))  # counts no more
    verdicts = [
        *(Verdict("s1", "rain", "accept"), Verdict("s2", "wind", "accept")),
        *(Verdict("s2", "hall", "reject"), Verdict("s3", "rain", "undecided")),
    ]
    judge(reviewed, verdicts)
    text = feedback.manifest(reviewed.folder, reviewed.catalogue, absolute=False)
    rows = {row["id"]: row["tags"] for row in csv.DictReader(io.StringIO(text))}
    assert rows == {"s1": "rain", "s2": "wind"}


def test_two_threads_judge_each_suggestion_once(reviewed: Library) -> None:
    todo = set(waiting(reviewed))
    judged: list[tuple[str, str]] = []

    def work(holder: str) -> None:
        while page := lease(reviewed, ReviewRequest(holder=holder, k=2)).sounds:
            pairs = [(sound.clip.id, tag.tag) for sound in page for tag in sound.tags]
            judge(reviewed, [Verdict(*pair, "reject") for pair in pairs])
            judged.extend(pairs)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("ann", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(judged) == len(set(judged))
    assert set(judged) <= todo
    assert waiting(reviewed) == {}
