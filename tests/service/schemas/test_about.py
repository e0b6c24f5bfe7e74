"""What the service says of its model's words."""

from __future__ import annotations

from earmark.model.encoders.dual import DualEmbedder
from earmark.model.text.sentence_vectors import LANGUAGES, NAME
from earmark.service.schemas.about import ModelBody
from tests.model.tiny import WORDS, checkpoint_of, sentence_config, tiny_config


def test_stored_words_are_counted() -> None:
    body = ModelBody.of(DualEmbedder(checkpoint_of(tiny_config())), 600.0)
    assert (body.words, body.sentence_encoder, body.languages) == (len(WORDS), None, [])


def test_a_sentence_encoder_is_named_with_its_languages() -> None:
    body = ModelBody.of(DualEmbedder(checkpoint_of(sentence_config())), 600.0)
    assert (body.words, body.sentence_encoder) == (None, NAME)
    assert body.languages == list(LANGUAGES)
    assert len(set(LANGUAGES)) == 16
