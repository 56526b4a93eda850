"""The readiness page says beforehand exactly what the last notebook computes; a source less flips what depends on it and nothing else."""

import pandas as pd
import pytest

from workbench.ingest.readiness import CAPABILITIES, assess


def kpis_ready(finished, run_id: str) -> tuple[dict, dict]:
    """KPI -> ready by the readiness table; KPI -> whether notebook 05 computed it."""
    tables = finished.run_folder(run_id) / "tables"
    ready = pd.read_parquet(tables / "readiness.parquet")
    kpis = pd.read_parquet(tables / "kpis.parquet")
    total = kpis[kpis.segment_id == -2].set_index("kpi")
    return ready[ready.kind == "KPI"].set_index("capability").ready.to_dict(), total.value.notna().to_dict()


def test_what_is_ready_is_computed_and_nothing_else(finished):
    ready, computed = kpis_ready(finished, "base")
    assert ready == computed


FULL = {
    "order", "order.category", "order.discount", "order.cost", "history", "return", "email_delivered", "email_open", "page_view", "search", "checkout", "cost of a ticket",
    "app_open", "social", "ticket", "survey.score", "profile", "consent", "campaign_sent.campaign_id", "coupon_redeemed", "ad_spend",
}  # fmt: skip


@pytest.mark.parametrize(
    "without, flipped",
    [
        ({"survey.score"}, {"satisfaction", "nps"}),
        ({"ad_spend"}, {"cac"}),
        ({"order.cost"}, {"profitability", "contribution"}),
        ({"search"}, {"interest_rate", "cart_rate"}),
        ({"checkout"}, {"cart_rate", "cart_order_rate"}),
        ({"ticket"}, {"service contacts", "contribution"}),
        ({"order.category"}, {"what is bought (categories)", "cross_sell_rate"}),
        ({"email_delivered"}, {"e-mail engagement"}),
        ({"consent"}, {"whom one may contact"}),
    ],
)
def test_a_source_less_flips_what_depends_on_it(without, flipped):
    whole, less = assess(FULL), assess(FULL - without)
    assert set(whole.capability[whole.ready]) - set(less.capability[less.ready]) == flipped
    assert less.unlock[less.capability.isin(flipped)].str.len().min() > 0


def test_every_kpi_is_on_the_page():
    from workbench.kpis.metrics import KPIS

    assert {c.capability for c in CAPABILITIES if c.kind == "KPI"} == {k.kpi for k in KPIS}
