"""Print what features cost, beside hand-written SQL and pandas for the same features on the same events, as ratios of processor time."""

from __future__ import annotations

import argparse
import functools
import gc
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from workbench.core import engine
from workbench.core.config import Engine, FeatureSettings
from workbench.features import matrix
from workbench.features.window import Window

AS_OF, DAYS, ZONE, PRIOR = date(2024, 7, 1), 182, "America/New_York", 5.0
WINDOW = Window(AS_OF, DAYS, ZONE)
NOTHING = (
    pd.DataFrame({"customer_id": []}), pd.DataFrame({"customer_id": []}), pd.DataFrame({"customer_id": [], "text": [], "occurred_at": pd.to_datetime([], utc=True)}),
)  # fmt: skip
COUNTED = ("page_view", "search", "email_open", "email_click", "app_open")
PARTS = {"morning": (5, 11), "midday": (11, 15), "afternoon": (15, 19), "evening": (19, 29)}
# Four lines per order; a third of the events are no orders. Sorted and numbered by customer, as ingest leaves them.
EVENTS = """
    SELECT 'c_' || lpad(to_hex(hash(i // {each} + 7)), 16, '0') AS customer_id, NULL::BIGINT AS customer_number,
        make_timestamptz(1704085200000000 + 60000000 * (hash(i // 4) % 400000)::BIGINT) AS occurred_at, 'pos' AS source,
        CASE WHEN kind < 8 THEN 'store' ELSE 'web' END AS channel,
        CASE WHEN kind < 8 THEN 'order' WHEN kind = 8 THEN 'email_delivered' ELSE {kinds}[1 + (hash(i + 5) % 5)::BIGINT] END AS event_type,
        CASE WHEN kind < 8 THEN 'o' || (i // 4) END AS order_id, NULL::VARCHAR AS item,
        CASE WHEN kind < 8 THEN 'CATEGORY ' || (hash(i) % 14) END AS category,
        CASE WHEN kind < 8 THEN 'SUB ' || (hash(i) % 28) END AS subcategory,
        NULL::DECIMAL(18,4) AS quantity, CASE WHEN kind < 8 THEN (1 + hash(i + 1) % 5000)::BIGINT / 100 END::DECIMAL(18,4) AS amount,
        CASE WHEN kind < 8 THEN (hash(i + 2) % 500)::BIGINT / 100 END::DECIMAL(18,4) AS discount, NULL::DECIMAL(18,4) AS cost,
        NULL::VARCHAR AS campaign_id, NULL::VARCHAR AS topic, NULL::DOUBLE AS score, kind < 8 AND hash(i + 3) % 4 = 0 AS own_brand,
        kind >= 8 AND hash(i + 4) % 20 = 0 AS machine, NULL::DOUBLE AS duration_hours
    FROM (SELECT i, (i // 4) % 12 AS kind FROM range({first}, {last}) t(i))
"""


def write_events(path: Path, rows: int, customers: int) -> None:
    """Events in equal number for each of the customers, sorted by customer and moment."""
    con = duckdb.connect(config={"threads": 2, "memory_limit": "4GB", "temp_directory": str(path.parent / "spill")})
    con.execute("SET TimeZone='UTC'")
    con.execute(
        f"COPY (SELECT * REPLACE (dense_rank() OVER (ORDER BY customer_id) - 1 AS customer_number) FROM ({EVENTS.format(kinds=list(COUNTED), each=max(rows // customers, 1), first=0, last=rows)}) ORDER BY customer_id, occurred_at) TO '{path}'"
    )


def known_events(path: Path, memory: str) -> matrix.Known:
    """The events as notebook 02 reads them."""
    con = engine.connect(Engine(memory_limit=memory), path.parent / "spill_ours")
    return matrix.prepared(engine.read_parquet(con, path), ZONE, *NOTHING)


