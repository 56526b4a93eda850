"""Every KPI against values worked out by hand, its reconciliation, its verdict, and what happens when something is missing."""

import functools

import numpy as np
import pandas as pd
import pytest
from kpi_company import (
    EVENTS,
    FUTURE,
    PERIOD,
    SEGMENTS,
    SETTINGS,
    company_kpis,
    event,
    kpis_of,
    order,
    simulated_sums,
    table_of,
    without,
)

from workbench.core.stats import wilson
from workbench.kpis.customer_sums import with_contracts
from workbench.kpis.metrics import KPIS, estimate_kpis
from workbench.kpis.targets import Targets


@functools.cache
def kpis_without(absent):
    return kpis_of(without(*absent))


def cell(frame, kpi, segment=-2):
    return frame[(frame.kpi == kpi) & (frame.segment_id == segment)].iloc[0]


HAND = {
    "engagement_rate": (2, 4), "conversion_rate": (2, 3), "aov": (100, 3), "repeat_rate": (1, 2), "clv": (150, 3), "lapse_rate": (1, 2),
    "retention_rate": (1, 2), "penetration": (2, 4), "response_rate": (1, 2), "attributed_return": (60, 5), "revenue_growth": (35, 60),
    "cac": (80, 1), "cross_sell_rate": (1, 2), "profitability": (42, 4), "nps": (0, 2),
    # Of a, c and d on the website or in the app, d searched, and c went to the checkout, and ordered; a asked the service once, at a cost of 4.
    "interest_rate": (2, 3), "cart_rate": (1, 2), "cart_order_rate": (1, 1), "contribution": (38, 4),
}  # fmt: skip


@pytest.mark.parametrize("kpi", HAND)
def test_total_is_what_the_hand_says(kpi):
    found, (above, below) = cell(company_kpis(), kpi), HAND[kpi]
    assert (found.numerator, found.denominator) == (above, below)
    assert found.value == pytest.approx(above / below)


def test_every_declared_kpi_has_a_hand_value_or_a_reason():
    assert set(HAND) | {"campaign_roi"} == {k.kpi for k in KPIS}


def test_segments_by_hand():
    frame = company_kpis()
    assert cell(frame, "aov", 0).value == 30
    assert cell(frame, "aov", 1).value == 40
    assert cell(frame, "revenue_growth", 0).value == pytest.approx(55 / 60 - 1)
    assert cell(frame, "clv", 0).value == 50
    assert cell(frame, "nps", 0).n == 2
    assert cell(frame, "profitability", -1).value == 0
    assert cell(frame, "cac", 1).value == cell(frame, "cac").value == 80


def test_the_total_comes_first_and_unassigned_is_a_segment():
    frame = company_kpis()
    assert list(dict.fromkeys(frame.segment_name)) == ["all customers", "unassigned", "regulars", "newcomers"]
    assert len(frame) == 4 * len(KPIS)


@pytest.mark.parametrize("kpi, segment, reason", [
    ("aov", -1, "no orders in the period"), ("cac", 0, "no new customers in the period"), ("lapse_rate", 1, "nobody ordered in the period before"),
    ("clv", -1, "no prediction for these customers"), ("nps", 1, "no survey answers"), ("revenue_growth", 1, "no revenue in the period before"),
])  # fmt: skip
def test_an_empty_denominator_gives_a_missing_value_with_its_reason(kpi, segment, reason):
    found = cell(company_kpis(), kpi, segment)
    assert np.isnan([found.value, found.ci_low, found.ci_high]).all()
    assert found.status == f"not computable: {reason}"


def test_incremental_return_is_never_published():
    frame = company_kpis()
    roi = frame[frame.kpi == "campaign_roi"]
    assert roi.value.isna().all()
    assert set(roi.status) == {"not computable: no holdout group; attributed revenue is shown apart"}


