"""Several processes that train one model, started by torchrun: one for each GPU or part of a CPU.

The processes share each batch: each computes its own rows, NT-Xent sees the rows of all, and batch
statistics are those of the whole batch. So the result does not depend on the number of processes.
Letters: b = rows of one process, B = batch, C = channels, D = shared dimension.
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
from earmark.model.encoders.device import select_device
from earmark.training.errors import TrainingError

PROCESS_TIMEOUT = timedelta(hours=2)  # the others wait while the first reads or validates


@dataclass(frozen=True)
class ProcessGroup:
    """This process, number `rank` of `size` that train together."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process saves, validates and reports."""
        return self.rank == 0

    def barrier(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            dist.barrier()

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """The first process runs the block while the others wait; then they run it.

        Raises TrainingError in the others when the first one failed.
        """
        if self.size == 1:
            yield
            return
        if not self.is_first and not self._broadcast_success(False):
            raise TrainingError("the first process failed, and has said why")
        success = False
        try:
            yield
            success = True
        finally:
            if self.is_first:
                self._broadcast_success(success)

    def _broadcast_success(self, success: bool) -> bool:
        """Send the first process's value to all; returns it."""
        values = [success]
        dist.broadcast_object_list(values, src=0)
        return values[0]

    def sum(self, values: Tensor) -> Tensor:
        """The sum of the values over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def check_equal(self, name: str, digest: bytes) -> None:
        """Raise TrainingError when the digest of `name` differs between the processes."""
        if self.size == 1:
            return
        digests: list[Any] = [None] * self.size
        dist.all_gather_object(digests, digest)
        if len(set(digests)) > 1:
            raise TrainingError(f"{name}: differs between the {self.size} processes")


@contextmanager
def join_process_group(device: str) -> Iterator[tuple[ProcessGroup, str]]:
    """(the processes that torchrun started, this one's device); one process without torchrun.

    Raises ConfigError for `cuda:N` with several processes: each takes the GPU of its number.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ProcessGroup(), device
        return
    if device.startswith("cuda:"):
        raise ConfigError(f"--device: expected cpu or cuda under torchrun, got {device}")
    on_gpu = device == "cuda"
    if on_gpu:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(select_device(device))
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=PROCESS_TIMEOUT)
    try:
        yield ProcessGroup(dist.get_rank(), size), device
    finally:
        dist.destroy_process_group()


def exit_process(status: int) -> NoReturn:
    """End this process, one of several, without tearing the interpreter down.

    DistributedDataParallel keeps gloo's threads alive beyond their group. A thread that releases a
    tensor while Python shuts down aborts the process, after all of its work is done.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def gather_rows(rows: Tensor) -> Tensor:
    """Rows [b, D] of all processes, by rank [B, D]; gradients flow back to each process."""
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


def _sum_with_gradients(values: Tensor) -> Tensor:
    """The sum of the values over all processes."""
    total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return total


class SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation with the statistics of all processes' rows, on any device.

    torch's SyncBatchNorm needs a GPU.
    """

    def _check_input_dim(self, inputs: Tensor) -> None:
        """Accept any number of dimensions, [b, C, ...]."""

    def forward(self, inputs: Tensor) -> Tensor:
        """inputs [b, C, ...] → the same shape."""
        if not self.training:
            return super().forward(inputs)
        inputs = inputs.float() if inputs.dtype == torch.bfloat16 else inputs
        exact = torch.float64  # for sums of many values, as in torch's own on a CPU
        dims = [0, *range(2, inputs.ndim)]
        shape = [1, -1, *[1] * (inputs.ndim - 2)]
        count = inputs.numel() // inputs.shape[1] * dist.get_world_size()
        mean = _sum_with_gradients(inputs.sum(dims, dtype=exact)) / count
        centred = inputs - mean.to(inputs.dtype).view(shape)
        variance = _sum_with_gradients(centred.square().sum(dims, dtype=exact)) / count
        unbiased = variance.detach() * count / max(1, count - 1)
        self._update_running_statistics(mean.detach(), unbiased)
        scale = torch.rsqrt(variance + self.eps).to(inputs.dtype) * self.weight
        return centred * scale.view(shape) + self.bias.view(shape)

    def _update_running_statistics(self, mean: Tensor, unbiased_variance: Tensor) -> None:
        assert self.running_mean is not None, "tracks statistics"
        assert self.running_var is not None, "tracks statistics"
        assert self.num_batches_tracked is not None, "tracks statistics"
        momentum = 0.1 if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_(unbiased_variance.to(self.running_var.dtype), momentum)
        self.num_batches_tracked.add_(1)


def share_batch_norm(module: nn.Module, device: torch.device) -> None:
    """Replace each batch normalisation in a module by one over all processes, in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            kind = nn.SyncBatchNorm if device.type == "cuda" else SharedBatchNorm
            shared = kind(child.num_features, eps=child.eps, momentum=child.momentum)
            shared.weight, shared.bias = child.weight, child.bias
            shared.running_mean, shared.running_var = child.running_mean, child.running_var
            shared.num_batches_tracked = child.num_batches_tracked
            setattr(module, name, shared.train(child.training))
        else:
            share_batch_norm(child, device)
