"""What goes wrong in real life gives the right exit code, a message of the right form, and loses nothing."""

from __future__ import annotations

import os
import resource
import signal
import subprocess

import psutil
import pytest
from pipeline_company import QUICK, wait_until


def assert_message(result: subprocess.CompletedProcess, code: int, *parts: str) -> None:
    """Exit code and form: what, why or fix, at most 12 lines, no traceback, no personal data."""
    text = result.stderr.strip()
    assert result.returncode == code, result.stdout + result.stderr
    assert len(text.splitlines()) <= 12
    assert "Traceback" not in text
    assert "@example" not in text
    for part in (*parts, "Fix:"):
        assert part in text, text


@pytest.mark.parametrize(
    "words, parts",
    [
        (("-p", "clustering.min_segmnts", "5"), ("min_segmnts", 'Did you mean "min_segments"?')),
        (("-p", "clusterin.seed", "5"), ("clusterin", 'Did you mean "clustering"?')),
        (("-p", "clustering.seed", "1e3"), ("clustering.seed", "whole number", "1e3")),
        (("-p", "ingest.max_reject_share", "lots"), ("max_reject_share", "lots")),
        (("-p", "clustering.min_segments", "40"), ("min_segments 40", "max_segments 30")),
        (("-p", "as_of", "2017-02-30"), ("as_of", "2017-02-30")),
        (("--run-id", "../../etc/x"), ("../../etc/x",)),
        (("--from", "clusters"), ("clusters", "clustering")),
        (("--resume",), ("resume",)),
        (("configs/grocr.yaml",), ("grocr.yaml", "grocer.yaml")),
        (("-p", "x=1\nimport os", "1"), ("no such setting",)),
    ],
)
def test_wrong_parameters_are_refused_before_anything_runs(tmp_path_factory, small, words, parts):
    before = sorted((small.folder / "runs").glob("*")) if (small.folder / "runs").exists() else []
    assert_message(small.command("run", *words), 3, *parts) if words != ("--resume",) or not before else None
    after = sorted((small.folder / "runs").glob("*")) if (small.folder / "runs").exists() else []
    assert before == after


def test_all_faults_of_a_configuration_come_at_once_with_their_lines(small):
    name = small.edit_config("as_of: 2017-10-01", "as_of: 2017-13-01\nclustering: {min_sise_share: 0.1, seed: 1.5}")
    result = small.command("run", name)
    assert_message(result, 3, "3 faults", "edited.yaml:", "as_of", "min_size_share", "clustering.seed")


def test_a_missing_column_names_it_and_the_nearest(small):
    name = small.edit_config("email: email\n      phone: mobile", "email: e_mail\n      phone: mobile", "column.yaml")
    result = small.command("check", name)
    assert_message(result, 2, '"e_mail"', 'Did you mean "email"?', "contacts.csv")
    result = small.command("run", name, "--run-id", "column")
    assert_message(result, 2, '"e_mail"', "01_ingest.ipynb", "--resume")


def test_an_empty_file_stops_before_the_first_notebook(small):
    empty = small.folder / "data" / "empty.csv"
    empty.touch()
    name = small.edit_config("data/demo/tickets/tickets.csv", "data/empty.csv", "empty.yaml")
    assert_message(small.command("run", name, "--run-id", "empty"), 2, "empty.csv", "0 bytes")
    assert not (small.run_folder("empty") / "run.json").exists()


def test_a_missing_file_names_the_nearest(small):
    name = small.edit_config("data/demo/tickets/tickets.csv", "data/demo/tickets/ticket.csv", "missing.yaml")
    assert_message(small.command("run", name), 2, "ticket.csv", "tickets.csv")


LATE = ("--from", "personas", *QUICK)  # takes the first three stages over from the finished run


