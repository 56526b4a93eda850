"""One row per customer: every family's features for a window, and the outcomes of a horizon."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from workbench.core.config import Attributes, FeatureSettings
from workbench.core.engine import count_rows, fetch, fetch_row, local_times
from workbench.core.errors import InputError
from workbench.core.event_types import PURCHASES
from workbench.features import accounts, affinity, attention, engagement, habits, intent, outcomes, profile, purchases, topics
from workbench.features.catalog import Feature
from workbench.features.tally import of_kinds, tally_events
from workbench.features.window import HALVES, Window

OUTCOME_CATEGORIES = 3
EARLIEST, FIRST, SECOND = "earliest", "first", "second"
RETESTED = 2_000  # customers whose halves of the window are compared
# Units of counts that are 0 where the source exists and saw nothing of the customer.
COUNTS = ("events", "messages", "visits", "days visited", "searches", "topics", "offers", "modules", "days used")
WEEK = dt.timedelta(days=7)


def _nobody(*columns: str) -> pd.DataFrame:
    return pd.DataFrame({column: pd.Series(dtype="str") for column in columns})


@dataclass(frozen=True)
class Known:
    """Everything that ingest knows: events; customers; people of accounts; what customers wrote (with occurred_at and text).

    ids: where given, the customer_id of events is a number, a place among these (`prepared`).
    """

    events: ir.Table
    customers: pd.DataFrame = field(default_factory=lambda: _nobody("customer_id"))
    people: pd.DataFrame = field(default_factory=lambda: _nobody("customer_id"))
    texts: pd.DataFrame = field(
        default_factory=lambda: _nobody("customer_id", "text").assign(occurred_at=pd.Series(dtype="datetime64[us, UTC]"))
    )
    ids: np.ndarray | None = None

    def named(self, frame: pd.DataFrame) -> pd.DataFrame:
        """A frame from these events with the customers' own ids in place of numbers."""
        return frame if self.ids is None else frame.assign(customer_id=self.ids[frame.customer_id])


@dataclass(frozen=True)
class Plan:
    """What the sources allow: decided once, before as_of, so that every window gets the same columns.

    columns: what order lines, tickets and social posts carry. held: sensitive attributes that are not used. reaches_back: orders
    are known from the beginning of a window two horizons earlier. rivals: categories in which own brand and others are a choice.
    """

    window: Window
    settings: FeatureSettings
    names: Mapping[str, str]
    growth: Mapping[str, str]
    separator: str
    tops: Mapping[str, tuple[str, ...]]
    channels: tuple[str, ...]
    types: tuple[str, ...]
    columns: frozenset[str]
    questions: tuple[str, ...]
    topics: topics.Topics
    language: topics.Language | None
    attributes: tuple[profile.Attribute, ...]
    held: tuple[str, ...]
    has_people: bool
    reaches_back: bool
    rivals: tuple[str, ...]

    @property
    def prior(self) -> float:
        """How many average orders a share is shrunk by."""
        return self.settings.prior_orders


@dataclass(frozen=True)
class Happened:
    """The events of everybody at any time, those within a window, the window, and the plan's `rivals`."""

    events: ir.Table
    inside: ir.Table
    window: Window
    rivals: tuple[str, ...] = ()

    @functools.cached_property
    def orders(self) -> ir.Table:
        """The orders within the window."""
        return purchases.kept_orders(self.inside, self.window, self.rivals)


@dataclass(frozen=True)
class Family:
    """A family of features from events: what the plan lets it declare, and how it is computed.

    An expression, or a frame of customers where the engine's part is done; None: no source for it.
    """

    declare: Callable[[Plan], list[Feature]]
    compute: Callable[[Happened, Plan], ir.Table | pd.DataFrame | None]

    def features(self, happened: Happened, plan: Plan) -> pd.DataFrame | None:
        """customer_id + the family's features; None where no source has them."""
        part = self.compute(happened, plan)
        return fetch(part) if isinstance(part, ir.Table) else part


