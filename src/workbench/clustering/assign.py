"""Tables of a segmentation: who is where, what was predicted, what the run keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from workbench.clustering import baselines, lineage, movement, neighbours
from workbench.clustering.embed import embed
from workbench.clustering.repair import least_size
from workbench.clustering.scoreboard import AFTER, MEAN, OURS, RFM, Slice
from workbench.clustering.segmenter import MIN_CUSTOMERS, Segmenter
from workbench.core.errors import InputError, QualityGate, WorkbenchError
from workbench.core.files import atomic_write
from workbench.core.stats import order_by_content

STILL = movement.Known(np.arange(2), np.arange(2), 2)  # two customers, for the columns of empty tables
NOBODY_MOVED = movement.Moves(*STILL[:2], *[(np.arange(2),) * 2] * 2, segments=2, known=STILL)


def read_slices(run: Any, catalog: pd.DataFrame) -> dict[str, Slice]:
    """The run's features -> {"full", "odd", "even"} slices of those in use, indexed by customer, rows in `order_by_content`."""
    used, every = list(catalog.feature[catalog.used]), list(catalog.feature)
    windows, outcomes = run.read("feature_windows"), run.read("outcome_windows")

    def part(name: str, frame: pd.DataFrame) -> pd.DataFrame:
        return frame[frame.slice == name].set_index("customer_id").drop(columns="slice").sort_index()

    def as_slice(name: str, today: pd.DataFrame, earlier: str) -> Slice:
        today, then, happened = today[every], part(earlier, windows)[every], part(earlier, outcomes)
        happened = happened.reindex(then.index)
        order, order_then = order_by_content(today), order_by_content(then, happened)
        today, then, happened = today.iloc[order], then.iloc[order_then], happened.iloc[order_then]
        if used == every:
            return Slice(name, today, then, happened)
        return Slice(name, today[used], then[used], happened, today, then)

    slices = {"full": as_slice("full", run.read("features").set_index("customer_id").sort_index(), "earlier")}
    return slices | {half: as_slice(half, part(half, windows), f"{half}_earlier") for half in ("odd", "even")}


def relevance_of(catalog: pd.DataFrame) -> pd.Series:
    """feature_catalog -> how much each feature counts in the space: its relevance to outcomes times its squared weight.

    Rounded: sums over customers in another order differ in the last digit, and UMAP makes much of it.
    """
    known = catalog.set_index("feature")
    return (known.relevance * known.weight**2).round(12)


def check_enough(run: Any, today: pd.DataFrame) -> None:
    """Raise InputError where customers are too few to segment; their RFM tiers are left in the run's folder as `rfm_tiers.csv`."""
    if len(today) >= MIN_CUSTOMERS:
        return
    advice = "lengthen features.window_days, move as_of, or check what notebook 01 linked"
    if len(today) > 1:
        path = run.path / "rfm_tiers.csv"
        tiers = pd.DataFrame({"customer_id": today.index, "tier": baselines.rfm_grid(today, (2, 2, 2))})
        atomic_write(path, lambda p: tiers.to_csv(p, index=False))
        advice = f"use the RFM tiers of these customers in {path}, or {advice}"
    raise InputError(
        f"{len(today)} customers have an order in the window; segments need at least {MIN_CUSTOMERS}.",
        "Any grouping of so few would be made up.",
        advice,
    )


def revenue_of(part: Slice, customers: pd.Index) -> np.ndarray:
    """Revenue in a slice's window per customer, also where the scorecard left the feature out; missing for who bought nothing in those weeks."""
    return part.every.net_revenue.reindex(customers).to_numpy()


def flat_map(segmenter: Segmenter, today: pd.DataFrame) -> np.ndarray:
    """-> (customers, 2) coordinates for the eye, NaN for customers outside the sample that segments were found among."""
    flat = np.full((len(today), 2), np.nan)
    flat[segmenter.rows_] = embed(segmenter.matrix_, segmenter.n_neighbors, 2, segmenter.seed, min_dist=0.15)
    return flat


