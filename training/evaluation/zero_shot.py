"""Task `zero-shot`: name a clip's class by its nearest label, never having trained on it.

Protocol: the service's own zero-shot path (`model.zero_shot`), with the class name as the prompt
of its label; a clip's class is the most probable label, that of highest cosine; accuracy over all
clips of the manifest.
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
from earmark.model.zero_shot import classify, embed_labels
from earmark.training.errors import CorpusError


def evaluate(embedder: Embedder, clips: Sequence[ManifestRow], data: Path) -> dict[str, Any]:
    """The task's result: protocol and metrics. Raises CorpusError without labels."""
    names = sorted({clip.label for clip in clips})
    if "" in names or len(names) < 2:
        raise CorpusError(f"{data}: expected a class for every clip, at least two classes")
    prompts = {name: name.replace("_", " ") for name in names}
    tags = {name: embedder.parse_tags(prompt).tags for name, prompt in prompts.items()}
    unknown = [name for name in names if not tags[name]]
    if unknown:
        raise CorpusError(f"{data}: class names not understood: {', '.join(unknown)}")
    labels = embed_labels(embedder, {name: [prompt] for name, prompt in prompts.items()})
    is_right: dict[str, list[bool]] = {name: [] for name in names}
    failed = {}
    with progress("embedding", len(clips)) as bar:
        for clip in clips:
            try:
                sound = embedder.embed_audio(clip.path, clip.path.name)
            except AudioError as error:
                failed[clip.path.name] = str(error)
            else:
                best = classify(embedder, labels, sound.vector).classes[0]
                is_right[clip.label].append(best.label == clip.label)
            bar.step()
    right = [value for values in is_right.values() for value in values]
    if not right:
        raise CorpusError(f"{data}: none of {len(clips)} clips could be read")
    accuracy = float(np.mean(right))
    return {
        "protocol": {
            "clips": len(right),
            "failed": failed,
            "prompts": tags,
            "similarity": "cosine",
            "chance": 1 / len(names),
        },
        "metrics": {"accuracy": {"mean": accuracy, "std": 0.0, "runs": [accuracy]}},
        "per_class": {name: float(np.mean(values)) for name, values in is_right.items() if values},
    }
