"""The command line: `workbench demo`, `init`, `check`, `run`, `score`, `export`, `compare`, `runs`, `schema`. Heavy imports wait until a command needs them."""

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

    init = commands.add_parser("init", help="look at your own files and draft a configuration, guesses marked")
    init.add_argument("file", nargs="+", metavar="FILE", help="files, folders, patterns, or the address of a database")
    init.add_argument("-o", "--output", default="my.yaml", help="the configuration to write (my.yaml); never overwritten")
    init.set_defaults(command=_init)

    check = commands.add_parser("check", help="validate a configuration and its sources, run nothing")
    check.add_argument("config", nargs="?", default=DEFAULT_CONFIG)
    check.add_argument("--contracts", metavar="DIR", help="also write a data contract per source, for those who deliver the data")
    check.set_defaults(command=_check)

    run = commands.add_parser("run", help="run the five notebooks and write the report")
    run.add_argument("config", nargs="?", help=f"{DEFAULT_CONFIG}; with --resume, the file that the run was started with")
    run.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("SECTION.SETTING", "VALUE"))
    run.add_argument("--run-id")
    run.add_argument("--resume", action="store_true", help="continue an unfinished run at its first missing stage")
    run.add_argument(
        "--from", dest="from_stage", metavar="STAGE", help=f"one of {', '.join(STAGE_NAMES)}: keep what comes before"
    )
    run.set_defaults(command=_run)

    export = commands.add_parser("export", help="audiences of a finished run for one channel")
    export.add_argument("run", metavar="RUN", help="id of a run, latest, or its folder")
    export.add_argument("--channel", required=True, metavar="NAME", help="email, crm, google, … or all")
    export.add_argument("-o", "--output", default="audiences", metavar="DIR", help="where to write; each channel gets a folder")
    export.add_argument(
        "--rules", default="configs/activation.yaml", metavar="FILE", help="consents, suppression list, holdout, caps"
    )
    export.add_argument("--suppression", metavar="FILE", help="list of those never to be addressed, instead of the rules' own")
    export.add_argument("--accept-unstable", action="store_true", help="also segments that do not survive resampling")
    export.set_defaults(command=_export)

    score = commands.add_parser("score", help="assign new customers to a finished run's segments")
    score.add_argument("run", metavar="RUN", help="id of a run, latest, or its folder")
    score.add_argument(
        "--sources", required=True, metavar="CONFIG", help="configuration that declares the new customers' sources"
    )
    score.add_argument("-o", "--output", default="scored.parquet", metavar="FILE", help="table to write (.parquet or .csv)")
    score.set_defaults(command=_score)

    compare = commands.add_parser("compare", help="what changed between two finished runs of one company")
    compare.add_argument("earlier", metavar="RUN_A", help="id of a run, latest, or its folder")
    compare.add_argument("later", metavar="RUN_B", help="the later one")
    compare.add_argument("-o", "--output", metavar="DIR", help="where to write the report (comparisons/A--B)")
    compare.set_defaults(command=_compare)

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


def _init(options: argparse.Namespace) -> None:
    from workbench.ingest.draft import draft_configuration

    draft = draft_configuration(options.file, options.output)
    columns = ("source", "file", "rows", "kind", "key", "time", "missing")
    table = [dict(zip(columns, (*columns[:-1], "missing for a full run"), strict=True)), *draft.table]
    widths = {c: min(max(len(row[c]) for row in table), 44) for c in columns[:-1]}
    for row in table:
        cells = [f"{_short(row[c], widths[c]):{'>' if c == 'rows' else '<'}{widths[c]}}" for c in columns[:-1]]
        print("  ".join([*cells, row["missing"]]).rstrip())
    for what in draft.left_out:
        print(f"left out: {what}")
    if draft.missing:
        print(f"missing for a full run: {', '.join(draft.missing)}")
    print(
        f"{options.output}: {draft.guesses} guesses, {draft.open_guesses} of them to check (search for GUESS); its key: {draft.key_file.name}"
    )
    print(f"go on with `workbench check {options.output}`, then `workbench run {options.output}`")


def _short(text: str, width: int) -> str:
    """The end of a long text, which tells files apart."""
    return text if len(text) <= width else f"…{text[1 - width :]}"


def _check(options: argparse.Namespace) -> int:
    from workbench.core import workspace
    from workbench.ingest.checking import check_configuration, count_of_problems, problem_lines

    checked = check_configuration(options.config, print)
    if options.contracts and checked.config:
        from workbench.ingest.delivery import write_delivery_contracts

        written = write_delivery_contracts(checked.config, workspace.resolve(options.contracts))
        print(f"{len(written)} files with data contracts in {options.contracts}")
    if checked.problems:
        count = count_of_problems(checked)
        print("\n".join(problem_lines(checked)), file=sys.stderr)
        print(f"{options.config}: {count} problem{'' if count == 1 else 's'}, nothing was run", file=sys.stderr)
        return checked.exit_code
    print(f"{options.config}: sound, {len(checked.config.sources)} sources")
    return 0


def _run(options: argparse.Namespace) -> None:
    from workbench.core.errors import did_you_mean
    from workbench.run import run_pipeline, started_with

    if options.from_stage and options.from_stage not in STAGE_NAMES:
        raise ParameterError(
            f"--from {options.from_stage}: there is no such stage.{did_you_mean(options.from_stage, STAGE_NAMES)}",
            fix="name one of the stages",
        )
    started = time.perf_counter()
    config, parameters = started_with(options.run_id) if options.resume else (DEFAULT_CONFIG, {})
    run = run_pipeline(
        options.config or config,
        parameters | dict(options.parameter),
        options.run_id,
        options.resume,
        options.from_stage,
        lambda text: print(text, flush=True),
    )
    print(f"done in {time.perf_counter() - started:.0f} s: {run.path / 'reports' / 'index.html'}")


def _export(options: argparse.Namespace) -> int:
    from workbench.core import workspace
    from workbench.core.rundir import finished_run
    from workbench.personas.activation import export_channels
    from workbench.personas.audience import CHANNELS, read_activation

    rules = read_activation(options.rules)
    if options.suppression:
        rules = rules.model_copy(update={"suppression": options.suppression})
    channels = list(CHANNELS) if options.channel == "all" else [options.channel]
    folder = workspace.resolve(options.output)
    exports, empty = export_channels(finished_run(options.run), channels, folder, rules, options.accept_unstable)
    for export in exports:
        print(f"{export.folder}: {len(export.files)} files")
        for row in export.account.itertuples(index=False):
            print(f"  {row.step:10} {row.customers:>11,}  {row.reason}".rstrip())
        print("".join(f"  note: {note}\n" for note in export.notes), end="")
    print("".join(f"{type(fault).__name__}: {fault}\n" for fault in empty), end="", file=sys.stderr)
    return 0 if exports else empty[0].exit_code


def _score(options: argparse.Namespace) -> None:
    from workbench.score import score_customers

    path, missing, (placed, known) = score_customers(
        options.run, options.sources, options.output, lambda text: print(text, flush=True)
    )
    if missing:
        print(f"{len(missing)} features of the run are missing here, taken as unknown: {', '.join(missing[:8])}")
    print(f"{placed:,} of {known:,} customers placed{'' if placed == known else '; the others have no order in the window'}")
    print(f"written: {path}")


def _compare(options: argparse.Namespace) -> None:
    from workbench.compare import write_comparison

    print(f"written: {write_comparison(options.earlier, options.later, options.output)}")


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
