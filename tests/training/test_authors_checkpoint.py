"""The authors' checkpoints become models that give the authors' numbers; nothing in them runs."""

from __future__ import annotations

import io
import json
import os
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from earmark.model import checkpoint
from earmark.model.audio.log_mel import LogMel, mel_filters
from earmark.model.core.errors import CheckpointError, ConfigError
from earmark.model.embedder import Embedder
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.encoders.load import load_embedder
from earmark.training.authors_checkpoint import import_model
from tests.model.tiny import RATE, noise
from tests.training import authors
from tests.training.authors import TAG_FILE, WORDS, tag_state

KINDS = ("1h", "4h", "mean")
SETS = [[3], [0, 5, 11], list(range(10))]


def saved_and_loaded(source: Path, folder: Path) -> Embedder:
    checkpoint.save(folder, import_model(source))
    return load_embedder(folder)


def named(numbers: list[int]) -> list[str]:
    return [WORDS[number] for number in numbers]


# Tags


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("write", [authors.write_npz, authors.write_folder])
def test_tag_encoders(tmp_path: Path, kind: str, write: Callable[..., Path]) -> None:
    state = tag_state(kind)
    imported = import_model(write(tmp_path, state))
    assert imported.model.config.name == f"w2v-128-{kind}"
    assert not imported.model.config.hears
    assert imported.words.words == imported.vocabulary == WORDS
    assert imported.card["preset"] == f"w2v-128-{kind}"
    expected = np.stack([authors.phi(state, numbers) for numbers in SETS])
    for embedder in (
        DualEmbedder(imported),
        saved_and_loaded(write(tmp_path / "2", state), tmp_path),
    ):
        ours = embedder.encode_tags([named(numbers) for numbers in SETS])
        assert np.abs(ours - expected).max() < 1e-5
        assert np.ptp(expected, axis=0).max() > 0.1  # the sets do differ


@pytest.mark.parametrize("kind", ["selfatt_c_1h", "selfatt_c_4h", "mean_c"])
def test_the_trained_encoders_give_the_golden_numbers(
    golden: Mapping[str, np.ndarray], shared: Path, tmp_path: Path, kind: str
) -> None:
    source = shared / "reference" / f"tag_encoder_128_{kind}.npz"
    embedder = saved_and_loaded(source, tmp_path)
    words = embedder.words.words
    assert len(words) == 1000
    sets = [[words[number - 1] for number in row if number] for row in golden["in_tag_ids"]]
    ours = embedder.encode_tags(sets)
    assert np.abs(ours - golden[f"trained_128_{kind}_phi"]).max() <= 1e-5


def test_without_an_audio_half_it_says_so(tmp_path: Path) -> None:
    source = authors.write_npz(tmp_path, tag_state("1h"))
    sound = tmp_path / "a.wav"
    soundfile.write(sound, noise(2.5), RATE)
    imported = DualEmbedder(import_model(source))
    loaded = saved_and_loaded(source, tmp_path / "out")
    for embedder in (imported, loaded):
        assert not embedder.config.hears
        message = "model w2v-128-1h: embeds only tags, has no audio encoder"
        with pytest.raises(ConfigError, match=message):
            embedder.embed_audio(sound)
    # The other half works, to unit length, and both are the same model.
    vectors = [embedder.embed_tags([["dog", "rain"]]) for embedder in (imported, loaded)]
    assert np.array_equal(*vectors)
    assert np.linalg.norm(vectors[0]) == pytest.approx(1)
    size = (tmp_path / "out" / "model.safetensors").stat().st_size
    assert size < 1_000_000  # nothing of an absent half is stored


def test_the_last_epoch_wins(tmp_path: Path) -> None:
    folder = authors.write_folder(tmp_path, tag_state("1h", seed=3))
    last = tag_state("1h", seed=10)
    torch.save(last, folder / "tag_encoder_att_epoch_10.pt")  # after 3, though not by letters
    torch.save(tag_state("1h", seed=9), folder / "tag_encoder_att_epoch_9.pt")
    (folder / "tag_encoder_att_epoch_best.pt").write_text("no number")
    ours = DualEmbedder(import_model(folder)).encode_tags([["dog"]])[0]
    assert np.abs(ours - authors.phi(last, [1])).max() < 1e-5


# Both halves, at their real size


@dataclass(frozen=True)
class Both:
    folder: Path
    embedder: Embedder  # saved and loaded


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    root = tmp_path_factory.mktemp("both")
    folder = authors.write_folder(root, tag_state("4h"), audio=True)
    return Both(folder, saved_and_loaded(folder, root / "out"))


