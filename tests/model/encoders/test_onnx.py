"""ONNX exports: the vectors of torch, whole folders or none, and which runtime a path leads to."""

from __future__ import annotations

import builtins
import functools
import hashlib
import json
import multiprocessing
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.numpy

from earmark.model import checkpoint
from earmark.model.audio.decode import SoundReader
from earmark.model.audio.log_mel import LogMel, mel_filters, window_blocks
from earmark.model.config import FeatureConfig
from earmark.model.core.errors import CheckpointError, ConfigError
from earmark.model.encoders import onnx_folder
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.encoders.load import load_embedder
from earmark.model.encoders.onnx import OnnxEmbedder
from earmark.model.onnx_export.export import export
from earmark.model.onnx_export.log_mel_graph import log_mel_graph
from tests.model.tiny import (
    checkpoint_of,
    default_features,
    everyday_features,
    noise,
    sentence_config,
    tiny_config,
    write,
)

CLOSE = 1e-4
CONFIGS = {
    **{
        name: tiny_config(name) for name in ("w2v-128-4h", "w2v-128-mean", "coala", "first-starter")
    },
    "starter": sentence_config(),
}
SETS = (["dog"], ["rain", "wind", "car"], ["sea", "dog", "wave", "bell"])


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Models by name, each with its export in the folder `onnx`."""

    @functools.cache
    def folder(name: str) -> Path:
        made = tmp_path_factory.mktemp(name)
        checkpoint.save(made, checkpoint_of(CONFIGS[name]))
        export(made, made / "onnx")
        return made

    return folder


@pytest.fixture(params=CONFIGS)
def folder(request: pytest.FixtureRequest, folders: Callable[[str], Path]) -> Path:
    return folders(request.param)


@pytest.fixture
def one(folders: Callable[[str], Path]) -> Path:
    """Any of them."""
    return folders("w2v-128-4h")


def run(file: Path, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What another program gets of a graph."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def test_vectors_are_those_of_torch(folder: Path, tmp_path: Path) -> None:
    by_torch, by_onnx = load_embedder(folder), load_embedder(folder / "onnx")
    assert isinstance(by_torch, DualEmbedder)
    assert isinstance(by_onnx, OnnxEmbedder)
    for name in ("fingerprint", "name", "vocabulary", "card", "dim", "code_dim", "languages"):
        assert getattr(by_onnx, name) == getattr(by_torch, name)
    rate = by_torch.front_end.sample_rate
    path = write(tmp_path / "a.wav", noise(5.3, rate), rate)
    expected, found = by_torch.embed_audio(path), by_onnx.embed_audio(path)
    for name in ("vector", "code", "windows", "starts"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=CLOSE)
    [(windows, _)] = by_torch.windows(SoundReader(path, rate))
    steps = by_onnx.encode_steps(windows)
    assert steps.shape == (len(windows), by_torch.window_steps, by_torch.code_dim)
    np.testing.assert_allclose(steps, by_torch.encode_steps(windows), atol=CLOSE)
    np.testing.assert_allclose(by_onnx.embed_tags(SETS), by_torch.embed_tags(SETS), atol=CLOSE)
    np.testing.assert_array_equal(by_onnx.words.words, by_torch.words.words)


@pytest.mark.parametrize("seconds", [0.02, 5.1])
def test_other_programs_get_them_from_samples(folder: Path, seconds: float, tmp_path: Path) -> None:
    embedder = load_embedder(folder)
    rate = embedder.front_end.sample_rate
    samples = noise(seconds, rate, seed=1)
    path = write(tmp_path / "a.wav", samples, rate, subtype="FLOAT")
    expected = embedder.embed_audio(path)
    found = run(folder / "onnx" / onnx_folder.AUDIO, {"samples": samples})
    for name in ("vector", "code", "windows"):
        np.testing.assert_allclose(found[name], getattr(expected, name), atol=CLOSE)
    np.testing.assert_allclose(found["starts"], expected.starts, atol=1e-9)


def test_other_programs_get_texts_from_word_vectors(folder: Path) -> None:
    embedder = load_embedder(folder)
    most = embedder.max_tags
    words = np.zeros((len(SETS), most, embedder.config.tags.word_dim), np.float32)
    mask = np.zeros((len(SETS), most), np.bool_)
    for row, tags in enumerate(SETS):
        vectors = embedder.word_vectors(tags)
        words[row, : len(vectors)], mask[row, : len(vectors)] = vectors, True
    found = run(folder / "onnx" / onnx_folder.TEXT, {"words": words, "mask": mask})
    np.testing.assert_allclose(found["vectors"], embedder.embed_tags(SETS), atol=CLOSE)


def test_graphs_say_what_they_take(one: Path) -> None:
    embedder = load_embedder(one)
    graph = onnx.load(one / "onnx" / onnx_folder.AUDIO)
    told = {entry.key: entry.value for entry in graph.metadata_props}
    assert told["fingerprint"] == embedder.fingerprint
    assert told["sample_rate"] == str(embedder.front_end.sample_rate)
    assert told["input"].startswith("samples: mono")


FEATURES = {
    "silence after a short sound": default_features(tail="align"),
    "dropped tail": default_features(frames=32),
    "power": default_features(frames=32, power=2, tail="align", log_offset=1e-3),
    "hamming": default_features(frames=32, stft_window="hamming", mel_scale="htk"),
    "narrow window": default_features(frames=32, window_samples=600, tail="align"),
    "reflection": default_features(frames=32, edges="reflect", tail="align"),
    "everyday": everyday_features(frames=32, min_seconds=0.0),
    "emphasis": default_features(frames=32, pre_emphasis=0.9, tail="align"),
}


@pytest.mark.parametrize("config", FEATURES.values(), ids=FEATURES)
def test_features_are_those_of_log_mel(config: FeatureConfig) -> None:
    filters = mel_filters(config)
    graph = log_mel_graph(config, filters, 18, 10)
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    for count in (0, 1, 2, 511, 513, 20_000, 32 * 512 - 1, 64 * 512):
        samples = noise(2.0, seed=3)[:count]
        blocks = list(window_blocks(LogMel(config, filters), [samples], 64))
        windows, starts = session.run(["log_mel", "starts"], {"samples": samples})
        np.testing.assert_allclose(windows, np.concatenate([each for each, _ in blocks]), atol=2e-4)
        firsts = np.concatenate([each for _, each in blocks])
        np.testing.assert_allclose(starts, firsts * config.hop / config.sample_rate, atol=1e-9)


def test_what_is_beside_a_window_does_not_matter(one: Path) -> None:
    embedder = load_embedder(one / "onnx")
    generator = np.random.default_rng(0)
    windows = generator.standard_normal((5, 96, 96)).astype(np.float32)
    alone = [embedder.encode(windows[row : row + 1])[0] for row in range(5)]
    np.testing.assert_array_equal(embedder.encode(windows), alone)


def test_a_model_survives_a_fork(one: Path) -> None:
    embedder = load_embedder(one / "onnx")
    expected = embedder.embed_tags([["dog"]])
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=lambda: answers.put(embedder.embed_tags([["dog"]])))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    np.testing.assert_array_equal(answers.get(), expected)


# Files


@pytest.fixture
def copied(one: Path, tmp_path: Path) -> Path:
    """An export that a test may alter."""
    return Path(shutil.copytree(one / "onnx", tmp_path / "export"))


@pytest.mark.parametrize(
    "name", [onnx_folder.TEXT, onnx_folder.ENCODER, onnx_folder.AUDIO, onnx_folder.EXPORT_NAME]
)
def test_what_was_altered_is_refused(copied: Path, name: str) -> None:
    data = bytearray((copied / name).read_bytes())
    data[-9] ^= 1
    (copied / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=rf"{name}: altered since it was written"):
        load_embedder(copied)


def test_what_is_missing_or_cut_is_refused(copied: Path) -> None:
    (copied / onnx_folder.TEXT).unlink()
    with pytest.raises(CheckpointError, match=r"text\.onnx: No such file"):
        load_embedder(copied)
    (copied / onnx_folder.EXPORT_NAME).write_bytes(b"{")
    with pytest.raises(CheckpointError, match="truncated or altered"):
        load_embedder(copied)


def rewrite(folder: Path, **entries: object) -> None:
    """Other entries in a header, and the hashes that the graphs have now."""
    file = folder / onnx_folder.EXPORT_NAME
    with safetensors.safe_open(file, framework="numpy") as opened:
        header = json.loads(opened.metadata()["earmark"])
        arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    for name in header["sha256"].keys() - {"tensors"}:
        header["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    header |= entries
    file.write_bytes(safetensors.numpy.save(arrays, metadata={"earmark": json.dumps(header)}))


@pytest.mark.parametrize("entry", sorted(onnx_folder.ENTRIES))
def test_headers_of_another_shape_are_refused(copied: Path, entry: str) -> None:
    rewrite(copied, **{entry: None})
    with pytest.raises(CheckpointError, match=f"altered since it was written: its {entry}"):
        load_embedder(copied)


def with_weights_elsewhere(graph: bytes, place: str) -> bytes:
    """A graph whose first weights are in another file."""
    made = onnx.load_from_string(graph)
    onnx.external_data_helper.set_external_data(made.graph.initializer[0], place)
    made.graph.initializer[0].ClearField("raw_data")
    return bytes(made.SerializeToString())


def test_graphs_that_are_none_or_others_are_refused(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (copied / onnx_folder.TEXT).read_bytes()
    encoder = (copied / onnx_folder.ENCODER).read_bytes()
    monkeypatch.chdir(copied)
    elsewhere = with_weights_elsewhere(text, onnx_folder.AUDIO)
    for graph, says in (
        (b"", "cannot run it"),
        (b"no graph", "cannot run it"),
        (elsewhere, "cannot run it"),
        (encoder, "expected inputs and outputs .*'words', 'mask'.*, got .*'log_mel'"),
    ):
        (copied / onnx_folder.TEXT).write_bytes(graph)
        rewrite(copied)
        with pytest.raises(CheckpointError, match=rf"text\.onnx: .*{says}"):
            load_embedder(copied)


def test_another_format_is_refused(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_folder, "FORMAT", 2)
    with pytest.raises(CheckpointError, match="expected an ONNX export of format 2, got 'onnx' of"):
        load_embedder(copied)


def test_a_folder_is_written_whole_or_not_at_all(
    one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = onnx_folder.read_export(one / "onnx")
    with pytest.raises(ConfigError, match="expected a new or empty folder"):
        export(one, one / "onnx")
    written_whole = onnx_folder.write_whole

    def fails_late(path: Path, parts: list[bytes]) -> None:
        if path.name == onnx_folder.EXPORT_NAME:
            raise OSError(28, "No space left on device")
        written_whole(path, parts)

    monkeypatch.setattr(onnx_folder, "write_whole", fails_late)
    with pytest.raises(CheckpointError, match="cannot be written"):
        onnx_folder.write_export(tmp_path / "export", exported)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled(
    one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the working one, or one that a link leads to, as none can be replaced."""
    exported = onnx_folder.read_export(one / "onnx")
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to("other")
    monkeypatch.chdir(tmp_path / "empty")
    for folder in (Path(), tmp_path / "link"):
        onnx_folder.write_export(folder, exported)
        assert load_embedder(folder).fingerprint == exported.fingerprint


