"""Campaigns as they were sent: counts by hand, intervals, and how receivers differed before."""

import numpy as np
import pandas as pd
import pytest
from experiment_company import SETTINGS
from kpi_company import EVENTS, FUTURE, PERIOD, SEGMENTS, event, table_of

from workbench.core.contracts import check_frame
from workbench.core.stats import wilson
from workbench.kpis.campaigns import compare_receivers, estimate_responses, read_answers
from workbench.kpis.customer_sums import build_customer_sums


def responses(answers, segments):
    frame = estimate_responses(answers, segments, SETTINGS)
    check_frame("campaign_responses", frame)
    return frame.set_index(["kpi", "campaign_id", "segment_id"]).sort_index()


def test_answers_and_responses_by_hand():
    more = [
        event("a", "2024-03-06T23:00", "coupon_redeemed", campaign_id="c1"),
        event("c", "2024-03-20T10:00", "campaign_sent", campaign_id="c2"),
        event("c", "2024-02-20T10:00", "campaign_sent", campaign_id="old"),
    ]
    answers = read_answers(table_of([*EVENTS, *FUTURE, *more]), PERIOD)
    assert answers.to_numpy().tolist() == [["c1", "a", 2], ["c1", "b", 0], ["c2", "c", 0]]
    found = responses(answers, SEGMENTS)
    counted = ["n", "numerator", "denominator", "value"]
    assert found.loc[("response", "c1", 0), counted].tolist() == [2, 1, 2, 0.5]
    assert found.loc[("redemption", "c1", 0), counted].tolist() == [2, 2, 2, 1.0]
    assert found.loc[("redemption", "all campaigns", -2), counted].tolist() == [3, 2, 3, 2 / 3]
    assert tuple(found.loc[("response", "c1", 0), ["ci_low", "ci_high"]]) == tuple(float(b) for b in wilson(1, 2))
    assert np.isnan(found.loc[("redemption", "c1", 0), "ci_low"])
    assert ("response", "old", 1) not in found.index


def test_segments_add_up_to_the_total_and_shrinking_tames_small_ones():
    rng = np.random.default_rng(0)
    sizes = [5, 400, 400, 400]
    place = np.repeat(np.arange(4), sizes)
    ids = [f"c{i:04d}" for i in range(len(place))]
    rate = np.array([1.0, 0.1, 0.15, 0.2])[place]
    answers = pd.DataFrame({"campaign_id": "c1", "customer_id": ids, "redemptions": (rng.random(len(ids)) < rate) * 2.0})
    segments = pd.DataFrame({"customer_id": ids, "segment_id": place, "segment_name": [f"segment {p}" for p in place]})
    made = responses(answers, segments)
    for kpi in ("response", "redemption"):
        one = made.loc[(kpi, "c1")]
        assert one.loc[-2, ["n", "numerator"]].tolist() == one.loc[[0, 1, 2, 3], ["n", "numerator"]].sum().tolist()
        assert (one.ci_low < one.value).loc[[1, 2, 3]].all()
    found = made.loc[("response", "c1")]
    assert found.value[0] == 1
    assert found.shrunk[0] < 0.9
    assert (found.shrunk - found.value).loc[[1, 2, 3]].abs().max() < 0.03


def test_no_campaign_no_rows():
    answers = read_answers(table_of([e for e in EVENTS if e["event_type"] != "campaign_sent"]), PERIOD)
    assert len(answers) == len(responses(answers, SEGMENTS)) == 0


def test_receivers_are_compared_before_the_campaigns():
    events = table_of(EVENTS)
    sums = build_customer_sums(events, SEGMENTS.customer_id, PERIOD)
    found = compare_receivers(sums, read_answers(events, PERIOD), SEGMENTS).set_index("got")
    assert found.customers.to_dict() == {"no": 1, "yes": 2}
    assert found.revenue_before.to_dict() == {"no": 0, "yes": 30}
    assert compare_receivers(sums.drop(columns="orders_before"), read_answers(events, PERIOD), SEGMENTS).empty
    assert pytest.approx(found.orders_before["yes"]) == 1