def test_the_audio_half_gives_the_golden_numbers(
    golden: Mapping[str, np.ndarray], tmp_path: Path
) -> None:
    folder = authors.write_folder(tmp_path, tag_state("4h"))
    authors.write_scaler(folder)
    half, decoder = authors.AudioHalf(), authors.Decoder()
    torch.save(authors.with_formula(half).state_dict(), folder / authors.AUDIO_FILE)
    torch.save(authors.with_formula(decoder).state_dict(), folder / authors.DECODER_FILE)
    model = import_model(folder).model
    assert model.config.hears
    assert model.config.audio.decoder
    assert model.audio is not None
    assert model.audio_decoder is not None
    with torch.inference_mode():
        codes, phi = model.audio(torch.from_numpy(golden["in_patch"]))
        patches = model.audio_decoder(torch.from_numpy(golden["audio_encoder_128_z"]))
    for ours, name in (
        (codes, "audio_encoder_128_z"),
        (phi, "audio_encoder_128_phi"),
        (patches, "audio_decoder_xhat"),
    ):
        assert np.abs(ours.numpy() - golden[name]).max() <= 1e-5


def test_a_sound_through_save_and_load(both: Both, tmp_path: Path) -> None:
    """From the file to z_a and φ_a: features, the authors' scaler, their modules."""
    samples = noise(12.0)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    scaler = authors.write_scaler(tmp_path)
    config = both.embedder.config.features
    frames = LogMel(config, mel_filters(config))(samples)
    windows = np.stack([frames[start : start + 96] for start in range(0, len(frames) - 95, 96)])
    scaled = np.clip(windows * scaler["scale_"] + scaler["min_"], 0, None).astype(np.float32)
    with torch.inference_mode():
        codes, phi = authors.at_random(authors.AudioHalf())(torch.from_numpy(scaled)[:, None])
    assert codes.std(dim=0).mean() > 0.02  # the windows differ
    sound = both.embedder.embed_audio(tmp_path / "a.wav")
    assert len(sound.windows) == len(windows) == 5
    assert np.abs(sound.code - codes.mean(dim=0).numpy()).max() < 1e-4
    mean = phi.mean(dim=0).numpy()
    assert np.abs(sound.vector - mean / np.linalg.norm(mean)).max() < 1e-4
    state = tag_state("4h")
    assert np.abs(both.embedder.encode_tags([["owl"]])[0] - authors.phi(state, [10])).max() < 1e-5


def test_without_a_decoder_it_still_hears(both: Both, tmp_path: Path) -> None:
    folder = authors.write_folder(tmp_path, tag_state("4h"))
    (folder / authors.AUDIO_FILE).write_bytes((both.folder / authors.AUDIO_FILE).read_bytes())
    with pytest.raises(CheckpointError, match=r"expected minmax_scaler\.npz beside it or in a"):
        import_model(folder)
    scaler = authors.write_scaler(folder)
    config = import_model(folder).model.config
    assert config.hears
    assert not config.audio.decoder
    np.savez(folder / authors.SCALER, data_min_=scaler["data_min_"])
    with pytest.raises(CheckpointError, match=r"minmax_scaler\.npz lacks 'data_max_'"):
        import_model(folder)
    short = {name: values[:95] for name, values in scaler.items()}
    np.savez(folder / authors.SCALER, **short)
    with pytest.raises(CheckpointError, match=r"parameter band_max: expected shape \[96\], got"):
        import_model(folder)


def test_decoders_of_another_make(both: Both, tmp_path: Path) -> None:
    folder = authors.write_folder(tmp_path, tag_state("4h"))
    decoder = torch.load(both.folder / authors.DECODER_FILE, weights_only=True)
    decoder["bias"] = decoder.pop("audio_decoder.2.bias")
    torch.save(decoder, folder / authors.DECODER_FILE)
    (folder / authors.AUDIO_FILE).write_bytes((both.folder / authors.AUDIO_FILE).read_bytes())
    authors.write_scaler(folder)
    with pytest.raises(CheckpointError, match=r"parameter audio_decoder\.bias is unexpected"):
        import_model(folder)


# What belongs to a model


@pytest.mark.parametrize("place", ["", "json", "..", "../json", "../..", "../../json"])
def test_where_tokens_may_lie(tmp_path: Path, place: str) -> None:
    folder = authors.write_folder(tmp_path / "a" / "b", tag_state("mean"))
    (tmp_path / "a" / "b" / "json" / authors.TOKENS).unlink()
    with pytest.raises(CheckpointError, match=r"expected id2token_top_1000\.json beside it or in"):
        import_model(folder)
    authors.write_tokens(folder / place)
    assert import_model(folder).vocabulary == WORDS


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"0": "rain", "1": "dog"}', "expected tags numbered 0 to 11"),
        (json.dumps(dict(enumerate([*WORDS, "more"]))), "expected tags numbered 0 to 11"),
        ('["rain", "dog"]', "expected tags numbered 0 to 11"),
        ("", "not JSON"),
        ('{"0": ', "not JSON"),
    ],
)
def test_tokens_that_do_not_fit(tmp_path: Path, text: str, says: str) -> None:
    source = authors.write_npz(tmp_path, tag_state("mean"))
    (tmp_path / authors.TOKENS).write_text(text)
    with pytest.raises(CheckpointError, match=rf"id2token_top_1000\.json: {says}"):
        import_model(source)


def test_tokens_of_a_file_may_lie_two_folders_up(tmp_path: Path) -> None:
    source = authors.write_npz(tmp_path / "a" / "b", tag_state("mean"))
    (tmp_path / "a" / "b" / authors.TOKENS).rename(tmp_path / authors.TOKENS)
    assert import_model(source).vocabulary == WORDS


