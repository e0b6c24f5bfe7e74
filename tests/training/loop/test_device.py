"""How a run computes: precision, device, and memory that is kept between steps."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch

from earmark.model.core.errors import ConfigError
from earmark.training.loop.device import PRECISIONS, DeviceSettings
from tests.conftest import ROOT

# A process that trains a small network: page faults of ten steps, after two to warm up.
STEPS = """
import resource, sys
import torch
from torch import nn
from earmark.training.loop.device import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
torch.set_num_threads(1)
torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, 2), nn.ReLU())
patches = torch.randn(16, 1, 96, 96)

def faults(steps):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        net.zero_grad()
        net(patches).square().mean().backward()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults(2)
print(faults(10), float(net[0].weight.grad.sum()))
"""


def test_by_default_the_cpu_in_full_precision() -> None:
    settings = DeviceSettings()
    settings.check()
    assert settings.torch_device() == torch.device("cpu")
    assert not settings.mixed_precision
    assert not settings.compile
    assert (settings.processes.rank, settings.processes.size) == (0, 1)


@pytest.mark.parametrize(("precision", "mixed_precision"), [("float32", False), ("bfloat16", True)])
def test_a_precision_that_is_asked_for_is_used(precision: str, mixed_precision: bool) -> None:
    assert precision in PRECISIONS
    settings = DeviceSettings(precision=precision)
    settings.check()
    assert settings.mixed_precision == mixed_precision


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_that_has_it_computes_in_bfloat16() -> None:
    settings = DeviceSettings("cuda")
    settings.check()
    assert settings.mixed_precision == torch.cuda.is_bf16_supported()
    assert not DeviceSettings("cuda", precision="float32").mixed_precision


@pytest.mark.parametrize("precision", ["float16", "bf16", "", "Float32"])
def test_refuses_an_unknown_precision(precision: str) -> None:
    message = f"^precision: expected float32 or bfloat16, got {precision!r}$"
    with pytest.raises(ConfigError, match=message):
        DeviceSettings(precision=precision).check()


@pytest.mark.parametrize("device", ["gpu", "", "cuda:x", "cpu 0"])
def test_refuses_an_unknown_device(device: str) -> None:
    message = f"^device: expected cpu, cuda or cuda:N, got {device!r}$"
    for ask in (
        DeviceSettings.check,
        DeviceSettings.torch_device,
        lambda settings: settings.mixed_precision,
    ):
        with pytest.raises(ConfigError, match=message):
            ask(DeviceSettings(device))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_refuses_a_gpu_that_is_not_there(device: str) -> None:
    message = f"^device: {device!r} is not available: no GPU can be used here$"
    with pytest.raises(ConfigError, match=message):
        DeviceSettings(device).check()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's memory is kept")
@pytest.mark.slow
def test_training_takes_the_memory_it_freed() -> None:
    """The most of four runs: now and then the heap happens to give nothing back."""
    command = [sys.executable, "-c", STEPS]
    faults: dict[str, list[int]] = {"given back": [], "kept": []}
    sums = set()
    for how in ["given back", "kept"] * 4:
        done = subprocess.run([*command, how], capture_output=True, text=True, cwd=ROOT, check=True)
        count, total = done.stdout.split()
        faults[how].append(int(count))
        sums.add(total)
    assert max(faults["given back"]) > 1000
    assert max(faults["kept"]) < max(faults["given back"]) / 5
    assert len(sums) == 1  # it computes the same
