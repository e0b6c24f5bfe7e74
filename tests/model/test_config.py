"""Presets, and configurations as dictionaries."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from earmark.model.config import LATER, PRESETS, FeatureConfig, ModelConfig, preset
from earmark.model.core.errors import ConfigError, InputError
from tests.model.tiny import FIRST_STARTER, sentence_config

TABLE_1 = [f"w2v-{dim}-{kind}" for dim in (128, 1152) for kind in ("1h", "4h", "mean")]


def test_every_model_of_table_1_is_a_preset() -> None:
    assert {*TABLE_1, "coala", "starter"} == set(PRESETS)


@pytest.mark.parametrize("name", TABLE_1)
def test_paper_presets_are_as_run(name: str) -> None:
    _, dim, kind = name.split("-")
    config = preset(name)
    assert config.name == name
    assert config.code_dim == 1152
    assert config.dim == config.tags.word_dim == int(dim)
    assert config.tags.kind == ("mean" if kind == "mean" else "attention")
    assert config.tags.sum_padding == (kind != "mean")
    assert config.features.min_seconds == 10


def test_coala_is_as_run() -> None:
    config = preset("coala")
    assert (config.dim, config.code_dim, config.tags.word_dim) == (1152, 1152, 1000)
    assert not config.audio.layer_norm
    assert config.tags.decoder
    assert config.audio.decoder


def test_an_unknown_preset_lists_the_known() -> None:
    with pytest.raises(ConfigError, match=r"preset: expected one of w2v-128-1h.*got 'w2v-64'"):
        preset("w2v-64")


@pytest.mark.parametrize("name", [*PRESETS, "first-starter"])
def test_dictionaries_round_trip_through_json(name: str) -> None:
    config = FIRST_STARTER if name == "first-starter" else preset(name)
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("change", ["missing", "unknown", "no features", "channels"])
def test_bad_dictionaries(change: str) -> None:
    data = preset("starter").to_dict()
    if change == "missing":
        del data["dim"]
    elif change == "unknown":
        data["tags"]["colour"] = "red"
    elif change == "no features":
        data["features"] = None
    else:
        data["audio"]["channels"] = None
    with pytest.raises(ConfigError, match="model configuration: does not match this version"):
        ModelConfig.from_dict(data)


def test_windows_must_survive_the_strides() -> None:
    config = preset("w2v-128-1h")
    with pytest.raises(ConfigError, match=r"multiples of 32 for 5 halvings, got 100 and 96"):
        replace(config, features=FeatureConfig(frames=100))
    with pytest.raises(ConfigError, match=r"multiples of 8 for 3 halvings, got 100 and 96"):
        replace(FIRST_STARTER, features=FeatureConfig(frames=100))


def test_a_pooled_encoder_has_pairs_and_no_decoder() -> None:
    config = FIRST_STARTER
    with pytest.raises(ConfigError, match="for a pooled encoder, got 3 convol"):
        replace(config, audio=replace(config.audio, channels=(4, 4, 8)))
    with pytest.raises(ConfigError, match="a pooled encoder has no decoder"):
        replace(config, audio=replace(config.audio, decoder=True))


def test_bands_sum_up_magnitudes_or_powers() -> None:
    config = preset("starter")
    with pytest.raises(ConfigError, match="expected power 1 or 2, got 3"):
        replace(config, features=replace(config.features, power=3))


@pytest.mark.parametrize("field", ["word_dim", "heads", "max_tags"])
def test_sizes_are_at_least_one(field: str) -> None:
    config = preset("starter")
    with pytest.raises(InputError, match="expected at least 1 each"):
        replace(config, tags=replace(config.tags, **{field: 0}))


def test_window_seconds() -> None:
    assert FeatureConfig().window_seconds == pytest.approx(2.234, abs=1e-3)


@pytest.mark.parametrize("name", [*TABLE_1, "coala"])
def test_later_settings_are_left_out_at_their_defaults(name: str) -> None:
    """So that files, fingerprints and runs from before them stay equal."""
    data = preset(name).to_dict()
    for part, later in LATER.items():
        assert later
        assert not data[part].keys() & set(later)
    assert "words" not in data
    assert set(data["features"]) == {
        *("sample_rate", "n_fft", "hop", "n_mels", "stft_window", "mel_scale", "power"),
        *("frames", "min_seconds", "tail", "log_offset"),
    }


def test_later_settings_round_trip() -> None:
    config = sentence_config()
    data = json.loads(json.dumps(config.to_dict()))
    assert ModelConfig.from_dict(data) == config
    assert data["words"] == "use-multilingual-3"
    assert data["audio"]["width"] == 0.1
    assert data["tags"]["prototypes"] == 8
    assert {name: data["features"][name] for name in LATER["features"]} == {
        "window_samples": 800,
        "max_hz": 15_000.0,
        "pre_emphasis": 0.97,
        "edges": "reflect",
    }


def test_a_mobilenet_has_a_width_and_a_hidden_layer() -> None:
    config = sentence_config()
    assert config.audio.halvings == 5
    assert config.code_dim == 96
    for wrong in ({"width": 0.0}, {"hidden": 0}):
        with pytest.raises(ConfigError, match="a width over 0 and a hidden layer for a mobilenet"):
            replace(config, audio=replace(config.audio, **wrong))
    with pytest.raises(ConfigError, match="a mobilenet encoder has no decoder"):
        replace(config, audio=replace(config.audio, decoder=True))
    with pytest.raises(ConfigError, match="multiples of 32 for 5 halvings, got 48 and 128"):
        sentence_config(frames=48)
