"""Headroom by hand; of planted differences as much lasts as was planted, of chance nothing; white space by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.clustering.headroom import headroom_table, missing_categories
from workbench.core.contracts import check_frame
from workbench.views.openings import say_headroom, space_in_words


def test_headroom_by_hand():
    # Upper quarter of 0, 10, …, 80 begins at 60: 60 + 50 + … + 10 are lacking; both halves agree in full. The other segment is all alike.
    revenue, labels = np.r_[np.arange(0.0, 90, 10), np.full(9, 7.0)], np.repeat([0, 1], 9)
    found = headroom_table(revenue, revenue / 2, revenue / 2, labels)
    check_frame("headroom", found)
    first, second = (found.iloc[i] for i in range(2))
    assert (first.frontier, first.below, first.gap, first.lasting, first.headroom) == pytest.approx((60, 6, 210, 1, 210))
    assert (second.gap, second.headroom, second.headroom_low, second.headroom_high) == (0, 0, 0, 0)
    told = say_headroom(found, "EUR")
    assert told.startswith("**Headroom:** in 1 of 2 segments customers' revenue differs by surely more")
    assert "is most in segment 0 (210 EUR, " in told


@pytest.mark.parametrize("own", [0.0, 1.0, 3.0])
def test_no_more_lasts_than_customers_truly_differ(own):
    rng = np.random.default_rng(3)
    true = 50 + own * rng.normal(size=4000)
    odd, even = (true / 2 + rng.normal(size=4000) for _ in range(2))
    found = headroom_table(odd + even, odd, even, np.zeros(4000, int)).iloc[0]
    whole = own**2 / (own**2 + 2)  # variance of the truth over that of revenue; up to the upper quarter a little less
    assert whole - 0.07 < found.lasting < whole + 0.04
    assert found.headroom_low <= found.headroom <= found.headroom_high
    true_gap = np.clip(np.quantile(true, 0.75) - true, 0, None).sum()
    assert found.headroom <= true_gap * 1.05 + 100, "never told to be more than is there"


def test_chance_in_many_segments_is_told_as_chance():
    sure = 0
    for seed in range(5):
        odd, even = np.random.default_rng(seed).poisson(50.0, (2, 1200)).astype(float)
        found = headroom_table(odd + even, odd, even, np.repeat(np.arange(20), 60))
        sure += (found.headroom_low > 0).sum()
    assert sure <= 7  # one in forty of 100, three standard errors above


def test_one_huge_customer_does_not_make_the_others_last():
    rng = np.random.default_rng(4)
    odd, even = rng.poisson(50.0, (2, 100)).astype(float)
    odd[0] = even[0] = 5000.0
    assert headroom_table(odd + even, odd, even, np.zeros(100, int)).lasting[0] < 0.3


def test_who_has_no_known_revenue_is_left_out_and_nothing_known_is_told():
    revenue = np.r_[np.arange(0.0, 90, 10), np.nan]
    found = headroom_table(revenue, revenue / 2, revenue / 2, np.zeros(10, int))
    check_frame("headroom", found)
    assert found.customers.tolist() == [9]
    assert found.headroom.tolist() == pytest.approx([210])
    nothing = headroom_table(np.full(4, np.nan), np.zeros(4), np.zeros(4), np.array([0, 0, 1, 1]))
    check_frame("headroom", nothing)
    assert say_headroom(nothing, "EUR").startswith("**No headroom can be told:**")


@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.floats(-1e3, 1e6), st.floats(-1e3, 1e6), st.integers(0, 2)), min_size=1, max_size=40))
def test_headroom_is_never_negative_nor_more_than_the_gap(rows):
    odd, even, labels = (np.array(part) for part in zip(*rows, strict=True))
    labels = np.unique(labels, return_inverse=True)[1]
    found = headroom_table(odd + even, odd, even, labels)
    check_frame("headroom", found)
    assert (found[["gap", "headroom", "headroom_low"]] >= 0).all(axis=None)
    assert (found.headroom <= found.gap + 1e-6).all()


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


def test_who_has_what_stands_in_its_place_lacks_nothing():
    """Two plans that nobody has together: of forty customers eight have neither, and training goes with both."""
    large, small = np.repeat([1.0, 0.0, 0.0], [24, 8, 8]), np.repeat([0.0, 1.0, 0.0], [24, 8, 8])
    plans = {"subcategory_large_plan_share": 0.5 * large, "subcategory_small_plan_share": 0.5 * small}
    shares = pd.DataFrame({**plans, "category_training_share": np.tile([0.5, 0.5, 0.5, 0.0], 10)})
    found = missing_categories(shares, np.full(40, 100.0), np.zeros(40, int)).set_index("feature")
    assert found.without.to_dict() == {"subcategory_large_plan_share": 16, "category_training_share": 10}, (
        "4.8 by chance are too few to tell"
    )
    twice = pd.concat([shares, shares], ignore_index=True)
    found = missing_categories(twice, np.full(80, 100.0), np.zeros(80, int)).set_index("feature")
    assert found.without.to_dict() == {"subcategory_large_plan_share": 16, "category_training_share": 20}
    assert found.at_stake["subcategory_large_plan_share"] == 16 * 50


def test_without_categories_there_is_no_white_space():
    found = missing_categories(pd.DataFrame({"aov": np.ones(30)}), np.ones(30), np.zeros(30, int))
    check_frame("white_space", found)
    assert found.empty


def test_who_returned_everything_buys_the_category_all_the_same():
    shares = pd.DataFrame({"category_bread_share": np.full(40, 0.5)})
    found = missing_categories(shares, np.r_[np.full(30, 100.0), np.full(10, -5.0)], np.zeros(40, int))
    assert found.empty
    unknown = missing_categories(
        shares.assign(category_bread_share=np.r_[np.full(30, 0.5), np.zeros(10)]),
        np.r_[np.full(30, 100.0), np.full(10, np.nan)],
        np.zeros(40, int),
    )
    assert unknown.empty


def test_of_many_customers_fewer_are_drawn_and_intervals_stay_as_wide():
    """The bootstrap of 20,000 customers draws 5,000; the standard error is that of 20,000 all the same."""
    rng = np.random.default_rng(5)
    spent = np.where(rng.random(20_000) < 0.6, rng.gamma(2.0, 10.0, 20_000), 0.0)
    found = missing_categories(
        pd.DataFrame({"category_pets_share": spent / 200}), np.full(20_000, 200.0), np.zeros(20_000, int)
    ).iloc[0]
    whole = [(some <= 0).sum() * np.median(some[some > 0]) for some in (rng.choice(spent, 20_000) for _ in range(200))]
    width = np.subtract(*np.quantile(whole, [0.975, 0.025]))
    assert found.at_stake_high - found.at_stake_low == pytest.approx(width, rel=0.3)
