"""Tables of real databases: read as text, streamed, read-only, and nothing secret is ever shown."""

import datetime as dt
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from workbench.core import engine
from workbench.core.config import Source, load_config
from workbench.core.errors import InputError, ParameterError
from workbench.ingest import databases
from workbench.ingest.sources import open_source


@pytest.fixture
def read(con, home):
    """The database's address and table -> the opened source; further words are settings of the source."""

    def read_it(url, table="customers", store="data/store", **settings):
        plain = {
            "kind": "crm",
            "database": {"url": url, "table": table},
            "record_id": "id",
            "profile": {"name": "name"},
            **settings,
        }
        return open_source(con, "crm", Source(**plain), store)

    return read_it


def cells(source) -> list[dict]:
    rows = source.table.drop(engine.ROW, engine.FILE).to_pyarrow().to_pylist()
    return sorted(rows, key=lambda row: row["id"])


def message(read, *arguments, error=InputError, **settings) -> str:
    with pytest.raises(error) as caught:
        read(*arguments, **settings)
    assert len(str(caught.value).splitlines()) <= 10
    assert caught.value.fix
    assert "geheim" not in str(caught.value)
    return str(caught.value)


# -- SQLite ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(home) -> Path:
    """An SQLite database in the workspace."""
    (home / "data").mkdir()
    path = home / "data/shop.db"
    with sqlite3.connect(path) as base:
        base.execute('CREATE TABLE customers (id, name TEXT, amount REAL, "odd ""name" TEXT, secret TEXT)')
        rows = [("007", "Zoë", 12.5, "x", "s"), (12345678901234567, None, 0.1, "", "s"), ("NA", "null", 3, "z", "s")]
        base.executemany("INSERT INTO customers VALUES (?,?,?,?,?)", rows)
        base.execute("CREATE VIEW grown AS SELECT id, name FROM customers WHERE amount > 1")
        base.execute("CREATE TABLE nobody (id TEXT, name TEXT)")
    base.close()
    return path


def test_sqlite_is_read_as_text_and_only_what_is_needed(read, shop):
    before = shop.read_bytes()
    source = read("sqlite:///data/shop.db", profile={"name": "name", "amount": "amount", "odd": 'odd "name'})
    assert cells(source) == [
        {"id": "007", "name": "Zoë", "amount": "12.5", 'odd "name': "x"},
        {"id": "12345678901234567", "name": None, "amount": "0.1", 'odd "name': None},
        {"id": "NA", "name": "null", "amount": "3.0", 'odd "name': "z"},
    ]
    assert source.table.columns == (engine.ROW, engine.FILE, "id", "name", "amount", 'odd "name')
    assert source.table[engine.FILE].to_pyarrow().to_pylist() == ["customers"] * 3
    assert (source.rows, source.faults) == (3, [])
    assert shop.read_bytes() == before
    assert not (shop.parent / "store").exists() or not list((shop.parent / "store").rglob("parts.json"))


def test_a_view_and_an_empty_table(read, shop):
    assert [row["id"] for row in cells(read(f"sqlite:///{shop}", "grown"))] == ["007", "NA"]
    assert "no rows" in message(read, "sqlite:///data/shop.db", "nobody")
    assert cells(read("sqlite:///data/shop.db", "nobody", optional=True)) == []


def test_what_is_not_there_names_the_nearest(read, shop):
    assert 'Did you mean "customers"?' in message(read, "sqlite:///data/shop.db", "customer")
    assert 'Did you mean "shop.db"?' in message(read, "sqlite:///data/shops.db")
    text = message(read, "sqlite:///data/shop.db", profile={"x": "nam", "y": "amounts"})
    for words in ('no column "nam" (sources.crm.profile.x)', 'Did you mean "name"?', '"amounts"', 'profile: {x: "name"}'):
        assert words in text
    assert not (shop.parent / "shops.db").exists()
    shop.write_text("no database at all, whatever it is called" * 100)
    assert "cannot be read" in message(read, "sqlite:///data/shop.db")


