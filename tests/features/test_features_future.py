"""Nothing from as_of on is seen, by any feature of any family: every kind of source at once, every kind of change to the future."""

import dataclasses
import datetime as dt
import functools
import random
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from feature_events import (
    LATER_TURNS,
    RICH_CUSTOMERS,
    RICH_SETTINGS,
    RICH_WINDOW,
    RICH_ZONE,
    TURNS,
    rich_events,
    rich_people,
    rich_texts,
    table,
)
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from workbench.core import event_types
from workbench.core.config import Attributes
from workbench.core.engine import fetch
from workbench.features import clv, decline, matrix, survival

# Planning the queries of all families costs seconds, whatever the number of rows: few, large examples and no shrinking.
one = settings(
    max_examples=1,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
)
BEGIN, END = RICH_WINDOW.start - dt.timedelta(days=200), RICH_WINDOW.end
ATTRIBUTES = Attributes(growth={"headcount": "headcount_year_ago"})


# -- the company -------------------------------------------------------------------------------------------------------


@functools.cache
def past():
    """Events and texts before as_of."""
    chance = random.Random(4)
    rows = rich_events(chance, 3_000, BEGIN, END, turns=TURNS)
    return rows, rich_texts(chance, 200, BEGIN, END)


@functools.cache
def future():
    """The same company after as_of: events and texts, with customers, types, categories and words that nobody knew."""
    chance = random.Random(5)
    customers = (*RICH_CUSTOMERS, "a new one")
    rows = rich_events(chance, 800, END, END + dt.timedelta(days=120), customers, LATER_TURNS)
    rows += [row | {"event_type": "a new type", "channel": "a new channel", "category": "A new category"} for row in rows[:10]]
    texts = rich_texts(chance, 100, END, END + dt.timedelta(days=120), customers)
    return rows, pd.concat([texts, texts.head(20).assign(text="drones hover outside")], ignore_index=True)


def changed(rows, seed):
    """Some of the rows taken out, some moved, some given to other customers, some with other figures; all stay in the future."""
    chance, made = random.Random(seed), []
    for row in rows:
        match chance.randrange(5):
            case 0:
                continue
            case 1:
                row = row | {
                    "occurred_at": chance.choice([*LATER_TURNS, END, END + dt.timedelta(minutes=chance.randrange(10**6))])
                }
            case 2:
                row = row | {
                    "customer_id": chance.choice(RICH_CUSTOMERS),
                    "amount": Decimal(10**6),
                    "discount": Decimal(10**5),
                    "score": 0.0,
                }
            case 3:
                row = row | {
                    "event_type": chance.choice(rows)["event_type"],
                    "topic": "unheard of",
                    "item": "new",
                    "quantity": Decimal(999),
                }
        made.append(row)
    return made


def known(rows, texts):
    customers, people = rich_people()
    return matrix.Known(table(rows), customers, people, texts)


def by_numbers(rows, texts):
    customers, people = rich_people()
    return matrix.prepared(table(rows), RICH_ZONE, customers, people, texts)


def planned(company):
    return matrix.plan_features(company, RICH_WINDOW, RICH_SETTINGS, ATTRIBUTES)


def told(company):
    """Everything that is said of customers by as_of: plan, features, declines, order histories, spells under contract."""
    plan, as_of = planned(company), RICH_WINDOW.as_of
    others = {
        "declines": decline.decline_table(company.events, dataclasses.replace(RICH_WINDOW, days=84)),
        "histories": clv.order_history(company.events, as_of, RICH_ZONE),
        "spells": survival.contract_spells(company.events, as_of, RICH_ZONE),
    }
    frames = {name: company.named(fetch(found)) for name, found in others.items()}
    frames = {name: f.sort_values([*f.columns[:2]], ignore_index=True) for name, f in frames.items()}
    return plan, {"features": matrix.build_features(company, plan, RICH_WINDOW), **frames}


@functools.cache
def told_by_then():
    return told(known(*past()))


def assert_same(found, expected):
    """Plans and frames are the same to the last bit."""
    for one, other in ((found[0], expected[0]), (found[0].language, expected[0].language)):
        for field in dataclasses.fields(one):
            left, right = getattr(one, field.name), getattr(other, field.name)
            if isinstance(left, np.ndarray):
                np.testing.assert_array_equal(left, right, err_msg=field.name)
            elif field.name != "language":
                assert left == right, field.name
    for name, frame in expected[1].items():
        pd.testing.assert_frame_equal(found[1][name], frame, check_exact=True, obj=name)