def test_only_models_for_torch_are_exported(one: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "clap"}')
    for model, kind in ((tmp_path, "a CLAP model"), (one / "onnx", "an ONNX export")):
        with pytest.raises(ConfigError, match=f"model: expected one of Earmark's.*{kind}"):
            export(model, tmp_path / "export")
    with pytest.raises(ConfigError, match="expected torch for a CLAP model, got onnx"):
        load_embedder(tmp_path, runtime="onnx")


def test_a_model_that_embeds_only_tags(tmp_path: Path) -> None:
    config = replace(tiny_config("w2v-128-mean"), scaler_known=False)
    checkpoint.save(tmp_path / "model", checkpoint_of(config))
    export(tmp_path / "model", tmp_path / "export")
    names = {file.name for file in (tmp_path / "export").iterdir()}
    assert names == {onnx_folder.TEXT, onnx_folder.EXPORT_NAME}
    embedder = load_embedder(tmp_path / "export")
    assert embedder.embed_tags([["dog"]]).shape == (1, 16)
    with pytest.raises(ConfigError, match="cannot embed sounds"):
        embedder.embed_audio(tmp_path / "a.wav")


# Which runtime


def test_the_runtime_is_that_of_the_files_or_the_one_asked_for(
    one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported, file = one / "onnx", one / "model.safetensors"
    assert isinstance(load_embedder(one), DualEmbedder)
    assert isinstance(load_embedder(exported), OnnxEmbedder)
    for path in (one, exported, file):
        assert isinstance(load_embedder(path, runtime="onnx"), OnnxEmbedder)
    monkeypatch.setenv("EARMARK_RUNTIME", "onnx")
    assert isinstance(load_embedder(one), OnnxEmbedder)
    assert isinstance(load_embedder(one, runtime="torch"), DualEmbedder)
    monkeypatch.setenv("EARMARK_RUNTIME", "fast")
    with pytest.raises(ConfigError, match="runtime: expected torch or onnx, got 'fast'"):
        load_embedder(one)
    with pytest.raises(ConfigError, match="expected a model for torch, got the ONNX export"):
        load_embedder(exported, runtime="torch")
    with pytest.raises(ConfigError, match="device: expected cpu for an ONNX export, got 'cuda'"):
        load_embedder(exported, "cuda", "")
    bare = shutil.copy(file, tmp_path)
    with pytest.raises(ConfigError, match=r"`earmark export onnx --model .* --out DIR`"):
        load_embedder(tmp_path, runtime="onnx")
    shutil.copytree(exported, tmp_path / "onnx")
    with pytest.raises(ConfigError, match=r"expected an ONNX export in .*/misspelt"):
        load_embedder(tmp_path / "misspelt", runtime="onnx")
    assert isinstance(load_embedder(tmp_path, runtime="onnx"), OnnxEmbedder)
    checkpoint.replace_card(tmp_path, {"seed": 9})
    with pytest.raises(ConfigError, match="card has changed since: export it again"):
        load_embedder(tmp_path, runtime="onnx")
    checkpoint.save(Path(bare), checkpoint_of(CONFIGS["w2v-128-4h"], seed=1))
    with pytest.raises(ConfigError, match=r"an export of the model .* beside the model"):
        load_embedder(tmp_path, runtime="onnx")


@pytest.mark.parametrize(
    ("package", "module", "says"),
    [
        ("onnxruntime", "earmark.model.encoders.onnx", r"earmark\[onnx\]"),
        ("torch", "earmark.model.encoders.dual", "needs torch, which is not installed"),
    ],
)
def test_a_package_that_is_missing_is_named(
    one: Path, package: str, module: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = builtins.__import__

    def refuse(name: str, *arguments: object) -> ModuleType:
        if name == module:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return imported(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigError, match=says):
        load_embedder(one, runtime="onnx" if package == "onnxruntime" else "torch")
