"""Imports the authors' trained models as models of ours.

A source is a folder `saved_models/NAME` with `tag_encoder_att_epoch_N.pt` and, where published,
`audio_encoder_epoch_N.pt` and `audio_decoder_epoch_N.pt` (state dictionaries, loaded without
running pickled code), or an `.npz` file of a tag encoder's parameters. Beside it (or up to three
folders above, or in `json/` there) must lie `id2token_top_1000.json`, and for the audio half
`minmax_scaler.npz` (`data_min_`, `data_max_`). Without an audio encoder the model embeds tags only.
The authors' parameter names are those of METHOD §7.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from earmark.model.audio.log_mel import mel_filters
from earmark.model.checkpoint import Checkpoint, load_strictly
from earmark.model.config import PRESETS, ModelConfig
from earmark.model.core.errors import CheckpointError
from earmark.model.networks.dual_encoder import DualEncoder
from earmark.model.text.word_vectors import WordVectors
from earmark.training.corpora.files import read_json
from earmark.training.errors import CorpusError

TOKENS = "id2token_top_1000.json"
SCALER = "minmax_scaler.npz"
_TAG_LAYERS = {
    "w_qs": "query", "w_ks": "key", "w_vs": "value", "fc": "output", "layer_norm": "norm",
}  # fmt: skip
_EPOCH = re.compile(r"_epoch_(\d+)\.pt$")
_DECONVOLUTION = re.compile(r"audio_decoder\.(\d+)\.(.+)")

StateDict = Mapping[str, Tensor]


def import_model(source: Path) -> Checkpoint:
    """The model of the authors' folder or `.npz` file.

    Raises CheckpointError when a file is missing or damaged, or does not fit the others.
    """
    if source.is_dir():
        tags = _load_state(_last_epoch(source, "tag_encoder_att"))
        audio = _optional_state(source, "audio_encoder")
        decoder = _optional_state(source, "audio_decoder")
    else:
        tags, audio, decoder = _load_state(source), None, None
    if "embeddings.weight" not in tags or tags["embeddings.weight"].ndim != 2:
        raise CheckpointError(f"{source}: expected a tag encoder with a table embeddings.weight")
    config = _find_preset(source, tags, hears=audio is not None, decodes=decoder is not None)
    weights = {f"tags.{name}": tensor for name, tensor in _tag_weights(tags).items()}
    if audio is not None:
        weights |= {f"audio.{name}": tensor for name, tensor in _audio_weights(audio).items()}
        weights |= _load_scaler(source)
    if decoder is not None:
        weights |= {
            f"audio_decoder.{name}": tensor for name, tensor in _decoder_weights(decoder).items()
        }
    model = DualEncoder(config)
    defaults = {name: t for name, t in model.state_dict().items() if name in _BUFFERS}
    defaults["mel_filters"] = torch.from_numpy(mel_filters(config.features))
    load_strictly(model, defaults | weights, str(source))
    model.eval()
    tokens = _load_tokens(source, len(tags["embeddings.weight"]) - 1)
    # Row 0 of the authors' embeddings is padding; row k + 1 is tag k.
    words = WordVectors(tokens, tags["embeddings.weight"][1:].float().numpy())
    card = {"imported_from": source.name, "preset": config.name, "temperature": 0.1}
    return Checkpoint(model, words, tokens, card)


_BUFFERS = ("band_min", "band_max", "mel_filters")


def _load_state(file: Path) -> dict[str, Tensor]:
    """The parameters of a `.pt` or `.npz` file. No code of the file is run."""
    try:
        if file.suffix == ".npz":
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as data:
                return {name: torch.from_numpy(data[name]) for name in data.files}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles, which are then refused
            loaded = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{file}: holds more than plain parameters") from error
    except Exception as error:  # both readers raise all kinds for damaged files
        raise CheckpointError(f"{file}: cannot be read as parameters ({error})") from error
    if not isinstance(loaded, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in loaded.items()
    ):
        raise CheckpointError(f"{file}: expected a state dictionary of tensors")
    return loaded


def _last_epoch(folder: Path, name: str) -> Path:
    """The file `name`_epoch_N.pt with the largest N. Raises CheckpointError without one."""
    files = {
        int(match[1]): file
        for file in folder.glob(f"{name}_epoch_*.pt")
        if (match := _EPOCH.search(file.name))
    }
    if not files:
        raise CheckpointError(f"{folder}: expected {name}_epoch_N.pt, found none")
    return files[max(files)]


def _optional_state(folder: Path, name: str) -> dict[str, Tensor] | None:
    return (
        _load_state(_last_epoch(folder, name)) if any(folder.glob(f"{name}_epoch_*.pt")) else None
    )


def _find_preset(source: Path, tags: StateDict, *, hears: bool, decodes: bool) -> ModelConfig:
    """The preset of the paper that has parameters of these shapes. Raises CheckpointError."""
    dim = tags["embeddings.weight"].shape[1]
    heads = tags["w_qs.weight"].numel() // max(dim, 1) ** 2 if "w_qs.weight" in tags else 0
    name = f"w2v-{dim}-{heads}h" if heads else f"w2v-{dim}-mean"
    if name not in PRESETS:
        raise CheckpointError(f"{source}: expected one of the paper's models, got {name}")
    preset = PRESETS[name]
    return replace(preset, hears=hears, audio=replace(preset.audio, decoder=decodes))


def _tag_weights(tags: StateDict) -> dict[str, Tensor]:
    weights = {}
    for name, tensor in tags.items():
        if name != "embeddings.weight":
            layer, _, rest = name.partition(".")
            weights[f"{_TAG_LAYERS.get(layer, layer)}.{rest}"] = tensor
    return weights


def _audio_weights(audio: StateDict) -> dict[str, Tensor]:
    """`audio_encoder.21` is the authors' LayerNorm, `fc_audio.0` the projection."""
    return {
        name.replace("audio_encoder.21.", "norm.")
        .replace("audio_encoder.", "convolutions.")
        .replace("fc_audio.0.", "projection."): tensor
        for name, tensor in audio.items()
    }