# -- what the tests below would miss -----------------------------------------------------------------------------------


def test_every_family_has_features_here_so_that_none_escapes_the_tests_below():
    """Who adds a family adds events for it to feature_events.rich_event."""
    company, (plan, frames) = known(*past()), told_by_then()
    declared = {f.feature for f in matrix.feature_declarations(plan)}
    happened = matrix.Happened(company.events, RICH_WINDOW.events(company.events), RICH_WINDOW)
    for place, family in enumerate(matrix.FAMILIES):
        computed = family.compute(happened, plan)
        assert computed is not None, f"family {place} has nothing to compute from"
        assert declared & set(computed.columns), f"family {place} computes no declared feature"
    constants = (value for name, value in vars(event_types).items() if name.isupper())
    assert {kind for kinds in constants for kind in ([kinds] if isinstance(kinds, str) else kinds)} <= set(plan.types)
    features = frames["features"].drop(columns="customer_id")
    assert declared == set(features)
    assert not features.columns[features.isna().all()].tolist()
    assert not features.columns[features.nunique() < 2].tolist()
    assert plan.language is not None
    assert any(attribute.of_people for attribute in plan.attributes)
    assert all(len(frame) for frame in frames.values())


def test_growth_of_an_attribute_that_no_source_told_by_then_is_no_feature():
    company = known(*past())
    young = dataclasses.replace(company, customers=company.customers.drop(columns="headcount_year_ago"))
    assert planned(company).growth == {"headcount": "headcount_year_ago"}
    plan = planned(young)
    assert "headcount_growth" not in matrix.build_features(young, plan, RICH_WINDOW)


@pytest.mark.slow
def test_a_later_day_would_tell_other_features_of_every_kind():
    """The future that is drawn would show if it were seen."""
    rows, texts = ([*past()[0], *future()[0]], pd.concat([past()[1], future()[1]], ignore_index=True))
    plan, frames = told_by_then()
    then = frames["features"].set_index("customer_id")
    later = matrix.build_features(known(rows, texts), plan, RICH_WINDOW.earlier(-60)).set_index("customer_id")
    both = then.index.intersection(later.index)
    moved = {name for name in then if not np.array_equal(then.loc[both, name], later.loc[both, name], equal_nan=True)}
    of_customers = {f.feature for f in matrix.profile.profile_catalog(plan.attributes, plan.growth, plan.has_people)}
    assert moved == set(then) - of_customers


# -- the future --------------------------------------------------------------------------------------------------------


def assert_unseen(rows, texts):
    company = known([*rows, *past()[0]], pd.concat([texts, past()[1]], ignore_index=True))
    assert_same(told(company), told_by_then())


def altered(seed):
    """The future of that seed: events and texts removed, moved and altered."""
    rows, texts = future()
    return changed(rows, seed), texts.sample(frac=0.5, random_state=seed).assign(occurred_at=END)


@one
@given(st.integers(0, 2**32 - 1))
def test_no_feature_sees_the_future(seed):
    assert_unseen(*altered(seed))


@pytest.mark.slow
@settings(one, max_examples=8)
@given(st.integers(0, 2**32 - 1))
def test_no_feature_sees_any_of_many_futures(seed):
    assert_unseen(*altered(seed))


@pytest.mark.slow
def test_no_feature_sees_the_future_as_it_came():
    assert_unseen(*future())


@pytest.mark.slow
def test_no_learning_window_sees_the_future():
    """Eight windows and their outcomes, all of them over by as_of."""
    plan, customers = told_by_then()[0], rich_people()[0].customer_id
    rows, texts = past()
    alone = matrix.build_learning_tables(by_numbers(rows, texts), plan, customers)
    rows, texts = [*future()[0], *rows], pd.concat([future()[1], texts], ignore_index=True)
    followed = matrix.build_learning_tables(by_numbers(rows, texts), plan, customers)
    for name, frame in alone.items():
        pd.testing.assert_frame_equal(followed[name], frame, check_exact=True, obj=name)


# -- what must not matter ----------------------------------------------------------------------------------------------


def test_the_order_of_rows_never_shows():
    rows, texts = past()
    shuffled = random.Random(0).sample(rows, len(rows))
    assert_same(told(known(shuffled, texts.sample(frac=1, random_state=0, ignore_index=True))), told_by_then())


def test_numbers_for_ids_and_local_times_kept_ready_change_nothing():
    rows, texts = past()
    prepared = by_numbers([*rows, *future()[0]], texts)
    assert prepared.ids is not None
    assert_same(told(prepared), told_by_then())
