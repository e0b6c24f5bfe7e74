"""Models' cards, as Hugging Face's own parser reads them."""

from __future__ import annotations

import re
from pathlib import Path

from huggingface_hub import ModelCard

from earmark.model.encoders.dual import DualEmbedder
from earmark.model.model_files import starter_model
from earmark.model.text.sentence_vectors import LANGUAGES
from earmark.training.model_card import MARK, model_card, write_model_card
from tests.model.tiny import checkpoint_of, sentence_config, tiny_config

CARD = {
    "train_clips": 7_507,
    "validation_clips": 1_190,
    "validation_groups": ["a", "b"],
    "epochs": 14,
    "seed": 3,
    "history": [{"mAP@10": 0.1}, {"mAP@10": 0.26294, "audio_to_tag_mAP@10": 0.369}],
    "teacher": {"name": "EfficientAT", "licence": "MIT"},
}


def embedder(config: str = "w2v-128-mean", **card: object) -> DualEmbedder:
    checkpoint = checkpoint_of(tiny_config(config))
    checkpoint.card, checkpoint.fingerprint = {**card}, "0123456789abcdef"
    return DualEmbedder(checkpoint)


def test_the_card_of_a_trained_model() -> None:
    text = model_card(embedder(**CARD))
    card = ModelCard(text)
    assert card.data.library_name == "earmark"
    assert card.data.license is None  # nobody stated one
    assert card.data.language is None  # single words
    assert card.data.model_name == "w2v-128-mean"
    results = card.data.eval_results
    assert results is not None
    assert [(result.task_name, result.metric_value) for result in results] == [
        ("tag to audio", 0.2629),
        ("audio to tag", 0.369),
    ]
    assert {result.dataset_name for result in results} == {
        "1,190 clips of 2 groups that it did not hear"
    }
    for known in ("7,507 clips, 14 epochs, seed 3", "`0123456789abcdef`", "EfficientAT (MIT)"):
        assert known in card.text
    assert "| tag to audio | 0.2629 |" in card.text


def test_a_model_of_phrases_that_states_a_licence_and_no_figures() -> None:
    checkpoint = checkpoint_of(sentence_config())
    checkpoint.card = {"licence": "MIT", "history": [{"mAP@10": float("nan")}]}
    data = ModelCard(model_card(DualEmbedder(checkpoint))).data
    assert (data.license, data.eval_results, data.metrics) == ("mit", None, None)
    assert [*data.language, *data.language_bcp47] == list(LANGUAGES)


def test_a_persons_text_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    write_model_card(tmp_path, embedder(seed=1))
    write_model_card(tmp_path, embedder(seed=2))
    assert "seed 2" in file.read_text()
    file.write_text(file.read_text().replace(MARK, "Mine"))
    write_model_card(tmp_path, embedder(seed=3))
    assert "seed 2" in file.read_text()


def test_the_head_of_the_model_that_ships_has_the_figures_of_its_text() -> None:
    card = ModelCard.load(starter_model() / "README.md")
    data, text = card.data, card.text
    assert (data.license, data.library_name, data.model_name) == ("mit", "earmark", "starter")
    assert sorted([*data.language, *data.language_bcp47]) == sorted(LANGUAGES)
    assert data.eval_results
    for result in data.eval_results:
        value = result.metric_value
        shown = (
            f"{value:.1%}".replace("%", " %") if result.metric_type == "accuracy" else f"{value}"
        )
        assert shown in text, result
        assert result.metric_type in data.metrics
    assert re.search(r"^# The starter model$", text, re.MULTILINE)
