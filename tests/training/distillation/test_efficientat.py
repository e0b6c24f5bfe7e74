"""EfficientAT's file: read without running code, another one refused; its logits are ours."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from earmark.model.audio.log_mel import LogMel, mel_filters
from earmark.model.config import preset
from earmark.model.networks.dual_encoder import DualEncoder
from earmark.training.distillation import efficientat
from earmark.training.distillation.efficientat import BANDS, TEACHER_SHA256, read_teacher
from earmark.training.errors import TrainingError
from tests.model.networks.test_teacher import sounds


def test_logits_of_sounds_are_those_of_its_authors(teachers: Path) -> None:
    teacher = read_teacher(teachers / "mn04_as_mAP_432.pt")
    config = preset("starter")
    model = DualEncoder(config).eval()
    model.band_min.fill_(BANDS[0])
    model.band_max.fill_(BANDS[1])
    assert model.audio is not None
    model.audio.convolutions.load_state_dict(teacher.convolutions)
    log_mel = LogMel(config.features, mel_filters(config.features))
    with np.load(teachers / "golden.npz") as golden, torch.inference_mode():
        for name, samples in sounds().items():
            frames = torch.from_numpy(log_mel(samples.astype(np.float32)))
            codes = model.audio.encode(model.scale(frames)[None, None]).numpy()
            np.testing.assert_allclose(codes[0], golden[f"{name}_code"], atol=1e-4)
            np.testing.assert_allclose(
                teacher.logits(codes)[0], golden[f"{name}_logits"], atol=1e-4
            )
    assert teacher.hidden_values(codes).shape == (1, 512)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"--teacher: .*none\.pt: cannot be read \(No such"):
        read_teacher(tmp_path / "none.pt")
    (tmp_path / "other.pt").write_bytes(b"other")
    expected = f"expected EfficientAT mn04_as .SHA-256 {TEACHER_SHA256[:12]}…., got d9298a10d1b0…"
    with pytest.raises(TrainingError, match=expected):
        read_teacher(tmp_path / "other.pt")


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (open, ("ran", "w"))


def test_nothing_that_it_holds_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even of a file with the known hash."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "damaged.pt"
    torch.save({"a": Evil()}, file)
    for data in (file.read_bytes(), b"", b"PK rubbish", file.read_bytes()[:100]):
        file.write_bytes(data)
        monkeypatch.setattr(efficientat, "TEACHER_SHA256", hashlib.sha256(data).hexdigest())
        with pytest.raises(TrainingError, match=r"--teacher: .*damaged\.pt: damaged"):
            read_teacher(file)
    assert not (tmp_path / "ran").exists()
