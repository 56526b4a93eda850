"""Messages that fit on a screen; files that are whole or not there."""

import hashlib
import os
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.errors import KINDS, EnvironmentFault, InputError, WorkbenchError, did_you_mean
from workbench.core.files import TEMPORARY, atomic_write, sha256, sweep, write_text

lines = st.lists(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1), max_size=40).map("\n".join)


@given(lines, lines, lines.filter(bool))
def test_a_message_has_at_most_ten_lines_and_always_shows_the_fix(what, why, fix):
    shown = str(InputError(what, why, fix)).splitlines()
    assert len(shown) <= 10
    assert f"Fix:  {fix.splitlines()[0]}" in shown
    if what:
        assert shown[0] == what.splitlines()[0]


@given(st.integers(1, 200))
def test_what_is_left_out_is_counted(n):
    shown = str(InputError("\n".join(f"fault {i}" for i in range(n)), "why", "fix")).splitlines()
    told = sum(line.startswith("fault") for line in shown)
    left = [int(line.split()[2]) for line in shown if line.startswith("… and")]
    assert told + sum(left) == n


def test_every_kind_of_fault_has_its_exit_code():
    codes = {name: kind.exit_code for name, kind in KINDS.items()}
    assert codes == {
        "WorkbenchError": 1, "ContractBroken": 1, "InputError": 2, "ParameterError": 3, "EnvironmentFault": 4, "QualityGate": 5,
    }  # fmt: skip
    assert all(issubclass(kind, WorkbenchError) for kind in KINDS.values())


def test_did_you_mean_names_the_closest_or_what_there_is():
    assert "email" in did_you_mean("emial", ["email", "phone"])
    assert "Did you mean" not in did_you_mean("xyz", ["email", "phone"])
    assert "email, phone" in did_you_mean("xyz", ["phone", "email"])
    assert did_you_mean("xyz", []) == ""


# -- files -------------------------------------------------------------------------------------------------------------


def leftovers(folder):
    return list(folder.rglob(f"{TEMPORARY}*"))


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table"
    write_text(path, "old")

    def fail(temporary):
        temporary.write_text("half of the ne")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        atomic_write(path, fail)
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == []


def test_a_new_file_appears_whole_with_its_mode(tmp_path):
    path = tmp_path / "new/folder/ü 'x'.txt"
    write_text(path, "Grüße\n", 0o600)
    assert path.read_bytes() == "Grüße\n".encode()
    assert path.stat().st_mode & 0o777 == 0o600
    assert sha256(path) == hashlib.sha256("Grüße\n".encode()).hexdigest()


def test_where_no_file_can_be_written_the_environment_is_to_blame(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EnvironmentFault) as caught:
        write_text(tmp_path / "file/table", "x")
    assert caught.value.exit_code == 4
    assert "Fix:" in str(caught.value)
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_no_space_left_is_the_environments_fault(tmp_path):
    path = tmp_path / "table"
    write_text(path, "old")

    def fill(temporary):
        temporary.write_text("x")
        with open("/dev/full", "w") as full:
            full.write("x" * 100_000)

    with pytest.raises(EnvironmentFault, match="No space left on device"):
        atomic_write(path, fill)
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == []


DISK_FULL = textwrap.dedent("""
    import pathlib, resource, signal, sys
    import numpy as np, pandas as pd
    from workbench.core import engine
    from workbench.core.config import Engine
    from workbench.core.errors import EnvironmentFault
    from workbench.core.files import atomic_write, write_text

    folder = pathlib.Path(sys.argv[1])
    frame = pd.DataFrame({"x": np.random.default_rng(0).random(200_000)})
    con = engine.connect(Engine(), folder / "spill")
    table = engine.as_table(con, __import__("pyarrow").Table.from_pandas(frame), "t")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    writers = {
        "text": lambda p: write_text(p, "x" * 1_000_000),
        "pandas": lambda p: atomic_write(p, lambda t: frame.to_parquet(t)),
        "engine": lambda p: engine.write_parquet(con, table, p),
    }
    for name, write in writers.items():
        try:
            write(folder / name)
        except EnvironmentFault as fault:
            print(name, fault.exit_code, "could not be written" in str(fault))
""")


def test_a_disk_that_fills_up_leaves_every_old_file_whole(tmp_path):
    for name in ("text", "pandas", "engine"):
        (tmp_path / name).write_text("old")
    done = subprocess.run([sys.executable, "-c", DISK_FULL, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.stdout.split("\n")[:3] == ["text 4 True", "pandas 4 True", "engine 4 True"], done.stderr
    assert [(tmp_path / name).read_text() for name in ("text", "pandas", "engine")] == ["old"] * 3
    assert leftovers(tmp_path) == []


def test_sweeping_removes_only_what_a_killed_process_left(tmp_path):
    (tmp_path / "tables").mkdir()
    for name in (f"tables/{TEMPORARY}77-events.parquet", f"{TEMPORARY}77-run.json", "tables/events.parquet", "run.json"):
        (tmp_path / name).write_text("x")
    sweep(tmp_path)
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} == {"tables/events.parquet", "run.json"}
