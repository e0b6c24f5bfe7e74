"""A corpus of one's own: a manifest (`model.core.manifest`), split by group into two sides.

Two ways: "groups", by a hash of each group's name; "stratified", a tenth of each tag's groups
(iterative stratification, Sechidis et al. 2011), as the paper's validation set.

Clips that share a `group` (else `source`) never stand on both sides, unless the column says so:
takes of one source are near-identical, and a model that has heard one knows the other.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np

from earmark.model.core.manifest import ManifestRow
from earmark.training.errors import CorpusError

SPLITS = ("train", "validation")
TEST = "test"
VALIDATION_SHARE = 8  # one group in so many validates
STRATIFIED_SHARE = 0.1
STRATIFIED_GROUPS = 20  # that carry a tag whose share is held in balance
STRATIFIED_TAGS = 1_000  # the most frequent ones are what is held in balance


def split_clips(
    clips: Sequence[ManifestRow], by: Literal["groups", "stratified"] = "groups", seed: int = 0
) -> tuple[list[ManifestRow], list[ManifestRow]]:
    """(train, validation): by the `split` column where it is filled, else by group.

    Clips of the split "test" are on neither side; a split that knows only "train" and "test" is
    dealt like none.

    `by`: "groups" deals them by a hash of their name, so adding sounds later moves no other
    group; "stratified" keeps each tag's share on both sides, `seed` decides.
    Raises CorpusError for an unknown split or an empty side.
    """
    for clip in clips:
        if clip.split not in ("", TEST, *SPLITS):
            raise CorpusError(
                f"split: expected {', '.join(SPLITS)} or {TEST}, got {clip.split!r} "
                f"for {clip.path.name}"
            )
    clips = [clip for clip in clips if clip.split != TEST]  # neither trained on nor chosen by
    nobody_validates = all(clip.split == "train" for clip in clips)
    given = {} if nobody_validates else {clip.group: clip.split for clip in clips if clip.split}
    free = [clip for clip in clips if clip.group not in given]
    held_out = _stratified(free, seed) if by == "stratified" else None
    splits = [
        (clip.split if given else "") or given.get(clip.group) or _dealt(clip, held_out)
        for clip in clips
    ]
    train, validation = (
        [clip for clip, split in zip(clips, splits, strict=True) if split == side]
        for side in SPLITS
    )
    if not train or not validation:
        raise CorpusError(
            f"split: expected clips to train and to validate, got {len(train)} and "
            f"{len(validation)} of {len({clip.group for clip in clips})} groups"
        )
    return train, validation


def _dealt(clip: ManifestRow, held_out: set[str] | None) -> str:
    """The side of a clip's group, nobody having said it."""
    if held_out is not None:
        return "validation" if clip.group in held_out else "train"
    digest = hashlib.sha256(clip.group.encode()).digest()
    return "validation" if digest[0] % VALIDATION_SHARE == 0 else "train"


def _stratified(clips: Sequence[ManifestRow], seed: int) -> set[str]:
    """Groups that validate: about a tenth, and about a tenth of those of each frequent tag."""
    from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

    tags: dict[str, set[str]] = {}
    for clip in clips:
        tags.setdefault(clip.group, set()).update(clip.tags)
    counts = Counter(tag for own in tags.values() for tag in own)
    # A tenth of a rare tag's groups is none: balancing those would pull all of them to one side.
    many = [tag for tag, count in counts.items() if count >= STRATIFIED_GROUPS] or list(counts)
    # Ties by name: a set's order differs between processes, and the split with the columns'.
    frequent = sorted(many, key=lambda tag: (-counts[tag], tag))[:STRATIFIED_TAGS]
    columns = {tag: place for place, tag in enumerate(frequent)}
    if len(tags) < 2:
        return set()
    random_state = seed % 2**32
    held_out = np.zeros(0, dtype=np.int64)
    if columns:
        labels = np.zeros((len(tags), max(2, len(columns))), dtype=np.int8)  # one would be no label
        for row, own in enumerate(tags.values()):
            labels[row, [columns[tag] for tag in own if tag in columns]] = 1
        split = MultilabelStratifiedShuffleSplit(
            n_splits=1, test_size=STRATIFIED_SHARE, random_state=random_state
        )
        [(_, held_out)] = split.split(labels, labels)
    if not len(held_out):  # no tags, or so few groups that none can spare a tenth
        few = max(1, round(STRATIFIED_SHARE * len(tags)))
        held_out = np.random.default_rng(random_state).choice(len(tags), few, replace=False)
    groups = list(tags)
    return {groups[number] for number in held_out}


def clips_digest(clips: Sequence[ManifestRow]) -> str:
    """Names a set of clips and their tags: a run is not resumed on another."""
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(f"{clip.path.name} {' '.join(clip.tags)}\n".encode())
    return digest.hexdigest()[:16]
