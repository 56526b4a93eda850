"""Customers of planted groups: what they will do depends on their group, what else can be seen of them does not.

Each group has a centre in a space of behaviour. A window shows it with noise, anew in every window. Traits (where they
live, which card they carry, …) form dense groups of their own, drawn apart from the planted ones, and have no future. So
a method that clusters whatever varies finds the traits, and one that asks what tells the future finds the groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbench.clustering.scoreboard import Slice

BEHAVIOUR = ("recency_days", "order_count", "net_revenue", "discount_share", "weekend_share")
OUTCOMES = ("future_spend", "future_orders", "future_discount_share", "future_weekend_share")
TRAITS, TYPES = 6, 5


@dataclass(frozen=True)
class Company:
    """groups: the planted truth, one per customer; slices: full, odd, even; outcomes: what comes after as_of."""

    groups: np.ndarray
    slices: dict[str, Slice]
    outcomes: pd.DataFrame
    relevance: pd.Series


def planted_company(groups: int, members: int, seed: int, noise: float = 0.25, movers: float = 0.0) -> Company:
    """`groups` groups of `members` customers; noise: spread of what a window shows, in units between group centres.

    movers: share of customers that were of another group in the earlier window and its outcomes.
    """
    generator = np.random.default_rng(seed)
    truth = generator.permutation(np.repeat(np.arange(groups), members))
    index = pd.Index([f"c{i:05d}" for i in range(len(truth))], name="customer_id")
    centres = _spread_centres(generator, groups)
    own = centres[truth]
    moved = generator.random(len(truth)) < movers
    before = centres[np.where(moved, (truth + 1 + generator.integers(0, groups - 1, len(truth))) % groups, truth)]
    traits = 2 * generator.normal(size=(TYPES, TRAITS))[generator.integers(0, TYPES, size=len(truth))]

    def window(noise: float, own: np.ndarray = own) -> pd.DataFrame:
        seen = own + noise * generator.normal(size=own.shape)
        frame = pd.DataFrame(
            {
                "recency_days": np.exp(2 - 0.5 * seen[:, 0]), "order_count": np.exp(2 + 0.5 * seen[:, 0]), "net_revenue": np.exp(4 + 0.5 * seen[:, 1]),
                "discount_share": 1 / (1 + np.exp(-seen[:, 2])), "weekend_share": 1 / (1 + np.exp(-seen[:, 3])),
            },
            index=index,
        )  # fmt: skip
        wobbling = traits + 0.5 * generator.normal(size=traits.shape)
        return frame.assign(**{f"trait_{i}": wobbling[:, i] for i in range(TRAITS)})

    def after(own: np.ndarray = own) -> pd.DataFrame:
        will = own + 0.4 * generator.normal(size=own.shape)
        return pd.DataFrame(
            {
                "future_spend": np.exp(3 + 0.4 * will[:, 1]), "future_orders": np.round(np.exp(2 + 0.5 * will[:, 0])),
                "future_discount_share": 1 / (1 + np.exp(-will[:, 2])), "future_weekend_share": 1 / (1 + np.exp(-will[:, 3])),
            },
            index=index,
        )  # fmt: skip

    slices = {"full": Slice("full", window(noise), window(noise, before), after(before))}
    slices |= {half: Slice(half, window(1.4 * noise), window(1.4 * noise, before), after(before)) for half in ("odd", "even")}
    relevance = pd.Series({**dict.fromkeys(BEHAVIOUR, 0.2), **{f"trait_{i}": 0.0 for i in range(TRAITS)}})
    return Company(truth, slices, after(), relevance)


def weekly_company(seed: int, window: int, horizon: int, customers: int = 1500, movers: float = 0.0) -> dict[str, Slice]:
    """Slices of customers of ten groups whose orders come at random each week; window, horizon: in weeks.

    Windows one horizon apart share weeks where the window is longer, as real ones do. movers: share that turns to another group one horizon before today.
    """
    generator, groups = np.random.default_rng(seed), 10
    rate, value = np.geomspace(0.2, 2, groups), generator.permutation(np.geomspace(8, 80, groups))
    discounted, weekend = generator.uniform(0, 0.8, groups), generator.uniform(0.1, 0.8, groups)
    before = generator.integers(0, groups, customers)
    moved = generator.random(customers) < movers
    after = np.where(moved, (before + generator.integers(1, groups, customers)) % groups, before)
    of = np.where(np.arange(window + horizon) < window, before[:, None], after[:, None])  # group per customer and week
    orders = generator.poisson(rate[of])
    spend = value[of] * generator.gamma(np.maximum(6 * orders, 1)) / 6 * (orders > 0)
    cut, late = generator.binomial(orders, discounted[of]), generator.binomial(orders, weekend[of])
    index = pd.Index([f"c{i:05d}" for i in range(customers)], name="customer_id")

    def window_of(end: int, half: int | None = None) -> pd.DataFrame:
        back = np.arange(window)
        back = back if half is None else back[back % 2 == half]
        weeks = end - 1 - back
        count, money = orders[:, weeks].sum(axis=1), spend[:, weeks].sum(axis=1)
        last = np.where(orders[:, weeks] > 0, back, window).min(axis=1)
        with np.errstate(invalid="ignore"):
            frame = pd.DataFrame(
                {
                    "recency_days": 7.0 * last, "order_count": 1.0 * count, "net_revenue": money, "aov": money / count,
                    "discount_share": cut[:, weeks].sum(axis=1) / count, "weekend_share": late[:, weeks].sum(axis=1) / count,
                },
                index=index,
            )  # fmt: skip
        return frame[count > 0]

    def then(half: int | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
        seen, weeks = window_of(window, half), np.arange(window, window + horizon)
        count = orders[:, weeks].sum(axis=1)
        with np.errstate(invalid="ignore"):
            outcomes = pd.DataFrame(
                {
                    "future_spend": spend[:, weeks].sum(axis=1), "future_orders": 1.0 * count,
                    "future_discount_share": cut[:, weeks].sum(axis=1) / count, "future_weekend_share": late[:, weeks].sum(axis=1) / count,
                },
                index=index,
            )  # fmt: skip
        return seen, outcomes.loc[seen.index]

    halves = {"full": None, "odd": 0, "even": 1}
    return {name: Slice(name, window_of(window + horizon, half), *then(half)) for name, half in halves.items()}


def _spread_centres(generator: np.random.Generator, count: int, dimensions: int = 4) -> np.ndarray:
    """Random centres, each at least a distance of 2 from every other."""
    centres: list[np.ndarray] = []
    while len(centres) < count:
        candidate = generator.uniform(-2.2, 2.2, size=dimensions)
        if all(np.linalg.norm(candidate - other) >= 2 for other in centres):
            centres.append(candidate)
    return np.stack(centres)
