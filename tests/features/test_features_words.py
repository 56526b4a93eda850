"""What features are called: words that hold for a shop and for a vendor, and nothing that the books rather than customers did."""

import re

import pandas as pd
import pytest
from feature_events import SETTINGS, WINDOW, event, order, table

from workbench.features import affinity, engagement, matrix, purchases

TRADE = re.compile(
    r"\b(baskets?|coupons?|departments?|households?|newsletters?|shops?|stores?|shoppers?|buyers|national)\b", re.I
)
ABSOLUTE = re.compile(r"\b(never|always|all|most|every|do not|only)\b")
VENDOR_TYPES = ["order", "api_call", "app_open", "campaign_sent", "coupon_redeemed", "email_delivered", "email_open", "email_click", "export", "feature_use", "admin_action", "survey", "ticket", "webinar_registration", "webinar_attendance", "subscription_started", "opportunity_won", "contract_signed"]  # fmt: skip
TOPS = {"category": ("LICENCE", "ADD-ON"), "subcategory": ("starter plan",)}
EVERYTHING = [
    *purchases.BEHAVIOUR, *purchases.DISCOUNT, *purchases.OWN_BRAND, *purchases.RETURNS, *affinity.affinity_catalog(TOPS, {"ADD-ON": "add-on"}),
    *engagement.engagement_catalog([*VENDOR_TYPES, *engagement.WORDS], ("store", "email", "product", "phone", "chat")),
]  # fmt: skip
AT_THE_GROCERS = {"list_add_count", "store_locator_count", "channel_store_share"}


@pytest.mark.parametrize("feature", EVERYTHING, ids=lambda f: f.feature)
def test_words_hold_for_both_companies_and_promise_no_more_than_a_difference(feature):
    if feature.feature not in AT_THE_GROCERS:
        assert not TRADE.search(" ".join((feature.high, feature.low, feature.noun, feature.definition)))
    assert feature.high != feature.low
    for claim in (feature.high, feature.low):
        assert len(claim.split()) >= 2
        assert not ABSOLUTE.search(claim), "a segment differs from the others on average, no more"


def test_contracts_and_logins_are_no_engagement():
    names = {f.feature for f in engagement.engagement_catalog(VENDOR_TYPES, ())}
    assert "contract_signed_count" in names
    assert not {"subscription_started_count", "opportunity_won_count", "order_count", "survey_count"} & names


ROWS = [
    order("a", "2024-04-01T03:00", "i1", 100, channel="invoice"), order("b", "2024-04-01T03:00", "i2", 100, channel="invoice"),
    event("a", "2024-04-02T10:00", "api_call", channel="product", quantity=40),
    event("a", "2024-04-03T10:00", "api_call", channel="product", quantity=2),
    event("a", "2024-04-03T10:00", "export", channel="product"),
    event("a", "2024-04-03T10:00", "subscription_started", channel="contract", quantity=12),
    event("b", "2024-04-03T10:00", "ticket", channel="phone"),
]  # fmt: skip


def built(rows):
    events = table(rows)
    plan = matrix.plan_features(matrix.Known(events), WINDOW, SETTINGS)
    return plan, matrix.build_features(matrix.Known(events), plan, WINDOW).set_index("customer_id")


def test_a_record_that_stands_for_many_counts_as_many():
    _, frame = built(ROWS)
    assert frame.api_call_count.to_dict() == {"a": 42, "b": 0}
    assert frame.export_count.to_dict() == {"a": 1, "b": 0}


def test_what_the_books_wrote_is_neither_a_channel_nor_an_hour_of_the_customer():
    plan, frame = built(ROWS)
    assert plan.channels == ("phone", "product")
    assert frame.filter(regex="^channel_").sum(axis=1).to_list() == pytest.approx([1, 1])
    assert not frame.filter(regex="weekend|morning|midday|afternoon|evening").columns.size
    _, mixed = built([*ROWS, order("a", "2024-04-05T10:00", "s1", 5)])
    assert "weekend_share" in mixed
    assert isinstance(mixed, pd.DataFrame)
