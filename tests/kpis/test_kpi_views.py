"""What readers see: weakness first, names instead of ids, nothing from the data read as markup."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from kpi_company import EVENTS, SEGMENTS, SETTINGS, kpis_of, simulated_sums

from workbench.kpis.metrics import estimate_kpis
from workbench.kpis.targets import Targets
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
    assert text.startswith("**12 of 16 KPIs cannot be computed")
    assert text.index("cannot be computed") < text.index("undecided") < text.index("by chance alone")
    assert "no holdout group" in text


def test_names_from_the_data_are_plain_text(many):
    kpis = many[0].assign(versus_total=many[0].versus_total.mask(many[0].segment_id == 0, "above"))
    text = views.say_kpis(kpis, ("repeat_rate",))
    assert "&lt;b&gt;$group\\_0$ \\| \\*x\\*" in text
    assert "<b>" not in text + views.kpi_table(*many)._repr_html_()


def test_the_clearest_differences_are_named_with_their_interval():
    sums, segments = simulated_sums(600, 2)
    sums.loc[segments.segment_id == 0, "repeat"] = sums.active
    text = views.say_kpis(estimate_kpis(sums, segments, Targets(), SETTINGS, 30), ("repeat_rate", "clv"))
    assert "above it **segment 0** with 100.0% (9" in text
    assert "No KPI has a goal" in text
    assert "Expected spend" not in text


def test_tables(many):
    total, wide, one = views.kpi_total_table(many[0]), views.kpi_table(*many), views.kpi_detail_table(many[0], "aov")
    assert len(total.frame) == 16
    assert wide.frame.customers.iloc[0] == "600"
    assert list(wide.frame.columns[:2]) == ["segment", "customers"]
    assert "segment_id" not in wide.frame
    assert len(one.frame) == many[0].segment_id.nunique()


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
    assert isinstance(views.kpi_table(frame, SEGMENTS).frame, pd.DataFrame)
    assert "**15 of 16" in views.say_kpis(frame)
