"""Whose the profit is: by hand, and an interval that holds what it says."""

import numpy as np
import pandas as pd
import pytest

from workbench.kpis.profit import profit_curve
from workbench.views.margins import chart_profit, profit_in_words, say_profit


def kpis_of(rows):
    """(segment, margin, customers, half an interval of margin per customer) -> kpis, all customers first."""
    total = (-2, sum(r[1] for r in rows), sum(r[2] for r in rows), 0.0)
    frame = pd.DataFrame([total, *rows], columns=["segment_id", "numerator", "denominator", "half"])
    value = frame.numerator / frame.denominator
    names = frame.segment_id.map(lambda s: "all customers" if s == -2 else f"Segment {s} buyers")
    return frame.assign(
        kpi="profitability", value=value, ci_low=value - frame.half, ci_high=value + frame.half, confidence=0.95, segment_name=names, status=""
    )  # fmt: skip


def test_segments_stand_by_what_a_customer_brings_and_add_up_to_all():
    curve = profit_curve(kpis_of([(0, 100.0, 50, 0.1), (1, 300.0, 30, 0.5), (2, 600.0, 20, 1.0)]))
    assert curve.segment_id.tolist() == [2, 1, 0]
    assert curve.customer_share.tolist() == pytest.approx([0.2, 0.5, 1.0])
    assert curve.margin_share.tolist() == pytest.approx([0.6, 0.9, 1.0])
    assert curve.margin_share_low.iloc[-1] == curve.margin_share_high.iloc[-1] == pytest.approx(1)
    assert (curve.margin_share_low <= curve.margin_share).all()


def test_a_segment_that_loses_money_takes_the_curve_above_all():
    kpis = kpis_of([(0, 900.0, 50, 1.0), (1, -100.0, 40, 0.5), (-1, 0.0, 10, np.nan)])
    curve = profit_curve(kpis)
    assert curve.margin_share.tolist() == pytest.approx([9 / 8, 9 / 8, 1])
    assert say_profit(curve, kpis) == (
        "**Segment 0 buyers** alone is 50% of the customers, with 112% of the margin (95% interval 110% to 115%). "
        "Surely more than they bring cost **Segment 1 buyers**."
    )
    assert chart_profit(curve).get_ylim()[1] > 9 / 8


def test_the_interval_holds_the_true_share_as_often_as_it_says():
    rng, held = np.random.default_rng(0), []
    for _ in range(400):
        groups = [rng.gamma(2, scale, n) for scale, n in ((1, 400), (4, 200), (9, 60))]
        rows = [(s, g.sum(), len(g), 1.96 * g.std(ddof=1) / np.sqrt(len(g))) for s, g in enumerate(groups)]
        first = profit_curve(kpis_of(rows)).iloc[0]
        held.append(first.margin_share_low <= 2 * 9 * 60 / (2 * 400 + 8 * 200 + 18 * 60) <= first.margin_share_high)
    assert 0.92 <= np.mean(held) <= 0.98


def test_a_loss_that_may_be_chance_is_not_told():
    kpis = kpis_of([(0, 900.0, 50, 1.0), (1, -1.0, 30, 5.0)])
    assert "Surely" not in say_profit(profit_curve(kpis), kpis)


def test_an_unknown_error_is_no_error_of_none():
    kpis = kpis_of([(0, 900.0, 9, np.nan), (1, 100.0, 30, 0.5)])
    curve = profit_curve(kpis)
    assert curve.margin_share_low.isna().all()
    assert profit_in_words(curve).interval.tolist() == ["–", "–"]
    assert say_profit(curve, kpis).endswith("90% of the margin.")


def test_nothing_to_share_and_a_segment_without_costs():
    kpis = kpis_of([(0, 100.0, 50, 0.1), (1, -300.0, 30, 0.5)])
    assert say_profit(profit_curve(kpis), kpis).startswith("There is no profit to share")
    kpis = kpis_of([(0, 100.0, 50, 0.1), (1, 300.0, 30, 0.5)])
    kpis.loc[2, ["value", "numerator", "denominator", "status"]] = [
        np.nan,
        np.nan,
        np.nan,
        "not computable: a cost is known for 80%",
    ]
    assert profit_curve(kpis).empty
    assert say_profit(profit_curve(kpis), kpis) == (
        "Whose the profit is cannot be told: margin per customer of Segment 1 buyers is not computable: a cost is known for 80%."
    )


def test_without_the_costs_of_all_nothing_is_told():
    kpis = kpis_of([(0, 100.0, 50, 0.1), (1, 300.0, 30, 0.5)])
    kpis.loc[0, ["value", "status"]] = [np.nan, "not computable: a cost is known for 83.3% of the lines, 99 % are needed"]
    curve = profit_curve(kpis)
    assert curve.empty
    assert say_profit(curve, kpis) == (
        "Whose the profit is cannot be told: margin per customer of all customers is not computable: a cost is known for 83.3% of the lines, 99 % are needed."
    )
    assert profit_in_words(curve).empty
    assert chart_profit(curve).axes[0].get_title() == "No margin is known"
