"""Spark behind the same door as the embedded engine: a session by configuration, and Ibis' SQL put right where it tells otherwise.

Imported by core/engine.py alone, and only for a configuration with `engine: {backend: spark}`.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa
from ibis.backends.sql.compilers.pyspark import PySparkCompiler

from workbench.core.config import Engine
from workbench.core.errors import EnvironmentFault

_MOMENT = dt.Timestamp("UTC")


class _SparkSql(PySparkCompiler):
    """Ibis' own SQL for Spark, except where Spark would tell something else than the embedded engine."""

    __slots__ = ()

    def visit_CountStar(self, op, *, arg, where):
        # Ibis sums flags: no row to look at would be no number instead of 0.
        return super().visit_CountStar(op, arg=arg, where=None) if where is None else self.f.count_if(where)

    def visit_Mean(self, op, *, arg, where):
        # Spark rounds the mean of decimals to four more digits.
        return super().visit_Mean(op, arg=self.cast(arg, dt.float64), where=where)

    def visit_Median(self, op, *, arg, where):
        return self.visit_Quantile(op, arg=arg, quantile=0.5, where=where)

    def visit_ExtractEpochSeconds(self, op, *, arg):
        # Spark's own drops what is less than a second.
        return self.f.unix_micros(self.cast(arg, _MOMENT)) / self.cast(1_000_000, dt.float64)

    def visit_ScalarUDF(self, op, **arguments):
        if self.__sql_name__(op) == "timezone":
            zone, moment = arguments.values()
            return self.f.from_utc_timestamp(moment, zone)
        return super().visit_ScalarUDF(op, **arguments)


def connect(settings: Engine, spill: Path | None = None) -> ibis.BaseBackend:
    """The Spark session of this process, begun at the first call, with the configured master; local ones spill to `spill`.

    Raises EnvironmentFault without pyspark or Java, and where the master does not answer.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # about pandas 3; only Arrow tables come from Spark
        try:
            from py4j.protocol import Py4JError
            from pyspark.errors import PySparkException
            from pyspark.sql import SparkSession
        except ImportError:
            raise _fault("pyspark is not installed.", "pip install 'workbench[spark]'") from None
        _find_java()
        # Spark starts Python by name; without this it may find another one than ours.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = SparkSession.builder
        for name, value in _options(settings, spill).items():
            builder = builder.config(name, value)
        try:
            con = ibis.pyspark.connect(builder.getOrCreate())
        except (Py4JError, PySparkException) as fault:
            raise _fault(
                f"Spark did not start with master {_master(settings)}: {str(fault).splitlines()[0]}",
                "install Java 17 or newer (apt-get install openjdk-17-jre-headless), or correct engine.master",
            ) from None
    con.compiler = _SparkSql()
    return con


def to_arrow(table: ir.Table) -> pa.Table:
    """An expression on Spark -> Arrow table of the expression's types."""
    con = table.get_backend()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return con.raw_sql(con.compile(table)).toArrow().cast(table.schema().to_pyarrow())


def read_parquet(con: ibis.BaseBackend, path: Path) -> ir.Table:
    """A Parquet file, which every executor must see under the same path, as an expression; times are moments."""
    return _with_moments(con.read_parquet(path.resolve().as_posix()))


def as_table(con: ibis.BaseBackend, arrow: pa.Table, name: str) -> ir.Table:
    """An Arrow table as an expression; times are moments."""
    from pyspark.sql import SparkSession

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        SparkSession.active().createDataFrame(arrow).createOrReplaceTempView(name)
    return _with_moments(con.table(name))


def materialize(con: ibis.BaseBackend, table: ir.Table, name: str) -> ir.Table:
    """Compute an expression once and keep it in the executors' memory, else on their disks."""
    con.raw_sql(f"UNCACHE TABLE IF EXISTS `{name}`")
    con.raw_sql(f"DROP VIEW IF EXISTS `{name}`")
    con.raw_sql(f"CACHE TABLE `{name}` AS {con.compile(table)}")
    return con.table(name).cast(table.schema())


def each(function: Callable, parts: Iterable) -> list:
    """A function of each part, computed in a partition of its own, in order; EnvironmentFault where executors lack a package for it."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    parts = list(parts)
    try:
        return SparkSession.active().sparkContext.parallelize(parts, len(parts)).map(function).collect()
    except (Py4JError, PySparkException) as fault:
        if lacking := re.search(r"No module named '[\w.]+'", str(fault)):
            raise _fault(f"Spark's executors: {lacking[0]}.", "install the packages of requirements.lock on them") from None
        raise


def _with_moments(table: ir.Table) -> ir.Table:
    """Ibis takes Spark's moments for naive times."""
    return table.cast({name: _MOMENT for name, kind in table.schema().items() if kind.is_timestamp()})


def _master(settings: Engine) -> str:
    return settings.master or f"local[{settings.threads}]"


def _options(settings: Engine, spill: Path | None) -> dict[str, str]:
    options = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}
    options["spark.sql.warehouse.dir"] = str(_folder(spill))
    if _master(settings).startswith("local"):
        # Nobody else is to reach a session of our own; and its few threads need no 200 parts.
        options |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
        options |= {
            "spark.local.dir": options["spark.sql.warehouse.dir"],
            "spark.driver.memory": _megabytes(settings.memory_limit),
        }
        options |= {"spark.sql.shuffle.partitions": str(2 * settings.threads)}
    # A division by zero must stop, as no other value would equal the embedded engine's.
    fixed = {"spark.master": _master(settings), "spark.sql.ansi.enabled": "true", "spark.sql.session.timeZone": "UTC"}
    return options | dict(settings.options) | fixed


def _folder(spill: Path | None) -> Path:
    """Where a local session spills: what lies there may be personal (0700)."""
    if spill is None:
        spill = Path(tempfile.mkdtemp(prefix="workbench-spill-"))
        # The session outlives the connection.
        atexit.register(shutil.rmtree, spill, ignore_errors=True)
    spill.mkdir(mode=0o700, parents=True, exist_ok=True)
    return spill.resolve()


def _megabytes(limit: str) -> str:
    """4GB -> 4000m, as Java wants it."""
    number, unit = float(limit[:-2]), limit[-2:]
    return f"{round(number * (1000 if unit == 'GB' else 1))}m"


def _find_java() -> None:
    home = os.environ.get("JAVA_HOME")
    if not shutil.which("java", path=Path(home, "bin").as_posix() if home else None):
        raise _fault(f"There is no Java{f' in JAVA_HOME ({home})' if home else ''}.", "apt-get install openjdk-17-jre-headless")


def _fault(what: str, fix: str) -> EnvironmentFault:
    return EnvironmentFault(
        what,
        "The configuration computes events on Spark (engine.backend).",
        f"{fix}; or compute on this machine: -p engine.backend duckdb",
    )
