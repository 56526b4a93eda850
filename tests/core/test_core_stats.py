"""Intervals and tests against published numbers, other implementations and the law of large numbers."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from workbench.core.stats import (
    adjusted_r2,
    false_discovery,
    learnable,
    order_by_content,
    ratio_intervals,
    standardized_difference,
    wilson,
)


@pytest.mark.parametrize("k, n", [(0, 1), (0, 20), (1, 20), (7, 20), (20, 20), (263, 1000)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilson_agrees_with_scipy(k, n, confidence):
    theirs = stats.binomtest(k, n).proportion_ci(confidence, method="wilson")
    low, high = wilson(np.array([k]), np.array([n]), confidence)
    assert (low[0], high[0]) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_wilson_agrees_with_newcombe_1998():
    """Table I of Newcombe, Statistics in Medicine 17 (1998): 81/263, 15/148, 0/20, 1/29."""
    low, high = wilson(np.array([81, 15, 0, 1]), np.array([263, 148, 20, 29]))
    assert low == pytest.approx([0.2553, 0.0624, 0.0, 0.0061], abs=5e-5)
    assert high == pytest.approx([0.3662, 0.1605, 0.1611, 0.1718], abs=5e-5)


def test_wilson_says_nothing_about_nobody():
    low, high = wilson(np.array([0]), np.array([0]))
    assert np.isnan(low[0])
    assert np.isnan(high[0])


def test_hedges_g_agrees_with_a_hand_computation():
    # means 5 and 3, both variances 2.5, n = 5: d = 2 / sqrt(2.5), J = 1 - 3 / 31
    inside, outside = np.array([3.0, 4, 5, 6, 7]), np.array([1.0, 2, 3, 4, 5])
    g, low, high, p = standardized_difference(inside, outside)
    expected = 2 / math.sqrt(2.5) * (1 - 3 / 31)
    assert g == pytest.approx(expected)
    assert low < g < high
    assert p == pytest.approx(0.0805, abs=5e-5)  # t = 2, 8 degrees of freedom


def test_the_error_of_hedges_g_is_that_of_leaving_out_one_after_the_other():
    """Jackknife (Miller 1974) of skewed values that vary differently."""
    rng = np.random.default_rng(1)
    sides = rng.lognormal(1, 0.6, 300), rng.lognormal(0, 0.8, 500)
    low, high = standardized_difference(*sides)[1:3]
    squares = 0.0
    for place, side in enumerate(sides):
        parts = [[np.delete(side, i) if at == place else sides[at] for at in (0, 1)] for i in range(len(side))]
        left_out = np.array([standardized_difference(*pair)[0] for pair in parts])
        squares += (len(side) - 1) / len(side) * ((left_out - left_out.mean()) ** 2).sum()
    assert (high - low) / 2 == pytest.approx(1.96 * math.sqrt(squares), rel=0.03)


def test_hedges_g_changes_sign_with_the_sides_and_not_with_the_unit():
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 2, 40), rng.normal(0, 1, 70)
    g, low, high, p = standardized_difference(a, b)
    assert standardized_difference(b, a) == pytest.approx((-g, -high, -low, p))
    assert standardized_difference(a * 1e-7 + 3e-7, b * 1e-7 + 3e-7) == pytest.approx((g, low, high, p))
    assert standardized_difference(np.r_[a, np.nan, np.inf], b) == pytest.approx((g, low, high, p))


@pytest.mark.parametrize("inside, outside", [([1, 2], [1, 2, 3]), ([], []), ([5, 5, 5], [5, 5, 5]), ([0.1] * 9, [0.3] * 9)])
def test_no_difference_is_claimed_where_none_can_be_measured(inside, outside):
    g, low, high, p = standardized_difference(np.array(inside, float), np.array(outside, float))
    assert np.isnan([g, low, high]).all()
    assert p == 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_q_values_keep_the_order_and_are_never_below_the_p_values(p_values):
    p = np.array(p_values)
    q = false_discovery(p)
    assert (q >= p - 1e-12).all()
    assert (q <= 1).all()
    order = np.argsort(p)
    assert (np.diff(q[order]) >= -1e-12).all()


def test_q_values_agree_with_benjamini_and_hochberg_1995():
    """Their 15 ordered p-values: at a rate of 0.05 the first four are rejected."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    assert (false_discovery(np.array(p)) <= 0.05).sum() == 4
    assert len(false_discovery(np.array([]))) == 0


