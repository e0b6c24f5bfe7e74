"""A training step compared with a plain loop: `python -m tests.benchmarks.bench_training [cuda]`.

Preset w2v-128-4h, batch 128, patches in memory. The plain loop is the authors' as METHOD.md
describes it: one backward pass for each loss, float32, contiguous layout, torch's dropout, freed
memory returned to the system. Each contender has its own process; they take turns, so that other
load on the machine affects all of them. Prints clips per second and paired ratios; `--profile` adds
a profile of our step.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from torch import nn

from earmark.model.config import FeatureConfig, preset
from earmark.model.core.manifest import ManifestRow
from earmark.model.networks.dual_encoder import DualEncoder
from earmark.model.networks.layers import Dropout
from earmark.model.text.word_vectors import WordVectors
from earmark.training.data.corpus import Corpus
from earmark.training.data.dataset import TrainingSet
from earmark.training.features.cache import FeatureSet
from earmark.training.loop.device import DeviceSettings, keep_freed_memory
from earmark.training.loop.losses import generalized_kl, nt_xent
from earmark.training.loop.trainer import Trainer
from earmark.training.recipe import recipe_for

PRESET, BATCH, STEPS, ROUNDS = "w2v-128-4h", 128, 3, 5
PAPER_STEPS = 200 * (171_000 // BATCH)


def random_corpus(clips: int) -> Corpus:
    """Random patches and tags in the shape of the authors' data."""
    generator = np.random.default_rng(0)
    config, features = preset(PRESET), FeatureConfig()
    names = [f"tag{chr(97 + a)}{chr(97 + b)}" for a in range(26) for b in range(26)]
    vectors = generator.standard_normal((len(names), config.tags.word_dim)).astype(np.float32)
    words = WordVectors(names, vectors)
    frames = generator.standard_normal((clips * features.frames, features.n_mels))
    offsets = features.frames * np.arange(clips + 1, dtype=np.int64)
    tags = [generator.choice(names, 8, replace=False).tolist() for _ in range(clips)]
    rows = [ManifestRow(Path(str(clip)), group=str(clip)) for clip in range(clips)]
    feature_set = FeatureSet(frames.astype(np.float16), offsets, {})
    side = TrainingSet(rows, tags, feature_set, words, config)
    return Corpus(side, side, tags, words, names, {})


def trainer_steps(device: str, precision: str) -> Callable[[int], None]:
    """Steps of the trainer."""
    keep_freed_memory()
    settings = DeviceSettings(device, precision)  # type: ignore[arg-type]
    corpus = random_corpus(BATCH * 8)
    run = Trainer(preset(PRESET), recipe_for(PRESET), corpus, Path("unused"), settings=settings)
    run.objective.train()

    def steps(count: int) -> None:
        batches = run.corpus.train.batches(run.recipe, (0, 0))
        for number, batch in zip(range(count), batches, strict=False):
            run._train_step(batch, number)

    return steps


def plain_steps(device: str) -> Callable[[int], None]:
    """Steps of the plain loop."""
    corpus = random_corpus(BATCH * 8)
    corpus.train.to(torch.device(device))
    model = DualEncoder(preset(PRESET))
    with_torch_dropout(model)
    model.to(device).train()
    assert model.audio is not None
    assert model.audio_decoder is not None
    optimizer = torch.optim.SGD(model.parameters(), lr=0.005)

    def steps(count: int) -> None:
        batches = corpus.train.batches(recipe_for(PRESET), (0, 0))
        for _, batch in zip(range(count), batches, strict=False):
            patches = model.scale(batch.log_mel)[:, None]
            codes, phi_audio = model.audio(patches)
            estimate = model.audio_decoder(codes)
            phi_tags = model.tags(batch.words, batch.mask)
            optimizer.zero_grad()
            (5 * generalized_kl(patches, estimate)).backward(retain_graph=True)
            (10 * nt_xent(phi_audio, phi_tags, 0.1, as_run=True)).backward()
            optimizer.step()

    return steps


def with_torch_dropout(module: nn.Module) -> None:
    """Replace our dropout by torch's."""
    for name, child in module.named_children():
        if isinstance(child, Dropout):
            setattr(module, name, nn.Dropout(child.p))
        else:
            with_torch_dropout(child)


def contender(name: str, device: str, line: Connection) -> None:
    """A process: for each number of steps received, sends the seconds that they took."""
    steps = plain_steps(device) if name == "plain" else trainer_steps(device, name)
    steps(2)
    while count := line.recv():
        if device != "cpu":
            torch.cuda.synchronize()
        started = time.perf_counter()
        steps(count)
        if device != "cpu":
            torch.cuda.synchronize()
        line.send(time.perf_counter() - started)


def profile(device: str, precision: str) -> str:
    """A table of our step's most expensive operations."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiled

    steps = trainer_steps(device, precision)
    steps(2)
    gpu = [ProfilerActivity.CUDA] if device != "cpu" else []
    with profiled(activities=[ProfilerActivity.CPU, *gpu]) as profiler:
        steps(STEPS)
    by = "self_cuda_time_total" if gpu else "self_cpu_time_total"
    table: str = profiler.key_averages().table(sort_by=by, row_limit=12, max_name_column_width=40)
    return table


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("device", nargs="?", default="cpu")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    steps = STEPS if options.device == "cpu" else 50
    context = get_context("spawn")
    lines = {}
    for name in ("plain", "float32", "bfloat16"):
        lines[name], other = context.Pipe()
        context.Process(target=contender, args=(name, options.device, other), daemon=True).start()
    seconds: dict[str, list[float]] = {name: [] for name in lines}
    for _ in range(ROUNDS):
        for name, line in lines.items():
            line.send(steps)
            seconds[name].append(line.recv())
    for line in lines.values():
        line.send(0)
    plain = np.array(seconds["plain"])
    for name, times in seconds.items():
        rate = BATCH * steps / np.median(times)
        ratio = np.median(plain / times)
        epochs = PAPER_STEPS * BATCH / rate / 60
        print(
            f"{name:9} {rate:8.1f} clips/s   {ratio:5.2f} x the plain loop   "
            f"200 epochs of 171,000 patches: {epochs:,.0f} min"
        )
    if options.profile:
        print(profile(options.device, "float32" if options.device == "cpu" else "bfloat16"))


if __name__ == "__main__":
    main()
