"""Task `zero-shot`: name a clip's class by its nearest label, never having trained on it.

Protocol: the label's words, cleaned, are one tag set, in which the thesaurus leads words that the
model was not trained on to those that it was, as in the service; a clip's class is the label of
highest cosine; accuracy over all clips of the manifest.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from earmark.model.core.errors import AudioError
from earmark.model.core.manifest import ManifestRow
from earmark.model.core.progress import progress
from earmark.model.embedder import Embedder
from earmark.model.text.thesaurus import shipped
from earmark.training.errors import CorpusError


def evaluate(embedder: Embedder, clips: Sequence[ManifestRow], data: Path) -> dict[str, Any]:
    """The task's result: protocol and metrics. Raises CorpusError without labels."""
    labels = sorted({clip.label for clip in clips})
    if "" in labels or len(labels) < 2:
        raise CorpusError(f"{data}: expected a class for every clip, at least two classes")
    prompts = {label: label.replace("_", " ") for label in labels}
    understood = {label: embedder.understand(prompt) for label, prompt in prompts.items()}
    unknown = [label for label in labels if not understood[label].tags]
    if unknown:
        raise CorpusError(f"{data}: class names not understood: {', '.join(unknown)}")
    targets = embedder.embed_tags([understood[label].tags for label in labels], shipped())
    vectors, truth, failed = [], [], {}
    with progress("embedding", len(clips)) as shown:
        for clip in clips:
            try:
                vectors.append(embedder.embed_audio(clip.path, clip.path.name).vector)
                truth.append(labels.index(clip.label))
            except AudioError as error:
                failed[clip.path.name] = str(error)
            shown.step()
    if not vectors:
        raise CorpusError(f"{data}: none of {len(clips)} clips could be read")
    right = (np.stack(vectors) @ targets.T).argmax(axis=1) == np.array(truth)
    per_class = {
        label: float(right[np.array(truth) == number].mean())
        for number, label in enumerate(labels)
        if number in truth
    }
    return {
        "protocol": {
            "clips": len(vectors),
            "failed": failed,
            "prompts": {label: understood[label].tags for label in labels},
            "thesaurus": True,
            "similarity": "cosine",
            "chance": 1 / len(labels),
        },
        "metrics": {
            "accuracy": {"mean": float(right.mean()), "std": 0.0, "runs": [float(right.mean())]}
        },
        "per_class": per_class,
    }
