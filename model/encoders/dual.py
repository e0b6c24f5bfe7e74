"""Earmark's own models, computed by torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from earmark.model import checkpoint
from earmark.model.core.arrays import Array
from earmark.model.encoders.device import select_device
from earmark.model.encoders.earmark import EarmarkEmbedder, Mask


class DualEmbedder(EarmarkEmbedder):
    """A loaded checkpoint, ready to embed. Safe to share between threads."""

    def __init__(self, loaded: checkpoint.Checkpoint, device: str = "cpu") -> None:
        self.device = select_device(device)
        super().__init__(
            loaded.model.config,
            loaded.words,
            loaded.model.mel_filters.cpu().numpy(),
            loaded.fingerprint,
            loaded.vocabulary,
            loaded.card,
            loaded.background,
        )
        self._model = loaded.model.eval().to(self.device)
        self._model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> DualEmbedder:
        """From a model's file or folder. Raises CheckpointError, ConfigError."""
        loaded = checkpoint.load(path)
        if loaded.model.audio is not None:
            loaded.model.audio.fuse()
        return cls(loaded, device)

    @property
    def on_gpu(self) -> bool:
        """Whether it computes on a GPU."""
        return self.device.type == "cuda"

    def encode(self, windows: Array) -> Array:
        """Log-mel windows [n, T, F] → codes z_a [n, V]."""
        with torch.inference_mode():
            codes = self._model.encode_windows(torch.from_numpy(windows).to(self.device))
            return np.asarray(codes.cpu().numpy(), dtype=np.float32)

    def encode_steps(self, windows: Array) -> Array:
        """Log-mel windows [n, T, F] → codes [n, S, V] of their steps of time."""
        with torch.inference_mode():
            codes = self._model.encode_steps(torch.from_numpy(windows).to(self.device))
            return np.asarray(codes.cpu().numpy(), dtype=np.float32)

    def _project(self, codes: Array) -> Array:
        assert self._model.audio is not None, "codes come from its audio encoder"
        with torch.inference_mode():
            phi = self._model.audio.project(torch.from_numpy(codes).to(self.device))
            return np.asarray(phi.cpu().numpy(), dtype=np.float32)

    def _encode_words(self, words: Array, mask: Mask) -> Array:
        with torch.inference_mode():
            inputs = torch.from_numpy(words), torch.from_numpy(mask)
            phi = self._model.tags(*(part.to(self.device) for part in inputs))
            return np.asarray(phi.cpu().numpy(), dtype=np.float32)
