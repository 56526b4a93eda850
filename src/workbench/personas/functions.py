"""One page per function of the company: what marketing, sales, service and product do for each segment."""

from __future__ import annotations

import numpy as np
import pandas as pd

# What a type of buyer is high (+1) or low (-1) in; its score is the mean effect size on that side over the features a run has, each counted
# as 1 at most: one strong effect alone makes no type, and where a run has but one of the features there is none.
ARCHETYPES = {
    "bargain hunter": {"discount_share": 1, "own_brand_share": 1, "coupon_redeemed_count": 1, "price_tier": -1, "line_value": -1},
    "quality buyer": {"price_tier": 1, "line_value": 1, "margin_rate": 1, "discount_share": -1, "own_brand_share": -1},
    "convenience seeker": {"lines_per_order": 1, "aov": 1, "order_count": -1, "checkout_count": 1, "list_add_count": 1},
}
TIERS = {"bargain hunter": "value", "quality buyer": "premium"}
MARKED = 0.2  # an effect below says nothing
TYPICAL, AHEAD = 0.3, 0.1  # a type is told from such a mean effect on, and so far ahead of the next type
FUNCTIONS = ("marketing", "sales", "service", "product")


def score_archetypes(compared: pd.DataFrame) -> pd.DataFrame:
    """All comparisons -> segment_id, one column per archetype (mean effect size), archetype, price_tier.

    archetype: mixed below 0.3, or where two types are within 0.1. price_tier (value, standard, premium) is where a first price test belongs; no willingness to pay is measured by it.
    """
    wide = compared.pivot(index="segment_id", columns="feature", values="effect_size")
    scores = pd.DataFrame({name: _mean_effect(wide, signs) for name, signs in ARCHETYPES.items()}, index=wide.index)
    ranked = np.sort(scores.fillna(-np.inf).to_numpy(), axis=1)
    is_clear = (ranked[:, -1] >= TYPICAL) & (ranked[:, -1] - ranked[:, -2] >= AHEAD)
    best = scores.fillna(-np.inf).idxmax(axis=1).where(is_clear, "mixed")
    tier = best.map(TIERS).fillna("standard")
    return scores.assign(archetype=best, price_tier=tier).astype({"archetype": "str", "price_tier": "str"}).reset_index()


def _mean_effect(wide: pd.DataFrame, signs: dict[str, int]) -> pd.Series:
    here = [feature for feature in signs if feature in wide]
    if len(here) < 2:
        return pd.Series(0.0, wide.index)
    return (wide[here].fillna(0.0).clip(-1, 1) * pd.Series(signs)[here]).mean(axis=1).fillna(0.0)


def unmet_needs(drivers: pd.DataFrame, quotes: pd.DataFrame, compared: pd.DataFrame, catalog: pd.DataFrame) -> pd.Series:
    """segment_id -> needs in words: frustrations told, the topic written about most where members surely do so more than everybody, also for
    the orders that they make, and goods looked at online more than others but bought no more than others."""
    needs: dict[int, list[str]] = {}
    for row in drivers[drivers.aspect == "frustration"].itertuples():
        needs.setdefault(row.segment_id, []).append(row.claim)
    orders = compared[compared.feature == "order_count"].set_index("segment_id")
    occasions = quotes.segment_id.map(orders.value / orders.base).fillna(1.0)  # who orders more often has more to write about
    for row in quotes[quotes.ci_low > quotes.base * np.maximum(occasions, 1)].itertuples():
        needs.setdefault(row.segment_id, []).append(
            f"{row.topic} ({row.share:.0%} of members wrote, all customers {row.base:.0%})"
        )
    for segment, noun in _looked_at_not_bought(compared, catalog):
        needs.setdefault(segment, []).append(f"{noun}, and buy no more of it")
    return pd.Series({segment: "; ".join(told) for segment, told in needs.items()}, dtype="str")


def _looked_at_not_bought(compared: pd.DataFrame, catalog: pd.DataFrame) -> list[tuple[int, str]]:
    """(segment, "look at … products online") where the browsed share is surely high and the bought share is not."""
    low = compared.set_index(["segment_id", "feature"]).ci_low
    words = catalog.set_index("feature").high
    found = []
    for segment, feature in low.index[low > MARKED]:
        bought = feature.replace("browsed_", "category_", 1)
        if feature.startswith("browsed_") and (segment, bought) in low.index and low[segment, bought] <= 0:
            found.append((segment, words[feature]))
    return found


