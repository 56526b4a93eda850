"""What analysts and teams say about segments: renames, vetoes and notes in a file, merged in the next run."""

from __future__ import annotations

import csv

import pandas as pd

from workbench.core import workspace
from workbench.core.contracts import JOURNEY
from workbench.core.errors import ParameterError, did_you_mean
from workbench.personas.naming import fault_of_name

COLUMNS = ("kind", "segment", "stage", "text", "by")
KINDS = ("rename", "veto", "note")


def read_feedback(path: str) -> pd.DataFrame:
    """A CSV file -> frame kind, segment, stage, text, by; no rows where path is empty.

    kind: rename (text: the new name), veto (no treatment at `stage`, or at none where it is empty; text: why) or note. segment:
    the name the segment has in the report. Raises ParameterError naming every faulty line at once.
    """
    if not path:
        return pd.DataFrame(columns=COLUMNS, dtype="str")
    found = workspace.resolve(path)
    if not found.is_file():
        raise ParameterError(f"personas.feedback: {found} is not there.", "Vetoes would be passed over.", "name the file, or leave it empty")  # fmt: skip
    with found.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = {"kind", "segment", "text"} - set(reader.fieldnames or [])
        if missing:
            raise ParameterError(f"{found}:1: columns are missing: {', '.join(sorted(missing))}.", fix=f"begin with the line  {','.join(COLUMNS)}")  # fmt: skip
        rows = [{c: (row.get(c) or "").strip() for c in COLUMNS} for row in reader]
    faults = [f"{found}:{number}: {fault}" for number, row in enumerate(rows, 2) if (fault := _fault(row))]
    if faults:
        raise ParameterError("\n".join(faults), "What somebody asked for would not happen.", "correct these lines")
    return pd.DataFrame(rows, columns=COLUMNS).astype("str")


def _fault(row: dict[str, str]) -> str:
    if row["kind"] not in KINDS:
        return f'kind "{row["kind"]}" is not known.{did_you_mean(row["kind"], KINDS)}'
    if not row["segment"]:
        return "which segment is meant is not said."
    if row["stage"] and row["stage"] not in JOURNEY:
        return f'stage "{row["stage"]}" is not known.{did_you_mean(row["stage"], JOURNEY)}'
    if row["kind"] == "rename" and (fault := fault_of_name(row["text"])):
        return f'the name "{row["text"]}" {fault}.'
    return ""


def rename(names: pd.Series, feedback: pd.DataFrame) -> pd.Series:
    """Names by segment_id -> the same after the analysts' renames, which win; one that another segment has already is left."""
    given = names.to_dict()
    for row in feedback[feedback.kind == "rename"].itertuples():
        hit = [segment for segment, name in given.items() if name == row.segment]
        if hit and row.text.lower() not in {name.lower() for name in given.values()}:
            given[hit[0]] = row.text
    return pd.Series(given, dtype="str").reindex(names.index)


def apply_vetoes(plan: pd.DataFrame, names: pd.Series, feedback: pd.DataFrame) -> pd.DataFrame:
    """The matrix -> the same with `vetoed` and `note`; a vetoed cell has no treatment, and its customers are not exported."""
    told = plan.segment_id.map(names)
    vetoed, notes = pd.Series(False, index=plan.index), pd.Series("", index=plan.index, dtype="str")
    renamed = dict(feedback[feedback.kind == "rename"][["segment", "text"]].itertuples(index=False, name=None))
    for row in feedback[feedback.kind != "rename"].itertuples():
        at = told.isin([row.segment, renamed.get(row.segment, row.segment)]) & ((plan.stage == row.stage) | (row.stage == ""))
        vetoed |= at & (row.kind == "veto")
        said = f"{row.text} ({row.by})" if row.by else row.text
        notes = notes.where(~at, (notes + "; " + said).str.removeprefix("; "))
    blank = {c: plan[c].mask(vetoed, "none") for c in ("channel", "offer", "message")}
    return plan.assign(treatment=plan.treatment.mask(vetoed, "none: vetoed"), **blank, vetoed=vetoed, note=notes)


def without_segment(feedback: pd.DataFrame, names: pd.Series, before: pd.Series) -> pd.DataFrame:
    """Rows whose segment has neither today's name nor the one before renaming: they changed nothing."""
    return feedback[~feedback.segment.isin([*names, *before])]
