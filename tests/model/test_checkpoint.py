"""One file holds the whole model; anything wrong with it is named, nothing is half written."""

from __future__ import annotations

import json
import pickle
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from earmark.model import checkpoint
from earmark.model.background import Background
from earmark.model.checkpoint import Checkpoint, load, read_tensors, save, write_tensors
from earmark.model.config import PRESETS
from earmark.model.core.errors import CheckpointError
from earmark.model.embedder import unit
from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import FILE_NAME, starter_model
from earmark.model.text.sentence_vectors import WEIGHTS_SHA256, SentenceVectors
from earmark.model.text.word_vectors import Subwords, WordVectors
from tests.model.tiny import WORDS, checkpoint_of, sentence_config, tiny_config

Change = Callable[[dict[str, Tensor], dict[str, object]], None]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model; tests copy it before they break it."""
    folder = tmp_path_factory.mktemp("model")
    save(folder, checkpoint_of(tiny_config()))
    return folder / FILE_NAME


def changed(saved: Path, target: Path, change: Change, refresh: bool = False) -> Path:
    """A copy with other tensors or header; `refresh` gives it a fitting fingerprint again."""
    tensors, header = read_tensors(saved)
    change(tensors, header)
    if refresh:
        config = checkpoint.ModelConfig.from_dict(header["config"])
        header["fingerprint"] = checkpoint._fingerprint(config.to_dict(), tensors)
    write_tensors(target, tensors, header)
    return target


def same_tensors(one: Checkpoint, other: Checkpoint, tolerance: float = 0.0) -> None:
    expected = one.model.state_dict()
    found = other.model.state_dict()
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("name", [*PRESETS, "first-starter"])
def test_every_preset_round_trips(tmp_path: Path, name: str) -> None:
    original = checkpoint_of(replace(tiny_config(name), storage="float32"))
    fingerprint = save(tmp_path / "model", original)
    loaded = load(tmp_path / "model")
    same_tensors(original, loaded)
    assert loaded.model.config == original.model.config
    assert loaded.fingerprint == original.fingerprint == fingerprint
    assert (loaded.vocabulary, loaded.card) == (original.vocabulary, original.card)
    assert loaded.words.words == original.words.words
    np.testing.assert_array_equal(loaded.words.vectors, original.words.vectors)
    assert not loaded.model.training
    words = torch.from_numpy(np.stack([original.words.vector(word) for word in WORDS[:3]]))[None]
    mask = torch.ones(1, 3, dtype=torch.bool)
    expected = original.model.tags(words, mask)
    assert torch.equal(loaded.model.tags(words, mask), expected)


def test_full_size_preset_round_trips(tmp_path: Path) -> None:
    config = PRESETS["starter"]
    words = SentenceVectors(["rain"])
    save(tmp_path, Checkpoint(checkpoint.DualEncoder(config), words, ["rain"]))
    assert load(tmp_path).model.config == config


def test_half_precision_is_half_the_size_and_exact_where_it_must_be(tmp_path: Path) -> None:
    original = checkpoint_of(replace(tiny_config(), storage="float16"))
    save(tmp_path / "half", original)
    save(tmp_path / "whole", checkpoint_of(tiny_config()))
    loaded = load(tmp_path / "half")
    same_tensors(original, loaded, tolerance=2e-3)
    for name in ("band_min", "band_max", "mel_filters"):
        torch.testing.assert_close(getattr(loaded.model, name), getattr(original.model, name))
    assert all(tensor.dtype != torch.float16 for tensor in loaded.model.state_dict().values())
    tensors, _ = read_tensors(tmp_path / "half" / FILE_NAME)
    assert tensors["model.audio.projection.weight"].dtype == torch.float16
    assert tensors["model.mel_filters"].dtype == torch.float32
    assert loaded.words.vectors.dtype == np.float32


def test_saving_a_loaded_half_model_again_changes_nothing(tmp_path: Path) -> None:
    save(tmp_path / "one", checkpoint_of(replace(tiny_config(), storage="float16")))
    again = save(tmp_path / "two", load(tmp_path / "one"))
    assert again == load(tmp_path / "one").fingerprint
    files = [(tmp_path / name / FILE_NAME).read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]


def test_subwords_round_trip(tmp_path: Path) -> None:
    original = checkpoint_of(tiny_config())
    buckets = np.random.default_rng(0).standard_normal((50, 16)).astype(np.float32)
    original.words = WordVectors(
        original.words.words, original.words.vectors, Subwords(buckets, 3, 6)
    )
    save(tmp_path, original)
    loaded = load(tmp_path).words
    np.testing.assert_array_equal(loaded.vector("unheard"), original.words.vector("unheard"))
    assert (loaded.subwords.min_n, loaded.subwords.max_n) == (3, 6)


def test_words_may_be_none_or_of_any_script(tmp_path: Path) -> None:
    original = checkpoint_of(tiny_config(), vocabulary=0)
    for words in ([], ["дождь", "雨", "café"]):
        original.words = WordVectors(words, np.zeros((len(words), 16), np.float32))
        save(tmp_path, original)
        assert load(tmp_path).words.words == words


def test_fingerprint_is_stable_and_sensitive(tmp_path: Path) -> None:
    original = checkpoint_of(tiny_config())
    first = save(tmp_path / "a", original)
    assert len(first) == 16
    original.card["note"] = "figures may be added later"
    assert save(tmp_path / "b", original) == first
    assert save(tmp_path / "c", checkpoint_of(tiny_config())) == first
    assert save(tmp_path / "d", checkpoint_of(tiny_config(), seed=1)) != first
    assert save(tmp_path / "e", checkpoint_of(tiny_config(tail="align"))) != first
    original.words.vectors[0, 0] += 1e-6
    assert save(tmp_path / "f", original) != first
    original = checkpoint_of(tiny_config())
    original.model.band_max[3] += 1e-5
    assert save(tmp_path / "g", original) != first


def test_a_file_or_its_directory(saved: Path, tmp_path: Path) -> None:
    assert load(saved).fingerprint == load(saved.parent).fingerprint
    assert load_embedder(saved).fingerprint == load(saved).fingerprint
    save(tmp_path / "named.safetensors", load(saved))
    assert load(tmp_path / "named.safetensors").fingerprint == load(saved).fingerprint


def test_missing(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", tmp_path / "none.safetensors"):
        with pytest.raises(CheckpointError, match="expected a model file or its folder, got"):
            load(path)


def test_truncated(saved: Path, tmp_path: Path) -> None:
    data = saved.read_bytes()
    broken = tmp_path / FILE_NAME
    for size in (0, 1, 8, 100, 2000, len(data) // 2, len(data) - 1):
        broken.write_bytes(data[:size])
        with pytest.raises(CheckpointError, match="truncated or not a model file"):
            load(broken)


def test_a_flipped_bit_in_a_tensor(saved: Path, tmp_path: Path) -> None:
    data = bytearray(saved.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    for offset in np.linspace(start, len(data) - 1, 12).astype(int):
        broken = bytearray(data)
        broken[offset] ^= 0x10
        (tmp_path / FILE_NAME).write_bytes(broken)
        with pytest.raises(CheckpointError, match="altered since it was written"):
            load(tmp_path)


@settings(max_examples=150, deadline=None)
@given(offset=st.floats(0, 1), bit=st.integers(0, 7))
def test_a_flipped_bit_in_the_header(saved: Path, offset: float, bit: int) -> None:
    """Refused, or it fell into the card or the vocabulary, which no vector depends on."""
    data = bytearray(saved.read_bytes())
    size = int.from_bytes(data[:8], "little")
    data[int(offset * (size + 7))] ^= 1 << bit
    broken = saved.with_name("broken.safetensors")
    broken.write_bytes(data)
    try:
        loaded = load(broken)
    except CheckpointError:
        return
    assert loaded.fingerprint == load(saved).fingerprint
    same_tensors(load(saved), loaded)


def drop(name: str) -> Change:
    return lambda tensors, header: tensors.pop(name)


def put(name: str, shape: tuple[int, ...]) -> Change:
    return lambda tensors, header: tensors.update({name: torch.zeros(shape)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("model.tags.query.weight"), "parameter tags.query.weight is missing"),
        (put("model.tags.colour", (2,)), "parameter tags.colour is unexpected"),
        (
            put("model.audio.projection.weight", (16, 71)),
            r"audio.projection.weight: expected shape \[16, 72\], got \[16, 71\]",
        ),
        (drop("words.text"), "tensor 'words.text' is missing"),
        (drop("words.vectors"), "tensor 'words.vectors' is missing"),
    ],
)
def test_parameters_that_do_not_fit_are_named(
    saved: Path, tmp_path: Path, change: Change, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        load(changed(saved, tmp_path / FILE_NAME, change, refresh=True))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"format": 99}, "expected a model of format 1, got 'model' of format 99"),
        ({"format": None}, "got 'model' of format None"),
        ({"kind": "training"}, "got 'training' of format 1"),
        ({"fingerprint": "0" * 16}, "expected fingerprint 0000000000000000, got [0-9a-f]{16}"),
        ({"config": {"name": "x"}}, "model configuration: does not match this version"),
    ],
)
def test_wrong_headers(
    saved: Path, tmp_path: Path, entries: dict[str, object], message: str
) -> None:
    path = changed(saved, tmp_path / FILE_NAME, lambda tensors, header: header.update(entries))
    with pytest.raises(CheckpointError, match=message):
        load(path)


@pytest.mark.parametrize("entry", ["config", "vocabulary", "card", "fingerprint"])
def test_missing_header_entries_are_named(saved: Path, tmp_path: Path, entry: str) -> None:
    path = changed(saved, tmp_path / FILE_NAME, lambda tensors, header: header.pop(entry))
    with pytest.raises(CheckpointError, match=f"its header lacks {entry}"):
        load(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(pickle.dumps({"weights": [1, 2, 3]}))
    with pytest.raises(CheckpointError, match="truncated or not a model file"):
        load(path)
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="truncated or not a model file"):
        load(path)
    path.write_bytes(checkpoint.safetensors.torch.save({"a": torch.zeros(2)}))
    with pytest.raises(CheckpointError, match="a safetensors file that Earmark did not write"):
        load(path)
    for header in ("not json", json.dumps([1])):
        data = checkpoint.safetensors.torch.save({}, metadata={"earmark": header})
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match="altered since it was written"):
            load(path)


def test_nothing_temporary_is_left(tmp_path: Path) -> None:
    save(tmp_path, checkpoint_of(tiny_config()))
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_the_old_file_survives_a_failed_write(saved: Path, tmp_path: Path) -> None:
    original = load(saved)
    save(tmp_path, original)
    before = (tmp_path / FILE_NAME).read_bytes()
    original.card["note"] = "never arrives"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # a disk that fills up
    try:
        with pytest.raises(CheckpointError, match="cannot be written"):
            save(tmp_path, original)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    assert (tmp_path / FILE_NAME).read_bytes() == before


@pytest.fixture(scope="module")
def everyday(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model that names a sentence encoder, with a background."""
    folder = tmp_path_factory.mktemp("everyday")
    original = checkpoint_of(replace(sentence_config(), storage="float16"))
    generator = np.random.default_rng(0)
    original.background = Background.of(unit(generator.standard_normal((50, 16))))
    save(folder, original)
    return folder / FILE_NAME


