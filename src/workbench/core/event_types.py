"""The event types that the workbench understands; any other type is kept and counted under its own name."""

from __future__ import annotations

PURCHASES = ("order", "return")
WEB = ("page_view", "search", "add_to_cart", "checkout", "login")
APP = ("app_open", "offer_view", "list_add", "store_locator")
LOOKED = ("search", "offer_view", "list_add")  # of those, what shows interest in an offer
CART = ("add_to_cart", "checkout")
PRODUCT = ("feature_use", "export", "api_call", "admin_action")
WEB_OR_APP = (*WEB, *APP, *PRODUCT)
CONTRACTS = ("subscription_started", "subscription_ended", "opportunity_open", "opportunity_won", "opportunity_lost")
ASSIGNMENT = "assignment"  # to an arm (topic) of an experiment (campaign_id), drawn at random; cost is what its treatment costs
# Visits that show interest: a login or a machine's call alone does not.
ENGAGED = (
    "email_open", "email_click", "page_view", "search", "add_to_cart", "app_open", "offer_view", "list_add", "social", "feature_use",
    "export", "admin_action", "webinar_registration", "webinar_attendance",
)  # fmt: skip
# What is done to customers, or by the books, not by themselves.
NOT_OWN_ACTIONS = (
    ASSIGNMENT,
    "campaign_sent",
    "email_sent",
    "email_delivered",
    "email_bounce",
    "ad_spend",
    "survey",
    "survey_answer",
    "return",
    *CONTRACTS,
)
