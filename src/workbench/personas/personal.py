"""Five new products for each customer: what its segment bought lately and what goes with the customer's own purchases.

Learned from everything bought before as_of and judged against plain popularity on the horizon after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import sparse, stats

from workbench.core import engine
from workbench.core.stats import pool_effects
from workbench.personas.naming import SENSITIVE
from workbench.personas.next_products import MOST, PRIOR, TAKEN, kinds_of

# The first two are the best of 25 pairs on the demo grocer's horizons from 2017-06-01 and 2017-07-01; the others, after them, the best
# of 40 with that from 2017-05-01 too. All of it lies before the as-of day.
HALF_LIFE = 60.0  # days after which a purchase counts half
STRENGTH = 3.0  # of pairs with the customer's own purchases beside the segment's share
LINEAR, RIDGE = 3.0, 400.0  # of the weights that predict a product from all others; customers that shrink them
PAIRS = 5.0  # customers added to a pair's count and to what chance would give: a rare pair is no taste
BATCH = 20_000
JUDGED = ["segment_id", "hit_rate", "popularity", "difference", "ci_low", "ci_high", "n", "verdict"]
POOLED = ["pooled", "pooled_low", "pooled_high"]


@dataclass(frozen=True)
class Baskets:
    """Who bought what of the 400 most bought products. segments: one per customer; products by falling number of buyers.

    before: (customers, products) 0.5 to the power of days / 60 since the last purchase before as_of, 0 without one; after: whether
    bought in the horizon; ordered: customers who ordered anything in it; offered: products that may be recommended.
    """

    customers: pd.Index
    segments: np.ndarray
    products: pd.Index
    kinds: pd.Series
    before: sparse.csr_array
    after: sparse.csr_array
    ordered: np.ndarray
    offered: np.ndarray


def baskets(bought: ir.Table, labels: pd.Series, words: Mapping[str, str]) -> Baskets:
    """Purchases (see `next_products.purchases`) and segment_id by customer_id -> Baskets; words: names of kinds for readers.

    What may be sensitive is not offered.
    """
    buyers = bought.group_by("product").agg(n=bought.days_since.count())
    top = engine.fetch(buyers.filter(buyers.n > 0).order_by([buyers.n.desc(), "product"]).limit(MOST))["product"].astype("str")
    places = pd.DataFrame({"product": top, "column": np.arange(len(top))})
    known = engine.as_table(bought.get_backend(), pa.Table.from_pandas(places, preserve_index=False), "top_products")
    cells = engine.fetch(bought.inner_join(known, "product").select("place", "column", "after", "days_since"))
    shape = (len(labels), len(top))
    weights = (0.5 ** (cells.days_since / HALF_LIFE)).fillna(0.0).to_numpy()
    made = [
        sparse.csr_array((values, (cells.place.to_numpy(), cells.column.to_numpy())), shape=shape)
        for values in (weights, cells.after.to_numpy(float))
    ]
    for matrix in made:
        matrix.eliminate_zeros()
    ordered = np.zeros(len(labels), bool)
    ordered[engine.fetch(bought.filter(bought.after).select("place").distinct()).place.to_numpy(int)] = True
    kinds = kinds_of(bought, top, words)
    offered = ~(kinds + " " + top.to_numpy()).str.contains(SENSITIVE).to_numpy(bool)
    return Baskets(labels.index, labels.to_numpy(), pd.Index(top), kinds, *made, ordered, offered)


def recommend(found: Baskets) -> np.ndarray:
    """-> (customers, 5) columns of the products to recommend, best first, none that the customer has bought before; -1 for none.

    Score: log share of the segment's members who bought it, recent purchases counting more, shrunk towards everybody's, plus three
    times the mean over the customer's own products of the log lift (pointwise mutual information, Church & Hanks 1990) of the pair,
    plus three times what a ridge regression on all other products expects (EASE, Steck 2019).
    """
    own = (found.before > 0).astype(float)
    everybody = np.asarray(found.before.mean(axis=0)).ravel()
    kinds, segment = np.unique(found.segments, return_inverse=True)
    members = sparse.csr_array((np.ones(len(segment)), (segment, np.arange(len(segment)))), shape=(len(kinds), len(segment)))
    sums, sizes = (members @ found.before).toarray(), np.bincount(segment, minlength=len(kinds))[:, None]
    share = np.log((sums + PRIOR * everybody) / (sizes + PRIOR))
    together = (own.T @ own).toarray()
    lift, weights = _log_lift(together, len(found.customers)), _linear(together)

    def score(rows: slice) -> np.ndarray:
        mine = own[rows]
        pairs = (mine @ lift) / np.maximum(mine.sum(axis=1), 1)[:, None]
        return share[segment[rows]] + STRENGTH * pairs + LINEAR * (mine @ weights)

    return _best(found, score, found.offered)


def popular(found: Baskets) -> np.ndarray:
    """The same by the number of buyers alone, sensitive products included: what recommendations have to beat."""
    order = -np.arange(len(found.products), dtype=float)
    return _best(found, lambda rows: np.tile(order, (rows.stop - rows.start, 1)), np.ones(len(order), bool))


def _log_lift(together: np.ndarray, customers: int) -> np.ndarray:
    """(products, products) customers who bought both, buyers on the diagonal -> log of observed over expected by chance, shrunk."""
    buyers = together.diagonal()
    chance = np.outer(buyers, buyers) / max(customers, 1)
    lift = np.log((together + PAIRS) / (chance + PAIRS))
    np.fill_diagonal(lift, 0.0)
    return lift


def _linear(together: np.ndarray) -> np.ndarray:
    """The same -> weights by which the other products predict each, none its own (Steck 2019, equation 8)."""
    inverse = np.linalg.inv(together + RIDGE * np.eye(len(together)))
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights


def _best(found: Baskets, score: Callable[[slice], np.ndarray], offered: np.ndarray) -> np.ndarray:
    """The best new products by a score of rows; ties go to the product that more bought."""
    count = len(found.customers)
    picks = np.full((count, TAKEN), -1)
    for at in range(0, count if len(found.products) else 0, BATCH):
        rows = slice(at, min(at + BATCH, count))
        scores = np.where((found.before[rows].toarray() > 0) | ~offered, -np.inf, score(rows))
        best = np.argsort(-scores, axis=1, kind="stable")[:, :TAKEN]
        new = np.isfinite(np.take_along_axis(scores, best, axis=1))
        picks[rows, : best.shape[1]] = np.where(new, best, -1)
    return picks


def pick_table(found: Baskets, picks: np.ndarray) -> pd.DataFrame:
    """-> customer_id, rank (from 1), product, kind_of; up to five rows per customer."""
    rows, ranks = np.nonzero(picks >= 0)
    chosen = picks[rows, ranks]
    return pd.DataFrame(
        {
            "customer_id": found.customers.to_numpy()[rows], "rank": ranks + 1, "product": found.products.to_numpy()[chosen],
            "kind_of": found.kinds.to_numpy()[chosen],
        }
    ).astype({"customer_id": "str", "product": "str", "kind_of": "str"})  # fmt: skip


def share_of_known_kinds(found: Baskets, picks: np.ndarray) -> float:
    """Share of the picks that are of a kind of which the customer has bought another product; missing without picks."""
    codes = pd.factorize(found.kinds)[0]
    belongs = sparse.csr_array((np.ones(len(codes)), (np.arange(len(codes)), codes)), shape=(len(codes), max(len(codes), 1)))
    owned = sparse.csr_array((found.before > 0).astype(float) @ belongs)
    rows, ranks = np.nonzero(picks >= 0)
    return float((np.asarray(owned[rows, codes[picks[rows, ranks]]]).ravel() > 0).mean()) if len(rows) else float("nan")


def judge(found: Baskets, picks: np.ndarray, confidence: float) -> pd.DataFrame:
    """Hit rate of five recommendations in the horizon after as_of against the five most popular products, per segment and in all.

    Over the n customers who ordered; a hit: one of the five was bought, all new to the customer. difference with its interval:
    paired (t distribution), and verdict (better, worse or not told apart) from it, of the segment's own customers alone. pooled with
    its interval: the same, each segment drawn towards all of them by as much as chance explains (see `pool_effects`); missing under four
    segments. segment_id -2: everybody. No rows where the data end at as_of.
    """
    hits = pd.DataFrame({"segment_id": found.segments, "hit": _hit(found, picks), "hit_popular": _hit(found, popular(found))})
    hits = hits[found.ordered].astype(float, errors="ignore").astype({"segment_id": "int64"})
    rows = [_judged(segment, mine, confidence) for segment, mine in hits.groupby("segment_id")]
    errors = hits.hit.sub(hits.hit_popular).groupby(hits.segment_id).sem()
    pooled = pool_effects(np.array([row[3] for row in rows]), errors.to_numpy(float), confidence)
    rows += [_judged(-2, hits, confidence)] if len(hits) else []
    kinds = {"segment_id": "int64", "n": "int64", "verdict": "str"}
    told = pd.DataFrame(rows, columns=JUDGED).astype({c: kinds.get(c, "float64") for c in JUDGED})
    return told.assign(**{name: pd.Series(values, dtype="float64") for name, values in zip(POOLED, pooled, strict=True)})


def _hit(found: Baskets, picks: np.ndarray) -> np.ndarray:
    """Whether any of a customer's picks was bought in the horizon."""
    rows, ranks = np.nonzero(picks >= 0)
    shape = found.after.shape
    chosen = sparse.csr_array((np.ones(len(rows)), (rows, picks[rows, ranks])), shape=shape)
    return (chosen * found.after).sum(axis=1) > 0


def _judged(segment: int, mine: pd.DataFrame, confidence: float) -> tuple:
    gain = mine.hit - mine.hit_popular
    n, middle = len(gain), gain.mean()
    half = stats.t.ppf(0.5 + confidence / 2, n - 1) * gain.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
    low, high = middle - half, middle + half
    verdict = "better" if low > 0 else "worse" if high < 0 else "not told apart"
    return (segment, mine.hit.mean(), mine.hit_popular.mean(), middle, low, high, n, verdict)
