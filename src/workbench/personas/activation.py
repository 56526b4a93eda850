"""Audiences for one destination: full files, what changed since the last export, and an account of everybody left out."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from workbench.core import engine
from workbench.core.errors import EnvironmentFault, ParameterError, QualityGate, did_you_mean
from workbench.core.files import sha256, write_text
from workbench.personas import audience, cards
from workbench.personas.audience import ADS, CHANNELS, LATEST_PROFILES, REASONS, Activation
from workbench.personas.sheets import Sheet, build_sheets, harmless

if TYPE_CHECKING:
    from workbench.core.rundir import Run

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
STATE = "state"
OUTDATED = 31  # days that the data go on after as_of; from then on customers may be others than the export says
JSON_TYPES = {"string": "string", "int64": "integer", "float64": "number", "boolean": "boolean"}


@dataclass
class Export:
    """What an export did: the folder, the account (step, reason, customers), its files, and words about what is missing."""

    channel: str
    folder: Path
    account: pd.DataFrame
    files: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    changes: dict[str, int] = field(default_factory=dict)


def export_channels(
    run: Run, channels: list[str], folder: Path, rules: Activation, accept_unstable: bool = False
) -> tuple[list[Export], list[QualityGate]]:
    """A finished run -> audiences of several channels, one after the other so that contacts add up; the run is not touched.

    -> exports done, and why others hold nobody. Each channel has a folder of its own in `folder`, with the state of its last
    export. Raises ParameterError for an unknown channel, a missing suppression list or a key that is not there.
    """
    for channel in channels:
        if channel not in CHANNELS:
            raise ParameterError(f"--channel {channel}: there is no such channel.{did_you_mean(channel, CHANNELS)}")
    con = engine.connect(run.config.engine)
    listed = audience.read_suppression(rules, run.config.company.region)
    everyone = audience.read_everyone(run, con, rules, listed)
    done, empty = [], []
    for channel in channels:
        others = audience.touches_elsewhere(con, folder, channel)
        decided = audience.decide(everyone, channel, rules, others, accept_unstable)
        export = _write_export(run, con, channel, everyone, decided, folder / channel, rules)
        done.append(export)
        if export.account.customers.iloc[-1] == 0:
            empty.append(_nobody(run, export, rules))
    return [e for e in done if e.account.customers.iloc[-1]], empty


def export_audience(run: Run, channel: str, folder: Path, rules: Activation, accept_unstable: bool = False) -> Export:
    """The same for one channel; raises QualityGate where nobody is left (what went since the last export is written all the same)."""
    done, empty = export_channels(run, [channel], folder, rules, accept_unstable)
    if empty:
        raise empty[0]
    return done[0]


def _write_export(
    run: Run, con: ibis.BaseBackend, channel: str, everyone: ir.Table, decided: ir.Table, folder: Path, rules: Activation
) -> Export:  # fmt: skip
    _make_private(folder.parent, folder, folder / STATE)
    export = Export(channel, folder, account_for(audience.count_reasons(decided)))
    exported = decided.filter(decided.reason.isnull())
    chosen = everyone.inner_join(exported.select("customer_id", "audience"), "customer_id")
    before = _files_before(folder)
    for sheet in build_sheets(run, con, channel, chosen, rules):
        _write_sheet(con, sheet, export)
    _write_words(run, exported, export)
    for name in before - set(export.files):
        (folder / name).unlink(missing_ok=True)  # an audience that is gone must not lie there
    _write_members(con, exported, folder, rules.touches_per_week.get(channel, 0))
    _write_manifest(run, export, rules, decided)
    return export


def account_for(counts: dict[str, int]) -> pd.DataFrame:
    """Reason -> customers as the table population, left out by reason, eligible, …, exported: step, reason, customers."""
    rows = [("population", "", sum(counts.values()))]
    left = rows[0][2]
    for part, word in ((audience.LAWFUL, "eligible"), (REASONS[len(audience.LAWFUL) :], "exported")):
        for reason in part:
            if counts.get(reason):
                rows.append(("left out", reason, counts[reason]))
                left -= counts[reason]
        rows.append((word, "", left))
    return pd.DataFrame(rows, columns=["step", "reason", "customers"])


def _nobody(run: Run, export: Export, rules: Activation) -> QualityGate:
    """Why nobody is left, and the first thing to try."""
    lost = export.account[export.account.step == "left out"].sort_values("customers", ascending=False)
    reasons = ", ".join(f"{row.customers:,} {row.reason}" for row in lost.itertuples())
    needs = ", ".join(rules.needs(export.channel))
    declared = sorted({name for source in run.config.sources.values() for name in source.consent})
    ways = {
        audience.NOT_AGREED: f"the channel needs consent to {needs}; sources declare {', '.join(declared) or 'none'}: add it under sources.*.consent",
        audience.UNSTABLE: "find steadier segments in notebook 03 (clustering.min_size_share), or accept them: --accept-unstable",
        audience.SMALL: f"the floor is {rules.floor(export.channel)}: write  merge_small: true  to join small segments of one macro-segment, or make fewer (clustering.min_size_share)",
        audience.TOO_OFTEN: "raise max_touches_per_week, or export fewer channels at a time",
    }
    way = next((ways[reason] for reason in lost.reason if reason in ways), "read the account of those left out")
    return QualityGate(f"{export.channel}: nobody is left to export ({reasons}).", "An empty audience helps nobody.", way)


# -- files ------------------------------------------------------------------------------------------------------------------


def _make_private(*folders: Path) -> None:
    """Folders that you alone can read; raises EnvironmentFault for a link, which could lead anywhere."""
    for folder in folders:
        if folder.is_symlink():
            raise EnvironmentFault(f"{folder} is a link.", "Personal data would be written elsewhere.", "name a real folder")
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    for folder in folders[1:]:
        folder.chmod(PRIVATE_FOLDER)


def _files_before(folder: Path) -> set[str]:
    path = folder / "manifest.json"
    return set(json.loads(path.read_text())["files"]) if path.is_file() else set()


def _write_sheet(con: ibis.BaseBackend, sheet: Sheet, export: Export) -> None:
    """Full, delta and removals of one sheet; the state comes last, so that a broken export is simply repeated."""
    full = engine.materialize(con, sheet.table.order_by(sheet.key), "sheet").order_by(sheet.key)
    state = export.folder / STATE / f"{sheet.name}.parquet"
    before = _as_now(engine.read_parquet(con, state), full) if state.is_file() else None
    delta = engine.materialize(con, changes_between(before, full, sheet.key), "delta")
    counted = engine.fetch(delta.group_by("change").agg(rows=delta.count()))
    for row in counted.itertuples():
        export.changes[row.change] = export.changes.get(row.change, 0) + int(row.rows)
    if sheet.form == "upload":
        _write_lists(con, sheet, full, before, export)
    else:
        _write_table(con, sheet, full, delta, export)
    write_text(export.folder / f"{sheet.name}.schema.json", json.dumps(json_schema(sheet, full), indent=2), PRIVATE_FILE)
    export.files.append(f"{sheet.name}.schema.json")
    engine.write_parquet(con, full, state, PRIVATE_FILE)


def _as_now(before: ir.Table, full: ir.Table) -> ir.Table:
    """The last export in today's columns: one that is new was empty then."""
    kinds = full.schema().items()
    return before.select(**{c: before[c].cast(t) if c in before.columns else ibis.null(t) for c, t in kinds})