@pytest.mark.parametrize("absent, kpis, reason", [
    (("order", "return"), ("aov", "repeat_rate", "lapse_rate", "penetration", "revenue_growth", "cac", "profitability", "conversion_rate", "cross_sell_rate"), "no orders in the period"),
    (("campaign_sent", "page_view", "app_open", "checkout", "search"), ("response_rate",), "no campaigns were sent in the period"),
    (("coupon_redeemed", "ad_spend", "survey"), ("response_rate",), "no redemptions are recorded in the period"),
    (("coupon_redeemed", "ad_spend", "survey"), ("attributed_return",), "no redemptions with discounted orders are recorded in the period"),
    (("coupon_redeemed", "ad_spend", "survey"), ("cac",), "no advertising cost is recorded in the period"),
    (("coupon_redeemed", "ad_spend", "survey"), ("nps",), "no survey answers in the period"),
    (("campaign_sent", "page_view", "app_open", "checkout", "search"), ("interest_rate",), "no searches, offers looked at, lists or carts in the period"),
    (("campaign_sent", "page_view", "app_open", "checkout", "search"), ("cart_rate", "cart_order_rate"), "no carts are recorded in the period"),
    (("ticket",), ("contribution",), "no service contacts are recorded in the period"),
    (("campaign_sent", "page_view", "app_open", "checkout", "search"), ("conversion_rate",), "no activity in website, app or product in the period"),
    (("campaign_sent", "page_view", "app_open", "checkout", "search"), ("engagement_rate",), "no activity by e-mail, in website, app or product, or on social media in the period"),
])  # fmt: skip
def test_a_missing_source_says_why_and_never_gives_a_number(absent, kpis, reason):
    frame = kpis_without(absent)
    for kpi in kpis:
        rows = frame[frame.kpi == kpi]
        assert rows[["value", "ci_low", "ci_high", "numerator", "denominator"]].isna().all(axis=None)
        assert set(rows.status) == {f"not computable: {reason}"}
        assert (rows.n == 0).all()


def test_without_history_nothing_is_called_new_lapsed_or_grown():
    frame = kpis_of([e for e in EVENTS if e["occurred_at"].month >= 3])
    for kpi in ("lapse_rate", "retention_rate", "revenue_growth", "cac", "cross_sell_rate"):
        assert cell(frame, kpi).status == "not computable: the orders do not reach back over the period before"
    assert cell(frame, "aov").value == pytest.approx(100 / 3)


def test_predictions_missing():
    frame = estimate_kpis(*simulated_sums(50, 1), Targets(), SETTINGS, 30)
    assert cell(frame, "clv").status == "not computable: no predicted spend was given"


def test_without_a_stated_cost_service_is_not_guessed():
    frame = estimate_kpis(*simulated_sums(50, 1), Targets(), SETTINGS.model_copy(update={"cost_per_ticket": 0.0}), 30)
    assert np.isnan(cell(frame, "contribution").value)
    sums, segments = simulated_sums(50, 1)
    sums = sums.assign(margin=sums.revenue, tickets=1.0, lines=1.0, cost_lines=1.0)
    free = estimate_kpis(sums, segments, Targets(), SETTINGS.model_copy(update={"cost_per_ticket": 0.0}), 30)
    assert cell(free, "contribution").status == "not computable: no cost of a service contact is stated (kpis.cost_per_ticket)"


def test_a_margin_of_some_lines_does_not_pass_for_the_whole():
    frame = kpis_of([*EVENTS, order("c", "2024-03-20T10:00", "o9", "X", 500)])
    assert cell(frame, "profitability").status == "not computable: a cost is known for 83.3% of the lines, 99 % are needed"
    assert np.isnan(cell(frame, "profitability").value)
    assert cell(frame, "profitability", 0).value == 11


def test_one_customer():
    frame = kpis_of(EVENTS, SEGMENTS[SEGMENTS.customer_id == "a"])
    assert cell(frame, "aov").value == 30
    assert np.isnan(cell(frame, "aov").ci_low)
    assert cell(frame, "repeat_rate").ci_low < 1


def test_destroying_the_future_changes_nothing():
    pd.testing.assert_frame_equal(company_kpis(), kpis_of([*EVENTS, *FUTURE]))


def test_the_order_of_rows_never_shows():
    pd.testing.assert_frame_equal(company_kpis(), kpis_of(EVENTS, SEGMENTS[::-1], seed=5))


def test_verdicts():
    sums, segments = simulated_sums(300, 1)
    goals = [0.1, 0.99, None]
    found = [cell(estimate_kpis(sums, segments, Targets(repeat_rate=g), SETTINGS, 30), "repeat_rate").status for g in goals]
    assert found == ["on target", "below target", "no target"]
    value = cell(estimate_kpis(sums, segments, Targets(), SETTINGS, 30), "repeat_rate").value
    assert cell(estimate_kpis(sums, segments, Targets(repeat_rate=value), SETTINGS, 30), "repeat_rate").status == "undecided"


