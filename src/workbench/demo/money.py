"""What the grocer pays: advertising by day, and the cost of each product."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.demo.chance import YEAR, hashed_share, stream
from workbench.demo.real import Grocer, product_rows

PLATFORMS = {  # campaigns; dollars a day; dollars per thousand impressions; clicks per impression
    "search": (("brand", "generic"), 220.0, 28.0, 0.035),
    "social": (("awareness", "retargeting"), 160.0, 8.5, 0.009),
    "display": (("prospecting", "retargeting"), 110.0, 3.2, 0.0012),
    "video": (("awareness",), 1150.0, 14.0, 0.002),
}
COST_RATE = {
    "GROCERY": 0.74, "DRUG GM": 0.68, "FUEL": 0.93, "PRODUCE": 0.64, "MEAT": 0.77, "MEAT-PCKGD": 0.73, "DELI": 0.58,
    "PASTRY": 0.52, "NUTRITION": 0.66, "SEAFOOD": 0.75, "SEAFOOD-PCKGD": 0.74, "FLORAL": 0.55, "COSMETICS": 0.60,
    "SALAD BAR": 0.54, "SPIRITS": 0.76, "MISCELLANEOUS": 0.90,
}  # fmt: skip
USUAL_COST_RATE = 0.72


def simulate_ad_spend(seed: int) -> pd.DataFrame:
    """Draw a year of advertising: day, platform, campaign, impressions, clicks, spend (dollars, text as '1.234,50')."""
    days = np.arange(f"{YEAR}-01-01", f"{YEAR + 1}-01-01", dtype="datetime64[D]")
    season = 1 + 0.2 * np.sin(2 * np.pi * (np.arange(len(days)) - 240) / 365) + 0.15 * (np.arange(len(days)) % 7 >= 4)
    pairs = [(platform, campaign) for platform, terms in PLATFORMS.items() for campaign in terms[0]]
    frames = [_campaign_days(stream(seed, "ads", n), days, season, *pair) for n, pair in enumerate(pairs)]
    return pd.concat(frames).sort_values(["day", "platform", "campaign"], kind="stable", ignore_index=True)


def _campaign_days(rng, days: np.ndarray, season: np.ndarray, platform: str, campaign: str) -> pd.DataFrame:
    """Draw one campaign's days."""
    _, budget, per_thousand, click_rate = PLATFORMS[platform]
    spend = (budget * season * rng.lognormal(-0.03, 0.25, len(days))).round(2)
    impressions = (spend / per_thousand * 1000 * rng.lognormal(0, 0.1, len(days))).astype(int)
    return pd.DataFrame(
        {
            "day": np.datetime_as_string(days),
            "platform": platform,
            "campaign": campaign,
            "impressions": impressions,
            "clicks": rng.binomial(impressions, click_rate),
            "spend": [decimal_comma(amount) for amount in spend],
        }
    )


def decimal_comma(amount: float) -> str:
    """Write an amount with a point between thousands and a decimal comma: 1234.5 -> '1.234,50'."""
    return f"{amount:,.2f}".translate(str.maketrans(",.", ".,"))


def product_costs(grocer: Grocer, seed: int) -> pd.DataFrame:
    """Give every sold product a cost: product_id, cost_rate (share of the sales value, 0.45–0.95, three decimals).

    The rate follows the department, ten points lower for the grocer's own brand outside fuel, plus a noise that is
    fixed by the product id.
    """
    sold = np.unique(grocer.transactions["product_id"].to_numpy())
    at = product_rows(sold, grocer.products)
    department = grocer.products["department"].iloc[at].where(at >= 0).reset_index(drop=True)
    rate = department.map(COST_RATE).fillna(USUAL_COST_RATE).to_numpy(float)
    private = grocer.products["brand"].eq("Private").to_numpy(bool)[at] & (at >= 0)
    own_brand = private & department.ne("FUEL").to_numpy(bool)
    noise = sum(hashed_share(seed, f"cost {n}", sold) for n in range(3)) / 1.5 - 1.0  # bell-shaped, -1 to 1
    rate = np.clip(rate - 0.10 * own_brand + 0.12 * noise, 0.45, 0.95)
    return pd.DataFrame({"product_id": sold, "cost_rate": rate.round(3)})
