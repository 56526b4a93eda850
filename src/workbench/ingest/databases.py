"""Tables of databases through SQLAlchemy: only the needed columns, as text, read-only, streamed to the engine in batches."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from workbench.core import engine, workspace
from workbench.core.config import Database
from workbench.core.errors import InputError, ParameterError, did_you_mean
from workbench.core.inputs import shown
from workbench.ingest.headers import missing_columns, refusal
from workbench.ingest.store import Part, Store

BATCH_ROWS = 20_000
VARIABLE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")


def read_database(con: Any, name: str, declared: Database, needed: Mapping[str, str], store: Store) -> Part:
    """A table's needed columns as text -> one part.

    Raises InputError where the table, a column or the server is not there, ParameterError where a variable is not set.
    """
    import sqlalchemy as sa

    url = resolve_url(name, declared.url)
    try:
        server = _connect(name, url)
        with server.connect() as connection:
            table = _table(name, declared, needed, connection)
            target = store.new_path()
            rows = engine.copy_batches(con, len(needed), _batches(connection, table, needed), target)
            connection.rollback()
        server.dispose()
    except (sa.exc.SQLAlchemyError, UnicodeError) as fault:
        raise InputError(
            f'source "{name}": the database cannot be read: {_reason(fault, url)}',
            "Nothing was read from it.",
            f"check that the server runs and may be reached, and sources.{name}.database.url",
        ) from None
    return Part(target, rows, rows)


def resolve_url(name: str, text: str) -> Any:
    """The address as declared -> SQLAlchemy's, with env:NAME read from the environment and files found from the workspace."""
    import sqlalchemy as sa

    setting = f"sources.{name}.database.url"
    if not text.startswith("env:"):
        text = text.replace("+psycopg2:", "+psycopg:")
    try:
        url = sa.engine.make_url(_variable(setting, text) if text.startswith("env:") else text)
        if url.password and str(url.password).startswith("env:"):
            url = url.set(password=_variable(setting, str(url.password)))
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
    except sa.exc.ArgumentError:
        raise ParameterError(
            f"{setting}: is no database address.", "Nothing was read.", "write it like postgresql://user:env:NAME@host/database"
        ) from None
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        url = url.set(database=str(workspace.resolve(url.database)))
    return url


def _variable(setting: str, text: str) -> str:
    match = VARIABLE.fullmatch(text)
    if not match:
        raise ParameterError(
            f"{setting}: after env: the name of a variable is expected.", fix="write env:NAME, for example env:SHOP_DB"
        )
    if not os.environ.get(match[1]):
        raise ParameterError(
            f"{setting}: the environment variable {match[1]} is not set.",
            "Secrets are read from the environment only.",
            f"export {match[1]}=…   (in the shell that starts the workbench)",
        )
    return os.environ[match[1]]


def _connect(name: str, url: Any) -> Any:
    """An engine of SQLAlchemy whose connections cannot write."""
    import sqlalchemy as sa

    backend = url.get_backend_name()
    if backend == "sqlite":
        return _open_sqlite(name, url)
    options = {"isolation_level": "REPEATABLE READ"} if backend == "postgresql" else {}
    try:
        server = sa.create_engine(url, poolclass=sa.pool.NullPool, hide_parameters=True)
    except (ModuleNotFoundError, sa.exc.NoSuchModuleError) as fault:
        package = (
            "pip install 'workbench[databases]'" if backend == "postgresql" else f"install SQLAlchemy's driver for {backend}"
        )
        raise InputError(
            f'source "{name}": the driver for {backend} is not installed ({getattr(fault, "name", None) or url.drivername}).',
            "Nothing was read from it.",
            package,
        ) from None
    if backend == "postgresql":
        return server.execution_options(postgresql_readonly=True, **options)
    return server