def test_verdicts_of_few_customers_and_where_lower_is_better():
    """Under 30 customers decide nothing, whatever their interval; more do."""
    few = kpis_of(EVENTS, lapse_rate=1.0, cac=0.0, aov=1.0)
    assert {cell(few, "lapse_rate").status, cell(few, "cac").status} == {"undecided"}
    sums, segments = simulated_sums(400, 3)
    sums = sums.assign(orders_before=1.0, active_before=1.0, revenue_before=1.0)
    many = estimate_kpis(sums, segments, Targets(lapse_rate=1.0, repeat_rate=1.0), SETTINGS, 30)
    assert cell(many, "lapse_rate").status == "on target"
    assert cell(many, "repeat_rate").status == "below target"
    # Two buyers are too few for an interval, and without one there is no verdict.
    assert np.isnan(cell(few, "aov").ci_low)
    assert cell(few, "aov").status == "undecided"


def test_who_is_under_contract_is_retained_however_seldom_billed():
    """a: contract runs on, no invoice; b: ended; c: no contract and ordered again; d: contract signed in the period."""
    sums = pd.DataFrame({"customer_id": list("abcd"), "orders": [0.0, 1, 1, 1], "orders_before": [1.0, 1, 1, 1]})
    sums = sums.assign(active=[0.0, 1, 1, 1], active_before=1.0, gross=1.0, revenue=1.0, repeat=0.0, gross_before=1.0, revenue_before=1.0, is_new=0.0)  # fmt: skip
    segments = pd.DataFrame({"customer_id": list("abcd"), "segment_id": 0, "segment_name": "all of them"})
    began, ended = "subscription_started", "subscription_ended"
    rows = [event(who, "2023-01-01T10:00", began) for who in "ab"]
    rows += [event("b", "2024-03-20T10:00", ended), event("d", "2024-03-10T10:00", began), event("d", "2024-04-02T10:00", ended)]
    found = estimate_kpis(with_contracts(sums, table_of(rows), PERIOD), segments, Targets(), SETTINGS, 30)
    retained, lapsed = cell(found, "retention_rate"), cell(found, "lapse_rate")
    assert (retained.numerator, retained.denominator) == (2, 3)
    assert (lapsed.numerator, lapsed.denominator) == (1, 3)
    pd.testing.assert_frame_equal(with_contracts(sums, table_of(EVENTS), PERIOD), sums)


@pytest.mark.parametrize("seed", range(3))
def test_segments_reconcile_with_the_total(seed):
    frame = estimate_kpis(*simulated_sums(400, seed), Targets(), SETTINGS, 30)
    parts = frame[frame.segment_id != -2].groupby("kpi")[["numerator", "denominator", "n"]].sum(min_count=1)
    total = frame[frame.segment_id == -2].set_index("kpi")[["numerator", "denominator", "n"]].loc[parts.index]
    np.testing.assert_allclose(parts, total, rtol=1e-14)


def test_intervals_are_repeatable_and_hold_their_value():
    sums, segments = simulated_sums(400, 3)
    once, twice = (estimate_kpis(sums, segments, Targets(), SETTINGS, 30) for _ in range(2))
    pd.testing.assert_frame_equal(once, twice)
    known = once[once.ci_low.notna()]
    assert ((known.ci_low <= known.value) & (known.value <= known.ci_high)).all()
    assert set(known.kpi) >= {"aov", "repeat_rate", "nps", "penetration"}
    assert set(once.versus_total) <= {"", "above", "below", "alike"}


def test_wilson_covers_what_it_promises():
    rng = np.random.default_rng(0)
    for share in (0.05, 0.3, 0.9):
        low, high = wilson(rng.binomial(80, share, 4000), np.full(4000, 80), 0.95)
        assert 0.93 <= ((low <= share) & (share <= high)).mean() <= 0.98


def test_nps_interval_covers_what_it_promises():
    rng = np.random.default_rng(0)
    ids = pd.Series([f"{i:05d}" for i in range(40 * 400)], dtype="str")
    score = rng.choice([10.0, 8.0, 2.0], len(ids), p=[0.5, 0.3, 0.2])
    segments = pd.DataFrame({"customer_id": ids, "segment_id": np.arange(len(ids)) // 40, "segment_name": "one"})
    frame = estimate_kpis(pd.DataFrame({"customer_id": ids, "score": score}), segments, Targets(), SETTINGS, 30)
    found = frame[(frame.kpi == "nps") & (frame.segment_id >= 0)]
    assert 0.92 <= ((found.ci_low <= 30) & (found.ci_high >= 30)).mean() <= 0.98


def test_acquisition_cost_interval_is_the_exact_poisson_one():
    found = cell(company_kpis(), "cac")
    # One event: Garwood's 95 % bounds are 0.0253 and 5.572.
    assert found.ci_low == pytest.approx(80 / 5.572, rel=1e-3)
    assert found.ci_high == pytest.approx(80 / 0.0253, rel=1e-2)
