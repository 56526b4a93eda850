"""New customers into a finished run's segments: notebook 01 over their sources, their features, then the run's own model."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from workbench.core import workspace
from workbench.core.config import Config, load_config
from workbench.core.errors import InputError, ParameterError
from workbench.core.files import atomic_write
from workbench.core.inputs import input_hashes
from workbench.core.rundir import Run, finished_run, notebook_name
from workbench.kernel import Say, execute, progress_lines

MIN_SHARE = 0.5  # of the model's features; with fewer the segments would rest on what is missing


def score_customers(run_name: str, sources: str, output: str, say: Say) -> tuple[Path, list[str], tuple[int, int]]:
    """Assign the customers of a configuration's sources to a run's segments; writes a table.

    -> its path, the features that were missing, and how many customers are placed and known.

    The table (Parquet, or CSV by its ending): customer_id, segment_id, segment_name, macro_segment, strength, assigned (soft or
    unassigned). Windows, horizon and everything else that defines features are the run's; sources, names and as_of are the
    configuration's.
    """
    run, path = finished_run(run_name), workspace.resolve(output)
    if path.is_dir() or path.suffix.lower() not in (".csv", ".parquet"):
        raise ParameterError(
            f"-o {output} is {'a folder' if path.is_dir() else 'no .parquet or .csv file'}.",
            "Customers are written as one table.",
            "name a file that ends in .parquet or .csv",
        )
    config = _as_the_run(load_config(sources), run.config)
    with tempfile.TemporaryDirectory(prefix="score-", dir=workspace.resolve("runs")) as folder:
        scored = _ingest(Run.create(Path(folder) / "score", config, mode="score"), config, say)
        table, missing = _assign(run, scored)
    csv = path.suffix.lower() == ".csv"
    atomic_write(path, lambda p: table.to_csv(p, index=False) if csv else table.to_parquet(p, index=False), 0o600)
    return path, missing, (int((table.segment_id >= 0).sum()), len(table))


def _as_the_run(config: Config, learned: Config) -> Config:
    return config.model_copy(update={"features": learned.features, "attributes": learned.attributes})


def _ingest(run: Run, config: Config, say: Say) -> Run:
    run.update(inputs=input_hashes(config))
    name = notebook_name("ingest")
    notebook = workspace.resources("notebooks") / f"{name}.ipynb"
    execute(notebook, run.path / "notebooks" / notebook.name, run, "ingest", progress_lines(name, say, {}))
    return Run.open(run.path)


def _assign(run: Run, scored: Run) -> tuple[Any, list[str]]:
    import numpy as np

    from workbench.clustering.model import load_model
    from workbench.features.further import further_features

    segmenter = load_model(run.read_model("segmenter"))
    features = further_features(run, scored)
    wanted = [str(name) for name in segmenter.space_.feature_names_in_]
    missing = [name for name in wanted if name not in features]
    if len(missing) > (1 - MIN_SHARE) * len(wanted):
        raise InputError(
            f"{len(missing)} of the {len(wanted)} features that run {run.path.name} was learned from are missing: {', '.join(missing[:5])}, …",
            "Segments would rest on what is not known.",
            "declare the sources that the run had",
        )
    labels, strengths = segmenter.place(features.reindex(columns=wanted).astype(float), each=scored.each)
    quality = run.read("segment_quality").set_index("segment_id")
    placed = features[[]].assign(segment_id=labels, strength=strengths, assigned="soft")
    table = scored.read("customers")[["customer_id"]].merge(placed.reset_index(), on="customer_id", how="left")
    table["segment_id"] = table.segment_id.fillna(-1).astype(int)
    table["strength"] = table.strength.fillna(0.0)
    named = {column: table.segment_id.map(quality[column]).fillna("unassigned") for column in ("segment_name", "macro_segment")}
    table = table.assign(**named, assigned=np.where(table.segment_id < 0, "unassigned", "soft"))
    return table[["customer_id", "segment_id", "segment_name", "macro_segment", "strength", "assigned"]], missing
