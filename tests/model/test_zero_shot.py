"""Labels of one's own: words that the model was not trained on."""

from __future__ import annotations

import numpy as np

from earmark.model.checkpoint import starter_model
from earmark.model.embedder import Embedder
from earmark.model.zero_shot import embed_labels, plain_prompts


def test_labels_are_led_by_the_thesaurus() -> None:
    embedder = Embedder.load(starter_model())
    words = ["dog", "puppy"]
    assert [word in embedder.vocabulary for word in words] == [True, False]
    labels = embed_labels(embedder, plain_prompts(words))
    plain = embedder.embed_tags([[word] for word in words])
    np.testing.assert_allclose(labels.vectors[0], plain[0], atol=1e-6)
    assert labels.vectors[1] @ labels.vectors[0] > plain[1] @ plain[0] + 0.03
