"""Print CDNOW's published estimates beside ours, the 39-week holdout of all customers, seconds for 100,000 of them."""

from __future__ import annotations

import datetime as dt
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa

from workbench.core import engine
from workbench.core.config import Engine
from workbench.features import clv
from workbench.features.window import Window

AS_OF, HORIZON, WEEKS = dt.date(1997, 10, 1), Window(dt.date(1998, 7, 1), 273, "UTC"), 39
PUBLISHED = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426, "log_likelihood": -9582.4, "p": 6.25, "q": 3.74, "v": 15.44}


def read_cdnow(con: ibis.BaseBackend, name: str, columns: list[str], skip: int) -> ir.Table:
    """One of CDNOW's files -> events on the engine."""
    folder = Path(next(iter(importlib.util.find_spec("lifetimes").submodule_search_locations))) / "datasets"
    lines = pd.read_csv(folder / name, sep=r"\s+", skiprows=skip, names=columns, dtype=str)
    moments = pa.array(pd.to_datetime(lines.day, format="%Y%m%d").dt.tz_localize("UTC"))
    amounts = pa.array(lines.amount).cast(pa.decimal128(18, 4))
    table = {"customer_id": lines.customer, "occurred_at": moments, "event_type": ["order"] * len(lines), "amount": amounts}
    return engine.as_table(con, pa.table(table), name.split(".")[0].lower())


def timed(compute: Callable, *arguments: Any) -> tuple[Any, float]:
    """-> what it computes, seconds."""
    started = time.perf_counter()
    return compute(*arguments), time.perf_counter() - started


def main() -> None:
    """Read CDNOW from the package lifetimes, fit, print."""
    con = engine.connect(Engine())
    sample = read_cdnow(con, "CDNOW_sample.txt", ["master_id", "customer", "day", "discs", "amount"], 0)
    history = engine.fetch(clv.order_history(sample, AS_OF, "UTC"))
    (orders, seconds_orders), (values, seconds_values) = timed(clv.fit_orders, history), timed(clv.fit_values, history)
    print(f"CDNOW's sample, {len(history)} customers, {(history.frequency > 0).sum()} repeat buyers, from events\n")
    print("| estimate | published | ours |\n|---|---|---|")
    for name, published in PUBLISHED.items():
        print(f"| {name} | {published} | {getattr(values if name in 'pqv' else orders, name):.4f} |")
    print(f"\nseconds: BG/NBD {seconds_orders:.2f}, Gamma-Gamma {seconds_values:.2f}")

    master = read_cdnow(con, "CDNOW_master.txt", ["customer", "day", "discs", "amount"], 1)
    history, seconds_history = timed(engine.fetch, clv.order_history(master, AS_OF, "UTC"))
    actual = engine.fetch(clv.purchase_days(master, HORIZON)).set_index("customer_id").orders
    actual = actual.reindex(history.customer_id).fillna(0.0).to_numpy(float)
    model, seconds_fit = timed(clv.fit_orders, history)
    frame, seconds_predict = timed(model.predict, history, WEEKS)
    expected = frame.expected_orders.to_numpy()
    inside = ((actual >= frame.orders_low) & (actual <= frame.orders_high)).mean()
    print(
        f"\nholdout of {WEEKS} weeks, {len(history)} customers: MAE {abs(expected - actual).mean():.4f} orders per customer, ",
        end="",
    )
    print(f"total error {expected.sum() / actual.sum() - 1:+.1%}, inside the 95 % interval {inside:.1%}")
    print(f"seconds: histories {seconds_history:.2f}, fit {seconds_fit:.2f}, predictions with intervals {seconds_predict:.2f}\n")
    print(clv.calibration(expected, actual).round(3).to_string(index=False))

    rng = np.random.default_rng(1)
    many = history.iloc[rng.integers(0, len(history), 100_000)].reset_index(drop=True)
    # Ages spread over two years, in whole days as histories have them, so that few customers are alike.
    more = rng.integers(0, 455, len(many)) / 7
    many = many.assign(recency=np.where(many.frequency > 0, many.recency + more // 2, 0), age=many.age + more)
    model, seconds_fit = timed(clv.fit_orders, many)
    _, seconds_predict = timed(model.predict, many, WEEKS)
    distinct = len(many[["frequency", "recency", "age"]].drop_duplicates())
    print(f"\n100,000 customers, {distinct} distinct histories: fit {seconds_fit:.1f} s, predictions {seconds_predict:.1f} s")


if __name__ == "__main__":
    main()
