"""What a segment is likely to buy next: what its members buy and a customer has not bought yet, judged against plain popularity.

A product is an item, else (where sources have none) a subcategory or category. Learned in the window before as_of; only
`judge_products` looks after it.
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
from workbench.personas.naming import SENSITIVE

if TYPE_CHECKING:
    from workbench.core.config import Config

LEVELS = ("item", "subcategory", "category")
PRIOR = 20.0  # a segment's share is shrunk as if so many members more had bought like everybody
MOST = 400  # products looked at, the most bought ones
TAKEN, COLUMNS = 5, ["segment_id", "product", "rank", "bought_by", "base", "index", "buyers", "n"]
WHOLE = ("segment_id", "rank", "buyers", "n")
JUDGED = ["segment_id", "hit_rate", "popularity", "difference", "ci_low", "ci_high", "n", "verdict"]


def product_level(events: ir.Table) -> str:
    """The finest level that is filled for most order lines."""
    lines = events.filter(events.event_type == "order")
    there = [level for level in LEVELS if level in lines.columns]
    filled = engine.fetch_row(lines.agg(rows=lines.count(), **{level: lines[level].count() for level in there}))
    return next((level for level in there if filled[level] > filled["rows"] / 2), "item")


def purchases(events: ir.Table, labels: pd.Series, config: Config) -> ir.Table:
    """Events -> customer_id, segment_id, product, kind_of, before, after: bought in which part; a row per customer and product.

    before: in the window that ends at as_of; after: within the horizon from as_of on. kind_of: the product's subcategory, else
    its category, else empty. labels: segment_id by customer_id.
    """
    level, (start, end, last) = product_level(events), _moments(config)
    lines = events.filter(events.event_type == "order", events[level].notnull(), events.occurred_at >= start, events.occurred_at < last)  # fmt: skip
    coarser = [lines[c] for c in LEVELS[LEVELS.index(level) + 1 :] if c in lines.columns]
    members = _as_table(events, pd.DataFrame({"customer_id": labels.index.astype("str"), "segment_id": labels.to_numpy("int64")}), "members")  # fmt: skip
    named = lines.select("customer_id", "occurred_at", product=lines[level], kind_of=ibis.coalesce(*coarser, ibis.literal("")))
    mine = named.inner_join(members, "customer_id").select("customer_id", "segment_id", "product", "kind_of", "occurred_at")
    bought = mine.group_by("customer_id", "segment_id", "product").agg(
        kind_of=mine.kind_of.max(), before=(mine.occurred_at < end).any(), after=(mine.occurred_at >= end).any()
    )
    return engine.materialize(events.get_backend(), bought, "bought")


def _moments(config: Config) -> tuple[dt.datetime, ...]:
    """When the window begins, when as_of begins, when the horizon after it ends."""
    zone = zoneinfo.ZoneInfo(config.company.zone)
    steps = (-config.features.window_days, 0, config.features.horizon_days)
    return tuple(dt.datetime.combine(config.as_of + dt.timedelta(days=s), dt.time(), zone).astimezone(dt.UTC) for s in steps)


def _as_table(near: ir.Table, frame: pd.DataFrame, name: str) -> ir.Table:
    return engine.as_table(near.get_backend(), pa.Table.from_pandas(frame, preserve_index=False), name)


def rank_products(bought: ir.Table, labels: pd.Series) -> pd.DataFrame:
    """What was bought before as_of -> every segment's products, most to least bought; nothing after as_of is used.

    Columns: segment_id, product, rank, bought_by (share of the members who bought it, shrunk towards everybody's), base
    (everybody's share), index (100 = everybody's share), buyers, n (members). The most bought 400 products of all are looked at.
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
    told["index"] = 100 * told.bought_by / told.base
    told = told.sort_values(["segment_id", "bought_by", "product"], ascending=[True, False, True])
    return told.assign(rank=told.groupby("segment_id").cumcount() + 1)[COLUMNS].astype({"rank": int}).reset_index(drop=True)


def next_products(ranked: pd.DataFrame, bought: ir.Table, words: Mapping[str, str], count: int = TAKEN) -> pd.DataFrame:
    """The `count` products of each segment that members buy more than everybody (index above 100), most bought first, with kind_of.

    Which of them a customer gets depends on the customer: what was bought already is passed over (as in `judge_products`).
    words: names for readers of subcategories and categories. What may be sensitive is not recommended.
    """
    chosen = ranked[ranked["index"] > 100]
    named = bought.filter(bought["product"].isin(sorted(chosen["product"].unique()) or [""]))
    kinds = engine.fetch(named.group_by("product").agg(kind_of=named.kind_of.max())).set_index("product").kind_of
    kinds = kinds.map(lambda k: words.get(k, str(k).lower()))
    told = chosen.assign(kind_of=chosen["product"].map(kinds).fillna("").astype("str")).astype({"product": "str"})
    told = told[~(told.kind_of + " " + told["product"]).str.contains(SENSITIVE)]
    told = told.assign(rank=told.groupby("segment_id").cumcount() + 1)
    return told[told["rank"] <= count].reset_index(drop=True)


def judge_products(bought: ir.Table, ranked: pd.DataFrame, labels: pd.Series, confidence: float) -> pd.DataFrame:
    """Hit rate of five recommendations in the horizon after as_of against the five most popular products, per segment and in all.

    Each customer gets the five best products that the customer did not buy in the window, once by the segment's share of buyers
    and once by everybody's; a hit: one of them was bought. difference with its interval: paired over the n customers who ordered
    (t distribution). segment_id -2: everybody. verdict: better, worse or not told apart. No rows where the data end at as_of.
    """
    popular = engine.fetch(bought.group_by("product").agg(buyers=bought.before.sum()))
    order = popular.sort_values(["buyers", "product"], ascending=[False, True])["product"]
    everywhere = pd.MultiIndex.from_product([sorted(labels.unique()), order.head(MOST)], names=["segment_id", "product"]).to_frame(index=False)  # fmt: skip
    everywhere["rank"] = everywhere.groupby("segment_id").cumcount() + 1
    ours, theirs = (_hits(bought, list_, f"list_{i}") for i, list_ in enumerate((ranked, everywhere)))
    both = ours.merge(theirs, on=["customer_id", "segment_id"], suffixes=("", "_popular"))
    rows = [_judged(segment, mine, confidence) for segment, mine in both.groupby("segment_id")]
    rows += [_judged(-2, both, confidence)] if len(both) else []
    kinds = {"segment_id": "int64", "n": "int64", "verdict": "str"}
    return pd.DataFrame(rows, columns=JUDGED).astype({c: kinds.get(c, "float64") for c in JUDGED})


def _hits(bought: ir.Table, ranking: pd.DataFrame, name: str) -> pd.DataFrame:
    """customer_id, segment_id, hit: whether one of the five best products new to the customer was bought after as_of."""
    table = _as_table(
        bought,
        ranking[["segment_id", "product", "rank"]].astype({"segment_id": "int64", "product": "str", "rank": "int64"}),
        name,
    )
    active = bought.group_by("customer_id", "segment_id").agg(ordered=bought.after.any()).filter(lambda t: t.ordered)
    pairs = active.inner_join(table, "segment_id").select("customer_id", "segment_id", "product", "rank")
    known = pairs.left_join(bought.select("customer_id", "product", "before", "after"), ["customer_id", "product"])
    new = known.filter(~known.before.fill_null(False))
    place = ibis.row_number().over(ibis.window(group_by=new.customer_id, order_by=new["rank"]))
    best = new.select("customer_id", "segment_id", hit=new.after.fill_null(False), place=place).filter(lambda t: t.place < TAKEN)
    return engine.fetch(best.group_by("customer_id", "segment_id").agg(hit=best.hit.any()).order_by("customer_id"))


def _judged(segment: int, mine: pd.DataFrame, confidence: float) -> tuple:
    gain = mine.hit.astype(float) - mine.hit_popular.astype(float)
    n, middle = len(gain), gain.mean()
    half = stats.t.ppf(0.5 + confidence / 2, n - 1) * gain.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
    low, high = middle - half, middle + half
    verdict = "better" if low > 0 else "worse" if high < 0 else "not told apart"
    return (segment, mine.hit.mean(), mine.hit_popular.mean(), middle, low, high, n, verdict)
