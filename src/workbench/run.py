"""The runner: which run, which stages, in which order; safe to stop and to resume."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.core import workspace
from workbench.core.config import STAGES, Config, load_config
from workbench.core.errors import EnvironmentFault, InputError, ParameterError, QualityGate, WorkbenchError
from workbench.core.files import TEMPORARY, write_text
from workbench.core.inputs import find_files, input_hashes, read_key
from workbench.core.rundir import Run, all_runs, check_run_id, last_finished, notebook_name
from workbench.kernel import Say, execute, progress_lines, resume_command

MIN_FREE_MB = 500


def run_pipeline(
    config_path: str, overrides: Mapping[str, str], run_id: str | None, resume: bool, from_stage: str | None, say: Say
) -> Run:
    """Run what is to be run and write the report; returns the finished run. Raises WorkbenchError with its exit code."""
    config = load_config(config_path, overrides)
    run, lock = _open_or_create(config, config_path, run_id, resume, from_stage)
    try:
        run.update(parameters=dict(overrides))  # `--resume` goes on with the same
        return _run_stages(run, say)
    finally:
        lock.release()


def list_runs() -> list[dict[str, Any]]:
    """Every run of the workspace by its name, damaged ones last: run_id, company, as_of, segments, state."""
    damaged = {"company": "", "as_of": "", "segments": None, "state": "damaged: its run.json or config.yaml cannot be read"}
    found = all_runs(runs_folder())
    readable = [
        {
            "run_id": name,
            "company": run.manifest["company"],
            "as_of": run.manifest["as_of"],
            "segments": run.metrics.get("segments"),
            "state": run.manifest["state"],
        }
        for name, run in found.items()
        if run
    ]
    return [*readable, *({"run_id": name, **damaged} for name, run in found.items() if run is None)]


def runs_folder() -> Path:
    """Where runs lie."""
    return workspace.resolve("runs")


# -- which run -------------------------------------------------------------------------------------------------------


def started_with(run_id: str | None) -> tuple[str, dict[str, str]]:
    """The configuration file and the parameters of the run that is to be resumed; raises ParameterError where there is none."""
    path = runs_folder() / check_run_id(run_id) if run_id else _newest_unfinished()
    manifest = Run.open(path).manifest
    return manifest.get("configuration_file", str(path / "config.yaml")), manifest.get("parameters", {})


def _open_or_create(
    config: Config, config_path: str, run_id: str | None, resume: bool, from_stage: str | None
) -> tuple[Run, Any]:
    if resume:
        return _resumed(config, run_id, from_stage)
    path = runs_folder() / check_run_id(run_id or _new_id(Path(config_path).stem))
    base = _latest_finished(config, from_stage) if from_stage else None
    _preflight(path, config)
    lock = _claim(path)
    run = Run.create(path, config)
    run.update(inputs=input_hashes(config), configuration_file=config_path)
    if base:
        _take_over(base, run, from_stage)
    return run, lock


def _claim(path: Path) -> Any:
    """Lock a new run directory; refuses one that another process holds (exit 4) or that already holds a run (exit 3)."""
    import filelock

    path.mkdir(parents=True, exist_ok=True)
    if (path / "run.json").exists():
        run = Run.open(path)
        lock = run.lock()
        lock.release()
        state = run.manifest["state"]
        way = "--resume" if state != "finished" else "another --run-id"
        raise ParameterError(
            f"run {path.name} exists already ({state}).", "Nothing that was there before is overwritten.", f"use {way}"
        )
    lock = filelock.FileLock(path / ".lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise EnvironmentFault(
            f"run {path.name} is being started by another process.",
            "Two writers would mix their tables.",
            "wait for it, or use another --run-id",
        ) from None
    return lock


def _resumed(config: Config, run_id: str | None, from_stage: str | None) -> tuple[Run, Any]:
    path = runs_folder() / check_run_id(run_id) if run_id else _newest_unfinished()
    run = Run.open(path)
    if run.manifest["state"] == "finished":
        raise ParameterError(
            f"run {path.name} is finished.",
            "A finished run is never changed.",
            "start a new run, or use --from STAGE without --resume to build on it",
        )
    lock = run.lock()
    try:
        _check_inputs(run)
        stored = run.config
        first = from_stage or _next_stage(run)
        if run_id is None or config.hash != stored.hash:
            _check_same_before(first, stored, config, path.name)
        if from_stage:
            run.forget_from(from_stage)
        if config.hash != stored.hash:
            write_text(path / "config.yaml", config.to_yaml())
            run = Run.open(path)
            run.update(configuration_hash=config.hash, seed=config.clustering.seed)
    except WorkbenchError:
        lock.release()
        raise
    return run, lock


def _newest_unfinished() -> Path:
    readable = filter(None, all_runs(runs_folder()).values())
    begun = [r for r in readable if r.manifest["mode"] == "run" and r.manifest["state"] != "finished"]
    if not begun:
        raise ParameterError("there is no unfinished run to resume.", fix="start one with `workbench run`")
    return max(begun, key=lambda r: r.manifest["created_at"]).path


def _latest_finished(config: Config, stage: str) -> Run:
    base = last_finished(runs_folder(), config.company.name)
    if base is None:
        raise ParameterError(
            f"--from builds on the latest finished run of {config.company.name}, and there is none.",
            fix="run everything once: `workbench run`",
        )
    _check_inputs(base)
    _check_same_before(stage, base.config, config, base.path.name)
    return base


def _check_same_before(stage: str | None, stored: Config, wanted: Config, name: str) -> None:
    """Refuse to mix: settings that decided finished stages must be the ones wanted now."""
    done = STAGES[: STAGES.index(stage)] if stage else STAGES
    if not done:
        return
    sections = [s for s in Config.model_fields if s not in STAGES] + list(done)
    differ = [s for s in sections if _comparable(stored, s) != _comparable(wanted, s)]
    if differ:
        raise ParameterError(
            f"run {name} was made with other settings under: {', '.join(differ)}.",
            "Its finished stages would not match the new ones.",
            f"go back further (--from {next((s for s in STAGES if s in differ), 'ingest')}), or start a new run",
        )


def _comparable(config: Config, section: str) -> Any:
    value = getattr(config, section)
    return value.model_dump(exclude={"run_dir", "config"}) if section in STAGES else value


def _take_over(base: Run, run: Run, stage: str) -> None:
    """The earlier stages' tables, record and notebooks of a finished run, by hard link where the disk allows."""
    for earlier in STAGES[: STAGES.index(stage)]:
        record = base.manifest["stages"][earlier]
        for name in record["tables"]:
            _link(base.table_path(name), run.table_path(name))
        _link(_notebook(base, earlier), _notebook(run, earlier))
        run.manifest["stages"][earlier] = {**record, "taken_from": base.path.name}
    run.manifest["packages"] = base.manifest["packages"]  # what its first stages were computed with
    if (base.path / "metrics.json").exists():
        shutil.copy2(base.path / "metrics.json", run.path / "metrics.json")
    run.update(state="running")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _new_id(stem: str) -> str:
    clean = "".join(c if c.isalnum() else "-" for c in stem.lower())[:40]
    return f"{dt.datetime.now():%Y-%m-%d-%H%M%S}-{clean}"


