"""What the vendor's finance systems know: contracts in the billing system, invoices in the ledger's database."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.demo.chance import hashed_share, iso_local, stream
from workbench.demo.files import replacing
from workbench.demo.vendor_life import Life
from workbench.demo.vendor_types import PRODUCTS

FRANC = 0.95  # Swiss francs per euro on the price list
NO_TAX, NO_EMAIL, BILLING_NO_TAX = 0.10, 0.15, 0.30
INVOICE_TYPES = {
    "line_id": "TEXT PRIMARY KEY", "invoice_number": "TEXT NOT NULL", "document_type": "TEXT NOT NULL",
    "customer_number": "TEXT NOT NULL", "customer_name": "TEXT", "tax_number": "TEXT", "billing_email": "TEXT",
    "postcode": "TEXT", "city": "TEXT", "country": "TEXT", "issued_at": "TEXT NOT NULL", "product_code": "TEXT",
    "product_name": "TEXT", "product_family": "TEXT", "product_group": "TEXT", "quantity": "INTEGER", "net_amount": "NUMERIC",
    "discount_amount": "NUMERIC", "cost_amount": "NUMERIC", "currency": "TEXT", "campaign": "TEXT",
}  # fmt: skip


def billing_addresses(organisations: pd.DataFrame) -> pd.Series:
    """The mailbox for invoices of every organisation: nobody's own, at its domain."""
    return "rechnung@" + organisations["domain"]


def build_invoices(lines: pd.DataFrame, organisations: pd.DataFrame, until: np.datetime64, seed: int) -> pd.DataFrame:
    """Turn invoice lines into the ledger's export before `until`: the columns of INVOICE_TYPES + row, by time.

    Amounts are net, in euros or (Swiss accounts) francs, cents, negative on credit notes; cost follows the undiscounted
    price, give or take a tenth. 10 % of the customers have no tax number here, 15 % no billing address.
    """
    table = lines[lines["at"] < until].sort_values(["at", "row", "order"], kind="stable", ignore_index=True)
    first = table.groupby("order", sort=False)["at"].transform("min")
    table = table.assign(first=first).sort_values(["first", "order", "at"], kind="stable", ignore_index=True)
    number = table["order"].ne(table["order"].shift()).cumsum()
    whose = organisations.iloc[table["row"].to_numpy()].reset_index(drop=True)
    known = _known_to_finance(organisations, seed).iloc[table["row"].to_numpy()].reset_index(drop=True)
    product = pd.DataFrame([PRODUCTS[code] for code in table["product"]], columns=["name", "family", "group", "price", "rate"])
    rate = np.where(whose["country"].eq("CH"), FRANC, 1.0)
    noise = 0.9 + 0.2 * hashed_share(seed, "cost", table["row"].to_numpy(), number.to_numpy())
    invoice = table["first"].dt.strftime("%Y") + "-" + number.map("{:06d}".format)
    columns = {
        "line_id": invoice + "-" + (table.groupby(number).cumcount() + 1).astype(str),
        "invoice_number": invoice,
        "document_type": table["document"],
        **{name: known[name] for name in ("customer_number", "customer_name", "tax_number", "billing_email")},
        **{name: whose[name] for name in ("postcode", "city", "country")},
        "issued_at": iso_local(table["at"].to_numpy("datetime64[s]")),
        "product_code": table["product"],
        **{f"product_{name}": product[name] for name in ("name", "family", "group")},
        "quantity": table["quantity"],
        "net_amount": ((table["gross"] - table["discount"]) * rate).round(2),
        "discount_amount": (table["discount"] * rate).round(2),
        "cost_amount": (table["gross"] * product["rate"] * noise * rate).round(2),
        "currency": np.where(whose["country"].eq("CH"), "CHF", "EUR"),
        "campaign": table["campaign"],
        "row": table["row"],
    }
    return pd.DataFrame(columns)


def _known_to_finance(organisations: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Say how the ledger writes every organisation: full legal name, one in three in capitals; sisters always with tax number."""
    draws = stream(seed, "finance names").random((3, len(organisations)))
    plain = organisations["name"].str.replace("ä", "ae").str.replace("ö", "oe").str.replace("ü", "ue")
    related = organisations["sister"].ge(0) | organisations.index.isin(organisations["sister"])
    return pd.DataFrame(
        {
            "customer_number": organisations["customer_number"],
            "customer_name": organisations["name"].mask(draws[0] < 0.33, plain.str.upper()).mask(draws[0] > 0.9, plain),
            "tax_number": organisations["tax_number"].mask((draws[1] < NO_TAX) & ~related, ""),
            "billing_email": billing_addresses(organisations).mask(draws[2] < NO_EMAIL, ""),
        }
    )


def write_invoices(path: Path, invoices: pd.DataFrame) -> Path:
    """Write the SQLite database with its one table `invoices`; empty texts become NULL."""
    columns = ", ".join(f"{name} {kind}" for name, kind in INVOICE_TYPES.items())
    rows = invoices[list(INVOICE_TYPES)].astype(object).replace("", None).itertuples(index=False, name=None)
    with replacing(path) as temporary:
        temporary.unlink(missing_ok=True)
        database = sqlite3.connect(temporary)
        try:
            with database:
                database.execute(f"CREATE TABLE invoices ({columns})")
                database.executemany(f"INSERT INTO invoices VALUES ({', '.join('?' * len(INVOICE_TYPES))})", rows)
            database.execute("VACUUM")
        finally:
            database.close()
    return path


def build_subscriptions(life: Life, organisations: pd.DataFrame, until: np.datetime64, seed: int) -> pd.DataFrame:
    """List contracts and later seats as of `until`, by start: a row each, with what was agreed at its start.

    -> subscription_id, company, tax_number (30 % missing), billing_email, plan, seats, monthly_amount (EUR), start, end,
    status (active, cancelled), cancel_reason, row. Sisters always carry a tax number: they share a domain.
    """
    table = life.stacked("subscriptions")
    table = table[table["start"] < until].sort_values(["start", "row"], kind="stable", ignore_index=True)
    row = table["row"].to_numpy()
    whose = organisations.iloc[row].reset_index(drop=True)
    related = organisations["sister"].ge(0) | organisations.index.isin(organisations["sister"])
    missing = (stream(seed, "billing system").random(len(organisations)) < BILLING_NO_TAX) & ~related.to_numpy()
    ended = life.ends[row] < until
    return pd.DataFrame(
        {
            "subscription_id": [f"S-{n:05d}" for n in range(1, len(table) + 1)],
            "company": whose["short_name"],
            "tax_number": whose["tax_number"].mask(missing[row], None),
            "billing_email": billing_addresses(whose),
            "plan": table["plan"],
            "seats": table["seats"],
            "monthly_amount": table["monthly"],
            "start": table["start"].to_numpy("datetime64[s]"),
            "end": np.where(ended, life.ends[row], np.datetime64("NaT", "s")),
            "status": np.where(ended, "cancelled", "active"),
            "cancel_reason": np.where(ended, life.reasons[row], None),
            "row": row,
        }
    )
