"""A corpus of one's own: a manifest (`model.manifest`), split by group into two sides.

Clips that share a `group` (else `source`) never stand on both sides: takes of one source are
near-identical, and a model that has heard one knows the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from model.manifest import ManifestRow
from training.errors import CorpusError

SPLITS = ("train", "validation")
VALIDATION_SHARE = 8  # one group in so many validates


def split_clips(
    clips: Sequence[ManifestRow],
) -> tuple[list[ManifestRow], list[ManifestRow]]:
    """(train, validation): by the `split` column where it is filled, else by group.

    Groups are dealt by a hash of their name, so adding sounds later moves no other group.
    Raises CorpusError for an unknown split or an empty side.
    """
    splits = [_split_of(clip) for clip in clips]
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


def _split_of(clip: ManifestRow) -> str:
    if not clip.split:
        digest = hashlib.sha256(clip.group.encode()).digest()
        return "validation" if digest[0] % VALIDATION_SHARE == 0 else "train"
    if clip.split not in SPLITS:
        raise CorpusError(
            f"split: expected {' or '.join(SPLITS)}, got {clip.split!r} for {clip.path.name}"
        )
    return clip.split
