"""How many segments: of all cuts of a pool, repaired, one whose knowledge survives best, and the last run's number where none is surely better."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from workbench.clustering.repair import Cut, Last
from workbench.core.stats import one_sided_margin

COLUMNS = ["n_segments", "n_repaired", "knowledge", "survives", "surviving"]


def choose(
    cuts: dict[int, Cut], least: float = 0.0, last: Last | None = None, again: Callable[..., list[np.ndarray]] | None = None
) -> pd.DataFrame:  # fmt: skip
    """-> n_segments (groups), n_repaired (segments after the repair), knowledge (0-1), survives (mean Jaccard, each segment by its customers), surviving (their product),
    surviving_error, chosen, as_before; a row per number of groups, all figures after the repair.

    Best is the cut with most surviving knowledge, of those whose segments all have `least` customers where there are any (the wanted number
    can keep a small one from being joined). surviving_error: standard error (over refits, paired) of how much less another cut has. Of the cuts within it
    the one that knows most is chosen: by the product they are equal, and people asked for small segments.

    Numbers and names should not flicker: the cut that begins from the `last` run's centres, or has as many segments, is chosen (as_before) unless the
    other beats it in a second look (`again`: cuts -> the surviving knowledge of each in refits that no cut was chosen by; one-sided
    paired t, 95 %). Knowledge is that of the earlier window; nothing after as_of is read.
    """
    rows = [(k, c.n_segments, c.knowledge, c.survives.mean(), c.surviving.mean()) for k, c in cuts.items()]
    table = pd.DataFrame(rows, columns=COLUMNS)
    if len(table) < 2:
        return table.assign(surviving_error=np.nan, chosen=True, as_before=False)
    large = table[[c.smallest >= least for c in cuts.values()]]
    able = large if len(large) else table
    knows = bool((able.knowledge > 0).any())
    best = able.surviving.idxmax() if knows else able.n_segments.idxmin()
    surviving = np.stack([c.surviving for c in cuts.values()])
    table["surviving_error"] = (surviving[best] - surviving).std(axis=1, ddof=1) / np.sqrt(surviving.shape[1])
    equal = able[able.surviving >= able.surviving[best] - table.surviving_error[able.index]]
    chosen = equal.round({"knowledge": 3}).sort_values(["knowledge", "surviving"]).index[-1] if knows else best
    kept = _as_before(able, last)
    stays = kept not in (None, chosen) and not _beats(*again(*(cuts[k] for k in table.n_segments[[chosen, kept]])))
    chosen = kept if stays else chosen
    return table.assign(chosen=table.index == chosen, as_before=(table.index == chosen) & stays)


def _as_before(able: pd.DataFrame, last: Last | None) -> int | None:
    """The row that begins from the last run's centres, where there is one; else the best with as many segments; None where neither is."""
    if last is None:
        return None
    begun = able[able.n_segments == len(last.centres)]
    same = begun if len(begun) else able[able.n_repaired == last.belongs.max() + 1]
    return None if same.empty else same.surviving.idxmax()


def _beats(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether one is surely more than the other, measured in the same refits."""
    lead = one - other
    return bool(lead.mean() > one_sided_margin(lead))
