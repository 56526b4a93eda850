"""The command line: `workbench demo`, `check`, `run`, `runs`, `schema`. Heavy imports wait until a command needs them."""

from __future__ import annotations

import argparse
import os
import sys
import time

from workbench import __version__
from workbench.core.errors import EnvironmentFault, ParameterError, WorkbenchError

DEFAULT_CONFIG = "configs/grocer.yaml"
DEMO_FOLDERS = {"grocer": "data/demo", "vendor": "data/b2b", "orders": "data/orders"}
STAGE_NAMES = ("ingest", "features", "clustering", "personas", "kpis")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit code (0 done, 1 ours, 2 input, 3 parameters, 4 environment, 5 quality gate)."""
    try:
        options = _parser().parse_args(arguments)
        return options.command(options) or 0
    except WorkbenchError as fault:
        print(f"{type(fault).__name__}: {fault}", file=sys.stderr)
        return fault.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return EnvironmentFault.exit_code
    except OSError as fault:
        print(
            EnvironmentFault(
                f"{fault.filename or 'a file'}: {fault.strerror}.", fix="check the path, the permissions and the free space"
            ),
            file=sys.stderr,
        )
        return EnvironmentFault.exit_code
    except Exception as fault:  # the last door: no traceback for users, and our own exit code
        if os.environ.get("WORKBENCH_DEBUG"):
            raise
        ours = WorkbenchError(
            f"{type(fault).__name__} in the workbench itself.",
            "This is not a fault of your data.",
            "run again with WORKBENCH_DEBUG=1 set and report what it prints",
        )
        print(f"WorkbenchError: {ours}", file=sys.stderr)
        return ours.exit_code


class _Parser(argparse.ArgumentParser):
    """argparse with our exit code for wrong parameters."""

    def error(self, message: str) -> None:
        raise ParameterError(message, fix=f"see `{self.prog} --help`")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="workbench",
        description="Customer micro-segmentation: from the exports of many systems to segments, personas and KPIs.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="build the demo company's source files")
    demo.add_argument(
        "folder", nargs="?", help="where to write (data/demo, data/b2b for the vendor, data/orders for the orders table)"
    )
    demo.add_argument(
        "--company",
        choices=("grocer", "vendor", "orders"),
        default="grocer",
        help="a grocer with many systems, a software vendor whose customers are organisations, or one table of orders",
    )
    demo.add_argument("--seed", type=int, default=7)
    demo.add_argument("--households", type=int, help="grocer: keep only so many households")
    demo.add_argument("--accounts", type=int, default=1200, help="vendor: invent so many organisations (1200)")
    demo.set_defaults(command=_demo)

    check = commands.add_parser("check", help="validate a configuration and its sources, run nothing")
    check.add_argument("config", nargs="?", default=DEFAULT_CONFIG)
    check.set_defaults(command=_check)

    run = commands.add_parser("run", help="run the five notebooks and write the report")
    run.add_argument("config", nargs="?", default=DEFAULT_CONFIG)
    run.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("SECTION.SETTING", "VALUE"))
    run.add_argument("--run-id")
    run.add_argument("--resume", action="store_true", help="continue an unfinished run at its first missing stage")
    run.add_argument(
        "--from", dest="from_stage", metavar="STAGE", help=f"one of {', '.join(STAGE_NAMES)}: keep what comes before"
    )
    run.set_defaults(command=_run)

    runs = commands.add_parser("runs", help="list runs")
    runs.set_defaults(command=_runs)

    schema = commands.add_parser("schema", help="print the JSON schema of configurations, for editors")
    schema.set_defaults(command=_schema)
    return parser


def _demo(options: argparse.Namespace) -> None:
    from workbench.core import workspace
    from workbench.demo import build_demo, build_vendor
    from workbench.demo.orders import write_orders

    started, folder = time.perf_counter(), options.folder or DEMO_FOLDERS[options.company]
    match options.company:
        case "orders":
            paths = write_orders(workspace.resolve(folder))
        case "vendor":
            paths = build_vendor(workspace.resolve(folder), seed=options.seed, accounts=options.accounts)
        case _:
            paths = build_demo(workspace.resolve(folder), seed=options.seed, households=options.households)
    print("\n".join(str(path) for path in paths))
    config = {"orders": " configs/orders.yaml", "vendor": " configs/b2b.yaml"}.get(options.company, "")
    print(f"demo company built in {time.perf_counter() - started:.0f} s; run it with `workbench run{config}`")


def _check(options: argparse.Namespace) -> None:
    from workbench.core.config import load_config
    from workbench.core.engine import connect
    from workbench.core.errors import InputError
    from workbench.core.inputs import read_key
    from workbench.ingest.sources import open_source

    config = load_config(options.config)
    con, faults = connect(config.engine), []
    for name, source in config.sources.items():
        try:
            opened = open_source(con, name, source, config.ingest.store)
            print("\n  ".join([f"{name}: {opened.rows:,} rows", *opened.notes]))
        except (InputError, ParameterError) as fault:
            faults.append(fault)
    try:
        read_key(config)
    except ParameterError as fault:
        faults.append(fault)
    if faults:
        raise type(faults[0])(
            "\n".join(f.what for f in faults),
            "Nothing was run.",
            faults[0].fix if len(faults) == 1 else "mend each of them, then check again",
        )
    print(f"{options.config}: sound, {len(config.sources)} sources")


def _run(options: argparse.Namespace) -> None:
    from workbench.core.errors import did_you_mean
    from workbench.run import run_pipeline

    if options.from_stage and options.from_stage not in STAGE_NAMES:
        raise ParameterError(
            f"--from {options.from_stage}: there is no such stage.{did_you_mean(options.from_stage, STAGE_NAMES)}",
            fix="name one of the stages",
        )
    started = time.perf_counter()
    run = run_pipeline(
        options.config,
        dict(options.parameter),
        options.run_id,
        options.resume,
        options.from_stage,
        lambda text: print(text, flush=True),
    )
    print(f"done in {time.perf_counter() - started:.0f} s: {run.path / 'reports' / 'index.html'}")


def _runs(options: argparse.Namespace) -> None:
    from workbench.run import list_runs

    found = list_runs()
    print(f"{'run':40} {'company':24} {'as of':10} {'segments':>8} state")
    for run in found:
        segments = "" if run["segments"] is None else f"{run['segments']:.0f}"
        print(f"{run['run_id']:40} {run['company'][:24]:24} {run['as_of']:10} {segments:>8} {run['state']}")


def _schema(options: argparse.Namespace) -> None:
    import json

    from workbench.core.config import config_schema

    print(json.dumps(config_schema(), indent=2))


if __name__ == "__main__":
    sys.exit(main())