def _open_sqlite(name: str, url: Any) -> Any:
    import sqlite3
    from pathlib import Path
    from urllib.parse import quote

    import sqlalchemy as sa

    path = Path(url.database or "")
    if not path.is_file():
        near = sorted(p.name for p in path.parent.iterdir() if p.is_file()) if path.parent.is_dir() else []
        raise InputError(
            f'source "{name}": the database {shown(path)} is not there.{did_you_mean(path.name, near)}',
            "Nothing was read from it.",
            f"correct sources.{name}.database.url",
        )

    def connect() -> sqlite3.Connection:
        # The engine fetches the batches in a thread of its own, one at a time.
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, check_same_thread=False)
        # SQLite keeps text in any encoding that was put in: what is not UTF-8 is shown as such, not a reason to stop.
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        return connection

    return sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.NullPool, hide_parameters=True)


def _table(name: str, declared: Database, needed: Mapping[str, str], connection: Any) -> Any:
    """The declared table with its needed columns; raises InputError with the nearest names."""
    import sqlalchemy as sa

    look = sa.inspect(connection)
    schema, _, table = declared.table.rpartition(".")
    known = _tables(look, schema or None)
    if schema and declared.table in _tables(look, None):
        schema, table, known = "", declared.table, [declared.table]
    if table not in known:
        shown_names = [f"{schema}.{k}" if schema else k for k in known]
        raise InputError(
            f'source "{name}": the database has no table "{declared.table}".{did_you_mean(declared.table, shown_names)}',
            "Nothing was read from it.",
            f"correct sources.{name}.database.table (schema.table where it is not in the default one)",
        )
    columns = [c["name"] for c in look.get_columns(table, schema=schema or None)]
    if not set(needed) <= set(columns):
        raise missing_columns(name, needed, columns, refusal(name, f'table "{declared.table}"'))
    return sa.table(table, *(sa.column(c) for c in needed), schema=schema or None)


def _tables(look: Any, schema: str | None) -> list[str]:
    """Names of tables and views of all kinds; not every database has every kind."""
    found: list[str] = []
    for kind in ("table", "view", "materialized_view"):
        with contextlib.suppress(NotImplementedError):
            found += getattr(look, f"get_{kind}_names")(schema=schema)
    return found


def _batches(connection: Any, table: Any, needed: Mapping[str, str]) -> Iterator[list]:
    """Rows in batches; the server itself writes the values as text, so that no driver rounds or reformats them."""
    import sqlalchemy as sa

    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; SET LOCAL extra_float_digits = 1"))
    texts = [sa.cast(table.c[column], sa.Text).label(f"c{n}") for n, column in enumerate(needed)]
    result = connection.execution_options(stream_results=True, max_row_buffer=BATCH_ROWS).execute(
        sa.select(*texts).select_from(table)
    )
    for rows in result.partitions(BATCH_ROWS):
        yield [[value or None for value in row] for row in rows]


def _reason(fault: BaseException, url: Any) -> str:
    """The first line of what the driver says, without the password."""
    lines = str(getattr(fault, "orig", None) or fault).strip().splitlines() or [type(fault).__name__]
    reason = lines[0][:200]
    return reason.replace(str(url.password), "***") if url.password else reason


def sample_tables(address: str, most: int) -> Iterator[tuple[str, list[str], list]]:
    """An address -> (table or view, its columns, at most so many rows as text: the first, and as many from the middle)."""
    import sqlalchemy as sa

    url = resolve_url("", address)
    try:
        server = _connect("", url)
        with server.connect() as connection:
            look = sa.inspect(connection)
            for name in sorted(_tables(look, None)):
                columns = [c["name"] for c in look.get_columns(name)]
                table = sa.table(name, *(sa.column(c) for c in columns))
                chosen = sa.select(*[sa.cast(table.c[c], sa.Text).label(f"c{n}") for n, c in enumerate(columns)]).select_from(
                    table
                )
                count = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                rows = list(connection.execute(chosen.limit(most)))
                if count > 2 * most:
                    rows += connection.execute(chosen.limit(most // 3).offset(count // 2))
                yield name, columns, rows
            connection.rollback()
        server.dispose()
    except (sa.exc.SQLAlchemyError, UnicodeError) as fault:
        raise InputError(
            f"the database cannot be read: {_reason(fault, url)}",
            "Nothing was written.",
            "check its address, and that it may be reached",
        ) from None


def shown_url(address: str) -> str:
    """An address for readers: without its password."""
    import sqlalchemy as sa

    return address if address.startswith("env:") else sa.engine.make_url(address).render_as_string(hide_password=True)
