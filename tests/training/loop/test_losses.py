"""The losses against slow loops written from the paper, golden numbers and closed forms."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from earmark.model.core.errors import InputError
from earmark.training.loop.losses import generalized_kl, nt_xent, tag_reconstruction, tagwise

Golden = Mapping[str, np.ndarray]


def similarity(one: list[float], other: list[float]) -> float:
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    return dot / math.hypot(*one) / math.hypot(*other)


def slow_nt_xent(audio: Tensor, tags: Tensor, temperature: float, offset: float = 0.0) -> float:
    """SimCLR's equation (1), pair by pair, with −log(p + offset)."""
    vectors = [row.tolist() for row in torch.cat([audio, tags])]
    count, batch = len(vectors), len(audio)

    total = 0.0
    for i in range(count):
        j = (i + batch) % count
        above = math.exp(similarity(vectors[i], vectors[j]) / temperature)
        below = sum(
            math.exp(similarity(vectors[i], vectors[k]) / temperature)
            for k in range(count)
            if k != i
        )
        total += -math.log(above / below + offset)
    return total / count


def slow_kl(target: np.ndarray, estimate: np.ndarray) -> float:
    """Paper §2.3, element by element."""
    total, epsilon = 0.0, 1e-5
    for x, y in zip(target.ravel().tolist(), estimate.ravel().tolist(), strict=True):
        total += x * math.log((x + epsilon) / (y + epsilon)) + y - x
    return total / (target.size / target.shape[-1])