def function_pages(
    quality: pd.DataFrame, drivers: pd.DataFrame, plan: pd.DataFrame, products: pd.DataFrame, journey: pd.DataFrame,
    labels: pd.Series, types: pd.DataFrame, needs: pd.Series, picks: pd.DataFrame,
) -> pd.DataFrame:  # fmt: skip
    """What is known of segments -> table function_playbook: function, segment_id, what, text; no text is empty.

    labels: segment_id by customer_id, for the number of VIPs in `journey`; types: see `score_archetypes`; needs: see `unmet_needs`; picks: what
    each customer is recommended (see `personal.pick_table`).
    """
    busiest = (
        plan[plan.stage != "acquisition"].sort_values("customers", ascending=False, kind="stable").drop_duplicates("segment_id")
    )
    busiest, types = busiest.set_index("segment_id"), types.set_index("segment_id")
    picks = picks.assign(segment_id=picks.customer_id.map(labels))
    vips = journey.assign(segment_id=journey.customer_id.map(labels)).groupby("segment_id").vip.sum()
    rows = []
    for segment in quality.itertuples(index=False):
        number, cell = segment.segment_id, busiest.loc[segment.segment_id]
        mine, kind = drivers[drivers.segment_id == number], types.loc[number]
        next_ = products[products.segment_id == number]
        rows += [(function, number, what, text) for function, what, text in (
            ("marketing", "who", _claims(mine, "apart" if mine.aspect.eq("apart").any() else "channel")),
            ("marketing", "where most stand", f"{cell.stage}, {cell.customers:,} customers: {cell.treatment} (today: {cell.running})"),
            ("marketing", "message", f"{cell.message} [needs a human edit]"),
            ("marketing", "channels and content", _claims(mine, "channel", "content")),
            ("sales", "VIPs", f"{vips.get(number, 0):,} of {segment.size:,} (a VIP is among the top 5 % of all by revenue)"),
            ("sales", "type of buyer", kind.archetype),
            ("sales", "price tier to test first", kind.price_tier),
            ("sales", "buy more than others", _goods(next_)),
            ("sales", "to recommend", _recommended(picks, number)),
            ("service", "what bothers them", needs.get(number, "nothing that the data tell")),
            ("service", "channels", _claims(mine, "channel")),
            ("service", "when they leave", _cell(plan, number, "winback")),
            ("product", "unmet needs", needs.get(number, "none that the data tell")),
            ("product", "buy more than others", _goods(next_)),
            ("product", "what matters to them", _claims(mine, "priority")),
        )]  # fmt: skip
    told = pd.DataFrame(rows, columns=["function", "segment_id", "what", "text"])
    return told.sort_values("function", key=lambda c: c.map(FUNCTIONS.index), kind="stable").astype({"text": "str"}).reset_index(drop=True)  # fmt: skip


def _claims(mine: pd.DataFrame, *aspects: str) -> str:
    return "; ".join(mine.claim[mine.aspect.isin(aspects)].head(4)) or "like everybody, or not known"


def _goods(mine: pd.DataFrame) -> str:
    return ", ".join(map(_product, mine.itertuples())) or "nothing that they surely buy more than everybody"


def _product(row: tuple) -> str:
    return f"{row.kind_of} ({row.product})" if row.kind_of else row.product


def _recommended(picks: pd.DataFrame, segment: int, count: int = 3) -> str:
    """The products that most members are recommended, none of which those had bought."""
    mine = picks[picks.segment_id == segment]
    counted = mine.groupby(["product", "kind_of"]).size().rename("n").reset_index()
    first = counted.sort_values(["n", "product"], ascending=[False, True]).head(count)
    members = mine.customer_id.nunique()
    return ", ".join(f"{_product(row)} to {row.n:,} of {members:,}" for row in first.itertuples()) or "nothing new"


def _cell(plan: pd.DataFrame, segment: int, stage: str) -> str:
    cell = plan[(plan.segment_id == segment) & (plan.stage == stage)].iloc[0]
    return f"{cell.treatment}; offer: {cell.offer}; say: {cell.message}"
