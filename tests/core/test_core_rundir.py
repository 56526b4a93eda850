"""A run directory goes forward stage by stage, belongs to one process at a time, and believes no file it did not write."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pandas as pd
import pyarrow as pa
import pytest

from workbench.core.config import STAGES, load_config
from workbench.core.engine import as_table
from workbench.core.errors import ContractBroken, EnvironmentFault, InputError, ParameterError
from workbench.core.files import TEMPORARY
from workbench.core.rundir import Run, check_run_id, last_finished, open_stage
from workbench.run import list_runs

IDENTITIES = pd.DataFrame({"source": ["crm", "crm"], "record_id": ["1", "2"], "customer_id": "c_1", "match_probability": 1.0})
CONFIG = "as_of: 2017-10-01\nsources:\n  crm: {kind: crm, path: a.csv, record_id: id}\n"


@pytest.fixture
def config(home, monkeypatch):
    monkeypatch.delenv("WORKBENCH_RUN_LOCK", raising=False)
    (home / "configs").mkdir()
    (home / "configs/c.yaml").write_text(CONFIG)
    return load_config("configs/c.yaml")


@pytest.fixture
def run(home, config):
    return Run.create(home / "runs/r1", config)


def do(run: Run, *stages: str) -> None:
    for stage in stages:
        run.begin(stage)
        run.write({"ingest": "identities"}.get(stage, f"made_by_{stage}"), IDENTITIES)
        run.complete(**{f"{stage}_rows": 2})


def state(run: Run) -> dict:
    return json.loads((run.path / "run.json").read_text())


# -- states ------------------------------------------------------------------------------------------------------------


def test_a_run_goes_through_its_states(run):
    assert state(run)["state"] == "created"
    run.begin("ingest")
    assert state(run)["state"] == "running"
    run.write("identities", IDENTITIES)
    assert not run.stage_done("ingest")
    run.complete(customers=1)
    assert run.stage_done("ingest")
    do(run, *STAGES[1:])
    again = Run.open(run.path)
    assert again.config == run.config
    assert [again.stage_done(s) for s in STAGES] == [True] * 5
    assert again.metrics == {"customers": 1} | {f"{s}_rows": 2 for s in STAGES[1:]}
    pd.testing.assert_frame_equal(again.read("identities"), IDENTITIES)


def test_a_run_made_by_hand_is_never_finished(home, config):
    run = Run.create(home / "runs/lab", config, mode="lab")
    do(run, *STAGES)
    assert state(run)["state"] == "lab"


def test_a_finished_run_is_never_changed(run):
    do(run, *STAGES)
    run.update(state="finished")
    before = {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}
    for stage in STAGES:
        with pytest.raises(ParameterError, match="never changed"):
            Run.open(run.path).begin(stage)
    assert {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()} == before


def test_a_stage_without_the_earlier_ones_is_refused(run):
    with pytest.raises(InputError, match="stage ingest is not done, features builds on it") as caught:
        run.begin("features")
    assert "01_ingest" in str(caught.value)
    do(run, "ingest")
    with pytest.raises(InputError, match="stage features is not done, kpis builds on it"):
        run.begin("kpis")
    assert state(run)["stages"].keys() == {"ingest"}


def test_a_stage_that_broke_off_does_not_count(run):
    run.begin("ingest")
    run.write("identities", IDENTITIES)
    assert not Run.open(run.path).has("identities")
    with pytest.raises(InputError):
        Run.open(run.path).begin("features")


def test_to_begin_a_stage_again_forgets_what_was_built_on_it(run):
    do(run, *STAGES[:4])
    run.begin("features")
    assert state(run)["stages"].keys() == {"ingest"}
    assert run.has("identities")
    assert not run.has("made_by_clustering")
    with pytest.raises(InputError, match="made_by_clustering"):
        run.read("made_by_clustering")


def test_only_a_directory_with_a_readable_record_is_a_run(home, run):
    with pytest.raises(InputError, match="no run here"):
        Run.open(home / "runs/nothing")
    with pytest.raises(InputError, match="no run here"):
        Run.open(home / "configs/c.yaml")
    for damaged in (b'{"state": "finis', b"{}", b"[]", b"null", b"\xff\xfe"):
        (run.path / "run.json").write_bytes(damaged)
        with pytest.raises(InputError, match="not readable"):
            Run.open(run.path)


def test_a_damaged_run_is_listed_and_stops_no_other(home, config, run):
    run.update(state="finished")
    for name, file in (("r2", "run.json"), ("r3", "config.yaml")):
        Run.create(home / "runs" / name, config).update(state="finished")
        (home / "runs" / name / file).write_text("{")
    (home / "runs/latest").symlink_to("r2")
    assert last_finished(home / "runs", config.company.name).path == run.path
    assert [(told["run_id"], told["state"].split(":")[0]) for told in list_runs()] == [
        ("r1", "finished"), ("r2", "damaged"), ("r3", "damaged")
    ]  # fmt: skip


def test_where_no_folder_can_be_made_the_environment_is_to_blame(home, config):
    (home / "runs").write_text("in the way")
    with pytest.raises(EnvironmentFault):
        Run.create(home / "runs/r1", config)


# -- tables ------------------------------------------------------------------------------------------------------------


def flip(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize(
    "spoil",
    [
        flip,
        lambda path: path.write_bytes(path.read_bytes()[:-20]),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
        lambda path: IDENTITIES.assign(customer_id="c_2").to_parquet(path),
    ],
    ids=["bit", "truncated", "emptied", "gone", "from another run"],
)
@pytest.mark.parametrize("how", ["read", "read_events"])
def test_a_table_that_is_not_the_one_written_is_refused(run, spoil, how):
    do(run, "ingest")
    expected = state(run)["stages"]["ingest"]["tables"]["identities"]["sha256"]
    spoil(run.path / "tables/identities.parquet")
    run = Run.open(run.path)
    with pytest.raises(InputError) as caught:
        getattr(run, how)("identities")
    message = str(caught.value)
    assert "identities.parquet" in message
    assert expected[:12] in message
    assert "stage ingest" in message
    assert "workbench run --resume --run-id r1 --from ingest" in message


def test_a_table_that_breaks_its_contract_is_not_written(run):
    run.begin("ingest")
    with pytest.raises(ContractBroken):
        run.write("identities", IDENTITIES.drop(columns="source"))
    assert list((run.path / "tables").iterdir()) == []
    assert not run.has("identities")


def test_event_tables_are_written_checked_and_read_back(run):
    run.begin("ingest")
    run.write_events("some_events", as_table(run.engine, pa.Table.from_pandas(IDENTITIES), "t"))
    run.complete()
    again = Run.open(run.path)
    assert again.read_events("some_events").count().to_pyarrow().as_py() == 2
    assert state(run)["stages"]["ingest"]["rows"] == {"some_events": 2}


def test_direct_identifiers_lie_where_only_the_owner_reads(run):
    run.begin("ingest")
    run.write("private/persons", IDENTITIES)
    run.write("identities", IDENTITIES)
    run.complete()
    assert (run.path / "private").stat().st_mode & 0o777 == 0o700
    assert (run.path / "private/persons.parquet").stat().st_mode & 0o777 == 0o600
    assert not (run.path / "tables/persons.parquet").exists()
    assert len(Run.open(run.path).read("private/persons")) == 2


# -- parameters --------------------------------------------------------------------------------------------------------


def test_what_a_notebook_was_run_with_is_what_the_record_says(home, config):
    run = open_stage("ingest", {"run_dir": "runs/lab", "config": "configs/c.yaml", "example_rows": 9, "other": 1})
    run.complete()
    again = Run.open(home / "runs/lab")
    assert again.config.ingest.example_rows == 9
    assert state(again)["configuration_hash"] == again.config.hash != config.hash
    with pytest.raises(ParameterError, match=r"notebook 02_features: window_days"):
        open_stage("features", {"run_dir": "runs/lab", "window_days": 1.5})


def test_the_first_cell_can_be_run_again(home, config):
    for _ in range(3):
        run = open_stage("ingest", {"run_dir": "runs/lab", "config": "configs/c.yaml"})
    run.write("identities", IDENTITIES)
    run.complete()
    assert Run.open(home / "runs/lab").stage_done("ingest")


@pytest.mark.parametrize("good", ["a", "0", "2017-10-01_grocer.v2", "x" * 64, "con"])
def test_a_plain_name_is_a_run_id(good):
    assert check_run_id(good) == good


@pytest.mark.parametrize(
    "bad",
    [
        "../../etc/x",
        "/abs/path",
        "..",
        "",
        ".",
        "a/b",
        "a\\b",
        "x" * 65,
        "x" * 300,
        "a\0b",
        "a\n",
        "-rf",
        "~root",
        "%2e%2e",
        "é",
        "A",
    ]
    + [" a", "a b", "a;b", "$HOME", "ａ"],
)
def test_a_name_that_could_lead_elsewhere_is_no_run_id(home, config, bad):
    with pytest.raises(ParameterError) as caught:
        check_run_id(bad)
    assert len(str(caught.value)) < 400
    assert "Fix:" in str(caught.value)


def test_a_run_made_by_hand_needs_a_plain_name_too(home, config):
    with pytest.raises(ParameterError):
        open_stage("ingest", {"run_dir": "runs/My Run", "config": "configs/c.yaml"})
    assert not (home / "runs").exists()


# -- one process at a time ---------------------------------------------------------------------------------------------

HOLD = textwrap.dedent("""
    import sys
    from pathlib import Path
    from workbench.core.rundir import Run
    run = Run.open(Path(sys.argv[1]))
    run.begin("ingest")
    print("held", flush=True)
    sys.stdin.read()
