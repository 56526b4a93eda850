"""What a household had bought before a month began: the only thing about purchases that a simulation may see.

The rule of the demo: what is simulated in a month depends on (a) the same household's purchases in earlier months and
(b) traits drawn independently of its purchases. All scales below are constants, not statistics of the data, so that
neither the future nor other households slip in through a normalisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.demo.chance import MONTH_STARTS, stream
from workbench.demo.real import Grocer, product_rows

MONTHS = 12
MEMORY = 0.6  # weight of a month relative to the one after it
DEPARTMENTS = (
    "GROCERY", "DRUG GM", "PRODUCE", "MEAT", "MEAT-PCKGD", "DELI", "PASTRY", "NUTRITION", "SEAFOOD", "FLORAL",
    "COSMETICS", "SPIRITS",
)  # fmt: skip
POPULARITY = np.array([0.40, 0.12, 0.13, 0.09, 0.06, 0.06, 0.05, 0.03, 0.02, 0.02, 0.01, 0.01])
TOPICS = ("weekly offers", "recipes", "baby club", "organic", "wine", "pets")
TYPICAL_SHARE = np.array([0.17, 0.16, 0.04, 0.03, 0.03, 0.03])  # discount share, then shares of spend by topic
TOPIC_DEPARTMENTS = {
    "recipes": ("PRODUCE", "MEAT", "SEAFOOD"),
    "organic": ("NUTRITION",),
    "wine": ("SPIRITS",),
}
TOPIC_CATEGORIES = {
    "baby club": ("DIAPERS & DISPOSABLES", "INFANT FORMULA", "BABY FOODS", "BABY HBC", "INFANT CARE PRODUCTS"),
    "organic": ("ORGANICS FRUIT & VEGETABLES",),
    "wine": ("DOMESTIC WINE", "IMPORTED WINE", "MISC WINE"),
    "pets": ("DOG FOODS", "CAT FOOD", "CAT LITTER", "PET CARE SUPPLIES"),
}
TRAITS = ("openness", "web", "app", "social", "complaints", "satisfaction", "price", "novelty")


@dataclass(frozen=True)
class Past:
    """One month's view of the past, one entry per household in roster order.

    level: how often it shopped, 0 = four visits a month, about -2 to 2; shares are of spend, 0–1;
    topic_fit: households x TOPICS, -0.5 (never buys it) to 0.5; departments: households x DEPARTMENTS, chances.
    Households (or months) without any past stand at 0, and at the popularity of the departments.
    """

    level: np.ndarray
    coupon_share: np.ndarray
    discount_share: np.ndarray
    private_share: np.ndarray
    topic_fit: np.ndarray
    departments: np.ndarray


def draw_traits(households: int, seed: int) -> dict[str, np.ndarray]:
    """Draw the latent traits (standard normal); the digital ones share half their variance, none knows a purchase."""
    rng = stream(seed, "traits")
    shared = rng.standard_normal(households)
    traits = {name: rng.standard_normal(households) for name in TRAITS}
    for name in ("openness", "web", "app"):
        traits[name] = np.sqrt(0.5) * (shared + traits[name])
    return traits


def monthly_sums(grocer: Grocer) -> np.ndarray:
    """Add up purchases: households x 12 months x measures.

    The measures: visits, spend, discount, coupon lines, lines, own-brand spend, spend by topic, spend by department.
    Spend and discount in dollars; the few lines stamped after the year's end are left out.
    """
    lines = grocer.transactions
    row = np.searchsorted(grocer.households, lines["household_id"])
    month = lines["transaction_timestamp"].to_numpy().astype("datetime64[M]")
    month = (month - MONTH_STARTS[0].astype("datetime64[M]")).astype(int)
    cell = np.where(month < MONTHS, row * MONTHS + month, len(grocer.households) * MONTHS)
    cells = len(grocer.households) * MONTHS + 1

    weights = list(_line_measures(grocer))
    sums = [np.bincount(cell, weight, cells)[:-1] for weight in weights]
    return np.stack(sums, axis=1).reshape(len(grocer.households), MONTHS, len(weights))


def _line_measures(grocer: Grocer):
    """Yield what one purchase line adds to each measure of `monthly_sums`, in that order."""
    lines = grocer.transactions
    spend = lines["sales_value"].to_numpy()
    first_of_basket = np.zeros(len(lines))
    first_of_basket[np.unique(lines["basket_id"].to_numpy(), return_index=True)[1]] = 1.0
    at = product_rows(lines["product_id"].to_numpy(), grocer.products)
    yield first_of_basket
    yield spend
    yield lines["retail_disc"].to_numpy()
    yield (lines["coupon_disc"].to_numpy() > 0).astype(float)
    yield np.ones(len(lines))
    yield spend * _marked(grocer.products["brand"].eq("Private"), at)
    for topic in TOPICS[1:]:
        yield spend * _marked(_in_topic(grocer, topic), at)
    for department in DEPARTMENTS:
        yield spend * _marked(grocer.products["department"].eq(department), at)


def _in_topic(grocer: Grocer, topic: str):
    """Mark the products that belong to a newsletter topic."""
    by_department = grocer.products["department"].isin(TOPIC_DEPARTMENTS.get(topic, ()))
    return by_department | grocer.products["product_category"].isin(TOPIC_CATEGORIES.get(topic, ()))


def _marked(products, at: np.ndarray) -> np.ndarray:
    """Carry a mark on products over to purchase lines; a line of an unlisted product is never marked."""
    return np.append(products.to_numpy(bool), False)[at]


def past_of(sums: np.ndarray, month: int) -> Past:
    """Look back from the first moment of month 0–11: the months before it, recent ones weighing more."""
    before = sums[:, :month]
    weights = MEMORY ** np.arange(month - 1, -1, -1.0)
    mean = (before * weights[:, None]).sum(axis=1) / max(weights.sum(), 1.0)
    visits, spend, discount, coupons, lines, private = mean[:, :6].T
    known = spend > 0
    level = np.clip((np.log1p(visits) - np.log1p(4.0)) / 0.7, -2.0, 2.0) if month else np.zeros(len(sums))
    discount_share = _share(discount, spend + discount)
    topics = np.column_stack([discount_share, _share(mean[:, 6:11], spend[:, None])])
    fit = np.where(known[:, None], np.tanh(topics / TYPICAL_SHARE) - 0.5, 0.0)
    bought = mean[:, 11:]
    own = np.where(bought.sum(axis=1, keepdims=True) > 0, _share(bought, bought.sum(axis=1, keepdims=True)), POPULARITY)
    return Past(
        level=level,
        coupon_share=_share(coupons, lines),
        discount_share=discount_share,
        private_share=_share(private, spend),
        topic_fit=fit,
        departments=0.6 * own + 0.4 * POPULARITY,
    )


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide, with 0 where there is nothing to divide by."""
    return np.divide(part, whole, out=np.zeros(np.broadcast_shapes(part.shape, whole.shape)), where=whole > 0)


def stranger_past(visitors: int) -> Past:
    """Stand in for the past of visitors who are nobody's household: average in everything."""
    zeros = np.zeros(visitors)
    no_fit, popular = np.zeros((visitors, len(TOPICS))), np.tile(POPULARITY, (visitors, 1))
    return Past(zeros, zeros, zeros, zeros, no_fit, popular)
