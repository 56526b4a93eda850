"""What was read before is not read again, and nobody can tell from the table."""

import json
import os
import random
import shutil
import subprocess
import sys

import pytest

from workbench.core import engine
from workbench.core.config import Source
from workbench.core.errors import InputError
from workbench.ingest.sources import open_source
from workbench.ingest.store import Store

ROWS = "id,name\n1,Ann\n2,Bob\n"


@pytest.fixture
def read(con, home):
    """Read the workspace's files with the store (or without) -> the opened source."""

    def read_it(path="a.csv", store="data/store", **settings):
        return open_source(
            con, "crm", Source(**{"kind": "crm", "path": path, "record_id": "id", "profile": {"n": "name"}, **settings}), store
        )

    return read_it


def told(source) -> tuple:
    """Everything about a source that must not depend on what was remembered."""
    notes = [note for note in source.notes if "read before" not in note]
    return source.table.to_pyarrow().to_pylist(), source.rows, source.faults, notes


def reused(source) -> tuple[int, int]:
    return source.read_rows, source.reused_rows


def parts(home) -> set[str]:
    return {p.name for p in (home / "data/store/crm").glob("*.parquet")}


def test_a_file_that_did_not_change_is_not_read_again(home, read):
    (home / "a.csv").write_text(ROWS)
    first = read()
    assert reused(first) == (2, 0)
    again = read()
    assert reused(again) == (0, 2)
    assert told(first) == told(again) == told(read(store=""))


def test_only_the_new_end_of_a_file_is_read(home, read):
    path = home / "a.csv"
    path.write_text(ROWS)
    read()
    path.write_text(ROWS + "3,Cid\n4\n5,Eve")
    grown = read()
    assert reused(grown) == (2, 2)
    assert grown.faults == [("a.csv", 5, "too few fields")]
    assert told(grown) == told(read(store=""))
    path.write_text(ROWS + "3,Cid\n4\n5,Eve and more\n")  # the last line had no end: it may not be kept
    assert reused(read()) == (2, 2)
    assert told(read()) == told(read(store=""))
    assert len(parts(home)) == 2


@pytest.mark.parametrize(
    "settings", [{"csv": {"encoding": "cp1252"}}, {"csv": {"delimiter": ","}}, {"missing": ("Bob",)}, {"note": "x"}]
)
def test_only_what_decides_the_reading_counts(home, read, settings):
    (home / "a.csv").write_text(ROWS)
    read()
    found = read(**settings)
    assert reused(found) == ((2, 0) if "encoding" in str(settings) else (0, 2))
    assert told(found) == told(read(store="", **settings))


def test_another_column_or_a_changed_row_is_read_anew(home, read):
    (home / "a.csv").write_text("id,name,city\n1,Ann,X\n")
    read()
    assert reused(read(profile={"n": "name", "c": "city"})) == (1, 0)
    (home / "a.csv").write_text("id,name,city\n1,Eva,X\n2,Bob,Y\n")
    assert reused(read(profile={"n": "name", "c": "city"})) == (2, 0)
    assert len(parts(home)) == 1


def test_new_renamed_and_removed_files_of_a_pattern(home, read):
    for name in ("a", "b"):
        (home / f"{name}.csv").write_text(ROWS.replace("Ann", name))
    read("*.csv")
    (home / "c.csv").write_text(ROWS)
    assert reused(read("*.csv")) == (2, 4)
    (home / "a.csv").rename(home / "z.csv")
    assert reused(read("*.csv")) == (0, 6)
    (home / "b.csv").unlink()
    found = read("*.csv")
    assert told(found) == told(read("*.csv", store=""))
    assert len(parts(home)) == 2


@pytest.mark.parametrize("seed", range(12))
def test_any_growth_gives_the_table_of_a_full_read(home, read, seed):
    chance = random.Random(seed)
    kind = chance.choice(["csv", "csv", "jsonl"])
    ends = chance.choice([["\n"], ["\r\n"], ["\n", "\r\n"], ["\r", "\n", "\r\n"]])
    sound = ['1,"a{e}b"', "2,Ann", "3,Zoë", "4,\0x", "", "5", "6,a,b", "7,M\udcfcller", '8,"a" b', "9,"]
    lines = [
        '{{"id": 1, "name": "ë"}}',
        '{{"id": 2}}',
        "",
        "no",
        '{{"id": 3, "name": "\udcfc"}}',
        '{{"id": null, "name": [1.5]}}',
    ]
    path = home / f"a.{kind}"
    text = "id,name\n1,Zoë\n" if kind == "csv" else '{"id": 1, "name": "ë"}\n'
    for _ in range(6):
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        stored, plain = read(path.name), read(path.name, store="")
        assert told(stored) == told(plain)
        assert sum(reused(stored)) == sum(reused(plain))
        for _ in range(chance.randint(0, 8)):
            end = chance.choice(ends)
            text += chance.choice(sound if kind == "csv" else lines).format(e=end) + end
        if chance.random() < 0.3:
            text = text.removesuffix("\n")


