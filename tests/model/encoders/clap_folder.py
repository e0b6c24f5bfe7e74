"""Small CLAP models of random weights, in exactly the format of Hugging Face's folders."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers
from tokenizers import ByteLevelBPETokenizer

from tests.model.tiny import WORDS, noise

DIM = 16
# With smaller weights all sounds and phrases of a random model are alike.
SOUND_SCALE, TEXT_SCALE = 8.0, 4.0
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]  # in the order of RoBERTa's numbers
README = "---\nlicense: apache-2.0\n---\n# A model of random weights\n"

# What laion/clap-htsat-unfused states, and so its seconds and filters.
FEATURES = {
    "frequency_min": 50,
    "frequency_max": 14_000,
    "max_length_s": 10,
    "padding": "repeatpad",
    "truncation": "rand_trunc",
}


def small_config(vocabulary: int, fusion: bool = False) -> transformers.ClapConfig:
    """A small HTSAT and a small RoBERTa."""
    audio = {
        "patch_embeds_hidden_size": 8,
        "hidden_size": 16,
        "depths": [1, 1],
        "num_attention_heads": [1, 2],
        "num_hidden_layers": 2,
        "enable_fusion": fusion,
        "aff_block_r": 2,
        "initializer_factor": SOUND_SCALE,
    }
    text = {
        "vocab_size": vocabulary,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "max_position_embeddings": 80,
        "initializer_factor": TEXT_SCALE,
    }
    return transformers.ClapConfig(
        text_config=text,
        audio_config=audio,
        projection_dim=DIM,
        initializer_factor=SOUND_SCALE,
    )


def write_clap_folder(
    path: Path, seed: int = 0, fusion: bool = False, config: transformers.ClapConfig | None = None
) -> Path:
    """Write a model to a folder: weights as safetensors, features, tokenizer, README.

    `fusion`: a fused model, with the features of one; `config`: another size, its vocabulary must
    hold that of the tokenizer. The same seed writes the same weights.
    """
    tokenizer = _tokenizer()
    torch.manual_seed(seed)
    model = transformers.ClapModel(config or small_config(len(tokenizer), fusion))
    features = {**FEATURES, "truncation": "fusion"} if fusion else FEATURES
    extractor = transformers.ClapFeatureExtractor(**features)
    _hear_noise(model, extractor)
    model.save_pretrained(path)
    extractor.save_pretrained(path)
    tokenizer.save_pretrained(path)
    (path / "README.md").write_text(README, encoding="utf-8")
    return path


def _tokenizer() -> transformers.RobertaTokenizer:
    """Byte pairs as RoBERTa reads them, learned from few words."""
    pairs = ByteLevelBPETokenizer()
    text = [" ".join(WORDS), *(f"This is a sound of {word}." for word in WORDS)]
    pairs.train_from_iterator(
        text, vocab_size=400, min_frequency=1, special_tokens=SPECIAL, show_progress=False
    )
    state = json.loads(pairs.to_str())["model"]
    merges = [tuple(pair) for pair in state["merges"]]
    return transformers.RobertaTokenizer(vocab=state["vocab"], merges=merges, model_max_length=77)


def _hear_noise(
    model: transformers.ClapModel, extractor: transformers.ClapFeatureExtractor
) -> None:
    """Batch statistics of sounds, as a trained model has them."""
    seconds, rate = extractor.max_length_s, extractor.sampling_rate
    sounds = [noise(seconds, rate, number) for number in range(4)]
    heard = extractor(sounds, sampling_rate=rate, return_tensors="pt")
    norm = model.audio_model.audio_encoder.batch_norm
    norm.momentum = None  # the plain mean over what is shown
    with torch.no_grad():
        model.train().get_audio_features(
            heard["input_features"], is_longer=torch.zeros(len(sounds), 1, dtype=torch.bool)
        )
    model.eval()
