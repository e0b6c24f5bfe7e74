"""The network of a model: the audio encoder, the tag encoder, their decoders and the scaler.

The scaler and the mel filters are buffers, so a checkpoint holds all between samples and vectors.
Axes: B = batch, T = frames, F = mels, V = audio code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from earmark.model.config import ModelConfig
from earmark.model.core.errors import ConfigError
from earmark.model.networks.audio_encoder import AudioDecoder, AudioEncoder
from earmark.model.networks.tag_encoder import TagDecoder, build_tag_encoder


class DualEncoder(nn.Module):
    """An audio encoder and a tag encoder into one space of `config.dim` dimensions."""

    band_min: Tensor
    band_max: Tensor
    mel_filters: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.audio = AudioEncoder(config) if config.hears else None
        self.audio_decoder = AudioDecoder(config) if config.hears and config.audio.decoder else None
        self.tags = build_tag_encoder(config)
        self.tag_decoder = TagDecoder(config) if config.tags.decoder else None
        bands, bins = config.features.n_mels, config.features.n_fft // 2 + 1
        self.register_buffer("band_min", torch.zeros(bands))
        self.register_buffer("band_max", torch.ones(bands))
        self.register_buffer("mel_filters", torch.zeros(bands, bins))

    def scale(self, log_mel: Tensor) -> Tensor:
        """Log-mel windows [..., T, F] → patches in [0, 1], by the training set's band minima and
        maxima.

        Values below the minimum become 0, but not for a MobileNet; values above the maximum stay
        above 1 (METHOD §1).
        """
        scaled = (log_mel - self.band_min) / (self.band_max - self.band_min)
        return scaled if self.config.audio.kind == "mobilenet" else scaled.clamp(min=0)

    def encode_windows(self, log_mel: Tensor) -> Tensor:
        """Log-mel windows [B, T, F], unscaled → codes z_a [B, V].

        Raises ConfigError if the model has no audio encoder.
        """
        audio, patches = self._patches(log_mel)
        return audio.encode(patches)

    def encode_steps(self, log_mel: Tensor) -> Tensor:
        """Log-mel windows [B, T, F], unscaled → codes [B, S, V] of steps of time.

        Raises ConfigError if the model has no audio encoder.
        """
        audio, patches = self._patches(log_mel)
        return audio.encode_steps(patches)

    def _patches(self, log_mel: Tensor) -> tuple[AudioEncoder, Tensor]:
        """(the audio encoder, scaled patches [B, 1, T, F] for it). Raises ConfigError."""
        if self.audio is None:
            raise ConfigError(f"model {self.config.name}: embeds only tags, has no audio encoder")
        patches = self.scale(log_mel)[:, None].contiguous(memory_format=torch.channels_last)
        return self.audio, patches