def pair(batch: int, dim: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randn(2, batch, dim, generator=generator, dtype=torch.float64)
    return draw[0], draw[1]


class TestGolden:
    def test_kl(self, golden: Golden) -> None:
        """The authors' value is of |sin(0.37 n)| (in_patch) and |cos(0.21 n)|."""
        target = torch.from_numpy(golden["in_patch"])
        wave = np.abs(np.cos(0.21 * np.arange(target.numel()))).astype(np.float32)
        loss = generalized_kl(target, torch.from_numpy(wave).reshape(target.shape))
        assert float(loss) == pytest.approx(float(golden["kl_value"]), rel=1e-5)

    @pytest.mark.parametrize(
        ("as_run", "name"),
        [(True, "ntxent_value_t0.1"), (False, "ntxent_value_t0.1_without_1e-5")],
    )
    def test_nt_xent(self, golden: Golden, as_run: bool, name: str) -> None:
        audio = torch.from_numpy(golden["in_ntxent_audio"])
        tags = torch.from_numpy(golden["in_ntxent_tags"])
        loss = float(nt_xent(audio, tags, 0.1, as_run=as_run))
        assert loss == pytest.approx(float(golden[name]), rel=1e-5)


class TestNtXent:
    @settings(max_examples=40, deadline=None)
    @given(
        batch=st.integers(1, 7),
        dim=st.integers(1, 6),
        temperature=st.floats(0.05, 2.0),
        seed=st.integers(0, 10_000),
    )
    def test_is_the_paper_loop(self, batch: int, dim: int, temperature: float, seed: int) -> None:
        audio, tags = pair(batch, dim, seed)
        for as_run, offset in ((False, 0.0), (True, 1e-5)):
            fast = float(nt_xent(audio, tags, temperature, as_run=as_run))
            assert fast == pytest.approx(slow_nt_xent(audio, tags, temperature, offset), rel=1e-8)

    def test_is_symmetric_in_the_modalities(self) -> None:
        audio, tags = pair(6, 5)
        assert float(nt_xent(audio, tags)) == pytest.approx(float(nt_xent(tags, audio)), rel=1e-12)

    def test_the_order_and_length_of_rows_do_not_matter(self) -> None:
        audio, tags = pair(6, 5)
        order = torch.tensor([3, 1, 5, 0, 2, 4])
        loss = float(nt_xent(audio, tags))
        assert float(nt_xent(audio[order], tags[order])) == pytest.approx(loss, rel=1e-12)
        assert float(nt_xent(audio * 7, tags * 0.1)) == pytest.approx(loss, rel=1e-9)
        assert float(nt_xent(audio, tags[order])) != pytest.approx(loss, rel=1e-3)

    @pytest.mark.parametrize("batch", [2, 5])
    @pytest.mark.parametrize("temperature", [0.1, 1.0])
    def test_closed_form_of_orthogonal_pairs(self, batch: int, temperature: float) -> None:
        """Every positive at cosine 1, all else at 0: −1/τ + log(e^(1/τ) + 2B − 2)."""
        eye = torch.eye(batch, dtype=torch.float64)
        expected = -1 / temperature + math.log(math.exp(1 / temperature) + 2 * batch - 2)
        assert float(nt_xent(eye, eye, temperature)) == pytest.approx(expected, abs=1e-9)

    def test_closed_form_of_one_point(self) -> None:
        """All vectors the same: log(2B − 1); one pair alone has no negatives: 0."""
        ones = torch.ones(4, 3, dtype=torch.float64)
        assert float(nt_xent(ones, ones)) == pytest.approx(math.log(7), rel=1e-12)
        assert float(nt_xent(ones[:1], ones[:1])) == pytest.approx(0, abs=1e-12)

    def test_is_stable_at_a_small_temperature(self) -> None:
        audio, tags = (side.float().requires_grad_() for side in pair(8, 4))
        loss = nt_xent(audio, tags, 0.01)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(audio.grad).all()
        exact = float(nt_xent(*pair(8, 4), 0.01))
        assert loss.item() == pytest.approx(exact, rel=1e-4)

    def test_gradients(self) -> None:
        audio, tags = (side.requires_grad_() for side in pair(4, 3))
        false_negatives = torch.eye(4, dtype=torch.bool)
        false_negatives[0, 2] = false_negatives[2, 0] = True
        for options in ({}, {"as_run": True}, {"false_negatives": false_negatives}):
            assert torch.autograd.gradcheck(
                lambda a, t, options=options: nt_xent(a, t, 0.5, **options), (audio, tags)
            )

    def test_same_with_only_the_diagonal_changes_nothing(self) -> None:
        audio, tags = pair(5, 4)
        false_negatives = torch.eye(5, dtype=torch.bool)
        assert float(nt_xent(audio, tags, false_negatives=false_negatives)) == float(
            nt_xent(audio, tags)
        )

    def test_same_takes_four_pairings_out_of_the_denominators(self) -> None:
        audio, tags = pair(3, 4)
        false_negatives = torch.eye(3, dtype=torch.bool)
        false_negatives[0, 1] = false_negatives[1, 0] = True
        vectors = torch.nn.functional.normalize(torch.cat([audio, tags]), dim=1)
        scores = torch.exp(vectors @ vectors.T / 0.1)
        left_out = {(i, j) for i in (0, 3) for j in (1, 4)}
        left_out |= {(j, i) for i, j in left_out}
        total = 0.0
        for i in range(6):
            others = [k for k in range(6) if k != i and (i, k) not in left_out]
            total -= math.log(float(scores[i, (i + 3) % 6] / scores[i, others].sum()))
        assert float(nt_xent(audio, tags, false_negatives=false_negatives)) == pytest.approx(
            total / 6, rel=1e-9
        )

    def test_all_the_same_leaves_only_positives(self) -> None:
        audio, tags = pair(4, 3)
        false_negatives = torch.ones(4, 4, dtype=torch.bool)
        assert float(nt_xent(audio, tags, false_negatives=false_negatives)) == pytest.approx(
            0, abs=1e-12
        )

    def test_a_tensor_may_be_the_temperature(self) -> None:
        audio, tags = pair(4, 3)
        learned = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
        nt_xent(audio, tags, learned).backward()
        assert learned.grad is not None
        assert float(learned.grad) != 0

    @pytest.mark.parametrize(
        ("audio", "tags"), [((4, 3), (4, 2)), ((4, 3), (5, 3)), ((4,), (4,)), ((1, 4, 3),) * 2]
    )
    def test_refuses_other_shapes(self, audio: tuple[int, ...], tags: tuple[int, ...]) -> None:
        with pytest.raises(InputError, match=r"audio, tags: expected one shape \[B, D\], got"):
            nt_xent(torch.zeros(audio), torch.zeros(tags))


def slow_tagwise(audio: Tensor, tags: Tensor, has_tag: Tensor, temperature: float) -> float:
    """Both directions, positive by positive, each among all negatives."""
    cosines = [[similarity(one, other) for other in tags.tolist()] for one in audio.tolist()]
    total = 0.0
    for rows, true in (
        (cosines, has_tag.tolist()),
        (list(zip(*cosines, strict=True)), has_tag.T.tolist()),
    ):
        means = []
        for row, positive_row in zip(rows, true, strict=True):
            powers = [math.exp(cosine / temperature) for cosine in row]
            pairs = list(zip(powers, positive_row, strict=True))
            others = sum(power for power, positive in pairs if not positive)
            losses = [-math.log(power / (power + others)) for power, positive in pairs if positive]
            if losses:
                means.append(sum(losses) / len(losses))
        total += sum(means) / len(means) if means else 0.0
    return total


class TestTagwise:
    @settings(max_examples=40, deadline=None)
    @given(
        clips=st.integers(1, 6),
        count=st.integers(1, 6),
        share=st.floats(0.0, 1.0),
        temperature=st.floats(0.05, 2.0),
        seed=st.integers(0, 10_000),
    )
    def test_is_the_slow_loop(
        self, clips: int, count: int, share: float, temperature: float, seed: int
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        audio, tags = (
            torch.randn(rows, 4, generator=generator, dtype=torch.float64)
            for rows in (clips, count)
        )
        has_tag = torch.rand(clips, count, generator=generator) < share
        fast = float(tagwise(audio, tags, has_tag, temperature))
        slow = slow_tagwise(audio, tags, has_tag, temperature)
        assert fast == pytest.approx(slow, rel=1e-8, abs=1e-10)

    def test_without_positives_or_without_negatives_there_is_no_gradient(self) -> None:
        audio, tags = (side.requires_grad_() for side in pair(4, 3))
        for has_tag in (torch.zeros(4, 4), torch.ones(4, 4)):
            loss = tagwise(audio, tags, has_tag.bool())
            loss.backward()
            assert loss.item() == pytest.approx(0, abs=1e-12)
            assert audio.grad is not None
            assert audio.grad.abs().max().item() == pytest.approx(0, abs=1e-12)

    def test_gradients(self) -> None:
        audio, tags = (side.requires_grad_() for side in pair(4, 3))
        has_tag = torch.eye(4, dtype=torch.bool)
        has_tag[0, 2] = True
        assert torch.autograd.gradcheck(lambda a, t: tagwise(a, t, has_tag, 0.5), (audio, tags))

    def test_is_stable_at_a_small_temperature(self) -> None:
        audio, tags = (side.float().requires_grad_() for side in pair(8, 4))
        tagwise(audio, tags, torch.eye(8, dtype=torch.bool), 0.02).backward()
        assert torch.isfinite(audio.grad).all()

    def test_refuses_other_shapes(self) -> None:
        with pytest.raises(InputError, match=r"has_tag: expected the shape \[4, 3\], got \[3, 4\]"):
            tagwise(torch.zeros(4, 2), torch.zeros(3, 2), torch.zeros(3, 4, dtype=torch.bool))


class TestKl:
    @settings(max_examples=25, deadline=None)
    @given(seed=st.integers(0, 10_000), batch=st.integers(1, 3), mels=st.integers(1, 5))
    def test_is_the_slow_loop(self, seed: int, batch: int, mels: int) -> None:
        generator = np.random.default_rng(seed)
        target, estimate = generator.random((2, batch, 1, 4, mels))
        target[generator.random(target.shape) < 0.2] = 0
        fast = float(generalized_kl(torch.from_numpy(target), torch.from_numpy(estimate)))
        assert fast == pytest.approx(slow_kl(target, estimate), rel=1e-9, abs=1e-12)

    def test_is_zero_only_at_equality(self) -> None:
        target = torch.rand(2, 1, 4, 4, dtype=torch.float64)
        assert float(generalized_kl(target, target)) == 0
        assert float(generalized_kl(target, target * 0.9)) > 1e-4
        assert float(generalized_kl(target, target * 1.1)) > 1e-4

    def test_is_finite_at_zeros(self) -> None:
        zeros, ones = torch.zeros(1, 1, 2, 3), torch.ones(1, 1, 2, 3)
        assert float(generalized_kl(zeros, ones)) == pytest.approx(3, rel=1e-4)
        assert math.isfinite(float(generalized_kl(ones, zeros)))

    def test_gradients(self) -> None:
        target = torch.rand(2, 1, 3, 3, dtype=torch.float64)
        estimate = torch.rand(2, 1, 3, 3, dtype=torch.float64).add(0.1).requires_grad_()
        assert torch.autograd.gradcheck(lambda values: generalized_kl(target, values), (estimate,))

    def test_refuses_other_shapes(self) -> None:
        with pytest.raises(InputError, match=r"estimate: expected the target's shape \[2, 3\]"):
            generalized_kl(torch.zeros(2, 3), torch.zeros(3, 2))


def test_tag_reconstruction_is_mean_binary_cross_entropy() -> None:
    multihot = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    probabilities = torch.tensor([[0.8, 0.4], [0.5, 0.1]])
    expected = -sum(map(math.log, (0.8, 0.6, 0.5, 0.1))) / 4
    assert float(tag_reconstruction(multihot, probabilities)) == pytest.approx(expected, rel=1e-6)
