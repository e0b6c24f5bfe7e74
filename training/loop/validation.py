"""A run's metrics after each epoch, on clips that do not train it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from earmark.model.embedder import Embedder
from earmark.training.data.corpus import Corpus
from earmark.training.loop.objective import Objective
from earmark.training.loop.tensorboard import MAX_PATCHES
from earmark.training.metrics import ranking
from earmark.training.metrics.tag_queries import known_query_tags, tag_cosines


def validation_metrics(
    objective: Objective, embedder: Embedder, corpus: Corpus, seed: int
) -> dict[str, float]:
    """The validation loss; mAP@10 of tag → audio and of audio → tag where some tag is a query.

    Leaves the objective in evaluation mode.
    """
    recipe = objective.recipe.without_augmentation()
    clips = corpus.validation
    objective.eval()
    with torch.inference_mode():
        losses = [float(objective(batch)["loss"]) for batch in clips.batches(recipe, (seed, 0))]
    metrics = {"validation_loss": float(np.mean(losses))}
    tag_sets = [corpus.validation_tags[index] for index in clips.indices.tolist()]
    if known_query_tags(embedder, tag_sets):
        audio = clips.vectors(embedder, clips.indices)
        cosines, has_tag = tag_cosines(embedder, audio, tag_sets)
        tagged = has_tag.any(axis=1)
        metrics["mAP@10"] = ranking.map_at(cosines.T, has_tag.T)
        metrics["audio_to_tag_mAP@10"] = ranking.map_at(cosines[tagged], has_tag[tagged])
    return metrics


def reconstructions(objective: Objective, corpus: Corpus) -> tuple[Tensor, Tensor] | None:
    """(patches, the decoder's reconstructions), both [B, 1, T, F]; None without a decoder."""
    model = objective.model
    if model.audio is None or model.audio_decoder is None:
        return None
    recipe = objective.recipe.without_augmentation()
    indices = corpus.validation.indices[:MAX_PATCHES]
    batch = corpus.validation.make_batch(indices, recipe, np.random.default_rng(0))
    assert batch.log_mel is not None, "a decoder needs frames"
    with torch.inference_mode():
        patches = model.scale(batch.log_mel)[:, None]
        return patches, model.audio_decoder(model.audio.encode(patches))
