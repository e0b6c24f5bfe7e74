"""The authors' trained models → models of ours.

Read are folders `saved_models/NAME` with `tag_encoder_att_epoch_N.pt` and, where they were
published, `audio_encoder_epoch_N.pt` and `audio_decoder_epoch_N.pt` (state dictionaries, loaded
without running pickled code), and `.npz` files of a tag encoder's parameters. Beside them (or
one folder up, or in `json/` there) must lie `id2token_top_1000.json`, and for the audio half
`minmax_scaler.npz` (`data_min_`, `data_max_`). Without an audio encoder the model embeds tags
only. Their names of parameters are those of METHOD §7.
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
_TAG_NAMES = {
    "w_qs": "query", "w_ks": "key", "w_vs": "value", "fc": "output", "layer_norm": "norm",
}  # fmt: skip
_EPOCH = re.compile(r"_epoch_(\d+)\.pt$")
_DECONVOLUTION = re.compile(r"audio_decoder\.(\d+)\.(.+)")

State = Mapping[str, Tensor]


def import_model(source: Path) -> Checkpoint:
    """The model that a folder or `.npz` file of the authors holds.

    Raises CheckpointError when something is missing, damaged or does not fit.
    """
    if source.is_dir():
        tags = _load_state(_newest(source, "tag_encoder_att"))
        audio = _optional_state(source, "audio_encoder")
        decoder = _optional_state(source, "audio_decoder")
    else:
        tags, audio, decoder = _load_state(source), None, None
    if "embeddings.weight" not in tags or tags["embeddings.weight"].ndim != 2:
        raise CheckpointError(f"{source}: expected a tag encoder with a table embeddings.weight")
    config = _config(source, tags, hears=audio is not None, decodes=decoder is not None)
    weights = {f"tags.{name}": tensor for name, tensor in _tag_weights(tags).items()}
    if audio is not None:
        weights |= {f"audio.{name}": tensor for name, tensor in _audio_weights(audio).items()}
        weights |= _scaler(source)
    if decoder is not None:
        weights |= {f"audio_decoder.{name}": each for name, each in _decoder(decoder).items()}
    model = DualEncoder(config)
    defaults = {name: t for name, t in model.state_dict().items() if name in _BUFFERS}
    defaults["mel_filters"] = torch.from_numpy(mel_filters(config.features))
    load_strictly(model, defaults | weights, str(source))
    model.eval()
    tokens = _tokens(source, len(tags["embeddings.weight"]) - 1)
    # Row 0 of the authors' embeddings is padding; row k + 1 is tag k.
    words = WordVectors(tokens, tags["embeddings.weight"][1:].float().numpy())
    card = {"imported_from": source.name, "preset": config.name, "temperature": 0.1}
    return Checkpoint(model, words, tokens, card)


_BUFFERS = ("band_min", "band_max", "mel_filters")


def _load_state(file: Path) -> dict[str, Tensor]:
    """Parameters of a `.pt` or `.npz` file, without running anything that it holds."""
    try:
        if file.suffix == ".npz":
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as data:
                return {name: torch.from_numpy(data[name]) for name in data.files}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that are then refused
            loaded = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{file}: holds more than plain parameters") from error
    except Exception as error:  # both readers raise anything at damaged files
        raise CheckpointError(f"{file}: cannot be read as parameters ({error})") from error
    if not isinstance(loaded, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in loaded.items()
    ):
        raise CheckpointError(f"{file}: expected a state dictionary of tensors")
    return loaded


def _newest(folder: Path, name: str) -> Path:
    """The file of that name of the last epoch. Raises CheckpointError when there is none."""
    files = {
        int(found[1]): file
        for file in folder.glob(f"{name}_epoch_*.pt")
        if (found := _EPOCH.search(file.name))
    }
    if not files:
        raise CheckpointError(f"{folder}: expected {name}_epoch_N.pt, found none")
    return files[max(files)]


def _optional_state(folder: Path, name: str) -> dict[str, Tensor] | None:
    return _load_state(_newest(folder, name)) if any(folder.glob(f"{name}_epoch_*.pt")) else None


def _config(source: Path, tags: State, *, hears: bool, decodes: bool) -> ModelConfig:
    """The preset of these parameters, by their shapes."""
    dim = tags["embeddings.weight"].shape[1]
    heads = tags["w_qs.weight"].numel() // max(dim, 1) ** 2 if "w_qs.weight" in tags else 0
    name = f"w2v-{dim}-{heads}h" if heads else f"w2v-{dim}-mean"
    if name not in PRESETS:
        raise CheckpointError(f"{source}: expected one of the paper's models, got {name}")
    preset = PRESETS[name]
    return replace(preset, hears=hears, audio=replace(preset.audio, decoder=decodes))


def _tag_weights(tags: State) -> dict[str, Tensor]:
    weights = {}
    for name, tensor in tags.items():
        if name != "embeddings.weight":
            layer, _, rest = name.partition(".")
            weights[f"{_TAG_NAMES.get(layer, layer)}.{rest}"] = tensor
    return weights


def _audio_weights(audio: State) -> dict[str, Tensor]:
    """`audio_encoder.21` is their LayerNorm, `fc_audio.0` the projection."""
    return {
        name.replace("audio_encoder.21.", "norm.")
        .replace("audio_encoder.", "convolutions.")
        .replace("fc_audio.0.", "projection."): tensor
        for name, tensor in audio.items()
    }


def _decoder(decoder: State) -> dict[str, Tensor]:
    """Their decoder begins with a reshape, so its layers count from 1."""
    weights = {}
    for name, tensor in decoder.items():
        found = _DECONVOLUTION.fullmatch(name)
        ours = f"deconvolutions.{int(found[1]) - 1}.{found[2]}" if found else name
        weights[ours] = tensor
    return weights


def _beside(source: Path, name: str) -> Path:
    """A file that belongs to the model: beside it, one or two folders up, or in `json/` there."""
    folders = [source if source.is_dir() else source.parent, *source.resolve().parents[:3]]
    for folder in folders:
        for file in (folder / name, folder / "json" / name):
            if file.is_file():
                return file
    raise CheckpointError(f"{source}: expected {name} beside it or in a folder above")


def _tokens(source: Path, count: int) -> list[str]:
    """The tags in the order of the embeddings' rows."""
    file = _beside(source, TOKENS)
    try:
        tokens = read_json(file)
    except CorpusError as error:
        raise CheckpointError(str(error)) from error
    if not isinstance(tokens, dict) or set(tokens) != {str(number) for number in range(count)}:
        raise CheckpointError(f"{file}: expected tags numbered 0 to {count - 1}")
    return [str(tokens[str(number)]) for number in range(count)]


def _scaler(source: Path) -> dict[str, Tensor]:
    """Band minima and maxima of the authors' training set."""
    data = _load_state(_beside(source, SCALER))
    try:
        return {"band_min": data["data_min_"], "band_max": data["data_max_"]}
    except KeyError as error:
        raise CheckpointError(f"{source}: {SCALER} lacks {error}") from error
