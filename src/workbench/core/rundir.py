"""The run directory: everything that a run was and made, each file with its SHA-256, never half written."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.metadata
import json
import os
import re
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.core import workspace
from workbench.core.config import SETTINGS, STAGES, Config, Stage, load_config, read_settings
from workbench.core.contracts import CONTRACTS, PRIVATE, check_expression, check_frame
from workbench.core.errors import EnvironmentFault, InputError, ParameterError, WorkbenchError
from workbench.core.files import atomic_write, sha256, sweep, write_text
from workbench.core.processor import processor, use_one_thread

RUN_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
SCHEMA_VERSION = 1
RECORDED_PACKAGES = (
    "workbench",
    "pandas",
    "numpy",
    "scikit-learn",
    "umap-learn",
    "hdbscan",
    "ibis-framework",
    "duckdb",
    "papermill",
    "numba",
)
ALWAYS_RECORDED = {"mode", "state", "company", "created_at"}
MODELS = "models"
HELD_BY_RUNNER = "WORKBENCH_RUN_LOCK"


def check_run_id(run_id: str) -> str:
    """The id itself, if it can name a folder safely; raises ParameterError otherwise."""
    if not RUN_ID.fullmatch(run_id):
        raise ParameterError(
            f"run id {run_id[:80]!r} is not accepted.",
            "It names a folder.",
            "use 1 to 64 of a-z 0-9 . _ - and start with a letter or digit",
        )
    return run_id


class Run:
    """One run directory, opened for reading and, within a stage, for writing."""

    def __init__(self, path: Path):
        self.path = path
        self.manifest: dict[str, Any] = json.loads((path / "run.json").read_text(encoding="utf-8"))
        self.config: Config = load_config(path / "config.yaml")
        self._stage = ""
        self._started = 0.0
        self._lock: Any = None
        self._tables: dict[str, Any] = {}
        self._metrics: dict[str, float] = {}
        self._engine: Any = None

    # -- making and opening ------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path, config: Config, mode: str = "run") -> Run:
        """A new run directory; mode is `run` (by the command line), `lab` (by hand, never finished) or `score` (thrown away)."""
        for folder in ("tables", "notebooks", "reports", MODELS, PRIVATE):
            _make_folder(path / folder)
        (path / PRIVATE).chmod(0o700)
        write_text(path / "config.yaml", config.to_yaml())
        manifest = {
            "schema_version": SCHEMA_VERSION, "run_id": path.name, "mode": mode, "state": "created", "as_of": str(config.as_of),
            "company": config.company.name, "created_at": _now(), "configuration_hash": config.hash, "seed": config.clustering.seed,
            "inputs": {}, "packages": _packages(), "python": sys.version.split()[0], "processor": processor(), "stages": {},
        }  # fmt: skip
        _write_json(path / "run.json", manifest)
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> Run:
        """An existing run directory; raises InputError when there is none or it cannot be read."""
        try:
            run = cls(path)
            if not set(run.manifest) >= ALWAYS_RECORDED:
                raise ValueError
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(
                f"{path}: there is no run here.", fix="list runs with `workbench runs`, or start with notebook 01"
            ) from None
        except (ValueError, TypeError):  # no text, no JSON, or not a run's
            raise InputError(
                f"{path / 'run.json'}: not readable.", "The record of the run is damaged.", f"start a new run, and remove {path}"
            ) from None
        return run

    # -- state -------------------------------------------------------------------------------------------------------

    def update(self, **values: Any) -> None:
        """Set values of run.json and write it."""
        self.manifest.update(values)
        _write_json(self.path / "run.json", self.manifest)

    def stage_done(self, stage: str) -> bool:
        """Whether our own record says that the stage is complete (a notebook's metadata is never asked)."""
        return self.manifest["stages"].get(stage, {}).get("state") == "done"

    def forget_from(self, stage: str) -> None:
        """Drop the record of a stage and of all that were built on it."""
        for later in STAGES[STAGES.index(stage) :]:
            self.manifest["stages"].pop(later, None)
        self.update(state="running")

    def lock(self) -> contextlib.AbstractContextManager:
        """Hold the run alone; raises EnvironmentFault naming the holder. The system frees it when the process dies."""
        import filelock

        # One lock object per process: running a notebook's first cell again takes the lock that its kernel holds.
        lock = filelock.FileLock(self.path / ".lock", timeout=0, is_singleton=True)
        try:
            lock.acquire()
        except filelock.Timeout:
            holder = self.path / ".holder.json"
            who = json.loads(holder.read_text()) if holder.exists() else {}
            raise EnvironmentFault(
                f"{self.path} is in use by process {who.get('pid', '?')} since {who.get('since', '?')}.",
                "Two writers would mix their tables.",
                "wait for it, or give this run another --run-id",
            ) from None
        write_text(self.path / ".holder.json", json.dumps({"pid": os.getpid(), "since": _now()}))
        sweep(self.path)
        return lock

    # -- a stage -----------------------------------------------------------------------------------------------------

    def begin(self, stage: str) -> None:
        """Start a stage: refuse a finished run or missing earlier stages, take the lock, forget what was built on it."""
        if self.manifest["state"] == "finished":
            raise ParameterError(
                f"{self.path} is a finished run.", "A finished run is never changed.", "choose another run_dir, e.g. runs/lab"
            )
        missing = [s for s in STAGES[: STAGES.index(stage)] if not self.stage_done(s)]
        if missing:
            raise InputError(
                f"{self.path}: stage {missing[0]} is not done, {stage} builds on it.",
                fix=f"run notebook {notebook_name(missing[0])} first, or `workbench run --resume --run-id {self.path.name}`",
            )
        if any(self.stage_done(s) for s in STAGES[: STAGES.index(stage)]):
            self.check_packages()
        if os.environ.get(HELD_BY_RUNNER) != str(self.path) and self._lock is None:
            self._lock = self.lock()
        self._stage, self._started, self._tables, self._metrics = stage, time.perf_counter(), {}, {}
        self.forget_from(stage)

    def complete(self, **metrics: float) -> None:
        """End the stage: record tables, seconds, peak memory and metrics; only now does the stage count as done."""
        self._metrics.update(metrics)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self.manifest["stages"][self._stage] = {
            "state": "done", "finished_at": _now(), "seconds": round(time.perf_counter() - self._started, 2),
            "peak_memory_mb": round(peak), "rows": {t: v["rows"] for t, v in self._tables.items()}, "tables": self._tables,
            "settings": self.settings(self._stage).model_dump(mode="json", exclude={"run_dir"}),
        }  # fmt: skip
        _write_json(self.path / "metrics.json", dict(sorted({**self.metrics, **self._metrics}.items())))
        self.update(state="lab" if self.manifest["mode"] == "lab" else "running")
        if self._lock is not None:
            self._lock.release(force=True)
            self._lock = None

    def check_packages(self) -> list[str]:
        """Packages that are another version than the run's earlier stages used, in words; EnvironmentFault where one is incompatible."""
        other = differing(self.manifest["packages"], _packages())
        told = [f"{name} {was} -> {version}" for name, was, version in other]
        if major := [f"{name} {was} -> {version}" for name, was, version in other if _major(was) != _major(version)]:
            raise EnvironmentFault(
                f"{self.path} was begun with other packages: {', '.join(major)}.",
                "Stages computed by incompatible versions would be mixed.",
                "install the versions of requirements.lock (make clean, then make run), or start a new run",
            )
        return told

    def settings(self, stage: str) -> Any:
        """The stage's settings of this run."""
        return getattr(self.config, stage)

    def replace_settings(self, stage: str, settings: Stage) -> None:
        """Make a notebook's own parameters the run's: config.yaml follows, so the record says what was computed."""
        stored = settings.model_copy(update={"run_dir": self.settings(stage).run_dir})
        if stored == self.settings(stage):
            return
        self.config = self.config.model_copy(update={stage: stored})
        write_text(self.path / "config.yaml", self.config.to_yaml())
        self.update(configuration_hash=self.config.hash, seed=self.config.clustering.seed)

    @property
    def metrics(self) -> dict[str, float]:
        """metrics.json: flat name -> number."""
        path = self.path / "metrics.json"
        return json.loads(path.read_text()) if path.exists() else {}

    # -- tables ------------------------------------------------------------------------------------------------------

    @property
    def engine(self) -> Any:
        """The run's engine, connected at first use: in ingest the embedded one, else the configured; it spills into the run directory."""
        if self._engine is None:
            from workbench.core.engine import connect, connect_configured

            opened = connect if self._stage == "ingest" else connect_configured
            self._engine = opened(self.config.engine, self.path / "spill")
        return self._engine

    @property
    def each(self) -> Callable[[Callable, Iterable], Iterable]:
        """`map` for batches of customers; with Spark every batch is a partition."""
        if self.config.engine.backend == "duckdb":  # which need not be opened for it
            return map
        from workbench.core.engine import in_partitions

        return in_partitions(self.engine)

    def write(self, name: str, frame: pd.DataFrame) -> None:
        """Check a customer-sized table against its contract, write it whole, remember its SHA-256."""
        check_frame(name, frame)
        path = self.table_path(name)
        mode = 0o600 if name.startswith(f"{PRIVATE}/") else 0o644
        atomic_write(path, lambda p: frame.to_parquet(p, index=False, write_page_checksum=True), mode)
        self._remember(name, len(frame))

    def write_events(self, name: str, table: Any) -> Any:
        """The same for an event-sized expression; returns the written table as an expression."""
        from workbench.core.engine import count_rows, read_parquet, write_parquet

        write_parquet(self.engine, table, self.table_path(name))
        written = read_parquet(self.engine, self.table_path(name))
        if name in CONTRACTS:
            check_expression(name, written)
        self._remember(name, count_rows(written))
        return written

    def write_model(self, name: str, content: bytes) -> None:
        """Write models/<name>.skops and remember its SHA-256 beside the tables'."""
        name = f"{MODELS}/{name}"
        atomic_write(self.table_path(name), lambda p: p.write_bytes(content), 0o644)
        self._remember(name, 1)

    def read_model(self, name: str) -> bytes:
        """The bytes of models/<name>.skops, their SHA-256 verified first."""
        return self._verified(f"{MODELS}/{name}").read_bytes()

    def read(self, name: str) -> pd.DataFrame:
        """A table of an earlier stage (or of this one), its SHA-256 and contract verified first."""
        frame = pd.read_parquet(self._verified(name))
        check_frame(name, frame)
        return frame

    def read_events(self, name: str = "events") -> Any:
        """An event-sized table as an expression, its SHA-256 verified first."""
        from workbench.core.engine import read_parquet

        return read_parquet(self.engine, self._verified(name))

    def read_on(self, con: Any, name: str) -> Any:
        """A table as an expression of another embedded engine, its SHA-256 verified first: of a finished run nothing is touched."""
        from workbench.core.engine import read_parquet

        return read_parquet(con, self._verified(name))

    def previous(self) -> Run | None:
        """The newest finished run of the same company, not this one; None when there is none.

        A run by hand (mode lab) has none: what a notebook shows must not depend on what else was run on the machine.
        """
        return None if self.manifest["mode"] == "lab" else last_finished(self.path.parent, self.manifest["company"], self)

    def judged_until(self) -> dt.date | None:
        """The latest as-of day of any earlier finished run of the same company; None where there is none."""
        days = [
            dt.date.fromisoformat(run.manifest["as_of"])
            for run in finished_runs(self.path.parent, self.manifest["company"], self)
        ]
        return max(days, default=None)

    def has(self, name: str) -> bool:
        """Whether the run holds the table."""
        return self._record(name) is not None

    def table_path(self, name: str) -> Path:
        """Where a table lies; names that start with private/ or models/ lie apart."""
        folder, _, last = name.rpartition("/")
        if folder == MODELS:
            return self.path / MODELS / f"{last}.skops"
        return (self.path / PRIVATE if folder == PRIVATE else self.path / "tables") / f"{last}.parquet"

    def _remember(self, name: str, rows: int) -> None:
        self._tables[name] = {"rows": rows, "sha256": sha256(self.table_path(name))}

    def _record(self, name: str) -> dict[str, Any] | None:
        stages = self.manifest["stages"].values()
        return self._tables.get(name) or next((s["tables"][name] for s in stages if name in s.get("tables", {})), None)

    def _verified(self, name: str) -> Path:
        path, record = self.table_path(name), self._record(name)
        owner = next((s for s in STAGES if name in self.manifest["stages"].get(s, {}).get("tables", {})), self._stage or "ingest")
        again = f"workbench run --resume --run-id {self.path.name} --from {owner}"
        if self.manifest["state"] == "finished":
            again = "restore the file, or move that run's folder away and run again under another name: a finished run is never changed"
        if record is None:
            raise InputError(f'{self.path} has no table "{name}".', "This stage builds on it.", again)
        found = sha256(path) if path.exists() else "no file"
        if found != record["sha256"]:
            raise InputError(
                f"{path}: not the file that stage {owner} wrote (SHA-256 expected {record['sha256'][:12]}…, found {found[:12]}).",
                "Numbers computed from it would be wrong, so the stage stopped.",
                again,
            )
        return path


def open_stage(stage: str, cell: Mapping[str, Any]) -> Run:
    """A notebook's first statement: check its parameters, open (or for 01 create) the run, start the stage.

    cell: the notebook's globals(); only the names of the stage's settings are read from it.
    """
    model = SETTINGS[stage]
    settings = read_settings(
        model, {name: cell[name] for name in model.model_fields if name in cell}, f"notebook {notebook_name(stage)}"
    )
    use_one_thread()
    path = workspace.resolve(settings.run_dir)
    if stage == "ingest" and (not (path / "run.json").exists() or _is_lab(path)):
        run = _fresh_lab(path, settings)
    else:
        run = Run.open(path)
    run.begin(stage)
    run.replace_settings(stage, settings)
    return run


def differing(then: Mapping[str, str], now: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """What both know and is not the same: name, then, now."""
    return [(name, was, now[name]) for name, was in then.items() if now.get(name, was) != was]


def all_runs(folder: Path) -> dict[str, Run | None]:
    """Every run in a folder by its name, None where its record cannot be read; links to runs are not runs of their own."""
    return {p.parent.name: _readable(p.parent) for p in sorted(folder.glob("*/run.json")) if not p.parent.is_symlink()}


def _readable(path: Path) -> Run | None:
    try:
        return Run.open(path)
    except WorkbenchError:
        return None


def last_finished(folder: Path, company: str, before: Run | None = None) -> Run | None:
    """A company's newest finished run in a folder (a run by hand or a scoring is none), of those begun no later than `before`.

    The one that `latest` points to, or where that is another company's, the one that was begun last.
    """
    return next(finished_runs(folder, company, before), None)


def finished_runs(folder: Path, company: str, before: Run | None = None) -> Iterator[Run]:
    """All of them, see `last_finished`."""
    for run in _newest_first(folder):
        told = run.manifest
        is_early = before is None or (run.path != before.path and told["created_at"] <= before.manifest["created_at"])
        if is_early and (told["mode"], told["state"], told["company"]) == ("run", "finished", company):
            yield run


def _newest_first(folder: Path) -> Iterator[Run]:
    latest = _readable((folder / "latest").resolve())
    if latest:
        yield latest
    others = [run for name, run in all_runs(folder).items() if run and not (latest and name == latest.path.name)]
    yield from sorted(others, key=lambda run: run.manifest["created_at"], reverse=True)


def finished_run(name: str) -> Run:
    """A finished run by its id, `latest`, or its folder; raises InputError where there is none and ParameterError where it is not finished."""
    path = workspace.resolve(name) if "/" in name else workspace.resolve("runs") / check_run_id(name)
    run = Run.open(path.resolve())
    if run.manifest["state"] != "finished":
        raise ParameterError(
            f"run {path.name} is not finished ({run.manifest['state']}).",
            "Its tables may still change.",
            f"workbench run --resume --run-id {path.name}",
        )
    return run


def notebook_name(stage: str) -> str:
    """features -> 02_features."""
    return f"{STAGES.index(stage) + 1:02d}_{stage}"


def _is_lab(path: Path) -> bool:
    return Run.open(path).manifest["mode"] == "lab"


def _fresh_lab(path: Path, settings: Any) -> Run:
    """A run started by hand: its configuration is read anew each time notebook 01 runs."""
    check_run_id(path.name)
    config = load_config(settings.config)
    config = config.model_copy(update={"ingest": settings.model_copy(update={"run_dir": config.ingest.run_dir})})
    # Nothing of a run in use is touched, not even its record.
    with Run.open(path).lock() if (path / "run.json").exists() else contextlib.nullcontext():
        return Run.create(path, config, mode="lab")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise EnvironmentFault(
            f"{folder} cannot be made: {fault.strerror}.", "A run needs a folder to write to.", "run in another folder"
        ) from None


def _write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _packages() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in RECORDED_PACKAGES}


def _major(version: str) -> tuple[str, ...]:
    """What may not differ: the first number, or the first two of a 0.x version."""
    parts = version.split(".")
    return tuple(parts[:2] if parts[0] == "0" else parts[:1])


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
