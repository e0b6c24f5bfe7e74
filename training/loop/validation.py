"""What a run says of its model after each epoch, on clips that do not train it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from earmark.model.embedder import Embedder
from earmark.training.data.corpus import Corpus
from earmark.training.evaluation import retrieval
from earmark.training.loop.objective import Objective
from earmark.training.metrics import ranking

PICTURES = 8  # clips whose reconstruction is shown


def figures(
    objective: Objective, embedder: Embedder, corpus: Corpus, seed: int
) -> dict[str, float]:
    """Validation loss, and mAP@10 of tag → audio and audio → tag where tags can be asked for.

    Leaves the objective in evaluation mode.
    """
    quiet = objective.recipe.without_augmentation()
    clips = corpus.validation
    objective.eval()
    with torch.inference_mode():
        losses = [float(objective(batch)["loss"]) for batch in clips.epoch(quiet, (seed, 0))]
    result = {"validation_loss": float(np.mean(losses))}
    tag_sets = [corpus.validation_tags[number] for number in clips.numbers.tolist()]
    if retrieval.known_queries(embedder, tag_sets):
        audio = retrieval.embed_features(embedder, clips.features, clips.numbers.tolist())
        similarity, carried = retrieval.both_ways(embedder, audio, tag_sets)
        tagged = carried.any(axis=1)
        result["mAP@10"] = ranking.map_at(similarity.T, carried.T)
        result["audio_to_tag_mAP@10"] = ranking.map_at(similarity[tagged], carried[tagged])
    return result


def reconstructions(objective: Objective, corpus: Corpus) -> tuple[Tensor, Tensor] | None:
    """Patches [B, 1, T, F] of a few clips, and what d_a makes of them; None without a d_a."""
    model = objective.model
    if model.audio is None or model.audio_decoder is None:
        return None
    quiet = objective.recipe.without_augmentation()
    numbers = corpus.validation.numbers[:PICTURES]
    batch = corpus.validation.batch(numbers, quiet, np.random.default_rng(0))
    with torch.inference_mode():
        patches = model.scale(batch.log_mel)[:, None]
        return patches, model.audio_decoder(model.audio.encode(patches))