# In the order of the catalog. The first says who gets features at all: customers with an order in the window.
FAMILIES = (
    Family(lambda p: purchases.purchase_catalog(p.columns), lambda h, p: purchases.purchase_features(h.inside, h.orders, h.window, p.prior, "dates" in p.columns)),
    Family(lambda p: habits.habit_catalog(p.columns, p.window.days), lambda h, p: habits.habit_features(h.events, h.inside, h.orders, h.window, p.prior, p.columns, p.window.days)),
    Family(lambda p: affinity.affinity_catalog(p.tops, p.names), lambda h, p: affinity.affinity_features(h.inside, h.orders, p.tops, p.prior) if p.tops["category"] else None),
    Family(lambda p: engagement.engagement_catalog(list(p.types), p.channels), lambda h, p: engagement.engagement_features(h.inside, list(p.types), p.prior)),
    Family(lambda p: [], lambda h, p: engagement.channel_features(h.inside, p.channels, p.prior) if p.channels else None),
    Family(lambda p: intent.intent_catalog(p.types), lambda h, p: intent.intent_features(h.inside, p.types, p.prior, p.settings.search_window_days, p.settings.cart_hours)),
    Family(lambda p: attention.attention_catalog(p.types, p.columns, p.questions), lambda h, p: attention.attention_features(h.inside, h.window.days, p.types, p.columns, p.questions, p.prior)),
    Family(lambda p: topics.topic_catalog(p.topics, p.names), lambda h, p: topics.topic_features(h.inside, p.topics, p.prior)),
    Family(lambda p: accounts.account_catalog(p.types), lambda h, p: accounts.account_features(h.events, h.inside, h.window, p.types, p.prior)),
)  # fmt: skip


def plan_features(
    known: Known,
    window: Window,
    settings: FeatureSettings,
    attributes: Attributes | None = None,
    names: Mapping[str, str] | None = None,
) -> Plan:
    """Look at what was known before as_of: event types, filled columns, large categories, frequent topics, attributes.

    names: words of categories for readers.
    """
    attributes = attributes or Attributes()
    happened = window.events(known.events)
    tally = tally_events(happened)
    types, columns = sorted(tally.event_type.unique()), columns_of(tally, happened)
    counts = {"category": settings.top_categories, "subcategory": settings.top_subcategories}
    asked = happened.filter(happened.event_type == "survey_answer", happened.topic.notnull(), happened.score.notnull())
    before = known.texts[known.texts.occurred_at < window.end]
    found, held = profile.plan_profile(known.customers, known.people, attributes, settings.min_coverage)
    # what no source told by then is no column of customers
    growth = {now: before for now, before in attributes.growth.items() if {now, before} <= set(known.customers)}
    return Plan(
        window, settings, dict(names or {}), growth, attributes.separator,
        affinity.top_levels(tally, counts, names or {}),
        engagement.frequent_channels(happened, tally, settings.min_coverage), tuple(types), frozenset(columns),
        tuple(sorted(fetch(asked.select("topic").distinct()).topic)), topics.plan_topics(happened, tally, settings.min_coverage),
        topics.learn_language(before, settings.text_topics), tuple(found), tuple(held), len(known.people) > 0,
        _has_order_before(known.events, window.earlier(2 * settings.horizon_days).start + WEEK),
        purchases.own_brand_rivals(tally) if {"own_brand", "category"} <= columns else (),
    )  # fmt: skip


def _has_order_before(events: ir.Table, moment: dt.datetime) -> bool:
    orders = events.filter(events.customer_id.notnull(), events.event_type == "order", events.occurred_at <= moment)
    return count_rows(orders.limit(1)) > 0


def columns_of(tally: pd.DataFrame, happened: ir.Table) -> set[str]:
    """What order lines, tickets and social posts carry, and which of coupons and returns there are."""
    bought = of_kinds(tally, *PURCHASES)
    found = {
        **{column: bought[column].any() for column in ("item", "quantity", "cost", "own_brand")},
        "category": bought.category.notna().any(),
        "discount": (bought.groupby("event_type").discount.sum() > 0).any(),
        "clock": (~bought.channel.isin(engagement.BOOKED)).any(),
        "ticket.score": of_kinds(tally, "ticket").score.any(),
        "ticket.hours": of_kinds(tally, "ticket").duration_hours.any(),
        "social.score": of_kinds(tally, "social").score.any(),
        **{kind: len(of_kinds(tally, kind)) > 0 for kind in ("coupon_redeemed", "return")},
    }
    lines, dated = purchases.order_lines(happened), purchases.share_dated(tally, happened)
    found["hours"], found["dates"] = found["clock"] and dated < 1, dated >= purchases.DATED
    # A few lines mostly show it; where they do not, all are looked at.
    found["lines"] = any(
        count_rows(purchases.orders(some).filter(lambda t: t.lines > 1).limit(1)) for some in (lines.limit(10_000), lines)
    )
    return {column for column, is_there in found.items() if is_there}


