"""Print what it costs to segment a million invented customers, and how far the sample's segments are those of everybody.

Every figure is taken in a process of its own: seconds and the most memory that it held with the inventing of customers, seconds of CPU without.
"""

from __future__ import annotations

import argparse
import functools
import resource
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pandas as pd

from workbench.core.processor import use_one_thread

FEATURES, OUTCOMES, GROUPS, DIMENSIONS = 40, 8, 20, 6
FITTED, AGREED, TRANSFORMED, REFITS = 250_000, 100_000, 20_000, 20
UMAPS_EPOCHS = 200  # of more than 10,000 rows, where it is not told


def invent(customers: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """-> features today, features and outcomes one horizon earlier, of groups that overlap; skewed, as revenue and counts are."""
    rng = np.random.default_rng(7)
    centres, loadings = 1.2 * rng.normal(size=(GROUPS, DIMENSIONS)), rng.normal(size=(DIMENSIONS, FEATURES)) / 2
    will = rng.normal(size=(DIMENSIONS, OUTCOMES)) / 2
    own = centres[rng.integers(0, GROUPS, customers)] + 0.4 * rng.normal(size=(customers, DIMENSIONS))

    def window() -> pd.DataFrame:
        seen = np.exp((own @ loadings + rng.normal(size=(customers, FEATURES))) / 2)
        return pd.DataFrame(seen, columns=[f"feature_{i}" for i in range(FEATURES)])

    today, earlier = window(), window()
    outcomes = pd.DataFrame(
        own @ will + rng.normal(size=(customers, OUTCOMES)), columns=[f"outcome_{i}" for i in range(OUTCOMES)]
    )
    return today, earlier, outcomes


def segmenter(customers: int, limit: int = 20_000, seed: int = 7):
    """A segmenter of default settings, fitted on invented customers, and the customers."""
    from workbench.clustering.segmenter import Segmenter

    today, earlier, outcomes = invent(customers)
    return Segmenter(sample_limit=limit, seed=seed).fit(today, earlier=earlier, outcomes=outcomes), today


def segment(customers: int) -> dict:
    """Everything but the inventing: the sample, the space, the fits, the number of segments, the repair, and everybody's segment."""
    today, earlier, outcomes = invent(customers)
    return _segmented(today, earlier=earlier, outcomes=outcomes)


def segment_features(customers: int) -> dict:
    """The same of features alone, without outcomes to learn."""
    return _segmented(invent(customers)[0])


def _segmented(today: pd.DataFrame, **history: pd.DataFrame) -> dict:
    from workbench.clustering.segmenter import Segmenter

    started = time.process_time()
    found = Segmenter().fit(today, **history)
    return {"segments": found.n_segments_, "cpu": time.process_time() - started}


def fit_everybody(customers: int, epochs: int | None = None) -> dict:
    """The same search without a sample and without pooling: one UMAP + HDBSCAN on all customers; cpu_alone: without the space.

    epochs: as many as the workbench gives one fit where it makes but one, if not told.
    """
    from workbench.clustering.cluster import dense_groups, smallest
    from workbench.clustering.embed import EPOCHS, embed
    from workbench.clustering.representation import Space
    from workbench.core.config import ClusteringSettings

    settings = ClusteringSettings()
    (today, earlier, outcomes), started = invent(customers), time.process_time()
    matrix = Space().fit(today, earlier=earlier, outcomes=outcomes).transform(today)
    in_space = time.process_time()
    embedding = embed(matrix, settings.n_neighbors, settings.n_components, 7, epochs or EPOCHS)
    labels, _ = dense_groups(embedding, smallest(customers, settings.min_size_share), settings.min_samples)
    ended = time.process_time()
    return {"segments": int(labels.max()) + 1, "cpu": ended - started, "cpu_alone": ended - in_space}


def agree(customers: int) -> dict:
    """ARI of a sample's segments with those of a fit on everybody, beside that of two fits on everybody with each other."""
    from sklearn.metrics import adjusted_rand_score

    seeds = (7, 8, 9)
    whole = [segmenter(customers, customers, seed)[0] for seed in seeds]
    part = [segmenter(customers, seed=seed)[0] for seed in seeds]
    pairs = [(a.labels_, b.labels_) for i, a in enumerate(whole) for b in whole[i + 1 :]]
    mixed = [(a.labels_, b.labels_) for a in part for b in whole]
    return {
        "whole_with_whole": float(np.mean([adjusted_rand_score(a, b) for a, b in pairs])),
        "part_with_whole": float(np.mean([adjusted_rand_score(a, b) for a, b in mixed])),
        "segments": [s.n_segments_ for s in (*whole, *part)],
    }


def place(customers: int) -> dict:
    """Rows per second of CPU: placing by the model, from coordinates and from features, and UMAP.transform from coordinates."""
    import umap

    found, today = segmenter(customers)
    matrix = found.transform(today)
    model = umap.UMAP(n_neighbors=found.n_neighbors, n_components=found.n_components, random_state=7, n_jobs=1, n_epochs=100)
    model.fit(matrix[:TRANSFORMED])
    model.transform(matrix[TRANSFORMED : TRANSFORMED + 100])  # what is compiled at the first call is not counted

    def rate(task, rows) -> float:
        started = time.process_time()
        task(rows)
        return len(rows) / (time.process_time() - started)

    return {
        "placed": rate(found.place_coordinates, matrix),
        "from_features": rate(found.predict, today),
        "umap": rate(model.transform, matrix[TRANSFORMED : 2 * TRANSFORMED]),
    }


def certify(customers: int) -> dict:
    """Seconds of CPU of the certificate's refits over those of the fit."""
    today, earlier, outcomes = invent(customers)
    from workbench.clustering.segmenter import Segmenter

    Segmenter().fit(today[:2000], earlier=earlier[:2000], outcomes=outcomes[:2000])  # compiles
    started = time.process_time()
    found = Segmenter().fit(today, earlier=earlier, outcomes=outcomes)
    fitted = time.process_time()
    found.refit_agreement(REFITS)
    return {"fit": fitted - started, "certificate": time.process_time() - fitted}


def measured(task, customers: int) -> dict:
    """What a task found, with seconds, cpu and memory_gib of the process that did it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        return alone.submit(_measure, task, customers).result()


def _measure(task, customers: int) -> dict:
    use_one_thread()  # as stages do
    warnings.filterwarnings("ignore", message="n_jobs value")
    started = time.perf_counter()
    found = task(customers)
    used = resource.getrusage(resource.RUSAGE_SELF)
    told = {"seconds": time.perf_counter() - started, "cpu": used.ru_utime + used.ru_stime}
    return told | {"memory_gib": used.ru_maxrss / 2**20} | found


def main() -> None:
    """Print a line per bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument(
        "--quick", action="store_true", help="without the fit on a quarter of a million, which takes many minutes"
    )
    options = parser.parse_args()
    whole, bare = (measured(task, options.customers) for task in (segment, segment_features))
    for what, cost in ((f"{FEATURES} features and {OUTCOMES} outcomes", whole), (f"{FEATURES} features", bare)):
        told = f"{cost['segments']} segments in {cost['seconds']:.0f} s, {cost['cpu']:.0f} s of CPU, {cost['memory_gib']:.1f} GiB"
        print(f"{options.customers:,} customers x {what}: {told}", flush=True)
    again = measured(certify, TRANSFORMED)
    print(f"certificate ({REFITS} refits): {again['certificate']:.0f} s of CPU, {again['certificate'] / again['fit']:.2f}x one fit", flush=True)  # fmt: skip
    rows = measured(place, 10 * TRANSFORMED)
    told = f"{rows['placed']:,.0f} rows per second of CPU from coordinates ({rows['placed'] / rows['umap']:.0f}x UMAP.transform)"
    print(f"placing: {told}, {rows['from_features']:,.0f} from features (models of the outcomes included)", flush=True)
    both = measured(agree, AGREED)
    ratio = both["part_with_whole"] / both["whole_with_whole"]
    print(f"{AGREED:,} customers: sample with everybody ARI {both['part_with_whole']:.4f}, everybody twice {both['whole_with_whole']:.4f}: {ratio:.3f}x; segments {both['segments']}", flush=True)  # fmt: skip
    if not options.quick:
        for epochs, whose in ((None, "of the workbench"), (UMAPS_EPOCHS, "that UMAP takes of itself")):
            direct = measured(functools.partial(fit_everybody, epochs=epochs), FITTED)
            told = f"the million took {whole['cpu'] / direct['cpu']:.2f}x of it, without outcomes {bare['cpu'] / direct['cpu_alone']:.2f}x"
            print(f"one UMAP + HDBSCAN on {FITTED:,}, epochs {whose}: {direct['cpu']:.0f} s of CPU; {told}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
