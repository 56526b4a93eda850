"""What a segment buys: the products that more of its members buy than of everybody.

A product is an item, else (where sources have none) a subcategory or category. Learned in the window before as_of.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Mapping
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import stats

from workbench.core import engine
from workbench.core.stats import false_discovery
from workbench.personas.naming import SENSITIVE

if TYPE_CHECKING:
    from workbench.core.config import Config

LEVELS = ("item", "subcategory", "category")
PRIOR = 20.0  # a segment's share is shrunk as if so many members more had bought like everybody
MOST = 400  # products looked at, the most bought ones
TAKEN, COLUMNS = 5, ["segment_id", "product", "rank", "bought_by", "ci_low", "ci_high", "base", "index", "q_value", "buyers", "n"]
WHOLE = ("segment_id", "rank", "buyers", "n")


def product_level(events: ir.Table) -> str:
    """The finest level that is filled for most order lines."""
    lines = events.filter(events.event_type == "order")
    there = [level for level in LEVELS if level in lines.columns]
    filled = engine.fetch_row(lines.agg(rows=lines.count(), **{level: lines[level].count() for level in there}))
    return next((level for level in there if filled[level] > filled["rows"] / 2), "item")


def purchases(events: ir.Table, labels: pd.Series, config: Config) -> ir.Table:
    """Events -> customer_id, place, segment_id, product, kind_of, days_since, before, after; a row per customer and product.

    place: the customer's in labels (segment_id by customer_id). kind_of: the product's subcategory, else its category, else empty.
    days_since: from the last purchase before as_of to as_of, missing where there was none; before: bought in the window that ends at
    as_of; after: bought within the horizon from as_of on. What nobody paid for (coupons, gifts) is no purchase; lines of unknown amount are.
    """
    level, (start, end, last) = product_level(events), _moments(config)
    paid = events.amount.isnull() | (events.amount > 0)
    lines = events.filter(events.event_type == "order", events[level].notnull(), paid, events.occurred_at < last)
    coarser = [lines[c] for c in LEVELS[LEVELS.index(level) + 1 :] if c in lines.columns]
    places = {"customer_id": labels.index.astype("str"), "segment_id": labels.to_numpy("int64"), "place": np.arange(len(labels))}
    members = engine.as_table(events.get_backend(), pa.Table.from_pandas(pd.DataFrame(places), preserve_index=False), "members")
    named = lines.select("customer_id", "occurred_at", product=lines[level], kind_of=ibis.coalesce(*coarser, ibis.literal("")))
    mine = named.inner_join(members, "customer_id")
    is_past, at = mine.occurred_at < end, mine.occurred_at.epoch_seconds()
    is_before = is_past & (mine.occurred_at >= start)
    bought = mine.group_by("customer_id", "place", "segment_id", "product").agg(
        kind_of=mine.kind_of.max(), before=is_before.any(), after=(~is_past).any(), last=at.max(where=is_past)
    )
    bought = bought.mutate(days_since=(int(end.timestamp()) - bought["last"]) / 86_400).drop("last")
    return engine.materialize(events.get_backend(), bought, "bought")


def _moments(config: Config) -> tuple[dt.datetime, ...]:
    """When the window begins, when as_of begins, when the horizon after it ends."""
    zone = zoneinfo.ZoneInfo(config.company.zone)
    steps = (-config.features.window_days, 0, config.features.horizon_days)
    return tuple(dt.datetime.combine(config.as_of + dt.timedelta(days=s), dt.time(), zone).astimezone(dt.UTC) for s in steps)


def rank_products(bought: ir.Table, labels: pd.Series, confidence: float = 0.95) -> pd.DataFrame:
    """What was bought before as_of -> every segment's products, most to least bought; nothing after as_of is used.

    Columns: segment_id, product, rank, bought_by (share of the members who bought it, shrunk towards everybody's) with its
    interval (of the beta distribution that it is the mean of), base (everybody's share), index (100 = everybody's share), q_value,
    buyers, n (members). q_value: of the exact test that members bought it no more than everybody (Fisher 1935, one-sided), false
    discoveries controlled over all segments and products (Benjamini & Hochberg 1995). The most bought 400 products of all are looked at.
    """
    grouped = bought.filter(bought.before).group_by("segment_id", "product").agg(buyers=lambda t: t.count())
    counted = engine.fetch(grouped.order_by("segment_id", "product"))
    if counted.empty:
        return pd.DataFrame(columns=COLUMNS).astype(
            dict.fromkeys(COLUMNS, "float64") | {c: "int64" for c in WHOLE} | {"product": "str"}
        )
    totals = counted.groupby("product").buyers.sum().sort_values(ascending=False, kind="stable").head(MOST)
    grid = pd.MultiIndex.from_product([sorted(labels.unique()), sorted(totals.index)], names=["segment_id", "product"])
    told = counted.set_index(["segment_id", "product"]).reindex(grid, fill_value=0).reset_index()
    told["n"] = told.segment_id.map(labels.value_counts())
    told["base"] = told["product"].map(totals) / len(labels)
    told["bought_by"] = (told.buyers + PRIOR * told.base) / (told.n + PRIOR)
    a, b = told.buyers + PRIOR * told.base, told.n - told.buyers + PRIOR * (1 - told.base)
    tails = (0.5 - confidence / 2, 0.5 + confidence / 2)
    told["ci_low"], told["ci_high"] = (stats.beta.ppf(tail, a, np.maximum(b, 1e-9)) for tail in tails)
    told["index"] = 100 * told.bought_by / told.base
    chance = stats.hypergeom.sf(told.buyers - 1, len(labels), told["product"].map(totals), told.n)
    told["q_value"] = false_discovery(np.clip(chance, 0, 1))
    told = told.sort_values(["segment_id", "bought_by", "product"], ascending=[True, False, True])
    return told.assign(rank=told.groupby("segment_id").cumcount() + 1)[COLUMNS].astype({"rank": int}).reset_index(drop=True)


def next_products(
    ranked: pd.DataFrame, bought: ir.Table, words: Mapping[str, str], chance: float = 0.05, count: int = TAKEN
) -> pd.DataFrame:
    """The `count` products of each segment that members surely buy more than everybody, most bought first, with kind_of.

    Surely: at most the share `chance` of all that are told may be there by chance. Of a segment that buys nothing more there is no row. words: names for readers of subcategories and categories. What may be sensitive is not recommended. What each customer is offered is
    in `personal`.
    """
    chosen = ranked[ranked.q_value <= chance]
    kinds = kinds_of(bought, chosen["product"], words)
    told = chosen.assign(kind_of=kinds).astype({"product": "str"})
    told = told[~(told.kind_of + " " + told["product"]).str.contains(SENSITIVE)]
    told = told.assign(rank=told.groupby("segment_id").cumcount() + 1)
    return told[told["rank"] <= count].reset_index(drop=True)


def kinds_of(bought: ir.Table, products: pd.Series, words: Mapping[str, str]) -> pd.Series:
    """-> for each of the products its kind in words, empty where it has none; same index."""
    named = bought.filter(bought["product"].isin(sorted(products.unique()) or [""]))
    kinds = engine.fetch(named.group_by("product").agg(kind_of=named.kind_of.max())).set_index("product").kind_of
    return products.map(kinds.map(lambda k: words.get(k, str(k).lower()))).fillna("").astype("str")
