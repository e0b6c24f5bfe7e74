"""Dropout: the share, the scale, the draw and the gradient, whatever the input's layout."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from earmark.model.core.errors import ConfigError
from earmark.model.networks.layers import Dropout

SHARES = [0.1, 0.25, 0.5]
COUNT = 240_000


def ramp(*shape: int) -> Tensor:
    """Values from 1 on, no two alike, none 0."""
    return torch.arange(1.0, 1 + math.prod(shape)).reshape(shape)


LAYOUTS = {
    "plain": ramp(6, 7),
    "channels last": ramp(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "transposed": ramp(6, 7).T,
    "permuted": ramp(2, 3, 4, 5).permute(3, 0, 2, 1),
    "sliced": ramp(6, 14)[1:, ::2],
    "expanded": ramp(1, 7).expand(6, 7),
    "one value": ramp(1),
    "a scalar": torch.tensor(3.0),
    "none": torch.empty(0, 3),
    "none in a row": torch.empty(4, 1, 0),
}


def band(p: float, count: int = COUNT) -> float:
    """Five standard deviations of the share of `count` values that are dropped."""
    return 5 * math.sqrt(p * (1 - p) / count)


@pytest.mark.parametrize("p", SHARES)
def test_the_share_is_dropped_and_the_rest_is_scaled(p: float) -> None:
    drawn = Dropout(p)(torch.ones(COUNT))
    assert abs(float((drawn == 0).double().mean()) - p) < band(p)
    torch.testing.assert_close(drawn[drawn != 0].unique(), torch.tensor([1 / (1 - p)]))
    assert abs(float(drawn.double().mean()) - 1) < band(p) / (1 - p)


@pytest.mark.parametrize("p", SHARES)
def test_values_are_dropped_independently(p: float) -> None:
    """Of neighbours, which share a block of bits, and from one draw to the next."""
    dropout = Dropout(p)
    first, second = ((dropout(torch.ones(COUNT)) == 0).double() - p for _ in range(2))
    for lag in range(1, 9):
        assert abs(float((first[lag:] * first[:-lag]).mean())) < 5 * p * (1 - p) / COUNT**0.5
    assert abs(float((first * second).mean())) < 5 * p * (1 - p) / COUNT**0.5


@pytest.mark.parametrize("p", [2**-16, 2**-12, 1 - 2**-12, 1 - 2**-16])
def test_shares_near_the_ends_are_exact(p: float) -> None:
    count = 2**23
    dropped = float((Dropout(p)(torch.ones(count)) == 0).double().mean())
    assert abs(dropped - p) < band(p, count)


def test_a_share_just_under_one_drops_nearly_all() -> None:
    drawn = Dropout(1 - 1e-9)(torch.ones(2**20))
    assert 0 < int((drawn != 0).sum()) < 60  # 16 are expected: a value has 16 bits


@pytest.mark.parametrize("inputs", LAYOUTS.values(), ids=LAYOUTS)
def test_evaluation_and_no_share_change_nothing(inputs: Tensor) -> None:
    before = torch.get_rng_state()
    assert Dropout(0.5).eval()(inputs) is inputs
    assert Dropout(0.0)(inputs) is inputs
    assert torch.equal(torch.get_rng_state(), before)


def test_a_seed_repeats_the_draw() -> None:
    dropout, inputs = Dropout(0.5), torch.ones(4, 50)

    def drawn(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return dropout(inputs)

    first = drawn(1)
    assert not torch.equal(dropout(inputs), first)
    assert torch.equal(drawn(1), first)
    assert not torch.equal(drawn(2), first)


@pytest.mark.parametrize("inputs", LAYOUTS.values(), ids=LAYOUTS)
def test_any_layout_is_kept_or_scaled_value_by_value(inputs: Tensor) -> None:
    before, dropped, dropout = inputs.clone(), 0, Dropout(0.25)
    for _ in range(40):
        drawn = dropout(inputs)
        assert drawn.shape == inputs.shape
        torch.testing.assert_close(drawn, torch.where(drawn == 0, 0, inputs / 0.75))
        dropped += int((drawn == 0).sum())
    assert torch.equal(inputs, before)
    values = 40 * inputs.numel()
    assert abs(dropped - 0.25 * values) <= band(0.25, max(1, values)) * values


def test_the_layout_stays() -> None:
    drawn = Dropout(0.5)(LAYOUTS["channels last"])
    assert drawn.is_contiguous(memory_format=torch.channels_last)


def test_rows_that_share_memory_are_drawn_apart() -> None:
    drawn = Dropout(0.5)(torch.ones(1, 64).expand(32, 64))
    assert len(drawn.unique(dim=0)) == 32


@pytest.mark.parametrize("inputs", LAYOUTS.values(), ids=LAYOUTS)
def test_gradients_pass_where_values_were_kept(inputs: Tensor) -> None:
    leaf = inputs.detach().requires_grad_()
    drawn = Dropout(0.25)(leaf)
    [gradient] = torch.autograd.grad(drawn.sum(), leaf)
    torch.testing.assert_close(gradient, (drawn != 0).float() / 0.75)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_the_type_stays(dtype: torch.dtype) -> None:
    drawn = Dropout(0.25)(torch.ones(COUNT, dtype=dtype))
    assert drawn.dtype == dtype
    retained = drawn != 0
    assert abs(float(retained.double().mean()) - 0.75) < band(0.25)
    assert torch.equal(drawn[retained].unique(), torch.tensor([1 / 0.75], dtype=dtype))


@settings(max_examples=150, deadline=None)
@given(
    shape=st.lists(st.integers(0, 6), max_size=4),
    p=st.floats(0, 1, exclude_max=True),
    data=st.data(),
)
def test_any_shape_and_share(shape: list[int], p: float, data: st.DataObject) -> None:
    inputs = ramp(*shape).double().permute(data.draw(st.permutations(range(len(shape)))))
    drawn = Dropout(p)(inputs)
    assert drawn.shape == inputs.shape
    torch.testing.assert_close(drawn, torch.where(drawn == 0, 0, inputs * (1 / (1 - p))))


@pytest.mark.parametrize("p", [-0.1, -1e-9, 1, 1.0, 2.0, math.nan, math.inf, -math.inf])
def test_a_probability_out_of_range_is_refused(p: float) -> None:
    with pytest.raises(ConfigError, match=rf"expected a probability in \[0, 1\), got {p}"):
        Dropout(p)


def test_a_printed_model_shows_the_share() -> None:
    assert repr(Dropout(0.25)) == "Dropout(p=0.25)"