def prepared(events: ir.Table, zone: str, customers: pd.DataFrame, people: pd.DataFrame, texts: pd.DataFrame) -> Known:
    """The same as ingest leaves them: customers' numbers in place of their longer ids, and local times."""
    known = events.filter(events.customer_number.notnull())
    there = fetch(known.group_by("customer_number").agg(customer_id=known.customer_id.arbitrary()))
    ids = np.full(int(there.customer_number.max()) + 1 if len(there) else 0, None, dtype=object)
    ids[there.customer_number] = there.customer_id
    numbered = known.mutate(customer_id=known.customer_number, local=local_times(events, "occurred_at", zone))
    return Known(numbered, customers, people, texts, ids)


def feature_declarations(plan: Plan) -> list[Feature]:
    """The features that this plan computes, in order."""
    declared = [feature for family in FAMILIES for feature in family.declare(plan)]
    declared += topics.language_catalog(plan.language)
    return declared + profile.profile_catalog(plan.attributes, plan.growth, plan.has_people)


def build_features(known: Known, plan: Plan, window: Window) -> pd.DataFrame:
    """-> frame: customer_id + one column per declared feature; customers with an order in the window, sorted.

    Counts of other activity are 0 where the source exists and saw nothing; rates without a denominator stay missing.
    """
    happened = Happened(known.events, window.events(known.events), window, plan.rivals)
    # Family by family: one query of all of them would take the engine longer to plan than to answer.
    declared = feature_declarations(plan)
    names = [f.feature for f in declared]
    from_events = joined([part for family in FAMILIES if (part := family.features(happened, plan)) is not None], names)
    others = [
        topics.language_features(known.texts, plan.language, window),
        profile.profile_features(known.customers, known.people, plan.attributes, plan.growth, plan.separator),
    ]
    frame = joined([known.named(from_events.reset_index()), *others], names)[names]
    counts = [f.feature for f in declared if f.unit in COUNTS]
    frame[counts] = frame[counts].fillna(0.0)
    return frame.reset_index()


def check_orders(ordered: int, customers: int, window: Window) -> None:
    """Raise InputError where none of the customers has an order in the window."""
    if ordered == 0:
        raise InputError(
            f"None of {customers:,} customers has an order in the {window.days} days before {window.as_of}.",
            "Features describe what customers did; of these nothing is known.",
            "set as_of to the day on which the data end, and see what `workbench check` says of their moments",
        )


def as_counted(known: Known, plan: Plan, features: pd.DataFrame) -> pd.DataFrame:
    """-> frame: customer_id + the features that shrinkage changes, as they were counted; missing where there is nothing to share.

    To tell people with: the mean of shrunk shares lies nearer to everybody's than what a segment does, the more so the fewer orders
    it has. To learn from, the features are better: one purchase is no passion.
    """
    plain = replace(plan, settings=plan.settings.model_copy(update={"prior_orders": 0.0}))
    shrunk = features.set_index("customer_id")
    counted = build_features(known, plain, plan.window).set_index("customer_id").reindex(shrunk.index)
    drawn = [name for name in counted if not counted[name].equals(shrunk[name])]
    return counted[drawn].where(np.isfinite(counted[drawn])).reset_index()


def joined(parts: list[pd.DataFrame], names: list[str]) -> pd.DataFrame:
    """Frames with customer_id -> one of the columns `names`, indexed by the sorted customers of the first part."""
    buyers, wanted, frames = pd.Index(parts[0].customer_id).sort_values(), set(names), []
    for part in parts:
        frame = part.set_index("customer_id")
        frames.append(frame.drop(columns=[c for c in frame if c not in wanted]).reindex(buyers))
    return pd.concat(frames, axis=1).astype("float64")