def segment_table(segmenter: Segmenter, customers: pd.DataFrame, index: pd.Index, flat: np.ndarray) -> pd.DataFrame:
    """-> segmentation table: customer_id, segment_id, macro_id, strength, assigned, map_x, map_y for every known customer.

    Customers without features are unassigned (segment -1, strength 0, no place on the map).
    """
    placed = pd.DataFrame(
        {
            "customer_id": index, "segment_id": segmenter.labels_, "macro_id": segmenter.macro_[segmenter.labels_],
            "strength": segmenter.strengths_, "assigned": np.where(segmenter.core_, "core", "soft"), "map_x": flat[:, 0], "map_y": flat[:, 1],
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


def segment_sizes(segmenter: Segmenter, revenue: np.ndarray) -> pd.DataFrame:
    """-> segment_id, size, share, revenue_share (of what is known; NaN where no revenue is), persistence, smallest_effect, too_small.

    too_small: fewer customers than `min_size_share` asks for; a history can speak for such a segment, and it stays. smallest_effect: the difference, in standard deviations, that a test of half of the segment against the other half finds four
    times in five (Cohen 1988: 2.8 standard errors at 5 %): what a treatment must do to be seen here.
    """
    sizes = np.bincount(segmenter.labels_, minlength=segmenter.n_segments_)
    money = np.bincount(segmenter.labels_, np.nan_to_num(revenue), minlength=segmenter.n_segments_)
    return pd.DataFrame(
        {
            "segment_id": np.arange(segmenter.n_segments_), "size": sizes, "share": sizes / sizes.sum(), "revenue_share": money / (money.sum() or np.nan),
            "persistence": segmenter.persistence_, "smallest_effect": 2.8 * 2 / np.sqrt(np.maximum(sizes, 1)),
            "too_small": sizes < least_size(len(segmenter.labels_), segmenter.min_size_share),
        }
    )  # fmt: skip


def read_previous(run: Any, customers: pd.Series) -> dict[str, Any]:
    """What the last run of the company knows of its segments: segments, centres, registry, history; None each where there is none.

    Also run, its name, as_of, the latest day that a run of the company has judged, and apart, why nothing of it is taken: a table of it is damaged, or it has
    none of these customers (another key or ledger) and its segments would be put down as gone for good.
    """
    earlier, names, apart = run.previous(), ("segments", "centres", "registry", "history"), ""
    found: dict[str, Any] = dict.fromkeys((*names, "as_of", "run"))
    if earlier is None:
        return found | {"apart": apart}
    try:
        found |= {name: earlier.read(name) for name in names if earlier.has(name)}
    except WorkbenchError as fault:
        apart = fault.what
    if not apart and found["segments"] is not None and not found["segments"].customer_id.isin(customers).any():
        apart = "it has no customer in common with this one, as after a change of the key."
    found = dict.fromkeys(found) if apart else found | {"as_of": run.judged_until()}
    return found | {"run": earlier.path.name, "apart": apart}


def trace_lineage(segmenter: Segmenter, segments: pd.DataFrame, before: Mapping[str, Any]) -> pd.DataFrame:
    """This run's segmentation and what the last run knew (see `read_previous`) -> lineage."""
    if before["segments"] is None:
        return lineage.first_lineage(segments)
    return lineage.match_segments(segments, before["segments"], centre_table(segmenter), before["centres"])


def compare_nearest(segmenter: Segmenter, part: Slice, nearest: pd.DataFrame) -> pd.DataFrame:
    """nearest: see `neighbours.nearest_segments` -> the same with what most sets each pair apart one horizon earlier (see `neighbours.differ_most`)."""
    back = segmenter.look_back()
    if back is None:
        return neighbours.differ_most(nearest, segmenter.labels_[:0], part.earlier_outcomes.iloc[:0, :0])
    outcomes = part.earlier_outcomes.loc[back.index, list(segmenter.space_.models_)]
    return neighbours.differ_most(nearest, segmenter.place_coordinates(back.to_numpy())[0], outcomes)


def read_moves(run: Any, segmenter: Segmenter, slices: Mapping[str, Slice]) -> movement.Moves | None:
    """Segments one horizon ago, today and one horizon later (see `movement.observe_moves`)."""
    later = run.read("later_features").set_index("customer_id")[list(slices["full"].today)] if run.has("later_features") else None
    windows = run.config.features
    return movement.observe_moves(segmenter, slices, later, movement.shared_days(windows.window_days, windows.horizon_days))


def migration_of(moves: movement.Moves | None) -> pd.DataFrame:
    """-> migration; no rows where movement cannot be told from chance."""
    return movement.migration_table(moves or NOBODY_MOVED)[: None if moves else 0]


def forecast_of(segmenter: Segmenter, moves: movement.Moves | None) -> pd.DataFrame:
    """-> sizes one horizon from now if moves beyond chance go on (see `movement.forecast`); no rows where movement cannot be told."""
    sizes = np.bincount(segmenter.labels_, minlength=segmenter.n_segments_)
    return movement.forecast((moves or NOBODY_MOVED).known, sizes, segmenter.seed)[: None if moves else 0]


def check_trust(certificate: pd.DataFrame, counts: pd.DataFrame) -> None:
    """Raise QualityGate where no segment survives: nothing that is built on them would be worth having."""
    if (certificate.verdict != "fail").any():
        return
    tried = counts.sort_values("surviving", ascending=False).head(3)
    lines = [f"  {r.n_repaired} segments: {r.survives:.0%} of a segment comes back" for r in tried.itertuples()]
    raise QualityGate(
        "\n".join(
            [
                f"No segment survives its certificate (best {certificate.stability.max():.2f}, wanted 0.50). The steadiest numbers tried:",
                *lines,
            ]
        ),
        "Names, personas and audiences of such segments would change with every refit.",
        "try clustering.min_segments lower, clustering.min_size_share or features.window_days larger, or use the RFM grid",
    )


def outcomes_or_none(run: Any, index: pd.Index) -> pd.DataFrame | None:
    """What came after as_of for the segmented customers, or None where the data do not reach that far."""
    return run.read("outcomes").set_index("customer_id").reindex(index) if run.has("outcomes") else None


def prediction_table(predicted: pd.DataFrame | None, index: pd.Index) -> pd.DataFrame:
    """-> customer_id + the predicted outcomes of the horizon after as_of (no columns without a history to learn from)."""
    frame = pd.DataFrame({"customer_id": index}) if predicted is None else predicted.rename_axis("customer_id").reset_index()
    return frame.astype({"customer_id": "str"}).sort_values("customer_id", ignore_index=True)


def centre_table(segmenter: Segmenter) -> pd.DataFrame:
    """-> segment_id, customers (of those that segments were found among, nearest to the centre) + the place of the centre in every dimension of the space.

    A row per centre: a segment that was joined from several groups has several.
    """
    names = [str(name) for name in segmenter.get_feature_names_out()]
    places = pd.DataFrame(segmenter.centres_, columns=names)
    of = {"segment_id": segmenter.centre_segment_, "customers": segmenter.centre_sizes_}
    return pd.concat([pd.DataFrame(of), places], axis=1).sort_values("segment_id", kind="stable", ignore_index=True)


def wide_board(board: pd.DataFrame) -> pd.DataFrame:
    """-> one row per outcome, one column per method, the ceiling last."""
    wide = board.pivot(index="outcome", columns="method", values="r2_adjusted").reindex(columns=board.method.unique())
    wide["ceiling"] = board.groupby("outcome").ceiling.first()
    return wide.rename_axis("outcome").reset_index()


def headline(board: pd.DataFrame, certificate: pd.DataFrame) -> dict[str, float]:
    """The figures that metrics.json keeps; what segments know only where it was judged out of time."""
    found = {f"segments_{verdict}": int((certificate.verdict == verdict).sum()) for verdict in ("pass", "watch", "fail")}
    found["stability_mean"] = float(certificate.stability.mean())
    mean = board[board.outcome == MEAN].set_index("method")
    found["replication_ami"] = float(mean.replication_ami[OURS])
    if mean.judged[OURS] != AFTER:
        return found
    r2 = {"r2_adjusted": mean.r2_adjusted[OURS], "r2_adjusted_rfm": mean.r2_adjusted[RFM], "r2_ceiling": mean.ceiling[OURS]}
    return found | {name: float(value) for name, value in r2.items()}