def planned(path: Path, memory: str) -> tuple[matrix.Known, matrix.Plan]:
    """The events, and what there is to compute: types, columns, the largest categories, frequent channels and topics."""
    known = known_events(path, memory)
    return known, matrix.plan_features(known, WINDOW, FeatureSettings(window_days=DAYS, text_topics=0))


def ours(known: matrix.Known, plan: matrix.Plan) -> pd.DataFrame:
    """The families of purchases, affinity and engagement, as notebook 02 computes them."""
    window = plan.window
    happened = matrix.Happened(known.events, window.events(known.events), window, plan.rivals)
    chosen = [
        family
        for family in matrix.FAMILIES
        if family.declare(plan) and family.declare(plan)[0].family in ("recency", "affinity", "engagement")
    ]
    names = [f.feature for family in chosen for f in family.declare(plan) if f.family != "channel"]
    frame = matrix.joined([family.features(happened, plan) for family in chosen], names)
    return known.named(frame.reset_index()).set_index("customer_id")


def by_hand(path: Path, memory: str, plan: matrix.Plan) -> pd.DataFrame:
    """The same features as one careful analyst would write them in SQL."""
    con = duckdb.connect(config={"threads": 2, "memory_limit": memory, "temp_directory": str(path.parent / "spill_hand")})
    con.execute("SET TimeZone='UTC'")
    window = plan.window
    tops = [
        (level, value, f"{level}_{value.lower().replace(' ', '_')}_share")
        for level in ("category", "subcategory")
        for value in plan.tops[level]
    ]
    inside = {
        p: f"(hour(local) >= {a} AND hour(local) < {b}" + (f" OR hour(local) < {b - 24})" if b > 24 else ")")
        for p, (a, b) in PARTS.items()
    }
    shares = ", ".join(f"(o.{p} + {PRIOR} * t.{p}) / (o.order_count + {PRIOR}) AS {p}_share" for p in ("weekend", *PARTS))
    tastes = ", ".join(
        f"(l.{n}::DOUBLE + {PRIOR} * t.order_value * t.{n}) / (l.paid::DOUBLE + {PRIOR} * t.order_value) AS {n}"
        for _, _, n in tops
    )
    counts = ", ".join(f"count(*) FILTER (event_type = '{k}')::DOUBLE AS {k}_count" for k in COUNTED)
    return con.execute(f"""
        WITH e AS (
            SELECT *, date_diff('day', CAST(local AS DATE), DATE '{AS_OF}') AS days_ago FROM (
                SELECT *, timezone('{ZONE}', occurred_at) AS local FROM '{path}'
                WHERE customer_id IS NOT NULL AND occurred_at >= TIMESTAMPTZ '{window.start}' AND occurred_at < TIMESTAMPTZ '{window.end}')
        ), placed AS (
            SELECT customer_id, order_id, min(local) AS local, max(days_ago) AS days_ago, sum(amount) AS amount, count(*) AS lines
            FROM e WHERE event_type = 'order' GROUP BY ALL
        ), o AS (
            SELECT customer_id, min(days_ago)::DOUBLE AS recency_days, count(*)::DOUBLE AS order_count, count(*) FILTER (days_ago <= 28)::DOUBLE AS orders_last_28,
                count(DISTINCT (days_ago - 1) // 7)::DOUBLE AS active_weeks, coalesce(sum(amount) FILTER (days_ago <= {DAYS // 2}), 0)::DOUBLE AS late,
                sum(amount)::DOUBLE AS gross, sum(lines)::DOUBLE AS lines, count(*) FILTER (isodow(local) >= 6) AS weekend,
                {", ".join(f"count(*) FILTER ({test}) AS {p}" for p, test in inside.items())}
            FROM placed GROUP BY ALL
        ), gaps AS (
            SELECT customer_id, count(gap)::DOUBLE AS n, sum(gap)::DOUBLE AS total, sum(gap * gap)::DOUBLE AS squares FROM (
                SELECT customer_id, lag(days_ago) OVER (PARTITION BY customer_id ORDER BY days_ago DESC) - days_ago AS gap
                FROM (SELECT DISTINCT customer_id, days_ago FROM placed)) GROUP BY ALL
        ), l AS (
            SELECT customer_id, sum(amount) AS paid, coalesce(sum(amount) FILTER (days_ago <= 28), 0)::DOUBLE AS revenue_last_28, sum(discount) AS off,
                coalesce(sum(amount) FILTER (own_brand), 0) AS own, count(DISTINCT category)::DOUBLE AS category_count,
                {", ".join(f"coalesce(sum(amount) FILTER ({level} = '{value}'), 0) AS {n}" for level, value, n in tops)}
            FROM e WHERE event_type = 'order' GROUP BY ALL
        ), a AS (
            SELECT customer_id, {counts}, count(*) FILTER (event_type = 'email_delivered') AS delivered,
                least(count(*) FILTER (event_type = 'email_open'), count(*) FILTER (event_type = 'email_delivered')) AS opened,
                least(count(*) FILTER (event_type = 'email_click'), count(*) FILTER (event_type = 'email_delivered')) AS clicked
            FROM e WHERE event_type <> 'order' AND NOT machine GROUP BY ALL
        ), t AS (
            SELECT (SELECT sum(amount)::DOUBLE / count(*) FROM placed) AS order_value, sum(off)::DOUBLE / sum(paid + off)::DOUBLE AS off, sum(own)::DOUBLE / sum(paid)::DOUBLE AS own,
                {", ".join(f"sum({n})::DOUBLE / sum(paid)::DOUBLE AS {n}" for _, _, n in tops)},
                {", ".join(f"(SELECT sum({p})::DOUBLE / sum(order_count) FROM o) AS {p}" for p in ("weekend", *PARTS))},
                (SELECT sum(opened)::DOUBLE / sum(delivered) FROM a WHERE delivered > 0) AS opened, (SELECT sum(clicked)::DOUBLE / sum(delivered) FROM a WHERE delivered > 0) AS clicked
            FROM l
        )
        SELECT o.customer_id, recency_days, order_count, orders_last_28, active_weeks, total / nullif(n, 0) AS gap_days_mean,
            CASE WHEN n >= 2 THEN sqrt(greatest((squares - total * total / n) / (n - 1), 0)) / (total / n) END AS gap_days_cv,
            l.paid::DOUBLE AS net_revenue, revenue_last_28, gross / order_count AS aov, (2 * late - gross) / nullif(gross, 0) AS revenue_trend,
            lines / order_count AS lines_per_order, gross / lines AS line_value, {shares},
            (l.off::DOUBLE + {PRIOR} * t.order_value * t.off) / ((l.paid + l.off)::DOUBLE + {PRIOR} * t.order_value) AS discount_share,
            (l.own::DOUBLE + {PRIOR} * t.order_value * t.own) / (l.paid::DOUBLE + {PRIOR} * t.order_value) AS own_brand_share,
            category_count, {tastes}, a.* EXCLUDE (customer_id, delivered, opened, clicked),
            CASE WHEN delivered > 0 THEN (a.opened + {PRIOR} * t.opened) / (delivered + {PRIOR}) END AS email_open_rate,
            CASE WHEN delivered > 0 THEN (a.clicked + {PRIOR} * t.clicked) / (delivered + {PRIOR}) END AS email_click_rate
        FROM o JOIN l USING (customer_id) LEFT JOIN gaps USING (customer_id) LEFT JOIN a USING (customer_id), t ORDER BY o.customer_id
    """).df()  # fmt: skip