def changes_between(before: ir.Table | None, full: ir.Table, key: str) -> ir.Table:
    """Two states of a sheet -> change (add, update, remove) and the columns; of those removed, as they were."""
    order = ["change", *full.columns]
    if before is None:
        return full.mutate(change=ibis.literal("add"))[order].order_by(key)
    came = full.difference(before)
    went = before.difference(full)
    came = came.mutate(change=came[key].isin(before[key]).ifelse("update", "add"))[order]
    went = went.filter(~went[key].isin(full[key]))
    return came.union(went.mutate(change=ibis.literal("remove"))[order]).order_by("change", key)


def apply_delta(previous: pd.DataFrame, delta: pd.DataFrame, key: str) -> pd.DataFrame:
    """What a destination does: previous full file and delta -> the new full file, sorted by key."""
    kept = previous[~previous[key].isin(delta[key])]
    came = delta[delta.change != "remove"].drop(columns="change")
    return pd.concat([kept, came], ignore_index=True)[list(previous.columns)].sort_values(key, ignore_index=True)


def _write_table(con: ibis.BaseBackend, sheet: Sheet, full: ir.Table, delta: ir.Table, export: Export) -> None:
    write, ending = WRITERS[sheet.form]
    columns = sheet.columns
    if sheet.split:
        for value in engine.fetch(full.select(sheet.split).distinct().order_by(sheet.split))[sheet.split]:
            part = full.filter(full[sheet.split] == value)
            write(con, part.select(columns), _new_file(export, f"{sheet.name}_{value}{ending}"), sheet)
    else:
        write(con, full.select(columns), _new_file(export, f"{sheet.name}{ending}"), sheet)
    _write_csv(con, delta.select("change", *columns), _new_file(export, f"{sheet.name}_delta.csv"), sheet)
    gone = delta.filter(delta.change == "remove").select(sheet.key)
    _write_csv(con, gone, _new_file(export, f"{sheet.name}_removals.csv"), sheet)