def test_many_rows_are_streamed_in_batches(read, home, monkeypatch):
    monkeypatch.setattr(databases, "BATCH_ROWS", 700)
    with sqlite3.connect(home / "big.db") as base:
        base.execute("CREATE TABLE customers (id INTEGER, name TEXT)")
        base.executemany("INSERT INTO customers VALUES (?,?)", ((i, f"n{i}") for i in range(5000)))
    base.close()
    table = read("sqlite:///big.db", store="").table
    rows = engine.fetch(table.order_by(engine.ROW))
    assert rows.name.tolist() == [f"n{i}" for i in range(5000)]
    assert rows[engine.ROW].tolist() == list(range(1, 5001))


# -- secrets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:geheim@host/shop",
        "mysql+pymysql://me:geh:eim@host/shop",
        "postgresql://host/shop?user=me&password=geheim",
        "postgresql://:geheim@host/x",
    ],
)
def test_87_a_password_in_the_configuration_is_refused(home, url):
    plain = {
        "as_of": "2017-10-01",
        "sources": {"crm": {"kind": "crm", "record_id": "id", "database": {"url": url, "table": "t"}}},
    }
    (home / "mine.yaml").write_text(yaml.safe_dump(plain))
    with pytest.raises(ParameterError) as caught:
        load_config("mine.yaml")
    assert "env:NAME" in str(caught.value)
    assert "mine.yaml:" in str(caught.value)
    assert "eim" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "env:SHOP_DB",
        "postgresql://me:env:SHOP_PW@host:5432/shop",
        "sqlite:///data/a.db",
        "postgresql://host/shop",
        "postgresql://me@host/shop?x=1",
    ],
)
def test_addresses_without_a_password_are_fine(url):
    assert Source(kind="crm", record_id="id", database={"url": url, "table": "t"})


def test_a_variable_that_is_not_set_is_named(read, monkeypatch):
    monkeypatch.delenv("SHOP_DB", raising=False)
    for url in ("env:SHOP_DB", "postgresql://me:env:SHOP_DB@localhost/shop"):
        text = message(read, url, error=ParameterError)
        assert "SHOP_DB is not set" in text
        assert "sources.crm.database.url" in text
    monkeypatch.setenv("SHOP_DB", "postgresql//geheim")
    assert "no database address" in message(read, "env:SHOP_DB", error=ParameterError)


