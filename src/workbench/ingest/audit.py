"""The audit of a run's data: what is filled, which sources know the same customers, what changed since the last run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from workbench.core.engine import fetch_row
from workbench.ingest.sources import SourceTable

DROP = 0.3  # a source that lost so large a share of its rows is worth an alarm
THIN = 0.1  # and so is a column that lost so much of its filling


def completeness(sources: Mapping[str, SourceTable]) -> pd.DataFrame:
    """-> frame: source, part (identity, profile, consent), attribute, rows (with a value), filled (their share)."""
    lines = []
    for opened in sources.values():
        declared = [
            (part, name, c) for part in ("identity", "profile", "consent") for name, c in getattr(opened.source, part).items()
        ]
        if not declared:
            continue
        table = opened.table
        filled = fetch_row(
            table.agg(
                all=table.count(),
                **{f"f{i}": table[c].cast("string").strip().nullif("").count() for i, (_, _, c) in enumerate(declared)},
            )
        )
        lines += [
            (opened.name, part, name, filled[f"f{i}"], filled[f"f{i}"] / max(filled["all"], 1))
            for i, (part, name, _) in enumerate(declared)
        ]
    return pd.DataFrame(lines, columns=["source", "part", "attribute", "rows", "filled"])


def overlap(identities: pd.DataFrame, customers: pd.DataFrame) -> pd.DataFrame:
    """Customers by the combination of sources that know them -> sources, n_sources, customers, share; largest first.

    The customers add up to the population.
    """
    mine = identities[identities.customer_id.isin(customers.customer_id)]
    known = mine[["customer_id", "source"]].drop_duplicates().sort_values(["customer_id", "source"])
    together = known.groupby("customer_id").source.agg(" + ".join).rename("sources")
    counts = together.value_counts().rename("customers").rename_axis("sources").reset_index()
    counts = counts.assign(n_sources=counts.sources.str.count(r"\+") + 1, share=counts.customers / max(len(customers), 1))
    return counts.sort_values(["customers", "sources"], ascending=[False, True], ignore_index=True)


def of_run(run: Any) -> dict[str, pd.DataFrame] | None:
    """The tables of an earlier run that `changes` compares; None without such a run."""
    if run is None or not (run.has("sources_rows") and run.has("sources_filled")):
        return None
    return {"rows": run.read("sources_rows"), "filled": run.read("sources_filled")}


def changes(now: Mapping[str, pd.DataFrame], before: Mapping[str, pd.DataFrame] | None) -> pd.DataFrame:
    """This run against the last one -> source, what, before, now, change, severity; empty where there is no earlier run.

    now, before: `rows` (source, accepted) and `filled` (source, attribute, filled). A source that is gone or lost DROP of its rows,
    and a column that lost THIN of its filling, is a warning.
    """
    columns = ["source", "what", "before", "now", "change", "severity"]
    if before is None:
        return pd.DataFrame(columns=columns)
    rows = before["rows"].merge(now["rows"], on="source", how="outer", suffixes=("_before", "_now")).fillna(0)
    rows = rows.assign(what="rows", before=rows.accepted_before.astype(float), now=rows.accepted_now.astype(float))
    rows["change"] = rows.now / rows.before.where(rows.before > 0) - 1
    rows["severity"] = (rows.change <= -DROP).map({True: "warn", False: "info"})
    filled = before["filled"].merge(now["filled"], on=["source", "attribute"], suffixes=("_before", "_now"))
    filled = filled.assign(what="filled: " + filled.attribute, before=filled.filled_before, now=filled.filled_now)
    filled["change"] = filled.now - filled.before
    filled["severity"] = (filled.change <= -THIN).map({True: "warn", False: "info"})
    both = pd.concat([rows[columns], filled[columns]], ignore_index=True)
    return both.sort_values(["severity", "source", "what"], ascending=[False, True, True], ignore_index=True).astype(
        {"source": "str", "what": "str", "severity": "str"}
    )