def _write_lists(con: ibis.BaseBackend, sheet: Sheet, full: ir.Table, before: ir.Table | None, export: Export) -> None:
    """Per audience: the whole list, what to add and what to remove. Rows are compared as the platform sees them."""
    seen = full if before is None else full.union(before)
    for name in engine.fetch(seen.select(sheet.split).distinct().order_by(sheet.split))[sheet.split]:
        mine = full.filter(full[sheet.split] == name).select(sheet.columns)
        earlier = mine.limit(0) if before is None else before.filter(before[sheet.split] == name).select(sheet.columns)
        came = mine if before is None else mine.difference(earlier)
        parts = {name: mine, f"{name}_add": came, f"{name}_remove": earlier.difference(mine)}
        for stem, table in parts.items():
            engine.write_csv(con, table.order_by(sheet.columns), _new_file(export, f"{stem}.csv"), PRIVATE_FILE)


def _new_file(export: Export, name: str) -> Path:
    export.files.append(name)
    return export.folder / name


def _write_csv(con: ibis.BaseBackend, table: ir.Table, path: Path, sheet: Sheet) -> None:
    engine.write_csv(con, table.mutate(**{c: harmless(table[c]) for c in table.columns}), path, PRIVATE_FILE)


def _write_parquet(con: ibis.BaseBackend, table: ir.Table, path: Path, sheet: Sheet) -> None:
    engine.write_parquet(con, table, path, PRIVATE_FILE)


def _write_json_lines(con: ibis.BaseBackend, table: ir.Table, path: Path, sheet: Sheet) -> None:
    engine.write_json_lines(con, table, path, PRIVATE_FILE)


def _write_lookup(con: ibis.BaseBackend, table: ir.Table, path: Path, sheet: Sheet) -> None:
    """One JSON object: visitor -> segment and stage; what a segment is shown stands once, in segments.json."""
    frame = engine.fetch(table)
    entries = dict(zip(frame[sheet.key], zip(frame.segment_id.tolist(), frame.stage, strict=True), strict=True))
    text = json.dumps({k: {"segment_id": i, "stage": s} for k, (i, s) in entries.items()}, ensure_ascii=False)
    write_text(path, text, PRIVATE_FILE)


def _write_sql(con: ibis.BaseBackend, table: ir.Table, path: Path, sheet: Sheet) -> None:
    """A table definition and one INSERT per thousand rows, in standard SQL."""
    frame = engine.fetch(table)
    kinds = {c: "text" if t.is_string() else "boolean" if t.is_boolean() else "numeric" for c, t in table.schema().items()}
    cells = [_sql_literals(frame[c], kinds[c]) for c in frame]
    rows = [f"({', '.join(row)})" for row in zip(*cells, strict=True)]
    defined = ", ".join(f'"{c}" {k}' for c, k in kinds.items())
    lines = [f'CREATE TABLE "workbench_audience" ({defined}, PRIMARY KEY ("{sheet.key}"));']
    blocks = [",\n".join(rows[i : i + 1000]) for i in range(0, len(rows), 1000)]
    lines += [f'INSERT INTO "workbench_audience" VALUES\n{block};' for block in blocks]
    write_text(path, "\n".join(lines) + "\n", PRIVATE_FILE)


def _sql_literals(column: pd.Series, kind: str) -> pd.Series:
    if kind == "text":
        return ("'" + column.str.replace("'", "''") + "'").fillna("NULL")
    return column.map({True: "TRUE", False: "FALSE"}).fillna("NULL") if kind == "boolean" else column.astype("str").replace("nan", "NULL")  # fmt: skip


Writer = Callable[[ibis.BaseBackend, ir.Table, Path, Sheet], None]
WRITERS: dict[str, tuple[Writer, str]] = {
    "csv": (_write_csv, ".csv"), "parquet": (_write_parquet, ".parquet"), "json": (_write_json_lines, ".jsonl"),
    "lookup": (_write_lookup, ".json"), "sql": (_write_sql, ".sql"),
}  # fmt: skip