def test_a_sentence_encoder_is_named_not_stored(everyday: Path) -> None:
    tensors, header = read_tensors(everyday)
    assert header["config"]["words"] == "use-multilingual-3"
    assert header["sentence_encoder"] == WEIGHTS_SHA256
    assert "words.text" in tensors
    assert "words.vectors" not in tensors
    loaded = load(everyday)
    assert isinstance(loaded.words, SentenceVectors)
    assert loaded.words.words == WORDS
    assert loaded.model.config == replace(sentence_config(), storage="float16")
    same_tensors(checkpoint_of(sentence_config()), loaded, tolerance=2e-2)
    assert save(everyday.with_name("again.safetensors"), loaded) == loaded.fingerprint


def test_a_background_is_stored_exactly(everyday: Path, saved: Path) -> None:
    expected = Background.of(unit(np.random.default_rng(0).standard_normal((50, 16))))
    found = load(everyday).background
    assert found is not None
    np.testing.assert_array_equal(found.mean, expected.mean)
    np.testing.assert_array_equal(found.covariance, expected.covariance)
    assert load(saved).background is None


def header_entry(name: str, value: object) -> Change:
    return lambda tensors, header: header.update({name: value})


def of_another_encoder(_tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    header["config"]["words"] = "use-multilingual-4"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (header_entry("sentence_encoder", "0" * 64), f"{WEIGHTS_SHA256[:16]}, got .* with 0{{16}}"),
        (header_entry("sentence_encoder", None), "got use-multilingual-3 with None"),
        (header_entry("sentence_encoder", [1]), r"got use-multilingual-3 with \[1\]"),
        (of_another_encoder, "expected the sentence encoder use-multi.*, got use-multilingual-4"),
        (drop("words.text"), "tensor 'words.text' is missing"),
    ],
)
def test_other_sentence_encoders_are_refused(
    everyday: Path, tmp_path: Path, change: Change, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        load(changed(everyday, tmp_path / FILE_NAME, change, refresh=True))


@pytest.mark.parametrize(
    "change",
    [
        drop("background.covariance"),
        drop("background.mean"),
        put("background.mean", (1, 16)),
        put("background.covariance", (16, 15)),
    ],
)
def test_a_background_that_does_not_fit_is_refused(
    everyday: Path, tmp_path: Path, change: Change
) -> None:
    with pytest.raises(
        CheckpointError, match=r"background: expected the shapes \[16\] and \[16, 1"
    ):
        load(changed(everyday, tmp_path / FILE_NAME, change, refresh=True))


def test_words_are_those_that_the_configuration_names(tmp_path: Path) -> None:
    """Else the file could not be loaded."""
    one, other = checkpoint_of(tiny_config()), checkpoint_of(sentence_config())
    one.words, other.words = other.words, one.words
    with pytest.raises(CheckpointError, match="expected stored ones, got SentenceVectors"):
        save(tmp_path, one)
    with pytest.raises(CheckpointError, match="use-multilingual-3 ones, got WordVectors"):
        save(tmp_path, other)
    assert not list(tmp_path.iterdir())


def test_the_shipped_starter_keeps_its_fingerprint(tmp_path: Path) -> None:
    loaded = load(starter_model())
    assert save(tmp_path, loaded) == read_tensors(starter_model() / FILE_NAME)[1]["fingerprint"]
