"""Several processes that train one model, started by torchrun (one a GPU, or a CPU's share).

A batch is shared: each process works on its rows, NT-Xent sees the rows of all, and batch
statistics are those of the whole batch. So the result does not depend on how many there are.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from torch import Tensor, nn

from earmark.model.core.errors import ConfigError
from earmark.model.embedder import select_device
from earmark.training.errors import TrainingError

TIMEOUT = timedelta(hours=2)  # others wait while the first validates or reads the corpus


@dataclass(frozen=True)
class Ranks:
    """This process among `count`."""

    own: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that saves, validates and reports."""
        return self.own == 0

    def wait(self) -> None:
        """Until all have come here."""
        if self.count > 1:
            dist.barrier()

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """The first process runs the block while the others wait; then they do.

        Raises TrainingError in the others when the first one failed.
        """
        if self.count == 1:
            yield
            return
        if not self.first and not self._told(False):
            raise TrainingError("the first process failed, and has said why")
        done = False
        try:
            yield
            done = True
        finally:
            if self.first:
                self._told(done)

    def _told(self, well: bool) -> bool:
        """Whether the first process, waited for, says that all is well."""
        said = [well]
        dist.broadcast_object_list(said, src=0)
        return said[0]

    def total(self, values: Tensor) -> Tensor:
        """Their sum over all processes."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def check_same(self, what: str, digest: bytes) -> None:
        """Raise TrainingError when another process has another digest of `what`."""
        if self.count == 1:
            return
        digests: list[Any] = [None] * self.count
        dist.all_gather_object(digests, digest)
        if len(set(digests)) > 1:
            raise TrainingError(f"{what}: differs between the {self.count} processes")


@contextmanager
def joined(device: str) -> Iterator[tuple[Ranks, str]]:
    """The processes that torchrun started, and this one's device; alone without torchrun.

    Raises ConfigError for `cuda:N` with several processes: each takes the GPU of its number.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Ranks(), device
        return
    if device.startswith("cuda:"):
        raise ConfigError(f"--device: expected cpu or cuda under torchrun, got {device}")
    own_gpu = device == "cuda"
    if own_gpu:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(select_device(device))
    dist.init_process_group("nccl" if own_gpu else "gloo", timeout=TIMEOUT)
    try:
        yield Ranks(dist.get_rank(), count), device
    finally:
        dist.destroy_process_group()


def leave(status: int) -> NoReturn:
    """End this process, one of several, without tearing the interpreter down.

    DistributedDataParallel keeps gloo's threads alive beyond their group; one that still lets go
    of a tensor while Python ends aborts the process, with all of its work done.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def gathered(rows: Tensor) -> Tensor:
    """Rows [b, D] of all processes, in their order [B, D]; gradients flow back to each."""
    all_rows: Tensor = _Gather.apply(rows)  # type: ignore[no-untyped-call]
    return all_rows


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(_: object, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(_: object, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].contiguous()
        dist.all_reduce(gradient)
        return gradient.chunk(dist.get_world_size())[dist.get_rank()]


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(_: object, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_: object, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].clone()
        dist.all_reduce(gradient)
        return gradient


def _summed(values: Tensor) -> Tensor:
    """Their sum over all processes, with gradients."""
    total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return total


class SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation with the statistics of all processes' rows, on any device.

    torch's SyncBatchNorm wants a GPU.
    """

    def _check_input_dim(self, inputs: Tensor) -> None:
        """Any number of dimensions, [b, C, ...]."""

    def forward(self, inputs: Tensor) -> Tensor:
        """inputs [b, C, ...] → the same shape."""
        if not self.training:
            return super().forward(inputs)
        inputs = inputs.float() if inputs.dtype == torch.bfloat16 else inputs
        exact = torch.float64  # sums of many values, as torch's own take them on a CPU
        dims = [0, *range(2, inputs.ndim)]
        shape = [1, -1, *[1] * (inputs.ndim - 2)]
        count = inputs.numel() // inputs.shape[1] * dist.get_world_size()
        mean = _summed(inputs.sum(dims, dtype=exact)) / count
        centred = inputs - mean.to(inputs.dtype).view(shape)
        variance = _summed(centred.square().sum(dims, dtype=exact)) / count
        unbiased = variance.detach() * count / max(1, count - 1)
        self._follow(mean.detach(), unbiased)
        scale = torch.rsqrt(variance + self.eps).to(inputs.dtype) * self.weight
        return centred * scale.view(shape) + self.bias.view(shape)

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics; `variance` is the unbiased one."""
        assert self.running_mean is not None, "tracks statistics"
        assert self.running_var is not None, "tracks statistics"
        assert self.num_batches_tracked is not None, "tracks statistics"
        momentum = 0.1 if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), momentum)
        self.num_batches_tracked.add_(1)


def share_statistics(module: nn.Module, device: torch.device) -> None:
    """Put batch normalisation over all processes in place of each one's own, in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            kind = nn.SyncBatchNorm if device.type == "cuda" else SharedBatchNorm
            shared = kind(child.num_features, eps=child.eps, momentum=child.momentum)
            shared.weight, shared.bias = child.weight, child.bias
            shared.running_mean, shared.running_var = child.running_mean, child.running_var
            shared.num_batches_tracked = child.num_batches_tracked
            setattr(module, name, shared.train(child.training))
        else:
            share_statistics(child, device)