@pytest.mark.slow
def test_a_corrupted_table_between_two_stages_is_refused_and_mended(finished):
    result = finished.command("run", "--run-id", "corrupt", "-p", "personas.playbook", "configs/none.yaml", *LATE)
    assert_message(result, 3, "none.yaml", "04_personas.ipynb", "--resume --run-id corrupt")
    table = finished.run_folder("corrupt") / "tables" / "features.parquet"
    whole = table.read_bytes()
    broken = bytearray(whole)
    broken[len(broken) // 2] ^= 1
    table.unlink()
    table.write_bytes(bytes(broken))
    mended = ("run", "--resume", "--run-id", "corrupt", "-p", "personas.playbook", "configs/playbook.yaml")  # QUICK is kept
    result = finished.command(*mended)
    assert_message(result, 2, "features.parquet", "SHA-256", "--from features")
    assert (finished.run_folder("base") / "tables" / "features.parquet").read_bytes() == whole
    table.write_bytes(whole)
    result = finished.command(*mended)
    assert result.returncode == 0, result.stderr
    assert finished.manifest("corrupt")["state"] == "finished"


def kernels_of(process: subprocess.Popen) -> list[psutil.Process]:
    try:
        return [p for p in psutil.Process(process.pid).children(recursive=True) if "ipykernel_launcher" in " ".join(p.cmdline())]
    except psutil.NoSuchProcess:
        return []


@pytest.mark.slow
def test_a_killed_kernel_is_not_taken_for_success_and_the_run_resumes(finished):
    running = finished.start("run", "--run-id", "killed", *LATE)
    wait_until(lambda: len(kernels_of(running)) > 0)
    for kernel in kernels_of(running):
        kernel.kill()
    out, err = running.communicate(timeout=120)
    result = subprocess.CompletedProcess(running.args, running.returncode, out, err)
    assert_message(result, 4, "killed", "memory", "--resume --run-id killed")
    assert finished.manifest("killed")["state"] == "failed"
    assert set(finished.manifest("killed")["stages"]) == {"ingest", "features", "clustering"}
    result = finished.command("run", "--resume", "--run-id", "killed", *QUICK)
    assert result.returncode == 0, result.stderr
    assert "03_clustering" not in result.stdout
    assert "04_personas" in result.stdout


@pytest.mark.slow
def test_a_stage_whose_notebook_was_not_saved_is_run_again(finished):
    result = finished.command("run", "--run-id", "unsaved", "-p", "kpis.targets", "configs/none.yaml", *LATE)
    assert_message(result, 3, "none.yaml", "05_kpis.ipynb")
    (finished.run_folder("unsaved") / "notebooks" / "04_personas.ipynb").unlink()
    result = finished.command("run", "--resume", "--run-id", "unsaved", "-p", "kpis.targets", "configs/targets.yaml")
    assert result.returncode == 0, result.stderr
    assert "04_personas" in result.stdout


def test_interrupted_runs_stop_soon_and_say_how_to_go_on(finished):
    running = finished.start("run", "--run-id", "stopped", *LATE)
    wait_until(lambda: len(kernels_of(running)) > 0)
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=30)
    result = subprocess.CompletedProcess(running.args, running.returncode, out, err)
    assert_message(result, 4, "stopped", "--resume")
    assert finished.manifest("stopped")["state"] == "interrupted"


@pytest.mark.slow
@pytest.mark.parametrize("file", ["events.parquet", "events_pos_0.parquet"])  # the table, and what is kept while it is made
def test_a_full_disk_leaves_whole_files_only(finished, file):
    room = 400_000 if file == "events_pos_0.parquet" else len(finished.table_bytes("base")[file]) - 1

    def small_files_only() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    full = f"full-{file.removesuffix('.parquet')}"
    result = finished.command("run", "--run-id", full, *QUICK, preexec_fn=small_files_only)
    assert_message(result, 4, file, "--resume")
    folder = finished.run_folder(full)
    assert not (folder / "tables" / "events.parquet").exists()
    assert not list(folder.rglob(".tmp-*.parquet"))
    assert finished.manifest(full)["state"] == "failed"


def test_a_second_run_with_the_same_id_is_refused_while_the_first_goes_on(finished):
    first = finished.start("run", "--run-id", "twice", *QUICK)
    wait_until(lambda: (finished.run_folder("twice") / "run.json").exists())
    result = finished.command("run", "--run-id", "twice", *QUICK)
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=30)
    assert_message(result, 4, "twice")
    assert_message(finished.command("run", "--run-id", "twice", *QUICK), 3, "twice", "--resume")


def test_a_finished_run_is_never_changed(finished):
    before = finished.table_bytes("base"), (finished.run_folder("base") / "run.json").read_bytes()
    assert_message(finished.command("run", "--run-id", "base", *QUICK), 3, "base", "finished")
    assert_message(finished.command("run", "--resume", "--run-id", "base", *QUICK), 3, "base", "finished")
    assert (finished.table_bytes("base"), (finished.run_folder("base") / "run.json").read_bytes()) == before


@pytest.mark.slow
def test_from_a_stage_takes_over_what_came_before(finished):
    latest = os.readlink(finished.folder / "runs" / "latest")
    result = finished.command("run", "--run-id", "taken", "--from", "kpis", *QUICK, "-p", "kpis.confidence", "0.8")
    assert result.returncode == 0, result.stderr
    assert "04_personas" not in result.stdout
    taken = finished.manifest("taken")["stages"]["clustering"]
    assert taken["taken_from"] == latest
    result = finished.command("run", "--run-id", "wrong", "--from", "kpis", *QUICK, "-p", "clustering.seed", "8")
    assert_message(result, 3, "clustering", "--from")
