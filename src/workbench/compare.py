"""Two finished runs of one company: what changed, as tables for notebook 05 and as a report of its own."""

from __future__ import annotations

import dataclasses
import datetime as dt
import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.clustering.lineage import match_segments
from workbench.core import workspace
from workbench.core.errors import ParameterError, WorkbenchError
from workbench.core.rundir import Run, differing, finished_run
from workbench.kpis import changes

FOLDER = "comparisons"
TABLES = ("segments", "segment_quality", "features", "feature_catalog", "registry")


@dataclass(frozen=True)
class Comparison:
    """What changed from one run to a later one; where there is no earlier one `earlier` is empty and so are the tables but advice.

    notes: what makes the two hard to compare, in words. For the tables see `workbench.kpis.changes` and `match_segments`;
    segments_before and segments: segment_id, segment_name, size of either run.
    """

    earlier: str
    later: str
    dates: tuple[dt.date, dt.date]
    notes: list[str]
    segments_before: pd.DataFrame
    segments: pd.DataFrame
    lineage: pd.DataFrame
    drift: pd.DataFrame
    kpi_changes: pd.DataFrame
    moves: pd.DataFrame
    moved: dict[str, float]
    signals: pd.DataFrame
    refit_by: dt.date
    advice: pd.DataFrame


def compare_runs(earlier: Run | None, later: Run, kpis: pd.DataFrame | None = None) -> Comparison:
    """Two runs -> Comparison. kpis: the later run's, where it has not written them yet.

    Without an earlier run the tables but advice are empty. Raises ParameterError where the two cannot be compared: another
    company, or not one customer in common.
    """
    before = earlier or later
    _check_company(before, later)
    one, two = ({name: run.read(name) for name in TABLES} for run in (before, later))
    if not set(one["segments"].customer_id) & set(two["segments"].customer_id):
        raise _not_comparable(
            "they have no customer in common", "compare runs that number customers with the same key and ledger"
        )
    now = later.read("kpis") if kpis is None else kpis
    lineage = match_segments(two["segments"], one["segments"], *_centres(later, before))
    keep = None if earlier else 0
    drift = changes.build_drift(one["features"].iloc[:keep], two["features"].iloc[:keep], two["feature_catalog"])
    dates = (before.config.as_of, later.config.as_of)
    moves = changes.build_moves(one["segments"], two["segments"], lineage, _placebos(before, later, lineage))
    signals = changes.refit_signals(*dates, later.config.features.horizon_days, drift, lineage, two["segment_quality"])
    same = before.config.features.horizon_days == later.config.features.horizon_days
    past = now if earlier is None else before.read("kpis")
    changed = changes.build_kpi_changes(past if same else past.head(0), now, lineage)
    return Comparison(
        earlier.path.name if earlier else "", later.path.name, dates, _notes(before, later) if earlier else [],
        *(side["segment_quality"][["segment_id", "segment_name", "size"]].iloc[:keep] for side in (one, two)),
        lineage.iloc[:keep], drift.iloc[:keep], changed.iloc[:keep], moves.iloc[:keep], changes.moved_share(moves.iloc[:keep]),
        signals.iloc[:keep], changes.refit_by(signals, *dates),
        changes.advise_segments(two["registry"], now, two["segment_quality"]),
    )  # fmt: skip


def compare_with_previous(run: Run, kpis: pd.DataFrame) -> Comparison:
    """A run in its last stage -> its Comparison with the last run; as without one, and a note why, where the two cannot be compared.

    An earlier run of another key or version must not stop this one.
    """
    earlier = run.previous()
    try:
        return compare_runs(earlier, run, kpis)
    except WorkbenchError as fault:
        if earlier is None:
            raise
        note = f"run {earlier.path.name} is not compared: {fault.what}"
    return dataclasses.replace(compare_runs(None, run, kpis), notes=[note])


