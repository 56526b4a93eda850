"""Print what hangs on the seed: the segments of a finished run (by default the newest) found again with ten other seeds."""

from __future__ import annotations

import argparse

from workbench.core.rundir import finished_run  # isort: skip -- before pandas: see core/processor.py
import pandas as pd

from workbench.clustering import assign, scoreboard
from workbench.core.processor import use_one_thread

SEEDS = range(11, 21)


def main() -> None:
    """Print a row per seed and their spread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", default="latest")
    run = finished_run(parser.parse_args().run)
    use_one_thread()
    settings, catalog = run.settings("clustering"), run.read("feature_catalog")
    full = assign.read_slices(run, catalog)["full"]
    relevance = assign.relevance_of(catalog)
    outcomes = assign.outcomes_or_none(run, full.today.index)
    board = run.read("scoreboard").set_index(["outcome", "method"]).r2_adjusted[scoreboard.MEAN]
    print(f"run {run.path.name}, seed {settings.seed}: {board[scoreboard.OURS]:.3f}, RFM grid {board[scoreboard.RFM]:.3f}")
    found = []
    for seed in SEEDS:
        fitted = scoreboard.fit_slice(full, settings.model_copy(update={"seed": seed}), relevance)
        ceiling = scoreboard.prediction_ceiling(fitted.predicted_, outcomes)
        tried = scoreboard.score_tried(fitted, outcomes, ceiling)
        found.append(tried[tried.chosen].iloc[0])
        print(f"  seed {seed}: {found[-1].n_segments} segments, {found[-1].r2_adjusted:.3f}", flush=True)
    table = pd.DataFrame(found)
    r2, count = table.r2_adjusted.astype(float), table.n_segments
    print(f"seeds {SEEDS[0]} to {SEEDS[-1]}: {count.min()} to {count.max()} segments, R² {r2.min():.3f} to {r2.max():.3f}, mean {r2.mean():.3f}; {r2.min() / board[scoreboard.RFM]:.2f} to {r2.max() / board[scoreboard.RFM]:.2f} times the RFM grid")  # fmt: skip


if __name__ == "__main__":
    main()
