"""Splits of a corpus: the clips that train, the clips that validate, the clips held out.

A group's clips never stand on both sides, unless the column `split` says so: takes of one source
are near-identical, so a model trained on one recognises the other. Groups are split in two ways:
"groups", by a hash of the group's name; "stratified", a tenth of each tag's groups (iterative
stratification, Sechidis et al. 2011), as for the paper's validation set.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from earmark.model.core.manifest import ManifestRow
from earmark.training.errors import CorpusError

SPLITS = ("train", "validation")
TEST = "test"
VALIDATION_SHARE = 8  # one group in eight validates
STRATIFIED_SHARE = 0.1
STRATIFIED_GROUPS = 20  # a tag of fewer groups is not stratified
STRATIFIED_TAGS = 1_000  # the most frequent tags are stratified


def split_clips(
    clips: Sequence[ManifestRow], by: Literal["groups", "stratified"] = "groups", seed: int = 0
) -> tuple[list[ManifestRow], list[ManifestRow]]:
    """(training clips, validation clips): by the column `split` where it is filled, else by group.

    Clips of the split "test" are on neither side. Where the column knows only "train" and "test",
    the training clips are split as if it were empty.

    `by`: "groups" uses a hash of the name, so that adding sounds later moves no group;
    "stratified" keeps each tag's share on both sides and depends on `seed`.
    Raises CorpusError for an unknown split or an empty side.
    """
    for clip in clips:
        if clip.split not in ("", TEST, *SPLITS):
            raise CorpusError(
                f"split: expected {', '.join(SPLITS)} or {TEST}, got {clip.split!r} "
                f"for {clip.path.name}"
            )
    clips = [clip for clip in clips if clip.split != TEST]
    only_train = all(clip.split == "train" for clip in clips)
    side_of = {} if only_train else {clip.group: clip.split for clip in clips if clip.split}
    unassigned = [clip for clip in clips if clip.group not in side_of]
    validating = _stratified_groups(unassigned, seed) if by == "stratified" else None
    splits = [
        (clip.split if side_of else "") or side_of.get(clip.group) or _side(clip, validating)
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


def _side(clip: ManifestRow, validating: set[str] | None) -> str:
    """The side of a group that the column does not assign; `validating` None: by hash."""
    if validating is not None:
        return "validation" if clip.group in validating else "train"
    digest = hashlib.sha256(clip.group.encode()).digest()
    return "validation" if digest[0] % VALIDATION_SHARE == 0 else "train"


def _stratified_groups(clips: Sequence[ManifestRow], seed: int) -> set[str]:
    """Groups that validate: about a tenth of all, and of the groups of each frequent tag."""
    from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

    tags_of: dict[str, set[str]] = {}
    for clip in clips:
        tags_of.setdefault(clip.group, set()).update(clip.tags)
    counts = Counter(tag for tags in tags_of.values() for tag in tags)
    # A tenth of a rare tag's groups is none: balancing those would pull all of them to one side.
    common = [tag for tag, count in counts.items() if count >= STRATIFIED_GROUPS] or list(counts)
    # Ties by name: a set's order differs between processes, and so would the columns and the split.
    frequent = sorted(common, key=lambda tag: (-counts[tag], tag))[:STRATIFIED_TAGS]
    columns = {tag: column for column, tag in enumerate(frequent)}
    if len(tags_of) < 2:
        return set()
    random_state = seed % 2**32
    chosen = np.zeros(0, dtype=np.int64)
    if columns:
        # Two columns at least: the stratifier does not take one as labels.
        labels = np.zeros((len(tags_of), max(2, len(columns))), dtype=np.int8)
        for row, tags in enumerate(tags_of.values()):
            labels[row, [columns[tag] for tag in tags if tag in columns]] = 1
        split = MultilabelStratifiedShuffleSplit(
            n_splits=1, test_size=STRATIFIED_SHARE, random_state=random_state
        )
        [(_, chosen)] = split.split(labels, labels)
    if not len(chosen):  # no tags, or a tenth of the groups is none
        count = max(1, round(STRATIFIED_SHARE * len(tags_of)))
        chosen = np.random.default_rng(random_state).choice(len(tags_of), count, replace=False)
    groups = list(tags_of)
    return {groups[index] for index in chosen}


def held_out_clips(
    card: Mapping[str, Any], clips: Sequence[ManifestRow]
) -> tuple[list[ManifestRow], str]:
    """(clips that did not train the model of this card, which ones they are in words).

    The model's epoch may have been chosen on them.
    """
    groups = set(card.get("validation_groups", ()))
    held_out = [clip for clip in clips if clip.group in groups]
    if held_out:
        return held_out, "the groups that validated the model"
    return split_clips(clips)[1], "the groups that a hash of their name chooses"


def clips_digest(clips: Sequence[ManifestRow]) -> str:
    """A hash of clips and their tags, by which a run refuses to resume on others."""
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(f"{clip.path.name} {' '.join(clip.tags)}\n".encode())
    return digest.hexdigest()[:16]