# -- before the first stage --------------------------------------------------------------------------------------------


def _preflight(path: Path, config: Config) -> None:
    parent = path.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        probe = parent / f"{TEMPORARY}probe-{os.getpid()}"
        probe.write_text("")
        probe.unlink()
    except OSError as fault:
        raise EnvironmentFault(
            f"{parent} cannot be written: {fault.strerror}.", "A run needs a folder to write to.", "run in another folder"
        ) from None
    free = shutil.disk_usage(parent).free / 2**20
    if free < MIN_FREE_MB:
        raise EnvironmentFault(
            f"{parent} has {free:,.0f} MiB free, at least {MIN_FREE_MB} are needed.",
            "The run would stop half-way.",
            "free some space",
        )
    for name, source in config.sources.items():
        find_files(name, source)
    read_key(config)


def _check_inputs(run: Run) -> None:
    """Refuse to build on tables of other input files."""
    if not run.stage_done("ingest"):
        return
    found = input_hashes(run.config)
    changed = [name for name in found if found[name] != run.manifest["inputs"].get(name)]
    if changed:
        raise InputError(
            f"sources changed since run {run.path.name} read them: {', '.join(changed)}.",
            "Old and new data would be mixed.",
            "start a new run",
        )


# -- the stages --------------------------------------------------------------------------------------------------------