""")


@pytest.fixture
def holder(home, config):
    """A lab run that another, living process is working on -> (its path, the process)."""
    run = Run.create(home / "runs/lab", config, mode="lab")
    environment = os.environ | {"WORKBENCH_HOME": str(home)}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout.readline() == "held\n"
    yield run.path, process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_a_second_process_is_refused_and_a_dead_one_is_no_obstacle(holder):
    path, process = holder
    record = (path / "run.json").read_bytes()
    with pytest.raises(EnvironmentFault, match=rf"in use by process {process.pid} since \d{{4}}-") as caught:
        Run.open(path).begin("ingest")
    assert caught.value.exit_code == 4
    with pytest.raises(EnvironmentFault, match=str(process.pid)):
        open_stage("ingest", {"run_dir": str(path), "config": "configs/c.yaml", "example_rows": 7})
    assert (path / "run.json").read_bytes() == record

    leftover = path / f"tables/{TEMPORARY}{process.pid}-events.parquet"
    leftover.write_text("half")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    run = Run.open(path)
    do(run, "ingest")
    assert run.stage_done("ingest")
    assert not leftover.exists()


def test_the_lock_is_free_after_a_stage_and_other_runs_are_not_touched(home, config, holder):
    other = Run.create(home / "runs/other", config)
    do(other, "ingest")
    done = subprocess.run(
        [sys.executable, "-c", HOLD, str(other.path)], input="", capture_output=True, text=True, timeout=60,
        env=os.environ | {"WORKBENCH_HOME": str(home)},
    )  # fmt: skip
    assert done.stdout == "held\n", done.stderr


# -- other package versions (98) ---------------------------------------------------------------------------------------


def begun_with(run: Run, **packages: str) -> Run:
    do(run, "ingest")
    run.update(packages={**run.manifest["packages"], **packages})
    return Run.open(run.path)


def test_98_a_slightly_other_version_is_told(run):
    was = run.manifest["packages"]["pandas"]
    older = f"{was.split('.')[0]}.0.0b1"
    again = begun_with(run, pandas=older)
    assert again.check_packages() == [f"pandas {older} -> {was}"]
    again.begin("features")


@pytest.mark.parametrize("package, version", [("pandas", "1.5.3"), ("hdbscan", "0.7.1")])
def test_98_an_incompatible_version_stops_the_next_stage(run, package, version):
    again = begun_with(run, **{package: version})
    with pytest.raises(EnvironmentFault) as caught:
        again.begin("features")
    assert f"{package} {version} -> " in str(caught.value)
    assert "requirements.lock" in caught.value.fix
    assert again.stage_done("ingest")  # nothing was lost


# -- the last run of a company -------------------------------------------------------------------------------------------


def test_the_last_run_of_a_company_is_found_behind_another_companys(home, config):
    """One workspace, two companies, each month the one after the other: `latest` is always the other's."""
    theirs = config.model_copy(update={"company": config.company.model_copy(update={"name": "Another"})})
    months = [("r1", config), ("o1", theirs), ("r2", config), ("o2", theirs)]
    for day, (name, whose) in enumerate(months, 1):
        run = Run.create(home / "runs" / name, whose)
        assert getattr(run.previous(), "path", home).name == {"r2": "r1", "o2": "o1"}.get(name, home.name)
        run.update(state="finished", created_at=f"2026-01-0{day}T00:00:00+00:00")
        link = home / "runs/latest"
        link.unlink(missing_ok=True)
        link.symlink_to(name)
    Run.create(home / "runs/lab", config, mode="lab").update(state="finished")
    Run.create(home / "runs/half", config)
    assert last_finished(home / "runs", config.company.name).path.name == "r2"
    assert last_finished(home / "runs", "Another").path.name == "o2"
    assert last_finished(home / "runs", "Nobody") is None
    assert Run.open(home / "runs/o1").previous() is None
