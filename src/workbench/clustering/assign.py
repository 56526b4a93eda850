"""Tables of a segmentation: who is where, what was predicted, where the centres lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from workbench.clustering.cluster import Segmentation
from workbench.clustering.embed import embed
from workbench.clustering.scoreboard import MEAN, OURS, RFM, Slice
from workbench.core.config import ClusteringSettings
from workbench.core.errors import InputError

MIN_CUSTOMERS = 50


def read_slices(run: Any, catalog: pd.DataFrame) -> dict[str, Slice]:
    """The run's features (used ones only) -> {"full", "odd", "even"} slices, each indexed and sorted by customer.

    Raises InputError under 50 customers: no method finds 10 segments in so few.
    """
    used = list(catalog.feature[catalog.used])
    today = run.read("features").set_index("customer_id")[used].sort_index()
    if len(today) < MIN_CUSTOMERS:
        raise InputError(
            f"{len(today)} customers have an order in the window; segments need at least {MIN_CUSTOMERS}.",
            "Any grouping of so few would be made up.",
            "lengthen features.window_days, move as_of, or check what notebook 01 linked",
        )
    windows, outcomes = run.read("feature_windows"), run.read("outcome_windows")

    def part(name: str, frame: pd.DataFrame) -> pd.DataFrame:
        return frame[frame.slice == name].set_index("customer_id").drop(columns="slice").sort_index()

    slices = {"full": Slice(today, part("earlier", windows)[used], part("earlier", outcomes))}
    for half in ("odd", "even"):
        slices[half] = Slice(part(half, windows)[used], part(f"{half}_earlier", windows)[used], part(f"{half}_earlier", outcomes))
    return slices


def read_revenue(run: Any, index: pd.Index) -> np.ndarray:
    """Revenue in the window per segmented customer (also where the scorecard left the feature out)."""
    return run.read("features").set_index("customer_id").net_revenue.reindex(index).to_numpy()


def macro_count(k: int) -> int:
    """How many macro-segments stand above k segments: about one for four, at least two."""
    return max(2, round(k / 4))


def flat_map(matrix: np.ndarray, settings: ClusteringSettings) -> np.ndarray:
    """The representation -> (customers, 2) coordinates for the eye."""
    return embed(matrix, settings.n_neighbors, 2, settings.seed, min_dist=0.15)


def segment_table(
    segmentation: Segmentation, macro: np.ndarray, customers: pd.DataFrame, index: pd.Index, flat: np.ndarray
) -> pd.DataFrame:
    """-> segmentation table: customer_id, segment_id, macro_id, strength, assigned, map_x, map_y for every known customer.

    Customers without features are unassigned (segment -1, strength 0, no place on the map).
    """
    placed = pd.DataFrame(
        {
            "customer_id": index, "segment_id": segmentation.labels, "macro_id": macro[segmentation.labels],
            "strength": segmentation.strengths, "assigned": np.where(segmentation.core, "core", "soft"), "map_x": flat[:, 0], "map_y": flat[:, 1],
        }
    )  # fmt: skip
    everyone = customers[["customer_id"]].merge(placed, on="customer_id", how="left")
    everyone[["segment_id", "macro_id"]] = everyone[["segment_id", "macro_id"]].fillna(-1).astype(int)
    everyone["strength"] = everyone.strength.fillna(0.0)
    everyone["assigned"] = everyone.assigned.fillna("unassigned").astype("str")
    return everyone.sort_values("customer_id", ignore_index=True)


def count_kinds(segments: pd.DataFrame) -> pd.DataFrame:
    """-> assigned, customers, share."""
    counts = segments.assigned.value_counts().rename_axis("assigned").reset_index(name="customers")
    return counts.assign(share=counts.customers / len(segments))


def outcomes_or_none(run: Any, index: pd.Index) -> pd.DataFrame | None:
    """What came after as_of for the segmented customers, or None where the data do not reach that far."""
    return run.read("outcomes").set_index("customer_id").reindex(index) if run.has("outcomes") else None


def prediction_table(predicted: pd.DataFrame | None, index: pd.Index) -> pd.DataFrame:
    """-> customer_id + the predicted outcomes of the horizon after as_of (no columns without a history to learn from)."""
    frame = pd.DataFrame({"customer_id": index}) if predicted is None else predicted.rename_axis("customer_id").reset_index()
    return frame.astype({"customer_id": "str"})


def centre_table(segmentation: Segmentation) -> pd.DataFrame:
    """-> segment_id + one column per dimension of the representation: what assigns a further customer."""
    frame = pd.DataFrame(segmentation.centres, columns=[f"d{i}" for i in range(segmentation.centres.shape[1])])
    frame.insert(0, "segment_id", range(segmentation.k))
    return frame


def wide_board(board: pd.DataFrame) -> pd.DataFrame:
    """-> one row per outcome, one column per method, the ceiling last."""
    if board.empty:
        return pd.DataFrame({"outcome": pd.Series(dtype="str")})
    wide = board.pivot(index="outcome", columns="method", values="r2_adjusted").reindex(columns=board.method.unique())
    wide["ceiling"] = board.groupby("outcome").ceiling.first()
    return wide.rename_axis("outcome").reset_index()


def headline(board: pd.DataFrame, certificate: pd.DataFrame) -> dict[str, float]:
    """The figures that metrics.json keeps."""
    found = {f"segments_{verdict}": int((certificate.verdict == verdict).sum()) for verdict in ("pass", "watch", "fail")}
    found["stability_mean"] = float(certificate.stability.mean())
    if not board.empty:
        mean = board[board.outcome == MEAN].set_index("method")
        found |= {
            "r2_adjusted": float(mean.r2_adjusted[OURS]),
            "r2_adjusted_rfm": float(mean.r2_adjusted[RFM]),
            "replication_ami": float(mean.replication_ami[OURS]),
        }
        found["r2_ceiling"] = float(mean.ceiling[OURS])
    return found
