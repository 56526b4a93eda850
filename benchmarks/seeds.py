"""Print what hangs on chance: the segments of a finished run (by default the newest) found again with ten other seeds, and without 1 % of its customers."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from workbench.core.rundir import finished_run  # isort: skip -- before pandas: see core/processor.py
import numpy as np
import pandas as pd

from workbench.clustering import assign, lineage, scoreboard
from workbench.clustering.segmenter import Segmenter
from workbench.core.processor import use_one_thread

SEEDS = range(11, 21)
DROPS, DROPPED = 5, 0.01


def main() -> None:
    """Print a row per seed and their spread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", default="latest")
    run = finished_run(parser.parse_args().run)
    use_one_thread()
    settings, catalog = run.settings("clustering"), run.read("feature_catalog")
    full = assign.read_slices(run, catalog)["full"]
    relevance = assign.relevance_of(catalog)
    outcomes = scoreboard.draw_judges(assign.outcomes_or_none(run, full.today.index), settings)
    board = run.read("scoreboard").set_index(["outcome", "method"]).r2_adjusted[scoreboard.MEAN]
    print(f"run {run.path.name}, seed {settings.seed}: {board[scoreboard.OURS]:.3f}, RFM grid {board[scoreboard.RFM]:.3f}")
    found = []
    for seed in SEEDS:
        fitted = scoreboard.fit_slice(full, settings.model_copy(update={"seed": seed}), relevance)
        ceiling = scoreboard.prediction_ceiling(fitted.predicted_, outcomes)
        tried = scoreboard.score_tried(fitted, full, outcomes, ceiling)
        found.append(tried[tried.chosen].iloc[0])
        print(f"  seed {seed}: {found[-1].n_segments} segments, {found[-1].r2_adjusted:.3f}", flush=True)
    table = pd.DataFrame(found)
    r2, count = table.r2_adjusted.astype(float), table.n_segments
    print(f"seeds {SEEDS[0]} to {SEEDS[-1]}: {count.min()} to {count.max()} segments, R² {r2.min():.3f} to {r2.max():.3f}, mean {r2.mean():.3f}; {r2.min() / board[scoreboard.RFM]:.2f} to {r2.max() / board[scoreboard.RFM]:.2f} times the RFM grid")  # fmt: skip
    published = scoreboard.fit_slice(full, settings, relevance)
    kept = [_kept(full, published, scoreboard.fit_slice(part, settings, relevance, last=assign.centre_table(published)), part) for part in _thinned(full)]  # fmt: skip
    print(f"without {DROPPED:.0%} of the customers a second run leaves {np.mean(kept):.1%} of the others in their segment ({min(kept):.1%} to {max(kept):.1%} in {DROPS} draws)")  # fmt: skip


def _thinned(full: scoreboard.Slice) -> Iterator[scoreboard.Slice]:
    everyone = full.today.index.union(full.earlier.index)
    for seed in range(DROPS):
        yield full.among(everyone[np.random.default_rng(seed).random(len(everyone)) >= DROPPED])


def _kept(full: scoreboard.Slice, one: Segmenter, other: Segmenter, part: scoreboard.Slice) -> float:
    """The share of customers in a segment that continues the one they were in."""
    before = pd.DataFrame({"customer_id": full.today.index, "segment_id": one.labels_, "segment_name": ""})
    now = pd.DataFrame({"customer_id": part.today.index, "segment_id": other.labels_})
    found = lineage.match_segments(now, before)
    return float(found.shared[found.change == "continued"].sum() / len(now))


if __name__ == "__main__":
    main()