def _run_stages(run: Run, say: Say) -> Run:
    from workbench import readers, report

    started = time.perf_counter()
    previous = signal.signal(signal.SIGTERM, _interrupt)
    say(f"run {run.path.name}: {run.config.company.name}, as of {run.config.as_of}")
    _check_packages(run, say)
    try:
        run.update(state="running")
        while stage := _next_stage(run):
            run = _run_stage(run, stage, say)
        say(f"[report] {run.path / 'reports' / 'index.html'}")
        report.write_report(run)
        readers.write_reader_pages(run)
        run.update(state="finished", seconds=round(time.perf_counter() - started, 1))
        _point_latest(run)
    except KeyboardInterrupt:
        Run.open(run.path).update(state="interrupted")
        raise EnvironmentFault("stopped by you.", "Finished stages are kept.", resume_command(run)) from None
    except Exception:
        Run.open(run.path).update(state="failed")
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)
    return run


def _check_packages(run: Run, say: Say) -> None:
    """Say it where finished stages were computed by other package versions; incompatible ones are refused."""
    if any(run.stage_done(stage) for stage in STAGES) and (told := run.check_packages()):
        say(f"warning: finished stages used other versions: {', '.join(told)}")
        run.update(package_changes=told)


def _next_stage(run: Run) -> str | None:
    """The first stage without a record or without its executed notebook: a kernel can die between the two."""
    return next((s for s in STAGES if not (run.stage_done(s) and _notebook(run, s).exists())), None)


def _notebook(run: Run, stage: str) -> Path:
    return run.path / "notebooks" / f"{notebook_name(stage)}.ipynb"


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _run_stage(run: Run, stage: str, say: Say) -> Run:
    """One notebook in its own kernel; done only when our record says so and every cell ran."""
    import nbformat

    name = notebook_name(stage)
    final = _notebook(run, stage)
    temporary = final.with_name(f"{TEMPORARY}{name}.ipynb")
    sections: dict[str, float] = {}
    progress = progress_lines(f"[{STAGES.index(stage) + 1}/{len(STAGES)}] {name}", say, sections)
    try:
        execute(workspace.resources("notebooks") / f"{name}.ipynb", temporary, run, stage, progress)
    except (InputError, QualityGate) as fault:  # not ours: what was found until then is the reader's
        from workbench import report

        say(f"[report] {report.write_stopped(run, stage, temporary, fault)}")
        raise
    progress("")
    fresh = Run.open(run.path)
    cells = [c for c in nbformat.read(temporary, 4).cells if c.cell_type == "code" and c.source.strip()]
    if not fresh.stage_done(stage) or any(c.execution_count is None for c in cells):
        raise EnvironmentFault(
            f"stage {stage} ended without its record: the notebook's kernel stopped early.",
            "Its tables are not used.",
            resume_command(run),
        )
    os.replace(temporary, final)
    fresh.manifest["stages"][stage]["sections"] = {k: round(v, 2) for k, v in sections.items()}
    fresh.update()
    return fresh


def _point_latest(run: Run) -> None:
    link = runs_folder() / "latest"
    temporary = runs_folder() / f"{TEMPORARY}latest-{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(run.path.name)
    os.replace(temporary, link)
