"""Headroom by hand; of planted differences as much lasts as was planted, of chance nothing; white space by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.clustering.headroom import headroom_table, missing_categories
from workbench.core.contracts import check_frame
from workbench.views.clustering import say_headroom, space_in_words


def test_headroom_by_hand():
    # Upper quarter of 0, 10, 20, 30, 40 begins at 30: 30 + 20 + 10 are lacking; both halves agree in full. The other segment is all alike.
    revenue, labels = np.array([0.0, 10, 20, 30, 40, 7, 7, 7]), np.repeat([0, 1], [5, 3])
    found = headroom_table(revenue, revenue / 2, revenue / 2, labels)
    check_frame("headroom", found)
    first, second, total = (found.iloc[i] for i in range(3))
    assert (first.frontier, first.below, first.gap, first.lasting, first.headroom) == pytest.approx((30, 3, 60, 1, 60))
    assert (second.gap, second.headroom, second.headroom_low, second.headroom_high) == (0, 0, 0, 0)
    assert (total.segment_id, total.customers, total.gap, total.headroom) == (-2, 8, 60, 60)
    told = say_headroom(found, revenue.sum(), "EUR")
    assert told.startswith(
        "**Headroom:** the 3 customers under their segment's upper quarter lack 60 EUR of it. Odd and even weeks agree on 100% of that"
    )
    assert "It is largest in segment 0. It is a ceiling" in told


@pytest.mark.parametrize("own", [0.0, 1.0, 3.0])
def test_as_much_lasts_as_customers_truly_differ(own):
    rng = np.random.default_rng(3)
    true = 50 + own * rng.normal(size=4000)
    odd, even = (true / 2 + rng.normal(size=4000) for _ in range(2))
    found = headroom_table(odd + even, odd, even, np.zeros(4000, int)).iloc[0]
    assert found.lasting == pytest.approx(own**2 / (own**2 + 2), abs=0.04)  # variance of the truth over that of the whole
    assert found.headroom_low <= found.headroom <= found.headroom_high
    true_gap = np.clip(np.quantile(true, 0.75) - true, 0, None).sum()
    assert found.headroom <= true_gap * 1.05 + 100, "never told to be more than is there"


@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0, 2)), min_size=1, max_size=40))
def test_headroom_is_never_negative_and_adds_up(rows):
    odd, even, labels = (np.array(part) for part in zip(*rows, strict=True))
    labels = np.unique(labels, return_inverse=True)[1]
    found = headroom_table(odd + even, odd, even, labels)
    check_frame("headroom", found)
    assert (found[["gap", "headroom", "headroom_low"]] >= 0).all(axis=None)
    assert (found.headroom <= found.gap + 1e-6).all()
    assert found.headroom.iloc[:-1].sum() == pytest.approx(found.headroom.iloc[-1])


def test_white_space_by_hand():
    # 20 customers: 12 spend 10, 20, …, 120 on pets, 8 nothing; 9 buy garden, under half; all buy food, so nobody is without it.
    spent = np.r_[np.arange(10.0, 130, 10), np.zeros(8)]
    shares = pd.DataFrame(
        {
            "category_pets_share": spent / 200, "category_garden_share": [0.1] * 9 + [0.0] * 11, "subcategory_food_share": 0.3,
            "discount_share": [0.5] * 12 + [0.0] * 8,
        }
    )  # fmt: skip
    found = missing_categories(shares, np.full(20, 200.0), np.zeros(20, int))
    check_frame("white_space", found)
    assert found.feature.tolist() == ["category_pets_share"]
    row = found.iloc[0]
    assert (row.bought_by, row.without, row.usual, row.at_stake) == pytest.approx((0.6, 8, 65, 520))
    assert row.at_stake_low < 520 < row.at_stake_high
    catalog = pd.DataFrame({"feature": ["category_pets_share"], "noun": ["pet share"]})
    assert space_in_words(found, catalog).category.tolist() == ["pet"]


def test_without_categories_there_is_no_white_space():
    found = missing_categories(pd.DataFrame({"aov": np.ones(30)}), np.ones(30), np.zeros(30, int))
    check_frame("white_space", found)
    assert found.empty
