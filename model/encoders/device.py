"""Devices of torch, by name."""

from __future__ import annotations

import torch

from earmark.model.core.errors import ConfigError


def select_device(name: str) -> torch.device:
    """A torch device by name. Raises ConfigError if it is absent; never falls back to the CPU."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device: expected cpu, cuda or cuda:N, got {name!r}") from error
    if device.type not in ("cpu", "cuda") or (device.type == "cpu" and device.index):
        raise ConfigError(f"device: expected cpu, cuda or cuda:N, got {name!r}")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            available = f"only {count}" if count else "no"
            raise ConfigError(
                f"device: {name!r} is not available: {available} GPU can be used here"
            )
    return device