def test_no_server_is_told_without_the_password(read, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("SHOP_DB", f"postgresql://me:geheim@127.0.0.1:{port}/shop")
    assert "cannot be read" in message(read, "env:SHOP_DB")


def test_a_missing_driver_names_the_package(read, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert "pip install 'workbench[databases]'" in message(read, "postgresql://localhost/shop")
    assert "driver for mysql" in message(read, "mysql://localhost/shop")


# -- PostgreSQL --------------------------------------------------------------------------------------------------------


def binaries() -> Path | None:
    """Where Debian keeps the server's programs, newest first; else wherever they are on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    anywhere = shutil.which("initdb")
    return found[0].parent if found else Path(anywhere).parent if anywhere else None


def lowered(command: list[str]) -> list[str]:
    """The server refuses to run as root: the command as the user postgres, or as nobody."""
    if os.geteuid() != 0:
        return command
    user = "postgres" if subprocess.run(["id", "postgres"], capture_output=True).returncode == 0 else "nobody"
    return ["runuser", "-u", user, "--", *command]


@pytest.fixture(scope="module")
def server():
    """A PostgreSQL of our own on a free port of the loopback, with a table and a user who may read; -> its address."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed")
    if os.geteuid() == 0 and not shutil.which("runuser"):
        pytest.skip("PostgreSQL does not run as root, and there is no runuser")
    folder = Path(
        subprocess.run(
            lowered(["mktemp", "-d", "/tmp/workbench-pg-XXXXXX"]), capture_output=True, text=True, check=True
        ).stdout.strip()
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off"
    try:
        make = [
            str(programs / "initdb"),
            "-D",
            f"{folder}/data",
            "-U",
            "owner",
            "-A",
            "trust",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C",
        ]
        subprocess.run(lowered(make), check=True, capture_output=True, cwd="/")
        start = [str(programs / "pg_ctl"), "-D", f"{folder}/data", "-w", "-l", f"{folder}/log", "-o", settings, "start"]
        subprocess.run(lowered(start), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", timeout=60)
        _fill(port)
        yield f"postgresql://owner@127.0.0.1:{port}/postgres"
    finally:
        stop = [str(programs / "pg_ctl"), "-D", f"{folder}/data", "-m", "immediate", "-w", "stop"]
        subprocess.run(lowered(stop), capture_output=True, cwd="/")
        shutil.rmtree(folder, ignore_errors=True)


def _fill(port: int) -> None:
    import psycopg

    for _ in range(50):
        try:
            base = psycopg.connect(host="127.0.0.1", port=port, user="owner", dbname="postgres", autocommit=True)
            break
        except psycopg.OperationalError:
            time.sleep(0.1)
    with base:
        base.execute(
            "CREATE TABLE customers (id numeric(30), name text, at timestamptz, day date, ok boolean, amount numeric(18,4), mood double precision, secret text)"
        )
        base.execute(
            "INSERT INTO customers VALUES (12345678901234567890123, 'Zoë', '2024-01-05 10:00+02', '2024-02-29', true, 12.50, 0.1, 's'), (7, NULL, NULL, NULL, NULL, NULL, NULL, 's')"
        )
        base.execute("CREATE SCHEMA shop")
        base.execute('CREATE TABLE shop."Order Lines" (id text, name text)')
        base.execute("""INSERT INTO shop."Order Lines" SELECT 'o' || i, 'n' || i FROM generate_series(1, 50000) i""")
        base.execute("CREATE MATERIALIZED VIEW known AS SELECT id, name FROM customers WHERE name IS NOT NULL")
        base.execute("SET password_encryption = 'scram-sha-256'")
        base.execute("CREATE USER reader PASSWORD 'geheim'")
        base.execute("GRANT SELECT ON customers TO reader")


def test_postgresql_is_read_as_text_and_exactly(read, server, monkeypatch):
    profile = {c: c for c in ("name", "at", "day", "ok", "amount", "mood")}
    rows = cells(read(server, profile=profile))
    assert rows == [
        {"id": "12345678901234567890123", "name": "Zoë", "at": "2024-01-05 08:00:00+00", "day": "2024-02-29", "ok": "true", "amount": "12.5000", "mood": "0.1"},
        {"id": "7", **dict.fromkeys(profile)},
    ]  # fmt: skip
    table = engine.fetch(read(server, profile=profile).table.mutate(moment=lambda t: engine.parse_moment(t["at"], "iso", "UTC")))
    assert table.moment.dropna().iloc[0].to_pydatetime() == dt.datetime(2024, 1, 5, 8, tzinfo=dt.UTC)
    monkeypatch.setenv("SHOP_PW", "geheim")
    assert len(cells(read(server.replace("owner@", "reader:env:SHOP_PW@")))) == 2
    monkeypatch.setenv("SHOP_DB", server.replace("owner@", "reader:geheim@"))
    assert len(cells(read("env:SHOP_DB"))) == 2
    assert [row["name"] for row in cells(read("env:SHOP_DB".replace("env:SHOP_DB", server), "known"))] == ["Zoë"]


def test_schemas_and_large_tables_of_postgresql(read, server):
    source = read(server, "shop.Order Lines")
    assert source.rows == 50_000
    assert engine.fetch_row(source.table.agg(n=source.table.id.nunique()))["n"] == 50_000
    assert 'Did you mean "shop.Order Lines"?' in message(read, server, "shop.order lines")


def test_postgresql_refuses_tell_what_is_wrong(read, server, monkeypatch):
    assert 'Did you mean "customers"?' in message(read, server, "custommers")
    assert 'Did you mean "name"?' in message(read, server, profile={"x": "nam"})
    monkeypatch.setenv("SHOP_DB", server.replace("owner@", "reader:geheim@"))
    assert "cannot be read" in message(read, "env:SHOP_DB", "known")
    monkeypatch.setenv("SHOP_DB", server.replace("owner@", "nobody_there:geheim@"))
    assert "cannot be read" in message(read, "env:SHOP_DB")


def test_postgresql_cannot_be_written(server):
    import sqlalchemy as sa

    reader = databases._connect("crm", databases.resolve_url("crm", server))
    with reader.connect() as connection, pytest.raises(sa.exc.InternalError, match="read-only"):
        connection.execute(sa.text("DELETE FROM customers"))
    reader.dispose()