def build_outcomes(known: Known, plan: Plan, horizon: Window, customers: pd.Series) -> pd.DataFrame:
    """-> frame: customer_id + future_* columns, one row per given customer; no event means no spend, not missing."""
    categories = list(plan.tops["category"][:OUTCOME_CATEGORIES])
    found = known.named(fetch(outcomes.outcome_table(horizon.events(known.events), categories, set(plan.columns), plan.types)))
    frame = pd.DataFrame({"customer_id": customers}).merge(found, on="customer_id", how="left")
    zero = [c for c in outcomes.COUNTS if c in frame]
    frame[zero] = frame[zero].fillna(0.0)
    frame.insert(3, "future_active", (frame.future_orders > 0).astype(float))
    return frame.sort_values("customer_id", ignore_index=True)


def horizon_after(window: Window, days: int) -> Window:
    """The `days` that begin on the window's as_of."""
    return replace(window.earlier(-days), days=days)


def build_learning_tables(known: Known, plan: Plan, customers: pd.Series) -> dict[str, pd.DataFrame]:
    """-> features and outcomes of the windows of `learning_windows`, stacked, told apart by the column `slice`.

    Outcomes belong to the earlier slices only and end at as_of; customers limits the rows to known customers.
    """
    features, outcomes_then = [], []
    for name, window in learning_windows(plan).items():
        frame = build_features(_some(known) if name in (FIRST, SECOND) else known, plan, window)
        frame = frame[frame.customer_id.isin(customers)].reset_index(drop=True)
        features.append(frame.assign(slice=name))
        if name.endswith("earlier") or name == EARLIEST:
            horizon = horizon_after(window, plan.settings.horizon_days)
            outcomes_then.append(build_outcomes(known, plan, horizon, frame.customer_id).assign(slice=name))
    return {"features": pd.concat(features, ignore_index=True), "outcomes": pd.concat(outcomes_then, ignore_index=True)}


def _some(known: Known) -> Known:
    """About RETESTED customers' events: enough to see what lasts, for that decides nothing."""
    step = 1 if known.ids is None else max(1, len(known.ids) // RETESTED)
    return replace(known, events=known.events.filter(known.events.customer_id % step == 0)) if step > 1 else known


def slice_of(stacked: pd.DataFrame, name: str) -> pd.DataFrame:
    """One slice of a stacked table, without the column `slice`."""
    return stacked[stacked.slice == name].drop(columns="slice").reset_index(drop=True)


def outcomes_if_reached(known: Known, plan: Plan, customers: pd.Series) -> pd.DataFrame | None:
    """What the horizon after as_of brought, or None where orders end more than a week before the horizon does."""
    horizon = horizon_after(plan.window, plan.settings.horizon_days)
    orders = purchases.order_lines(horizon.events(known.events))
    last = fetch_row(orders.agg(days_left=orders.days_ago.min()))["days_left"]
    return build_outcomes(known, plan, horizon, customers) if last is not None and last <= 7 else None


def build_later(known: Known, plan: Plan, customers: pd.Series) -> pd.DataFrame:
    """Features as of one horizon after as_of, of known customers: they judge a forecast, and nothing is learned from them."""
    later = build_features(known, plan, plan.window.earlier(-plan.settings.horizon_days))
    return later[later.customer_id.isin(customers)].reset_index(drop=True)


def learning_windows(plan: Plan) -> dict[str, Window]:
    """The windows that learning, replication and the scorecard need.

    earlier: one horizon before; earliest: two, where events reach back far enough for it to compare; odd, even: those weeks of today's window, *_earlier of the earlier one;
    first, second: the halves of today's window, one after the other (some customers).
    """
    days = plan.settings.horizon_days
    windows = {"earlier": plan.window.earlier(days)}
    if plan.reaches_back:
        windows[EARLIEST] = plan.window.earlier(2 * days)
    for half in HALVES:
        windows[half] = replace(plan.window, half=half)
        windows[f"{half}_earlier"] = replace(windows["earlier"], half=half)
    half_days = plan.window.days // 2
    return windows | {
        FIRST: replace(plan.window.earlier(half_days), days=half_days),
        SECOND: replace(plan.window, days=half_days),
    }