def test_adjusted_r2_agrees_with_the_formula():
    y, labels = np.array([1.0, 2, 3, 7, 8, 9]), np.array([0, 0, 0, 1, 1, 1])
    r2 = 1 - 4 / 58  # within sum of squares 2 + 2, total 58
    assert adjusted_r2(y, labels) == pytest.approx(1 - (1 - r2) * 5 / 4)


def test_adjusted_r2_of_groups_drawn_by_lot_is_zero_on_average():
    rng = np.random.default_rng(1)
    values = [adjusted_r2(rng.normal(size=300), rng.integers(0, 25, 300)) for _ in range(200)]
    assert abs(np.mean(values)) < 0.01


@given(st.floats(1e-9, 1e9), st.floats(-1e3, 1e3))
def test_adjusted_r2_does_not_depend_on_the_unit(scale, shift):
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, 60)
    y = rng.normal(size=60) + labels
    assert adjusted_r2((y + shift) * scale, labels) == pytest.approx(adjusted_r2(y, labels), abs=1e-6)


@pytest.mark.parametrize("constant", [0.0, 1.0, 0.1, 1e9 + 0.1, -1e-9])
def test_adjusted_r2_of_an_outcome_that_never_varies_is_missing(constant):
    assert np.isnan(adjusted_r2(np.full(1000, constant), np.arange(1000) % 5))


def test_adjusted_r2_of_too_few_customers_is_missing():
    assert np.isnan(adjusted_r2(np.array([1.0, 2.0]), np.array([0, 1])))
    assert np.isnan(adjusted_r2(np.array([]), np.array([])))
    assert np.isnan(adjusted_r2(np.array([np.nan, np.nan]), np.array([0, 1])))


def test_adjusted_r2_leaves_out_customers_without_an_outcome():
    y, labels = np.array([1.0, 2, 3, 7, 8, 9]), np.array([0, 0, 0, 1, 1, 1])
    assert adjusted_r2(np.r_[y, np.nan], np.r_[labels, 7]) == adjusted_r2(y, labels)


def test_ratio_intervals_cover_the_truth_about_as_often_as_they_say():
    rng, hits, rounds = np.random.default_rng(3), 0, 200
    for seed in range(rounds):
        visits = rng.poisson(4, 150) + 1.0
        spend = visits * rng.gamma(2, 5, 150)  # 10 per visit
        low, high = ratio_intervals(spend, visits, np.zeros(150, int), 1, 200, 0.9, seed)
        hits += low[0] <= 10 <= high[0]
    assert 0.82 <= hits / rounds <= 0.96


def test_ratio_intervals_stay_within_their_group_and_repeat_with_the_seed():
    groups = np.repeat([0, 1, 3], [50, 50, 1])
    numerator, denominator = np.repeat([2.0, 30.0, 5.0], [50, 50, 1]), np.ones(101)
    low, high = ratio_intervals(numerator, denominator, groups, 5, 100, 0.95, 7)
    assert low[:2] == pytest.approx([2, 30])
    assert high[:2] == pytest.approx([2, 30])
    assert np.isnan(low[2:]).all()  # nobody, one customer, nobody
    values = np.random.default_rng(4).random(101)
    again = [ratio_intervals(values, denominator, groups, 5, 100, 0.95, 7) for _ in range(2)]
    np.testing.assert_array_equal(again[0], again[1])


def test_a_ratio_without_denominator_is_missing():
    low, _ = ratio_intervals(np.ones(10), np.zeros(10), np.zeros(10, int), 1, 100, 0.95, 7)
    assert np.isnan(low[0])


def test_columns_known_of_hardly_anybody_are_nothing_to_learn_from():
    x = np.column_stack([np.full(30, np.nan), np.r_[np.ones(9), np.full(21, np.nan)], np.r_[np.ones(10), np.full(20, np.nan)]])
    found = learnable(x)
    assert (found[:, :2] == 0).all()
    assert np.isnan(found[:, 2]).sum() == 20


def test_rows_named_and_placed_otherwise_come_in_the_same_order():
    generator = np.random.default_rng(0)
    one = pd.DataFrame(generator.normal(size=(200, 3))).mask(generator.random((200, 3)) < 0.2)
    other = pd.DataFrame({"known": generator.integers(0, 2, 200)})
    mixed = generator.permutation(200)
    again, found = (f.iloc[mixed].set_axis([f"c{i}" for i in range(200)]) for f in (one, other))
    for parts in ((one,), (one, other), (other, one)):
        same = (again,) if len(parts) == 1 else (again, found) if parts[0] is one else (found, again)
        for a, b in zip(parts, same, strict=True):
            first, second = a.iloc[order_by_content(*parts)], b.iloc[order_by_content(*same)]
            np.testing.assert_array_equal(first.to_numpy(), second.to_numpy())
