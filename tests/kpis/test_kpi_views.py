"""What readers see: weakness first, names instead of ids, nothing from the data read as markup."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from experiment_company import BEFORE, dealt, read
from kpi_company import EVENTS, PERIOD, SEGMENTS, SETTINGS, kpis_of, simulated_sums, table_of
from test_kpi_design import company

from workbench.core.config import KpiSettings
from workbench.kpis.campaigns import estimate_responses
from workbench.kpis.design import design_experiment
from workbench.kpis.growth import split_growth
from workbench.kpis.metrics import estimate_kpis
from workbench.kpis.policy import estimate_policies
from workbench.kpis.retention import build_cohorts, estimate_retention
from workbench.kpis.targets import Targets
from workbench.views import experiments as told
from workbench.views import kpis as views
from workbench.views import theme


@pytest.fixture(scope="module", autouse=True)
def style():
    with plt.rc_context():
        theme.use_style()
        yield
    plt.close("all")


@pytest.fixture(scope="module")
def many():
    sums, segments = simulated_sums(600, 2)
    segments["segment_name"] = segments.segment_id.map(
        {i: f"<b>$group_{i}$ | *x* </b>" for i in range(4)} | {-1: "unassigned"}
    ).astype("str")
    return estimate_kpis(sums, segments, Targets(repeat_rate=0.1, aov=20, nps=90), SETTINGS, 30), segments


def test_sentences_begin_with_what_is_missing(many):
    text = views.say_kpis(many[0])
    assert text.startswith("**16 of 20 KPIs cannot be computed")
    assert text.index("cannot be computed") < text.index("undecided") < text.index("by chance alone")
    assert "no holdout group" in text


def test_names_from_the_data_are_plain_text(many):
    kpis = many[0].assign(versus_total=many[0].versus_total.mask(many[0].segment_id == 0, "above"))
    text = views.say_kpis(kpis, ("repeat_rate",))
    assert "&lt;b&gt;$group\\_0$ \\| \\*x\\*" in text
    assert "<b>" not in text + views.kpi_table(*many, "buying")._repr_html_()


def test_the_clearest_differences_are_named_with_their_interval():
    sums, segments = simulated_sums(600, 2)
    sums.loc[segments.segment_id == 0, "repeat"] = sums.active
    text = views.say_kpis(estimate_kpis(sums, segments, Targets(), SETTINGS, 30), ("repeat_rate", "clv"))
    assert "above it **segment 0** with 100.0% (9" in text
    assert "No KPI has a goal" in text
    assert "Expected spend" not in text


def test_tables(many):
    total, wide, one = views.kpi_total_table(many[0]), views.kpi_table(*many, "buying"), views.kpi_detail_table(many[0], "aov")
    assert len(total.frame) == 20
    retained = "retention_rate"  # what has not lapsed
    told = {kpi for part in views.PARTS.values() for kpi in part} | set(views.FUNNEL) | {retained}
    assert told == set(many[0].kpi)  # no KPI is in neither table
    assert wide.frame.customers.iloc[0] == "600"
    assert list(wide.frame.columns[:2]) == ["segment", "customers"]
    assert "segment_id" not in wide.frame
    assert len(one.frame) == many[0].segment_id.nunique()


def test_what_is_simulated_is_marked_where_the_figure_stands(many):
    kinds = {"pos": "real", "finance": "simulated", "survey": "simulated", "ads": "own"}
    sources = pd.DataFrame({"kind": list(kinds), "origin": list(kinds.values())})
    assert views.origin_of("nps", sources) == "simulated"
    assert views.origin_of("aov", sources) == ""
    assert views.origin_of("profitability", sources) == "partly simulated"
    assert views.origin_of("clv", sources) == "partly simulated"  # predicted from everything
    assert views.origin_of("response_rate", sources) == "partly simulated"  # no such system: whatever it came from
    assert "data" in views.kpi_total_table(many[0], sources).frame
    assert "data" not in views.kpi_total_table(many[0], sources.assign(origin="own")).frame


def test_charts_state_their_finding(many):
    figure = views.chart_kpi_small_multiples(many[0], ("repeat_rate", "aov", "clv", "nps"))
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles[0].startswith("Repeat customers: ")
    assert "differ from all customers" in titles[0]
    figure.canvas.draw()
    goals = views.chart_kpi_targets(many[0])
    assert "of 3 goals are met" in goals.get_suptitle()
    goals.canvas.draw()


def test_nothing_to_draw_is_said():
    frame = kpis_of([e for e in EVENTS if e["event_type"] == "survey"], predictions=None)
    assert views.chart_kpi_targets(frame).axes[0].get_title(loc="left") == "No computable KPI has a goal"
    assert "None of these" in views.chart_kpi_small_multiples(frame).axes[0].get_title(loc="left")
    assert isinstance(views.kpi_table(frame, SEGMENTS, "engagement").frame, pd.DataFrame)
    assert "**19 of 20" in views.say_kpis(frame)


def test_growth_and_retention_are_drawn_and_told():
    sums, segments = simulated_sums(300, 4)
    sums = sums.assign(orders_before=sums.orders[::-1].to_numpy(), gross_before=sums.gross[::-1].to_numpy())
    sums = sums.assign(revenue_before=sums.gross_before, active_before=(sums.orders_before > 0) * 1.0)
    growth = split_growth(sums, segments)
    assert "The parts of each segment add up to its change" in views.say_growth(growth)
    views.chart_growth(growth).figure.canvas.draw()
    assert "no growth can be told" in views.say_growth(growth.head(0))
    days = np.random.default_rng(1).exponential(90, 300)
    lifetimes = pd.DataFrame({"customer_id": sums.customer_id, "seen": 100.0, "stayed": days.clip(max=100), "ended": days < 90, "second": days.clip(max=100), "came_back": days < 30})  # fmt: skip
    curves = estimate_retention(lifetimes, segments, 0.95)
    figure = views.chart_retention(curves)
    assert "of all customers have not lapsed" in figure.get_suptitle()
    figure.canvas.draw()
    assert views.retention_table(curves, 0.95).frame.segment.iloc[0] == "all customers"
    assert views.retention_table(curves.head(0), 0.95).frame.empty
    assert views.chart_retention(curves.head(0)).axes[0].get_title(loc="left") == "Too few customers for a curve"
    cohorts = build_cohorts(table_of(EVENTS), PERIOD, 0.95)
    second = cohorts[cohorts.cohort == "2024-02"]
    later = pd.concat([cohorts, *(second.assign(cohort=f"2024-0{month}") for month in (3, 4))])
    title = views.chart_cohorts(later).get_title(loc="left")
    assert "50% of new customers order in the month after" in title
    assert "2024-01 to 2024-03 are not counted" in title
    assert "cannot be told" in views.chart_cohorts(cohorts).get_title(loc="left")
    assert views.chart_cohorts(cohorts.head(0)).get_title(loc="left") == "No cohort has a later month"


@pytest.fixture(scope="module")
def tried():
    table, segments = dealt(1, [300] * 8, np.repeat([20.0, -20.0, 0.0, 0.0], 2), cost=0.5)
    segments["segment_name"] = segments.segment_id.map({i: f"<b>$group_{i}$ | *x* </b>" for i in range(8)}).astype("str")
    checks, readout = read(table, segments)
    return checks, readout, estimate_policies(table, checks, segments, SETTINGS, BEFORE)


def test_an_experiment_is_told_in_order_and_in_plain_text(tried):
    text = told.say_experiments(*tried)
    assert text.index("agree with the plan") < text.index("differs between segments") < text.index("By segment: better for")
    assert "Treating by segment" in text
    assert text.index("Treating by segment") < text.index("These figures hold for one reading")
    assert "<b>" not in text + told.experiment_table(tried[1])._repr_html_()
    figure = told.chart_effects(tried[1])
    assert "4 of 8 segments show an effect on revenue" in figure.axes[0].get_title(loc="left")
    figure.canvas.draw()


def test_no_experiment_and_a_stopped_one_are_told_without_numbers(tried):
    empty = [frame.head(0) for frame in tried]
    assert told.say_experiments(*empty).startswith("**There is no experiment in these data**")
    assert told.chart_effects(empty[1]).axes[0].get_title(loc="left") == "No experiment can be read"
    table, segments = dealt(1, [400] * 3, shares=(0.6, 0.4))
    text = told.say_experiments(*read(table, segments), empty[2])
    assert "**Nothing is concluded**: sample ratio mismatch" in text
    assert "for all customers" not in text
    assert "one reading" not in text


def test_campaigns_say_first_that_no_effect_can_be_told():
    ids = [f"c{i:03}" for i in range(120)]
    answers = pd.DataFrame({"campaign_id": "7", "customer_id": ids, "redemptions": [1.0] * 50 + [0.0] * 70})
    segments = pd.DataFrame(
        {"customer_id": ids, "segment_id": [0] * 60 + [1] * 60, "segment_name": ["<i>a</i>"] * 60 + ["b"] * 60}
    )
    responses = estimate_responses(answers, segments, SETTINGS)
    receivers = pd.DataFrame({"got": ["no", "yes"], "customers": [9, 120], "revenue_before": [10.0, 20.0]})
    text = told.say_campaigns(responses, receivers, 0)
    assert text.startswith("**What these campaigns caused cannot be told**: nobody was left out by chance")
    assert "41.7% redeemed at least once" in text
    assert "most clearly above **&lt;i&gt;a" in text
    assert told.campaign_table(responses).frame["answered"].tolist() == ["50", "50"]
    assert list(told.response_table(responses).frame.segment) == ["<i>a</i>", "all customers", "b"]
    told.chart_responses(responses).canvas.draw()
    assert told.response_table(responses.head(0)).frame.empty
    assert told.campaign_table(responses.head(0)).frame.empty
    assert "No campaign was sent" in told.say_campaigns(responses.head(0), receivers, 0)


def test_the_next_test_is_told():
    history, segments = company(1, [60, 60, 2000, 60], ["A", "A", "B", "C"])
    plan = design_experiment(history, segments, KpiSettings(effect_wanted=0.18))
    text = told.say_design(plan, 0.18)
    assert "revenue per customer, 18% more: **1 of 4 segments cannot be tested**" in text
    assert "The next test could begin with **segment 2**" in text
    shown = told.design_table(plan).frame
    assert shown.who.tolist() == ["segment 0 + segment 1", "segment 2", "segment 3"]
    assert shown.customers.tolist() == ["120", "2,000", "60"]
    assert told.design_table(plan.head(0)).frame.empty
    assert "no test can be planned" in told.say_design(plan.head(0), 0.18)
