"""Families beyond purchases: habits, intent, attention, topics, accounts and profile, each on events small enough to check by hand."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from feature_events import AS_OF, WINDOW, ZONE, event, inside, order, table
from sklearn.metrics import adjusted_mutual_info_score

from workbench.core.config import Attributes
from workbench.core.engine import fetch
from workbench.features import accounts, attention, habits, intent, profile, topics
from workbench.features.tally import tally_events
from workbench.features.window import Window


def computed(expression):
    return fetch(expression).set_index("customer_id")


# -- habits --------------------------------------------------------------------------------------------------------------


def test_tenure_counts_from_the_first_order_ever_known():
    events = table(
        [
            order("a", "2023-04-15T10:00", "o0", 1),
            order("a", "2024-04-10T10:00", "o1", 1),
            order("a", "2024-04-20T10:00", "o2", 1),
        ]
    )
    assert computed(habits.tenure(events, WINDOW)).tenure_days["a"] == 366  # a leap year lies between


def test_an_item_bought_again_in_a_later_order_is_a_repurchase():
    rows = [order("a", "2024-04-01T10:00", "o1", 5, item="milk"), order("a", "2024-04-01T10:00", "o1", 5, item="milk"),
            order("a", "2024-04-02T10:00", "o2", 5, item="milk"), order("a", "2024-04-03T10:00", "o3", 5, item="bread"),
            order("b", "2024-04-03T10:00", "o4", 5, item="tea")]  # fmt: skip
    found = computed(habits.habit_features(table(rows), *inside(rows), WINDOW, 0.0, frozenset({"item"}), 42))
    assert found.item_count.to_dict() == {"a": 2, "b": 1}
    assert found.repurchase_share.to_dict() == {"a": 0.25, "b": 0}


def test_the_price_tier_ranks_items_within_their_category_by_what_was_spent_on_them():
    rows = [order("a", "2024-04-01T10:00", "o1", 10, "X", item="dear", quantity=1), order("b", "2024-04-01T10:00", "o2", 4, "X", item="cheap", quantity=4),
            order("c", "2024-04-01T10:00", "o3", 10, "X", item="dear", quantity=1), order("c", "2024-04-01T10:00", "o3", 10, "X", item="cheap", quantity=10)]  # fmt: skip
    columns = frozenset({"item", "quantity", "category"})
    found = computed(habits.habit_features(table(rows), *inside(rows), WINDOW, 0.0, columns, 42))
    assert found.price_tier.to_dict() == {"a": 1.0, "b": 0.0, "c": 0.5}


def test_prices_of_different_units_tell_no_tier():
    """Fuel by the millilitre beside a car wash by the piece: who buys fuel does not choose cheap items."""
    rows = [order("a", "2024-04-01T10:00", "f1", 30, "FUEL", item="petrol", quantity=12_000), order("b", "2024-04-01T10:00", "f2", 18, "FUEL", item="wash", quantity=1)]  # fmt: skip
    rows += [order(who, "2024-04-02T10:00", f"{who}{item}", 5, "X", item=item, quantity=count) for who in "ab" for item, count in (("dear", 1), ("cheap", 4))]  # fmt: skip
    columns = frozenset({"item", "quantity", "category"})
    found = computed(habits.habit_features(table(rows), *inside(rows), WINDOW, 0.0, columns, 42))
    assert found.price_tier.to_dict() == {"a": 0.5, "b": 0.5}


def test_margins_count_only_lines_whose_cost_is_known():
    rows = [order("a", "2024-04-01T10:00", "o1", 10, cost=6), order("a", "2024-04-02T10:00", "o2", 50)]
    found = computed(habits.habit_features(table(rows), *inside(rows), WINDOW, 0.0, frozenset({"cost"}), 42))
    assert found.margin["a"] == 4
    assert found.margin_rate["a"] == pytest.approx(0.4)


def test_overdue_is_the_silence_in_own_rhythms_and_unknown_after_one_order():
    rows = [
        order("a", "2024-03-30T10:00", "o1", 10),
        order("a", "2024-04-05T10:00", "o2", 10),
        order("b", "2024-04-05T10:00", "o3", 10),
    ]
    found = computed(habits.habit_features(table(rows), *inside(rows), WINDOW, 5.0, frozenset(), 42))
    assert found.overdue_ratio["a"] == pytest.approx(10 / 6)
    assert np.isnan(found.overdue_ratio["b"])


def test_seasons_are_told_only_where_the_window_saw_all_four():
    assert not any(f.family == "season" for f in habits.habit_catalog(frozenset(), 182))
    year = Window(AS_OF, 366, ZONE)
    rows = [order("a", "2023-07-01T10:00", "o1", 10), order("a", "2023-12-24T10:00", "o2", 10)]
    found = computed(habits.habit_features(table(rows), *inside(rows, year), year, 0.0, frozenset(), 366))
    assert found.loc["a", ["spring_share", "summer_share", "autumn_share", "winter_share"]].tolist() == [0, 0.5, 0, 0.5]


# -- intent --------------------------------------------------------------------------------------------------------------


def seen(*rows, prior=0.0, types=("add_to_cart", "checkout", "order", "page_view", "search"), hours=24):
    return computed(intent.intent_features(WINDOW.events(table(rows)), types, prior, 14, hours))


def test_half_an_hour_of_silence_ends_a_visit():
    found = seen(
        *[event("a", f"2024-04-02T{t}", "page_view", channel="web") for t in ("10:00", "10:29", "10:59", "11:30")],
        event("a", "2024-04-02T10:10", "app_open", channel="app"),
    )
    assert found.visit_count["a"] == 3  # two on the website, one in the app
    assert found.visit_days["a"] == 1
    assert found.actions_per_visit["a"] == pytest.approx(5 / 3)


def test_a_cart_is_abandoned_when_no_order_follows_in_time():
    cart = [event("a", f"2024-04-0{d}T10:00", "add_to_cart", channel="web") for d in (1, 5, 8)]
    found = seen(
        *cart,
        order("a", "2024-04-01T12:00", "o1", 5),
        order("a", "2024-04-06T11:00", "o2", 5),
        event("a", "2024-04-08T10:00", "checkout", channel="web"),
    )
    assert found.cart_abandon_share["a"] == pytest.approx(1 / 3)  # answered after 2 and 0 hours, once only after 25


def test_browsing_is_answered_by_an_order_of_the_next_seven_days():
    looks = [event("a", f"2024-04-{d:02d}T10:00", "page_view", channel="web") for d in (1, 3, 10)]
    found = seen(*looks, order("a", "2024-04-09T12:00", "o1", 5))
    assert found.browse_only_share["a"] == pytest.approx(2 / 3)  # the 3rd is answered; the 1st is 8 days before, the 10th after


def test_only_recent_searches_count_and_other_things_searched_for():
    rows = [
        event("a", f"2024-04-{d:02d}T10:00", "search", channel="web", topic=t) for d, t in ((2, "tea"), (3, "tea"), (4, "jam"))
    ]
    found = seen(*rows, event("a", "2024-03-05T10:00", "search", channel="web", topic="old"))
    assert (found.recent_searches["a"], found.search_topics["a"]) == (3, 2)


# -- attention -----------------------------------------------------------------------------------------------------------


def test_engaged_passive_and_dormant_in_email_and_unknown_without_any():
    mails = [event(c, "2024-03-10T08:00", "email_delivered", channel="email") for c in "epd"]
    opens = [event("e", "2024-04-10T08:00", "email_open", channel="email"), event("p", "2024-03-10T09:00", "email_open", channel="email"),
             event("d", "2024-04-10T09:00", "email_open", channel="email", machine=True), event("n", "2024-04-10T09:00", "app_open")]  # fmt: skip
    happened = WINDOW.events(table([*mails, *opens]))
    found = computed(
        attention.attention_features(happened, 42, ("app_open", "email_delivered", "email_open"), frozenset(), (), 0.0)
    )
    assert found.email_engaged.fillna(-1).to_dict() == {"e": 1, "p": 0, "d": 0, "n": -1}
    assert found.email_dormant.fillna(-1).to_dict() == {"e": 0, "p": 0, "d": 1, "n": -1}
    assert found.days_since_email["e"] == 5


def test_answers_are_means_per_question_and_missing_for_who_was_not_asked():
    rows = [event("a", "2024-04-01T08:00", "survey_answer", topic="price matters", score=s) for s in (2.0, 5.0)]
    happened = WINDOW.events(table([*rows, event("b", "2024-04-01T08:00", "app_open")]))
    found = computed(attention.attention_features(happened, 42, ("survey_answer",), frozenset(), ("price matters",), 5.0))
    assert found.answer_price_matters["a"] == 3.5
    assert np.isnan(found.answer_price_matters["b"])


def test_sentiment_of_one_post_is_no_conviction():
    rows = [
        event("a", "2024-04-01T08:00", "social", score=1.0),
        *[event("b", f"2024-04-0{d}T08:00", "social", score=0.0) for d in range(1, 10)],
    ]
    found = computed(
        attention.attention_features(WINDOW.events(table(rows)), 42, ("social",), frozenset({"social.score"}), (), 5.0)
    )
    assert found.social_sentiment["a"] == pytest.approx((1 + 5 * 0.1) / 6)


# -- topics ----------------------------------------------------------------------------------------------------------------


def messages(seed=0, writers=240):
    """Messages of three planted topics in several wordings, with a name that only one customer uses."""
    generator = np.random.default_rng(seed)
    planted = {
        "delivery": [
            "The parcel arrived two hours late",
            "My delivery came late and the parcel was wet",
            "Late parcel again, delivery is slow",
        ],
        "price": [
            "I was charged more than the label said",
            "The price on the label was lower than charged",
            "Wrong price charged at the register",
        ],
        "app": ["The app closes when I sign in", "Cannot sign in since the app update", "After the update the app crashes"],
    }
    rows = []
    for i in range(writers):
        topic = list(planted)[generator.integers(3)]
        rows.append((f"c{i:03d}", topic, planted[topic][generator.integers(3)] + (" says Zephyrine" if i == 0 else "")))
    frame = pd.DataFrame(rows, columns=["customer_id", "planted", "text"])
    return frame.assign(occurred_at=pd.Timestamp("2024-04-01", tz="UTC"))


def test_planted_topics_are_found_in_what_customers_write():
    texts = messages()
    language = topics.learn_language(texts, 3)
    about = topics.read_topics(texts.text, language)
    assert adjusted_mutual_info_score(texts.planted, about.argmax(axis=1)) > 0.9
    assert all(len(name.split(", ")) == 3 for name in language.names)


def test_no_topic_has_a_word_that_few_customers_use():
    language = topics.learn_language(messages(), 3)
    assert "zephyrine" not in language.vocabulary
    assert not any("zephyrine" in name for name in language.names)


def test_topics_do_not_depend_on_the_order_of_messages_or_on_how_often_one_is_sent():
    texts = messages()
    one, other = topics.learn_language(texts, 3), topics.learn_language(texts.sample(frac=1, random_state=1), 3)
    assert one.names == other.names
    np.testing.assert_array_equal(one.weights, other.weights)


def test_too_few_messages_are_no_language():
    assert topics.learn_language(messages(writers=20), 3) is None
    assert topics.language_catalog(None) == []


def test_messages_outside_the_window_say_nothing():
    texts = messages()
    language = topics.learn_language(texts, 3)
    assert len(topics.language_features(texts, language, WINDOW)) == texts.customer_id.nunique()
    late = texts.assign(occurred_at=pd.Timestamp(WINDOW.end))
    assert topics.language_features(late, language, WINDOW).empty


def test_needs_and_interests_are_those_that_are_talked_of():
    rows = [event(c, "2024-04-01T08:00", "ticket", topic=t) for c, t in (("a", "late"), ("a", "late"), ("b", "price"))]
    rows += [
        event("a", "2024-04-01T09:00", "email_click", topic="recipes"),
        event("b", "2024-04-01T09:00", "email_click", topic="offers"),
    ]
    happened = WINDOW.events(table(rows))
    planned = topics.plan_topics(happened, tally_events(happened), 0.05)
    found = computed(topics.topic_features(happened, planned, 0.0))
    assert found.ticket_about_late_count.to_dict() == {"a": 2, "b": 0}
    assert found.content_recipes_share.to_dict() == {"a": 1, "b": 0}


# -- accounts --------------------------------------------------------------------------------------------------------------

DEALS = [
    event("a", "2023-01-01T08:00", "subscription_started", quantity=10, amount=100),
    event("a", "2024-04-01T08:00", "subscription_started", quantity=30, amount=300),
    event("b", "2024-03-20T08:00", "subscription_started", quantity=5, amount=50),
    event("b", "2024-04-01T08:00", "subscription_ended", quantity=5, amount=50),
    event("a", "2024-04-02T08:00", "opportunity_open", order_id="p1"),
    event("a", "2024-04-03T08:00", "opportunity_won", order_id="p1"),
    event("b", "2024-04-02T08:00", "opportunity_open", order_id="p2"),
    event("c", "2024-04-02T08:00", "webinar_attendance"),
    *[event("a", f"2024-04-0{d}T08:00", "feature_use", topic=t) for d, t in ((1, "crm"), (2, "crm"), (2, "mail"))],
]  # fmt: skip
TYPES = ("feature_use", "opportunity_open", "opportunity_won", "subscription_ended", "subscription_started", "webinar_attendance")


def test_contracts_offers_use_and_stage_of_an_account():
    events = table(DEALS)
    found = computed(accounts.account_features(events, WINDOW.events(events), WINDOW, TYPES, 0.0))
    assert found.seats.fillna(-1).to_dict() == {"a": 40, "b": 0, "c": -1}
    assert found.recurring_revenue["a"] == 400
    assert found.seat_growth["a"] == pytest.approx(30 / 50)
    assert found.open_offers.fillna(-1).to_dict() == {"a": 0, "b": 1, "c": -1}
    assert found.module_count["a"] == 2
    assert found.use_per_seat["a"] == pytest.approx(3 / 40)
    stages = found[["stage_customer", "stage_evaluating", "stage_interested"]]
    assert stages.loc["a"].tolist() == [1, 0, 0]
    assert stages.loc["b"].tolist() == [0, 1, 0]
    assert stages.loc["c"].tolist() == [0, 0, 1]


# -- profile ---------------------------------------------------------------------------------------------------------------

CUSTOMERS = pd.DataFrame(
    {
        "customer_id": list("abcd"), "kind": "b2b", "income_band": ["35-49K", "Under 15K", "50-74K", None], "age_band": ["65+", "19-24", "25-34", None],
        "revenue_band": ["2 to 10 million", "over 50 million", "under 2 million", None], "technologies": ["erp|help desk", "erp", "crm", None],
        "headcount": ["120", "80", "100", None], "headcount_year_ago": ["100", "100", "0", None], "hiring": ["yes", "no", "yes", None],
    }
)  # fmt: skip
PEOPLE = pd.DataFrame(
    {"person_id": ["p", "q", "r"], "customer_id": ["a", "a", "b"], "records": 1, "buying_role": ["champion", "user", "user"]}
)
SETTINGS = Attributes(growth={"headcount": "headcount_year_ago"})


def profiled(settings=SETTINGS):
    attributes, held = profile.plan_profile(CUSTOMERS, PEOPLE, settings, 0.05)
    growth = dict(settings.growth)
    frame = profile.profile_features(CUSTOMERS, PEOPLE, attributes, growth, settings.separator).set_index("customer_id")
    assert set(frame.columns) == {f.feature for f in profile.profile_catalog(attributes, growth, True)}
    return frame, held


def test_attributes_become_numbers_and_what_is_unknown_stays_missing():
    frame, _ = profiled()
    assert frame.revenue_band.tolist()[:3] == [1, 2, 0]  # their place among the bands
    assert frame.headcount_growth.tolist()[:2] == pytest.approx([0.2, -0.2])
    assert np.isnan(frame.headcount_growth["c"])  # grown from nothing is no rate
    assert frame.hiring.tolist()[:3] == [1, 0, 1]
    assert frame.technologies_erp.tolist()[:3] == [1, 1, 0]
    assert frame.loc["d"].isna().all()
    assert frame.people_buying_role_champion.tolist()[:2] == [1, 0]
    assert frame.people_count.tolist()[:2] == [2, 1]


def test_sensitive_attributes_are_used_only_where_the_configuration_names_them():
    frame, held = profiled()
    assert sorted(held) == ["age_band", "income_band"]
    assert not {"age_band", "income_band"} & set(frame)
    allowed, held = profiled(Attributes(sensitive=("income_band",), growth=SETTINGS.growth))
    assert held == ["age_band"]
    assert allowed.income_band.tolist()[:3] == [1, 0, 2]


@pytest.mark.parametrize("strength, low, high", [(3.0, 0.9, 1.0), (0.0, 0.4, 0.6)])
def test_a_proxy_is_told_by_how_well_the_features_give_it_away(strength, low, high):
    generator = np.random.default_rng(0)
    old = generator.random(600) < 0.5
    customers = pd.DataFrame({"customer_id": [f"c{i}" for i in range(600)], "age_band": np.where(old, "65+", "19-24")})
    features = pd.DataFrame(
        {"customer_id": customers.customer_id, "x": generator.normal(size=600) + strength * old, "y": generator.normal(size=600)}
    )
    found = profile.proxy_check(features, customers, ["age_band", "not_there"]).iloc[0]
    assert low < found.auc < high
    assert found.ci_low < found.auc < found.ci_high


def test_a_window_takes_the_moment_it_begins_and_not_the_one_it_ends():
    texts = pd.DataFrame(
        {"occurred_at": pd.to_datetime([WINDOW.start, WINDOW.end], utc=True), "text": ["in", "out"], "customer_id": ["a", "a"]}
    )
    assert topics.in_window(texts, WINDOW).text.tolist() == ["in"]
    assert topics.days_ago(texts.occurred_at, WINDOW).tolist() == [42, 0]
    assert isinstance(AS_OF, dt.date)