def json_schema(sheet: Sheet, full: ir.Table) -> dict[str, Any]:
    """A sheet's file contract as JSON Schema, one object per row."""
    kinds = {c: JSON_TYPES.get(str(full[c].type().copy(nullable=True)), "string") for c in sheet.columns}
    required = [c for c in sheet.columns if c == sheet.key]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": sheet.name, "type": "object", "required": required,
        "properties": {c: {"type": k if c in required else [k, "null"]} for c, k in kinds.items()}, "additionalProperties": False,
    }  # fmt: skip


def _write_members(con: ibis.BaseBackend, chosen: ir.Table, folder: Path, touches: float) -> None:
    """Who was exported and what that plans per week; a held-out customer is not contacted."""
    planned = (1 - chosen.held_out.cast("float64")) * float(touches)
    members = chosen.select("customer_id", touches=planned).order_by("customer_id")
    engine.write_parquet(con, members, folder / STATE / "members.parquet", PRIVATE_FILE)


def _write_words(run: Run, chosen: ir.Table, export: Export) -> None:
    """Texts per segment beside the lists: a page for the function at work, agent cards, what a website shows, rules for strangers."""
    ids = sorted(engine.fetch(chosen.select("segment_id").distinct()).segment_id.tolist())
    for name, text in cards.function_page(run, ids, export.channel).items():
        write_text(_new_file(export, name), text, PRIVATE_FILE)
    if export.channel == "service":
        for name, text in cards.agent_cards(run, ids).items():
            write_text(_new_file(export, name), text, PRIVATE_FILE)
    if export.channel == "web":
        write_text(_new_file(export, "segments.json"), json.dumps(cards.segment_contents(run, ids), indent=1, ensure_ascii=False), PRIVATE_FILE)  # fmt: skip
        if run.has("rules"):
            rules = run.read("rules")
            text = json.dumps(json.loads(rules[rules.segment_id.isin(ids)].to_json(orient="records")), indent=1)
            write_text(_new_file(export, "rules.json"), text, PRIVATE_FILE)
        else:
            export.notes.append("rules.json is left out: the run has no table rules, so strangers on the website get no segment")


def _write_manifest(run: Run, export: Export, rules: Activation, decided: ir.Table) -> None:
    """The account as a table and the record of the export: what, from where, until when, with which checksums."""
    write_text(export.folder / "reconciliation.csv", export.account.to_csv(index=False), PRIVATE_FILE)
    sizes = decided.filter(decided.reason.isnull(), decided.segment_id.notnull()).group_by("segment_id", "segment_name")
    counted = engine.fetch(sizes.agg(customers=lambda t: t.count(), held_out=lambda t: t.held_out.sum()).order_by("segment_id"))
    small = (
        decided.filter(decided.reason == audience.SMALL)
        .group_by("segment_name", "macro_segment")
        .agg(customers=lambda t: t.count())
    )
    for row in engine.fetch(small.order_by("segment_name")).itertuples():
        export.notes.append(f"“{row.segment_name}”: {row.customers} customers, the floor is {rules.floor(export.channel)}; merge_small joins it to others of “{row.macro_segment}”")  # fmt: skip
    until = run.config.data_until
    if until and (until - run.config.as_of).days > OUTDATED:
        export.notes.append(
            f"customers are as of {run.config.as_of}, and the data go on to {until}: to act on them, run with as_of: {until} first"
        )
    if rules.suppression == "none":
        export.notes.append("no suppression list is stated (suppression: none)")
    today = dt.date.today()
    record = {
        "run_id": run.path.name, "as_of": str(run.config.as_of), "channel": export.channel, "exported_on": str(today),
        "delete_after": str(today + dt.timedelta(days=rules.retention_days)), "profile": rules.profiles.get(export.channel, LATEST_PROFILES[export.channel]) if export.channel in ADS else None,
        "consent": list(rules.needs(export.channel)), "holdout_share": rules.holdout_share, "floor": rules.floor(export.channel),
        "max_touches_per_week": rules.max_touches_per_week, "segments": json.loads(counted.to_json(orient="records")), "changes": export.changes,
        "account": export.account.to_dict("records"), "notes": export.notes, "files": {name: sha256(export.folder / name) for name in export.files},
    }  # fmt: skip
    write_text(export.folder / "manifest.json", json.dumps(record, indent=2, ensure_ascii=False, default=str), PRIVATE_FILE)