def write_comparison(name_before: str, name_now: str, output: str | None) -> Path:
    """Compare two finished runs and write <output or comparisons/A--B>/index.html; returns its path.

    The earlier as-of day is taken as the earlier run, whatever the order of the names. Raises ParameterError where they are one run,
    not finished, not comparable, or where the folder lies in a run; InputError where there is no such run or it lacks a table.
    """
    from workbench import report
    from workbench.views import changes as views
    from workbench.views.theme import use_style

    earlier, later = finished_run(name_before), finished_run(name_now)
    if earlier.path == later.path:
        raise _not_comparable(f"both are {earlier.path.name}", "name two runs, see `workbench runs`")
    if earlier.config.as_of > later.config.as_of:
        earlier, later = later, earlier
    folder = workspace.resolve(output or f"{FOLDER}/{earlier.path.name}--{later.path.name}")
    _check_apart(folder)
    found = compare_runs(earlier, later)
    use_style()
    title = f"{later.config.company.name}: what changed from {earlier.path.name} to {later.path.name}"
    body = f"<h1>{html.escape(title)}</h1>" + report.render(views.tell_comparison(found))
    folder.mkdir(parents=True, exist_ok=True)
    report.write_page(folder / "index.html", title, body, {"index.html": "What changed"}, f"{report.of_run(earlier)} · {report.of_run(later)}")  # fmt: skip
    return folder / "index.html"


def _not_comparable(why: str, fix: str) -> ParameterError:
    return ParameterError(f"the two runs cannot be compared: {why}.", "A difference between them would mean nothing.", fix)


def _check_company(earlier: Run, later: Run) -> None:
    names = [run.manifest["company"] for run in (earlier, later)]
    if names[0] != names[1]:
        raise _not_comparable(
            f"one is of {names[0]}, the other of {names[1]}", "compare two runs of one company, see `workbench runs`"
        )


def _check_apart(folder: Path) -> None:
    inside = next((parent for parent in (folder, *folder.parents) if (parent / "run.json").exists()), None)
    if inside:
        raise ParameterError(
            f"{folder} lies in the run {inside.name}.", "A finished run is never changed.", "name another folder with -o"
        )


def _centres(later: Run, earlier: Run) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    both = all(run.has("centres") for run in (later, earlier))
    return (later.read("centres"), earlier.read("centres")) if both else (None, None)


def _placebos(earlier: Run, later: Run, lineage: pd.DataFrame) -> list[tuple[pd.DataFrame, dict[int, int]]]:
    """The two runs' own migration with its placebo, in the earlier one's ids; none where one of them could not measure it.

    None either for two runs of one day: a placebo is what two looks at different weeks show, and there is one look.
    """
    if earlier.config.as_of == later.config.as_of:
        return []
    tables = [run.read("migration") if run.has("migration") else None for run in (earlier, later)]
    if any(table is None or table.empty for table in tables):
        return []
    kept = lineage[lineage.change == "continued"]
    own = {int(i): int(i) for i in earlier.read("segment_quality").segment_id}
    return list(zip(tables, (own, dict(zip(kept.segment_id, kept.previous_id, strict=True))), strict=True))


def _notes(earlier: Run, later: Run) -> list[str]:
    """What makes the two hard to compare, in words."""
    one, two, found = earlier.config, later.config, []
    gap, horizon = (two.as_of - one.as_of).days, two.features.horizon_days
    if one.features.horizon_days != horizon:
        found.append(f"KPIs are not compared: they look at {one.features.horizon_days} days there and {horizon} days here.")
    elif gap == 0:
        found.append("Both are as of the same day: what differs comes from settings, sources or chance, not from time.")
    elif gap < horizon:
        found.append(
            f"The two as-of days lie {gap} days apart and KPIs look {horizon} days back: the periods overlap, so changes look smaller than they are."
        )
    if gap % 365 > 30 and gap % 365 < 335:
        found.append("The two as-of days stand at different times of the year: a season looks like a change.")
    if one.features.window_days != two.features.window_days:
        found.append(
            f"Features describe {one.features.window_days} days there and {two.features.window_days} days here; drift shows that too."
        )
    if gap != horizon and min(gap, horizon) < two.features.window_days:
        more, size = ("more", "small") if gap < horizon else ("fewer", "large")
        found.append(
            f"The windows of the features share {more} days than two that lie {horizon} days apart, as the placebo's do: net moves are rather too {size}."
        )
    if set(one.sources) != set(two.sources):
        found.append(f"The sources differ: {', '.join(sorted(set(one.sources) ^ set(two.sources)))}.")
    if means := _other_means(earlier.manifest, later.manifest):
        found.append(
            f"They were not computed alike ({', '.join(means)}): the same data can then give other borders, as with another seed."
        )
    return found


def _other_means(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> list[str]:
    """Packages and processor that are not the same in two manifests, in words."""
    one, two = (manifest["packages"] | {"processor": manifest.get("processor", "")} for manifest in (earlier, later))
    return [f"{name} {was} there and {is_now} here" for name, was, is_now in differing(one, two) if was]