def in_pandas(path: Path, plan: matrix.Plan) -> pd.DataFrame:
    """The same features once more, by pandas groupby."""
    columns = [
        "customer_id", "occurred_at", "event_type", "order_id", "category", "subcategory", "amount", "discount", "own_brand", "machine",
    ]  # fmt: skip
    e = pd.read_parquet(path, columns=columns).astype({"amount": "float64", "discount": "float64"})
    e = e[(e.occurred_at >= plan.window.start) & (e.occurred_at < plan.window.end)]
    e["local"] = e.occurred_at.dt.tz_convert(ZONE).dt.tz_localize(None)
    e["days_ago"] = (pd.Timestamp(AS_OF) - e.local.dt.normalize()).dt.days
    lines, others = e[e.event_type == "order"], e[(e.event_type != "order") & ~e.machine]
    placed = (
        lines.groupby(["customer_id", "order_id"])
        .agg(local=("local", "min"), days_ago=("days_ago", "max"), amount=("amount", "sum"), lines=("amount", "size"))
        .reset_index()
    )
    placed["week"], placed["weekend"] = (placed.days_ago - 1) // 7, placed.local.dt.day_of_week >= 5
    hour = placed.local.dt.hour
    for part, (start, end) in PARTS.items():
        placed[part] = (hour >= start) & (hour < end) | (hour < end - 24)
    by = placed.groupby("customer_id")
    flags = by[["weekend", *PARTS]].sum()
    o = by.agg(
        recency_days=("days_ago", "min"), order_count=("days_ago", "size"), active_weeks=("week", "nunique"), gross=("amount", "sum"), lines=("lines", "sum"),
    )  # fmt: skip

    def of(rows: pd.DataFrame, column: str) -> pd.Series:
        return rows.groupby("customer_id")[column].sum().reindex(o.index).fillna(0)

    late = of(placed[placed.days_ago <= DAYS // 2], "amount")
    days = placed[["customer_id", "days_ago"]].drop_duplicates().sort_values(["customer_id", "days_ago"])
    gaps = days.assign(gap=days.groupby("customer_id").days_ago.diff()).groupby("customer_id").gap.agg(["mean", "std"])
    spent = lines.groupby("customer_id").agg(
        paid=("amount", "sum"), off=("discount", "sum"), category_count=("category", "nunique")
    )
    own = of(lines[lines.own_brand], "amount")
    weight = PRIOR * placed.amount.sum() / len(placed)

    def shrunk(part: pd.DataFrame | pd.Series, whole: pd.Series) -> pd.DataFrame | pd.Series:
        return (part + weight * part.sum() / whole.sum()).div(whole + weight, axis=0)

    tastes = []
    for level in ("category", "subcategory"):
        wide = lines.pivot_table(index="customer_id", columns=level, values="amount", aggfunc="sum").fillna(0)
        wide = wide[list(plan.tops[level])]
        tastes.append(
            shrunk(wide, spent.paid).rename(columns=lambda v, level=level: f"{level}_{v.lower().replace(' ', '_')}_share")
        )
    did = others.pivot_table(index="customer_id", columns="event_type", values="machine", aggfunc="size").fillna(0)
    sent = did.email_delivered
    rates = {}
    for kind, name in (("email_open", "email_open_rate"), ("email_click", "email_click_rate")):
        hits = np.minimum(did[kind], sent)
        rates[name] = ((hits + PRIOR * hits[sent > 0].sum() / sent.sum()) / (sent + PRIOR)).where(sent > 0).reindex(o.index)
    frame = pd.DataFrame(
        {
            "recency_days": o.recency_days, "order_count": o.order_count, "active_weeks": o.active_weeks,
            "orders_last_28": placed[placed.days_ago <= 28].groupby("customer_id").size().reindex(o.index).fillna(0),
            "gap_days_mean": gaps["mean"], "gap_days_cv": gaps["std"] / gaps["mean"], "net_revenue": spent.paid,
            "revenue_last_28": of(lines[lines.days_ago <= 28], "amount"), "aov": o.gross / o.order_count,
            "revenue_trend": (2 * late - o.gross) / o.gross.where(o.gross != 0), "lines_per_order": o.lines / o.order_count, "line_value": o.gross / o.lines,
            "discount_share": shrunk(spent.off, spent.paid + spent.off), "own_brand_share": shrunk(own, spent.paid),
            "category_count": spent.category_count, **rates,
        }
    )  # fmt: skip
    shares = flags.add(PRIOR * flags.sum() / len(placed)).div(o.order_count + PRIOR, axis=0).add_suffix("_share")
    counts = did[list(COUNTED)].add_suffix("_count").reindex(o.index)
    return pd.concat([frame, shares, *tastes, counts], axis=1)


def difference(other: pd.DataFrame, found: pd.DataFrame) -> float:
    """The largest relative difference between two ways; counts that one leaves empty and the other calls 0 are skipped."""
    other = other.reindex(found.index)[list(found)].astype("float64")
    counts = [f"{kind}_count" for kind in COUNTED]
    assert (other.drop(columns=counts).isna() == found.drop(columns=counts).isna()).all().all()
    return float(np.nanmax(np.abs(other - found).to_numpy() / np.maximum(np.abs(found.to_numpy()), 1e-9)))


def measured(work: Callable[[], object]) -> tuple[object, float, float]:
    """-> the result, processor seconds, seconds on the clock."""
    gc.collect()
    before, started = _cpu(), time.perf_counter()
    result = work()
    return result, _cpu() - before, time.perf_counter() - started


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print the ratios; the three ways must give the same features.

    The plan (which categories are the largest, which types and columns there are) is given to SQL and to pandas; ours makes it, and
    reads the customers' ids. So there are two ratios: of the whole, and of the features alone, once that is done.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--customers", type=int, help="by default a tenth of the rows")
    parser.add_argument("--memory", default="4GB", help="memory limit of the engine")
    parser.add_argument("--alone", action="store_true", help="only ours, to see its peak memory")
    parser.add_argument("--times", type=int, default=3, help="readings of each way, in turn")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "events.parquet"
        write_events(path, options.rows, options.customers or options.rows // 10)
        base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        ratios = []
        for _ in range(1 if options.alone else options.times):
            (known, plan), cpu_plan, wall_plan = measured(functools.partial(planned, path, options.memory))
            found, cpu, wall = measured(functools.partial(ours, known, plan))
            del known
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            print(
                f"{options.rows:,} events, {len(found):,} customers with an order, {found.shape[1]} features: {cpu_plan:.1f} + {cpu:.1f} processor seconds "
                f"(plan, features), {wall_plan:.1f} + {wall:.1f} s; peak memory {peak:.1f} GiB ({base:.1f} before)"
            )
            if options.alone:
                return
            hand, cpu_hand, wall_hand = measured(functools.partial(by_hand, path, options.memory, plan))
            worst = difference(hand.set_index("customer_id"), found)
            del hand
            print(
                f"  hand-written SQL {cpu_hand:.1f} processor seconds, {wall_hand:.1f} s; largest relative difference {worst:.1e}"
            )
            frame, cpu_pandas, wall_pandas = measured(functools.partial(in_pandas, path, plan))
            worst = difference(frame, found)
            del frame, found
            print(
                f"  pandas groupby {cpu_pandas:.1f} processor seconds, {wall_pandas:.1f} s; largest relative difference {worst:.1e}"
            )
            ratios.append(((cpu_plan + cpu) / cpu_hand, cpu / cpu_hand, cpu_pandas / (cpu_plan + cpu), cpu_pandas / cpu))
            sql, sql_alone, slower, slower_alone = np.median(ratios, axis=0)
            print(
                f"  median so far: {sql:.2f} of hand-written SQL with the plan, {sql_alone:.2f} without; pandas {slower:.2f} times ours with the plan, {slower_alone:.2f} without",
                flush=True,
            )


if __name__ == "__main__":
    main()
