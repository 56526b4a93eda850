"""One notebook in its own kernel: Papermill, our progress lines, and what went wrong in our words."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.core import workspace
from workbench.core.errors import KINDS, EnvironmentFault, WorkbenchError
from workbench.core.files import write_text
from workbench.core.rundir import HELD_BY_RUNNER, Run, notebook_name

Say = Callable[[str], None]
ENGINE = "workbench"


def execute(notebook: Path, output: Path, run: Run, stage: str, progress: Callable[[str], None]) -> None:
    import papermill as pm
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config as Traits

    _register_engine()
    _set_kernel_environment(run)
    parameters = run.settings(stage).model_dump(mode="json") | {"run_dir": str(run.path)}
    try:
        pm.execute_notebook(
            str(notebook), str(output), parameters, engine_name=ENGINE, kernel_name="python3", progress_bar=False, log_output=False,
            cwd=str(workspace.root()), progress=progress, config=Traits({"KernelManager": {"transport_encryption": "required"}}),
        )  # fmt: skip
    except PapermillExecutionError as fault:
        raise _stage_fault(fault, run, stage) from None
    except NoSuchKernel:
        raise EnvironmentFault(
            "Jupyter knows no kernel named python3 here.",
            "The notebooks cannot start.",
            f"{sys.executable} -m ipykernel install --sys-prefix",
        ) from None
    except (DeadKernelError, RuntimeError) as fault:
        if isinstance(fault, RuntimeError) and "Kernel died" not in str(fault) and not isinstance(fault, DeadKernelError):
            raise
        raise EnvironmentFault(
            f"stage {stage}: the notebook's kernel was killed ({notebook.name}).",
            f"Most often the machine ran out of memory (engine.memory_limit is {run.config.engine.memory_limit}).{_kept(run)}",
            f"close other programs or lower engine.memory_limit, then: {resume_command(run)}",
        ) from None


def _stage_fault(fault: Any, run: Run, stage: str) -> WorkbenchError:
    """The notebook's exception in our words: our own message as it is, anything else without values from the data."""
    where = f"{notebook_name(stage)}.ipynb, cell [{fault.exec_count}]"
    if fault.ename in KINDS:
        error = KINDS[fault.ename]("")
        error.what = f"{fault.evalue}\nAt:   {where}\nThen: {resume_command(run)}"  # two lines that MAX_LINES leaves room for
        return error
    kept = workspace.resolve("runs") if run.manifest["mode"] == "score" else run.path / "private"
    log = kept / f"{stage}.log"
    write_text(log, "\n".join(fault.traceback), mode=0o600)
    if fault.ename in ("MemoryError", "OutOfMemoryException"):
        return EnvironmentFault(
            f"stage {stage} ran out of memory ({where}).",
            f"Nothing that it computed is used.{_kept(run)}",
            f"lower engine.memory_limit or close other programs, then: {resume_command(run)}",
        )
    return WorkbenchError(
        f"stage {stage} failed with {fault.ename} ({where}).",
        "This is a fault of the workbench, not of your data.",
        f"see {log}, then: {resume_command(run)}",
    )


def _kept(run: Run) -> str:
    return "" if run.manifest["mode"] == "score" else " Finished stages are kept."


def resume_command(run: Run) -> str:
    """What to do once the cause is mended; nothing is kept of customers who were to be scored."""
    return "the same command again" if run.manifest["mode"] == "score" else f"workbench run --resume --run-id {run.path.name}"


def _set_kernel_environment(run: Run) -> None:
    os.environ.update(WORKBENCH_HOME=str(workspace.root()), PYTHONHASHSEED="0")
    os.environ[HELD_BY_RUNNER] = str(run.path)
    os.environ.setdefault("NUMBA_CACHE_DIR", str(Path.home() / ".cache" / "workbench" / "numba"))
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")


def _register_engine() -> None:
    """Teach Papermill an engine that tells which section of the notebook is being computed."""
    from papermill.engines import NBClientEngine, papermill_engines

    if ENGINE in papermill_engines._engines:
        return

    class SectionEngine(NBClientEngine):
        """Papermill's own engine, announcing the heading above each cell."""

        @classmethod
        def execute_managed_notebook(
            cls, nb_man: Any, kernel_name: str, progress: Callable[[str], None] = lambda _: None, **kwargs: Any
        ) -> None:
            headings = _headings(nb_man.nb.cells)
            start = nb_man.cell_start

            def announce(cell: Any, cell_index: int, **more: Any) -> None:
                progress(headings[cell_index])
                start(cell, cell_index, **more)

            nb_man.cell_start = announce
            super().execute_managed_notebook(nb_man, kernel_name, **kwargs)

    papermill_engines.register(ENGINE, SectionEngine)


def _headings(cells: list[Any]) -> list[str]:
    current, found = "start", []
    for cell in cells:
        if cell.cell_type == "markdown":
            titles = [line.removeprefix("## ").strip() for line in cell.source.splitlines() if line.startswith("## ")]
            current = titles[-1] if titles else current
        found.append(current)
    return found


def progress_lines(label: str, say: Say, sections: dict[str, float]) -> Callable[[str], None]:
    """Say each new section of the labelled notebook with its elapsed time, and add up the seconds of every section."""
    state = {"section": "", "since": time.perf_counter(), "started": time.perf_counter()}

    def progress(section: str) -> None:
        now = time.perf_counter()
        if state["section"]:
            sections[state["section"]] = sections.get(state["section"], 0.0) + now - state["since"]
        if section and section != state["section"]:
            say(f"{label} · {now - state['started']:5.1f} s · {section}")
        state.update(section=section, since=now)

    return progress