def _decoder_weights(decoder: StateDict) -> dict[str, Tensor]:
    """The authors' decoder begins with a reshape, so its layers count from 1."""
    weights = {}
    for name, tensor in decoder.items():
        match = _DECONVOLUTION.fullmatch(name)
        ours = f"deconvolutions.{int(match[1]) - 1}.{match[2]}" if match else name
        weights[ours] = tensor
    return weights


def _find_file(source: Path, name: str) -> Path:
    """A file beside the source, up to three folders above, or in `json/` there."""
    folders = [source if source.is_dir() else source.parent, *source.resolve().parents[:3]]
    for folder in folders:
        for file in (folder / name, folder / "json" / name):
            if file.is_file():
                return file
    raise CheckpointError(f"{source}: expected {name} beside it or in a folder above")


def _load_tokens(source: Path, count: int) -> list[str]:
    """The tags in the order of the embeddings' rows. Raises CheckpointError."""
    file = _find_file(source, TOKENS)
    try:
        tokens = read_json(file)
    except CorpusError as error:
        raise CheckpointError(str(error)) from error
    if not isinstance(tokens, dict) or set(tokens) != {str(number) for number in range(count)}:
        raise CheckpointError(f"{file}: expected tags numbered 0 to {count - 1}")
    return [str(tokens[str(number)]) for number in range(count)]


def _load_scaler(source: Path) -> dict[str, Tensor]:
    """Band minima and maxima of the authors' training set."""
    data = _load_state(_find_file(source, SCALER))
    try:
        return {"band_min": data["data_min_"], "band_max": data["data_max_"]}
    except KeyError as error:
        raise CheckpointError(f"{source}: {SCALER} lacks {error}") from error
