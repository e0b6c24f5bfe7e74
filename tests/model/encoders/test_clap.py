"""CLAP from a folder: the features of `ClapModel` itself, nothing at random, nothing fetched."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from earmark.index.ingest.ray.engine import RayEngine
from earmark.model.background import Background
from earmark.model.calibration import class_temperature
from earmark.model.core.errors import CheckpointError, ConfigError, InputError
from earmark.model.embedder import Embedder
from earmark.model.encoders.clap_files import Own, read_own, write_own
from earmark.model.encoders.load import load_embedder
from earmark.model.timeline.steps import hear_sound
from tests.model.encoders.clap_folder import DIM, write_clap_folder
from tests.model.tiny import noise, write

pytestmark = pytest.mark.slow  # imports transformers
RATE, STARTS = 48_000, [0.0, 5.0, 10.0, 13.4]


@pytest.fixture(scope="module")
def clap_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clap_folder(tmp_path_factory.mktemp("clap") / "small-clap")


@pytest.fixture(scope="module")
def clap(clap_folder: Path) -> Embedder:
    return load_embedder(clap_folder)


@pytest.fixture(scope="module")
def model(clap_folder: Path) -> transformers.ClapModel:
    return transformers.ClapModel.from_pretrained(clap_folder).eval()


@pytest.fixture
def copy(clap_folder: Path, tmp_path: Path) -> Path:
    """The folder, to be damaged."""
    return Path(shutil.copytree(clap_folder, tmp_path / "clap"))


@pytest.fixture(scope="module")
def long_sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "long.wav"
    return write(path, noise(23.4, RATE, 5), RATE, subtype="FLOAT")


def check_sounds(folder: Path, file: Path) -> None:
    samples = noise(23.4, RATE, 5)
    parts = [samples[round(start * RATE) :][: 10 * RATE] for start in STARTS]
    extractor = transformers.ClapFeatureExtractor.from_pretrained(folder)
    features = extractor(parts, sampling_rate=RATE, return_tensors="pt")["input_features"]
    with torch.inference_mode():
        heard = (
            transformers.ClapModel.from_pretrained(folder)
            .eval()
            .get_audio_features(
                input_features=features,
                is_longer=torch.zeros(len(parts), 1, dtype=torch.bool),  # each is of 10 s
            )
        )
    theirs = heard.pooler_output.numpy()
    sound = load_embedder(folder).embed_audio(file)
    assert sound.starts.tolist() == STARTS
    np.testing.assert_allclose(sound.windows, theirs, atol=1e-5)
    mean = theirs.mean(axis=0)
    np.testing.assert_allclose(sound.vector, mean / np.linalg.norm(mean), atol=1e-5)
    np.testing.assert_allclose(sound.code, mean, atol=1e-5)


def test_sounds_are_heard_as_by_the_model_itself(clap_folder: Path, long_sound: Path) -> None:
    check_sounds(clap_folder, long_sound)


def test_a_fused_model_hears_each_window_as_a_short_sound(tmp_path: Path, long_sound: Path) -> None:
    check_sounds(write_clap_folder(tmp_path, fusion=True), long_sound)


@pytest.mark.parametrize(
    ("phrase", "caption"),
    [
        ("dog", "This is a sound of dog."),
        ("church-bell", "This is a sound of church bell."),
        ("a dog barks", "This is a sound of a dog barks."),
        ("a dog barks in the rain", "a dog barks in the rain"),
    ],
)
def test_phrases_are_read_as_by_the_model_itself(
    clap: Embedder, clap_folder: Path, model: transformers.ClapModel, phrase: str, caption: str
) -> None:
    tokens = transformers.AutoTokenizer.from_pretrained(clap_folder)([caption], return_tensors="pt")
    with torch.inference_mode():
        theirs = model.get_text_features(**tokens).pooler_output.numpy()
    np.testing.assert_allclose(clap.embed_tags([[phrase]]), theirs, atol=1e-5)


def test_a_phrase_has_the_same_vector_beside_longer_ones(clap: Embedder, clap_folder: Path) -> None:
    phrases = ["dog", "rain falls on a metal roof at night", "wind", "sea waves on stones " * 9]
    fresh = load_embedder(clap_folder)  # nothing is cached
    together = fresh.embed_tags([[phrase] for phrase in phrases])
    for phrase, vector in zip(phrases, together, strict=True):
        np.testing.assert_allclose(clap.embed_tags([[phrase]])[0], vector, atol=1e-5)


def test_a_set_of_phrases_has_the_mean(clap: Embedder) -> None:
    dog, rain, both = clap.embed_tags([["dog"], ["rain"], ["dog", "rain"]])
    mean = (dog + rain) / 2
    np.testing.assert_allclose(both, mean / np.linalg.norm(mean), atol=1e-6)


def test_texts_are_phrases_in_english(clap: Embedder) -> None:
    parsed = clap.parse_tags("A dog, barks! in the Rain")
    assert parsed.pieces == ["a dog barks in the rain"]
    assert (clap.languages, clap.sentence_encoder) == (("en",), "clap_text_model")
    assert clap.words.is_known("dog")
    assert "dog" in clap.words
    assert not clap.words.is_known("dgo")
    assert clap.words.cosines("dog", ["dog"]) == [pytest.approx(1, abs=1e-5)]


def test_it_says_what_it_is(clap: Embedder, model: transformers.ClapModel) -> None:
    assert clap.name == "small-clap"
    assert (clap.licence, clap.dim, clap.front_end.window_seconds) == ("Apache-2.0", DIM, 10)
    assert (clap.step_seconds, clap.window_steps) == (5, 2)
    temperature = 1 / float(model.logit_scale_a.detach().exp())
    assert class_temperature(clap.card) == pytest.approx(temperature)
    assert clap.vocabulary == load_embedder().vocabulary
    assert clap.calibration_summary() is None


def test_a_step_is_the_mean_of_the_windows_around_it(clap: Embedder, long_sound: Path) -> None:
    codes = clap.embed_audio(long_sound).windows
    heard = hear_sound(clap, long_sound).codes
    expected = [codes[0], codes[:2].mean(axis=0), codes[1:3].mean(axis=0)]
    expected += [codes[2:].mean(axis=0), codes[3]]
    np.testing.assert_allclose(heard, np.stack(expected), atol=1e-3)


def test_nothing_is_fetched(clap_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    load_embedder(clap_folder).embed_tags([["dog"]])


def test_the_readme_states_languages_and_licence(copy: Path) -> None:
    head = "---\nlicense: cc-by-4.0\nlanguage: [en, fr]\n---\nA model.\n"
    (copy / "README.md").write_text(head, encoding="utf-8")
    found = load_embedder(copy)
    assert (found.licence, found.languages) == ("CC-BY-4.0", ("en", "fr"))
    (copy / "README.md").write_text("---\nlicense: [\n---\n", encoding="utf-8")
    assert load_embedder(copy).licence == ""
    head = "\ufeff---\nlicense: mit\nlanguage: [no, en, [x, x], null]\n---\n"
    (copy / "README.md").write_text(head, encoding="utf-8")
    found = load_embedder(copy)
    assert (found.licence, found.languages) == ("MIT", ("no", "en"))
    (copy / "README.md").write_text(f"---\nlanguage: {'[' * 1_000}\n---\n", encoding="utf-8")
    assert load_embedder(copy).languages == ("en",)


@pytest.mark.parametrize(
    "name", ["config.json", "preprocessor_config.json", "tokenizer_config.json"]
)
def test_the_fingerprint_is_of_all_that_makes_vectors(
    clap: Embedder, copy: Path, name: str
) -> None:
    (copy / "README.md").write_text("another")
    assert load_embedder(copy).fingerprint == clap.fingerprint
    stated = json.loads((copy / name).read_text())
    (copy / name).write_text(json.dumps({**stated, "of_ours": 1}))
    assert load_embedder(copy).fingerprint != clap.fingerprint


# What is refused


def test_weights_that_could_run_code_are_refused(copy: Path) -> None:
    weights = copy / "model.safetensors"
    torch.save(load_file(weights), copy / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(CheckpointError, match=r"expected .*safetensors, got pytorch_model\.bin"):
        load_embedder(copy)


def test_weights_in_several_files_lie_beside_their_index(clap: Embedder, copy: Path) -> None:
    """What lies elsewhere would not be in the fingerprint."""
    weights, index = copy / "model.safetensors", copy / "model.safetensors.index.json"
    tensors = load_file(weights)
    weights.rename(copy / "1.safetensors")
    stated = {"metadata": {}, "weight_map": dict.fromkeys(tensors, "1.safetensors")}
    index.write_text(json.dumps(stated))
    found = load_embedder(copy).embed_tags([["dog"]])
    np.testing.assert_array_equal(found, clap.embed_tags([["dog"]]))
    stated["weight_map"]["logit_scale_a"] = "../1.safetensors"
    index.write_text(json.dumps(stated))
    with pytest.raises(CheckpointError, match=r"beside it, got '\.\./1\.safetensors'"):
        load_embedder(copy)


def test_a_parameter_that_lacks_is_named(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    del tensors["text_projection.linear1.weight"]
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"text_projection\.linear1\.weight is missing"):
        load_embedder(copy)


def test_files_of_older_versions_are_read(clap: Embedder, copy: Path) -> None:
    """They lack buffers that later ones have, and state more."""
    tensors = load_file(copy / "model.safetensors")
    weights = {
        name: tensor for name, tensor in tensors.items() if not name.endswith(("_ids", "_index"))
    }
    assert len(weights) < len(tensors)
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    stated = json.loads((copy / "config.json").read_text())
    stated["text_config"] |= {"fusion_num_hidden_layers": 2, "initializer_range": 0.02}
    stated["audio_config"] |= {"fusion_type": None, "projection_hidden_size": 768}
    (copy / "config.json").write_text(json.dumps({**stated, "torch_dtype": "float32"}))
    found, sets = load_embedder(copy), [["dog"], ["a dog barks in the rain"]]
    np.testing.assert_allclose(found.embed_tags(sets), clap.embed_tags(sets), atol=1e-6)
    windows = np.full((1, 1_001, 64), -30, dtype=np.float32)
    np.testing.assert_allclose(found.encode(windows), clap.encode(windows), atol=1e-6)


def test_threads_read_phrases_at_once(clap: Embedder, clap_folder: Path) -> None:
    fresh = load_embedder(clap_folder)
    phrases = [f"{'rain ' * (number % 7)}{number}" for number in range(40)] + ["雨" * 200]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda phrase: fresh.embed_tags([[phrase]])[0], phrases))
    together = clap.embed_tags([[phrase] for phrase in phrases])
    np.testing.assert_allclose(np.stack(found), together, atol=1e-5)


@pytest.mark.parametrize("name", ["logit_scale_a", "text_projection.linear1.weight"])
def test_weights_that_are_no_numbers_are_refused(copy: Path, name: str) -> None:
    tensors = load_file(copy / "model.safetensors")
    tensors[name] = tensors[name] * torch.nan
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=f"parameter {name} holds NaN"):
        load_embedder(copy)


def test_statistics_of_sounds_that_lack_are_named(copy: Path) -> None:
    name = "audio_model.audio_encoder.batch_norm.running_mean"
    tensors = load_file(copy / "model.safetensors")
    del tensors[name]
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=f"parameter {name} is missing"):
        load_embedder(copy)


def test_a_folder_without_a_tokenizer_is_refused(copy: Path) -> None:
    """To the empty one that transformers makes then, all phrases are the same."""
    (copy / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"expected a tokenizer as tokenizer\.json"):
        load_embedder(copy)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"pad_token": None}, "that pads with 1, got 355 and None"),
        ({"pad_token": "<s>"}, "that pads with 1, got 355 and 0"),
        ({"model_max_length": 2}, "model_max_length: expected 3 tokens or more, got 2"),
        ({"model_max_length": "77"}, "model_max_length: expected 3 tokens or more, got '77'"),
    ],
)
def test_a_tokenizer_of_another_model_is_refused(
    copy: Path, stated: dict[str, object], message: str
) -> None:
    file = copy / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **stated}))
    with pytest.raises(CheckpointError, match=message):
        load_embedder(copy)


def test_phrases_are_padded_at_their_ends(clap: Embedder, copy: Path) -> None:
    """The model reads a phrase at its first token."""
    file = copy / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "padding_side": "left"}))
    phrases = [["dog"], ["rain falls on a metal roof at night"]]
    found = load_embedder(copy).embed_tags(phrases)
    np.testing.assert_allclose(found, clap.embed_tags(phrases), atol=1e-5)


def test_damaged_files_are_refused(copy: Path) -> None:
    weights = copy / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:1_000])
    with pytest.raises(CheckpointError, match="not a CLAP model that can be read"):
        load_embedder(copy)
    weights.write_bytes(whole)
    features = copy / "preprocessor_config.json"
    stated = features.read_text()
    features.write_text(json.dumps({**json.loads(stated), "feature_size": 32}))
    with pytest.raises(CheckpointError, match=r"windows of 64 mels .* got 32"):
        load_embedder(copy)
    features.write_text(json.dumps({**json.loads(stated), "max_length_s": 11}))
    with pytest.raises(CheckpointError, match="at most 1024 frames, got 64 and 1101"):
        load_embedder(copy)
    features.write_text("[]")
    with pytest.raises(CheckpointError, match="expected a JSON object, got list"):
        load_embedder(copy)
    features.unlink()
    with pytest.raises(CheckpointError, match=r"expected preprocessor_config\.json"):
        load_embedder(copy)
    later = {"feature_extractor": json.loads(stated)}  # where later versions write it
    (copy / "processor_config.json").write_text(json.dumps(later))
    assert load_embedder(copy).front_end.sample_rate == RATE


def test_without_the_package_the_extra_is_named(
    clap_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"pip install 'earmark\[clap\]'"):
        load_embedder(clap_folder)


def test_ray_refuses_a_folder(clap_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--engine: expected local"):
        RayEngine(clap_folder, tmp_path)


# What Earmark adds


def test_what_earmark_adds_is_read_again(clap: Embedder, copy: Path) -> None:
    vectors = np.eye(DIM, dtype=np.float32)[:2]
    background = Background.of(np.random.default_rng(0).random((9, DIM), dtype=np.float32))
    card = {"class_temperature": 0.5, "licence": "MIT"}
    write_own(copy, Own(clap.fingerprint, ["dog", "rain"], vectors, card, background))
    found = load_embedder(copy)
    assert (found.fingerprint, found.vocabulary) == (clap.fingerprint, ["dog", "rain"])
    assert (found.licence, class_temperature(found.card)) == ("MIT", 0.5)
    np.testing.assert_array_equal(found.vocabulary_vectors, vectors)
    np.testing.assert_array_equal(found.background.covariance, background.covariance)


def test_what_earmark_adds_is_of_one_model(clap: Embedder, copy: Path) -> None:
    none = np.zeros((0, DIM), dtype=np.float32)
    write_own(copy, Own("0" * 16, [], none))
    with pytest.raises(CheckpointError, match=f"of the model {'0' * 16}, but this one is"):
        load_embedder(copy)
    write_own(copy, Own(clap.fingerprint, [], none))
    file = copy / "earmark.json"
    stated = json.loads(file.read_text())
    for changed in ({"format": 2}, {"vocabulary": "dog"}, {"vocabulary": ["dog"]}, {"card": []}):
        file.write_text(json.dumps({**stated, **changed}))
        with pytest.raises(CheckpointError, match=r"earmark\.json: expected"):
            read_own(copy, clap.fingerprint, DIM)
