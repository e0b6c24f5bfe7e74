"""An encoder as MTEB asks models: batches, metadata, and tasks of the package itself."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from earmark.model.core.errors import ConfigError, InputError
from earmark.model.embedder import unit
from earmark.model.encoders.dual import DualEmbedder
from earmark.service.integrations.mteb import MtebEncoder, load_encoder, model_meta
from tests.model.tiny import checkpoint_of, noise, tiny_config

SOUND = {"array": noise(0.3), "sampling_rate": 22_000}
# What mteb and the packages that it brings warn of is not ours.
with_mteb = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def encoder() -> MtebEncoder:
    embedder = DualEmbedder(checkpoint_of(tiny_config()))
    return MtebEncoder("earmark/tiny", "0", device=None, model=embedder)


def test_batches_of_phrases_and_of_sounds(encoder: MtebEncoder) -> None:
    phrases = encoder.encode(
        [{"text": ["rain", "dog"]}, {"text": ["wind"], "title": ["of no use"]}],
        task_metadata=None, hf_split="test", hf_subset="default", prompt_type=None, batch_size=2,
    )  # fmt: skip
    np.testing.assert_allclose(phrases, encoder.model.encode(["rain", "dog", "wind"]), atol=1e-5)
    sounds = encoder.encode([{"audio": [SOUND]}], precision="float32")
    np.testing.assert_array_equal(sounds, encoder.model.encode([SOUND]))
    both = encoder.encode([{"audio": [SOUND], "text": ["rain"]}])
    np.testing.assert_allclose(both, unit(sounds + phrases[:1]), atol=1e-5)
    assert encoder.encode([]).shape == (0, 16)
    assert encoder.similarity(phrases, sounds).shape == (3, 1)
    assert encoder.similarity_pairwise(phrases, phrases).shape == (3,)


def test_what_is_refused(encoder: MtebEncoder) -> None:
    with pytest.raises(InputError, match=r"inputs: expected text or audio, got \['image'\]"):
        encoder.encode([{"image": [None]}])
    with pytest.raises(InputError, match="precision: expected float32, got 'int8'"):
        encoder.encode([], precision="int8")


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mteb.models", None)
    for ask in (model_meta, load_encoder):
        with pytest.raises(ConfigError, match=r"mteb: needs `pip install 'earmark\[mteb\]'`"):
            ask()


@with_mteb
def test_metadata_states_what_is_known() -> None:
    pytest.importorskip("mteb", reason="mteb is not installed")
    meta = model_meta()
    assert meta.name == "earmark/starter"
    assert (meta.license, meta.embed_dim, meta.open_weights) == ("mit", 384, True)
    assert meta.modalities == ["audio", "text"]
    assert len(meta.languages) == 16
    assert "deu-Latn" in meta.languages
    assert meta.training_datasets == {"AudioSet"}
    assert meta.n_parameters is None
    stated = model_meta(release_date="2026-11-30", n_parameters=5_300_000)
    assert (stated.release_date, stated.n_parameters) == ("2026-11-30", 5_300_000)


@with_mteb
def test_metadata_of_a_model_of_ones_own(tmp_path: Path) -> None:
    pytest.importorskip("mteb", reason="mteb is not installed")
    from earmark.model.checkpoint import save

    save(tmp_path, checkpoint_of(tiny_config()))
    encoder = load_encoder(tmp_path)
    meta = encoder.mteb_model_meta
    assert meta.name == encoder.name == "earmark/w2v-128-1h"
    assert meta.revision == encoder.model.embedder.fingerprint
    assert meta.loader_kwargs == {"model": str(tmp_path)}
    assert meta.license is meta.open_weights is meta.training_datasets is meta.languages is None


@with_mteb
@pytest.mark.slow
def test_tasks_of_mteb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    mteb = pytest.importorskip("mteb", reason="mteb is not installed")
    from mteb.models.models_protocols import EncoderProtocol

    from tests.service.integrations.mteb_tasks import Taught, TitleToSound, ZeroShot

    encoder = load_encoder()
    assert isinstance(encoder, EncoderProtocol)
    tasks = [TitleToSound(), ZeroShot(), Taught()]
    result = mteb.evaluate(encoder, tasks, cache=None, show_progress_bar=False)
    scores = {each.task_name: each.get_score() for each in result.task_results}
    assert scores["TitleToSound"] > 0.3
    assert scores["ZeroShot"] > 0.5
    assert scores["Taught"] > 0.5
