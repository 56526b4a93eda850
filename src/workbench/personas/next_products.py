"""What a segment is likely to buy next: products that members took up who had not bought them, judged against plain popularity.

A product is a subcategory where the sources have one, else a category, else an item. Learned in the window before as_of: its
first half tells who had bought what, its second half who took up something new. Only `judge_products` looks after as_of.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import stats

from workbench.core import engine

if TYPE_CHECKING:
    from workbench.core.config import Config

LEVELS = ("subcategory", "category", "item")
PRIOR = 20.0  # a segment's rate is shrunk as if so many members had behaved like everybody
MOST = 400  # products looked at, the most bought ones
TAKEN, COLUMNS = 5, ["segment_id", "product", "rank", "adoption", "base", "lift", "takers", "n"]
JUDGED = ["segment_id", "hit_rate", "popularity", "difference", "ci_low", "ci_high", "n", "verdict"]


def product_level(events: ir.Table) -> str:
    """The finest level that can be recommended and is filled for most order lines."""
    lines = events.filter(events.event_type == "order")
    there = [level for level in LEVELS if level in lines.columns]
    filled = engine.fetch_row(lines.agg(rows=lines.count(), **{level: lines[level].count() for level in there}))
    return next((level for level in there if filled[level] > filled["rows"] / 2), "item")


def purchases(events: ir.Table, labels: pd.Series, config: Config) -> ir.Table:
    """Events -> customer_id, segment_id, product, early, late, after: bought in which part; one row per customer and product.

    early, late: first and second half of the window before as_of; after: within the horizon from as_of on.
    """
    level = product_level(events)
    start, middle, end, last = _moments(config)
    lines = events.filter(events.event_type == "order", events[level].notnull(), events.occurred_at >= start, events.occurred_at < last)  # fmt: skip
    members = _as_table(events, pd.DataFrame({"customer_id": labels.index.astype("str"), "segment_id": labels.to_numpy("int64")}), "members")  # fmt: skip
    mine = lines.select("customer_id", "occurred_at", product=lines[level]).inner_join(members, "customer_id")
    mine = mine.select("customer_id", "segment_id", "product", "occurred_at")
    bought = mine.group_by("customer_id", "segment_id", "product").agg(
        early=(mine.occurred_at < middle).any(),
        late=((mine.occurred_at >= middle) & (mine.occurred_at < end)).any(),
        after=(mine.occurred_at >= end).any(),
    )
    return engine.materialize(events.get_backend(), bought, "bought")


def _moments(config: Config) -> tuple[dt.datetime, dt.datetime, dt.datetime, dt.datetime]:
    zone, days = zoneinfo.ZoneInfo(config.company.zone), config.features.window_days
    steps = (-days, -days // 2, 0, config.features.horizon_days)
    return tuple(dt.datetime.combine(config.as_of + dt.timedelta(days=s), dt.time(), zone).astimezone(dt.UTC) for s in steps)


def _as_table(near: ir.Table, frame: pd.DataFrame, name: str) -> ir.Table:
    return engine.as_table(near.get_backend(), pa.Table.from_pandas(frame, preserve_index=False), name)


def rank_products(bought: ir.Table, labels: pd.Series) -> pd.DataFrame:
    """What was bought before as_of -> every segment's products from most to least likely next; nothing after as_of is used.

    Columns: segment_id, product, rank, adoption (share of the members without it in the first half who took it up in the second,
    shrunk towards everybody's), base (everybody's share), lift (adoption over base), takers, n (members without it).
    """
    had, took = bought.early, ~bought.early & bought.late
    grouped = bought.group_by("segment_id", "product").agg(had=had.sum(), takers=took.sum(), buyers=(had | bought.late).sum())
    counted = engine.fetch(grouped.order_by("segment_id", "product"))
    if counted.empty:
        return pd.DataFrame(columns=COLUMNS)
    popular = counted.groupby("product").buyers.sum().sort_values(ascending=False, kind="stable").head(MOST).index
    grid = pd.MultiIndex.from_product([sorted(labels.unique()), sorted(popular)], names=["segment_id", "product"])
    told = counted.set_index(["segment_id", "product"]).reindex(grid, fill_value=0).reset_index()
    told["n"] = told.segment_id.map(labels.value_counts()) - told.had
    total = told.groupby("product")[["takers", "n"]].transform("sum")
    told["base"] = total.takers / total.n.clip(lower=1)
    told["adoption"] = (told.takers + PRIOR * told.base) / (told.n + PRIOR)
    told["lift"] = told.adoption / told.base.where(told.base > 0)
    told = told.sort_values(["segment_id", "adoption", "product"], ascending=[True, False, True])
    return told.assign(rank=told.groupby("segment_id").cumcount() + 1)[COLUMNS].astype({"rank": int}).reset_index(drop=True)


def next_products(ranked: pd.DataFrame, count: int = TAKEN) -> pd.DataFrame:
    """The products to recommend: per segment, of the likeliest forty, those that it takes up more than everybody (by lift).

    Where fewer than `count` lie above everybody's rate the likeliest fill the list.
    """
    likely = ranked[ranked["rank"] <= 40]
    ordered = likely.assign(above=likely.lift.gt(1.0)).sort_values(
        ["segment_id", "above", "lift", "rank"], ascending=[True, False, False, True]
    )
    chosen = ordered[ordered.groupby("segment_id").cumcount() < count]
    return chosen.assign(rank=chosen.groupby("segment_id").cumcount() + 1)[COLUMNS].reset_index(drop=True)


def judge_products(bought: ir.Table, ranked: pd.DataFrame, labels: pd.Series, confidence: float) -> pd.DataFrame:
    """Hit rate of five recommendations in the horizon after as_of against the five most popular products, per segment and in all.

    Each customer gets the five best of the list that the customer did not buy in the window, once by the segment's rate of
    adoption and once by everybody's number of buyers; a hit: one of them was bought. difference with its interval: paired over
    the customers who ordered (t distribution). segment_id -2: everybody. No rows where the data end at as_of.
    """
    popular = engine.fetch(bought.group_by("product").agg(buyers=(bought.early | bought.late).sum()))
    order = popular.sort_values(["buyers", "product"], ascending=[False, True])["product"]
    everywhere = pd.MultiIndex.from_product([sorted(labels.unique()), order.head(MOST)], names=["segment_id", "product"]).to_frame(index=False)  # fmt: skip
    everywhere["rank"] = everywhere.groupby("segment_id").cumcount() + 1
    ours, theirs = (_hits(bought, list_, f"list_{i}") for i, list_ in enumerate((ranked, everywhere)))
    both = ours.merge(theirs, on=["customer_id", "segment_id"], suffixes=("", "_popular"))
    rows = [_judged(segment, mine, confidence) for segment, mine in both.groupby("segment_id")]
    rows += [_judged(-2, both, confidence)] if len(both) else []
    return pd.DataFrame(rows, columns=JUDGED)


def _hits(bought: ir.Table, ranking: pd.DataFrame, name: str) -> pd.DataFrame:
    """customer_id, segment_id, hit: whether one of the five best products new to the customer was bought after as_of."""
    table = _as_table(bought, ranking[["segment_id", "product", "rank"]].astype({"segment_id": "int64", "rank": "int64"}), name)
    active = bought.group_by("customer_id", "segment_id").agg(ordered=bought.after.any()).filter(lambda t: t.ordered)
    pairs = active.inner_join(table, "segment_id").select("customer_id", "segment_id", "product", "rank")
    known = pairs.left_join(bought.select("customer_id", "product", "early", "late", "after"), ["customer_id", "product"])
    new = known.filter(~(known.early | known.late).fill_null(False))
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