def test_excel_and_packed_files_are_kept_whole(home, read):
    import gzip

    import pandas as pd

    pd.DataFrame({"id": ["1"], "name": ["Ann"]}).to_excel(home / "a.xlsx", index=False)
    (home / "a.csv.gz").write_bytes(gzip.compress(ROWS.encode()))
    for name, rows in (("a.xlsx", 1), ("a.csv.gz", 2)):
        first = read(name)
        assert reused(first) == (rows, 0)
        again = read(name)
        assert reused(again) == (0, rows)
        assert told(first) == told(again)


def test_parts_are_private_and_parquet_needs_none(home, read):
    import pandas as pd

    (home / "a.csv").write_text(ROWS)
    opened = read()
    for path in (home / "data/store").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert (home / "data/store").stat().st_mode & 0o077 == 0
    pd.DataFrame({"id": ["1"], "name": ["Ann"]}).to_parquet(home / "a.parquet")
    assert read("a.parquet").rows == 1
    assert parts(home) == set()  # they were of a file that the source no longer has
    assert engine.count_rows(opened.table) == 2


def test_a_damaged_or_foreign_part_is_read_again(home, read):
    (home / "a.csv").write_text(ROWS)
    good = told(read())
    part = next((home / "data/store/crm").glob("*.parquet"))
    whole, listed = part.read_bytes(), (home / "data/store/crm/parts.json").read_text()
    damages = {
        part: [whole[:-3], b"", whole[:40] + bytes([whole[40] ^ 1]) + whole[41:]],
        home / "data/store/crm/parts.json": [b"{", b"[]", listed.replace("Ann", "x").replace('"format": 1', '"format": 0').encode(), listed.replace('\\"rows\\": 2', '\\"rows\\": 1').encode()],
    }  # fmt: skip
    for path, contents in damages.items():
        for content in contents:
            read()
            path.unlink()
            path.write_bytes(content)
            found = read()
            assert reused(found) == (2, 0)
            assert told(found) == good
    read()
    part.unlink()
    assert told(read()) == good


def test_a_refused_file_leaves_what_was_remembered(home, read):
    (home / "a.csv").write_text(ROWS)
    read()
    before = parts(home)
    (home / "a.csv").write_text(ROWS + '3,"Cid\n4,Dee\n')
    with pytest.raises(InputError, match="a.csv:4"):
        read()
    assert parts(home) == before
    (home / "a.csv").write_text(ROWS + "3,Cid\n")
    assert reused(read()) == (1, 2)


def test_a_reader_keeps_its_parts_when_another_run_removes_them(home, read):
    (home / "a.csv").write_text(ROWS)
    held = read()
    (home / "a.csv").write_text(ROWS.replace("Ann", "Eva"))
    read()
    assert [row["name"] for row in held.table.to_pyarrow().to_pylist()] == ["Ann", "Bob"]
    shutil.rmtree(home / "data/store/crm")
    assert engine.count_rows(held.table) == 2


READ = """
import sys
from workbench.core.config import Engine, Source
from workbench.core.engine import connect
from workbench.ingest.sources import open_source
con = connect(Engine())
for _ in range(4):
    found = open_source(con, "crm", Source(kind="crm", path="*.csv", record_id="id", profile={"n": "name"}), "data/store")
    assert found.table.count().to_pyarrow().as_py() == int(sys.argv[1]), found
"""


def test_two_runs_at_once_do_not_break_each_other(home, read):
    for i in range(6):
        (home / f"{i}.csv").write_text(ROWS.replace("Ann", f"Ann {i}"))
    running = [subprocess.Popen([sys.executable, "-c", READ, "12"], env={**os.environ}, stderr=subprocess.PIPE) for _ in range(2)]
    for process in running:
        assert process.communicate(timeout=60)[1] == b""
        assert process.returncode == 0
    assert reused(read("*.csv")) == (0, 12)
    assert len(parts(home)) == 6


def test_what_a_killed_process_left_is_swept(con, home):
    from workbench.core.config import Engine
    from workbench.core.engine import connect

    shelf = home / "data/store/.in-use"
    (shelf / "workbench-dead").mkdir(parents=True)
    (shelf / "workbench-dead/x.parquet").write_text("x")
    (shelf / "workbench-dead.lock").touch()
    other = connect(Engine())
    mine = Store(other, "crm", "data/store").new_path().parent
    assert not (shelf / "workbench-dead").exists()
    assert mine.is_dir()
    Store(con, "crm", "data/store").new_path()
    assert mine.is_dir()  # alive: its lock is held


def test_the_list_of_parts_names_no_values(home, read):
    (home / "a.csv").write_text(ROWS)
    read()
    listed = json.loads((home / "data/store/crm/parts.json").read_text())
    assert "Ann" not in json.dumps(listed)