def without(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in state.items() if key != name}


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({}, "expected a tag encoder with a table embeddings.weight"),
        ({"embeddings.weight": torch.zeros(5)}, "expected a tag encoder with a table embeddings"),
        (without(tag_state("1h"), "w_ks.weight"), "parameter tags.key.weight is missing"),
        (without(tag_state("1h"), "w_qs.weight"), "parameter tags.key.weight is unexpected"),
        (tag_state("1h") | {"more": torch.zeros(1)}, "parameter tags.more. is unexpected"),
        (tag_state("1h", dim=64), "expected one of the paper's models, got w2v-64-1h"),
        (tag_state("2h"), "expected one of the paper's models, got w2v-128-2h"),
        (
            tag_state("1h") | {"fc.weight": torch.zeros(128, 64)},
            r"parameter tags.output.weight: expected shape \[128, 128\], got \[128, 64\]",
        ),
    ],
)
def test_states_that_do_not_fit(tmp_path: Path, state: dict[str, Tensor], says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        import_model(authors.write_npz(tmp_path, state))


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"expected tag_encoder_att_epoch_N\.pt, found none"):
        import_model(tmp_path)
    for name in ("none.npz", "none.pt"):
        with pytest.raises(CheckpointError, match=f"{name}: cannot be read as parameters"):
            import_model(tmp_path / name)


# Hostile and damaged files


@dataclass(frozen=True)
class Payload:
    """What runs a command when it is unpickled."""

    command: str

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


@pytest.mark.parametrize("how", ["zip", "legacy", "pickle", "npz", "pickle.npz"])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path: Path, how: str) -> None:
    folder, ran = authors.write_folder(tmp_path, tag_state("mean")), tmp_path / "ran"
    payload = Payload(f"touch '{ran}'")
    state = {**tag_state("mean"), "embeddings.weight": payload}
    file = folder / TAG_FILE
    source = folder
    if how.endswith("npz"):
        source = file = folder / "tags.npz"
        buffer = io.BytesIO()
        np.savez(buffer, **{"embeddings.weight": np.array([payload], dtype=object)})
        file.write_bytes(buffer.getvalue() if how == "npz" else pickle.dumps(state))
    elif how == "pickle":
        file.write_bytes(pickle.dumps(state))
    else:
        torch.save(state, file, _use_new_zipfile_serialization=how == "zip")
    with pytest.raises(CheckpointError, match=r"holds more than plain|cannot be read as param"):
        import_model(source)
    assert not ran.exists()
    pickle.loads(pickle.dumps(payload))
    assert ran.exists()  # it would have run


def test_whole_pickled_modules_are_refused(tmp_path: Path) -> None:
    folder = authors.write_folder(tmp_path, tag_state("mean"))
    for value, says in (
        (torch.nn.Linear(2, 2), "holds more than plain parameters"),
        ([torch.zeros(2)], "expected a state dictionary of tensors"),
        ({1: torch.zeros(2)}, "expected a state dictionary of tensors"),
        ({"a": 1}, "expected a state dictionary of tensors"),
    ):
        torch.save(value, folder / TAG_FILE)
        with pytest.raises(CheckpointError, match=f"{TAG_FILE}: {says}"):
            import_model(folder)


@pytest.mark.parametrize("how", ["zip", "legacy", "npz"])
def test_damaged_files(tmp_path: Path, how: str) -> None:
    """Cut short, or with bytes changed: one error, or the model, never another exception."""
    folder = authors.write_folder(tmp_path, tag_state("mean", count=2, dim=8))
    file = folder / (TAG_FILE if how != "npz" else "tags.npz")
    if how == "npz":
        np.savez(file, **{name: t.numpy() for name, t in tag_state("mean", dim=8).items()})
    else:
        state = tag_state("mean", dim=8)
        torch.save(state, file, _use_new_zipfile_serialization=how == "zip")
    source, data = (file if how == "npz" else folder), file.read_bytes()
    for length in [0, 1, 10, *range(50, len(data), len(data) // 20)]:
        file.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=file.name):
            import_model(source)
    generator = np.random.default_rng(1)
    for _ in range(150):
        changed = bytearray(data)
        for place in generator.integers(0, len(data), 4):
            changed[place] = generator.integers(256)
        file.write_bytes(changed)
        with pytest.raises(CheckpointError) as caught:  # sound ones are too small (8) to be theirs
            import_model(source)
        assert "\n" not in str(caught.value)


def test_npz_files_that_are_something_else(tmp_path: Path) -> None:
    authors.write_tokens(tmp_path)
    file = tmp_path / "tags.npz"
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    file.write_bytes(buffer.getvalue())
    with pytest.raises(CheckpointError, match=r"tags\.npz: cannot be read as parameters"):
        import_model(file)
    np.savez(file, **{"embeddings.weight": np.array(["text"])})
    with pytest.raises(CheckpointError, match=r"tags\.npz: cannot be read as parameters"):
        import_model(file)
