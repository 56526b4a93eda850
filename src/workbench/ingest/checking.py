"""`workbench check`: every problem of a configuration and its sources at once; runs nothing, changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from pydantic import ValidationError

from workbench.core import engine, workspace
from workbench.core.config import Config, Engine, Source, load_config
from workbench.core.errors import InputError, ParameterError, WorkbenchError
from workbench.core.inputs import read_key
from workbench.core.strict_yaml import read_yaml
from workbench.ingest.events import all_events
from workbench.ingest.quality import causes_of, check_rejects
from workbench.ingest.quarantine import set_aside, unreadable_lines
from workbench.ingest.settle import settle_records
from workbench.ingest.sources import SourceTable, check_declared, open_source
from workbench.ingest.stops import check_as_of, check_events

CLASSES = ("configuration", "key file", "sources", "values")
MOST_LINES = 12  # of one class of problems


@dataclass(frozen=True)
class Problem:
    """One thing that stands in the way of a run: its class, and the error with its fix."""

    kind: str
    fault: WorkbenchError


@dataclass(frozen=True)
class Checked:
    """What a check found. told: lines per source that could be read, with what a run will put right."""

    config: Config | None
    problems: list[Problem]
    told: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """That of the first problem; 0 without any."""
        return self.problems[0].fault.exit_code if self.problems else 0


def check_configuration(path: str, tell: Callable[[str], object] = lambda text: None) -> Checked:
    """A configuration file -> every problem of it, its key, its sources and their values.

    tell is called with each line for readers as soon as it is known. Raises nothing for problems of the user's.
    """
    problems, told, happened = [], [], []
    try:
        config = load_config(path)
        sources, company = config.sources, config
    except ParameterError as fault:
        problems.append(Problem("configuration", fault))
        config, company, sources = None, None, _sound_sources(path)
    if config:
        for kind, check in (("configuration", check_declared), ("key file", read_key)):
            try:
                check(config)
            except ParameterError as fault:
                problems.append(Problem(kind, fault))
    con = engine.connect(company.engine if company else Engine())
    for name, source in sources.items():
        try:
            opened = open_source(con, name, source, config.ingest.store if config else "", config)
            told.append("\n  ".join([f"{name}: {opened.rows:,} rows", *opened.notes]))
            tell(told[-1])
        except (InputError, ParameterError) as fault:
            problems.append(Problem("sources", fault))
            continue
        if config:
            faults, events, notes = unusable_values(con, opened, config)
            problems += [Problem("values", fault) for fault in faults]
            if notes:
                tell("\n".join(f"  {note}" for note in notes))
                told[-1] = "\n  ".join([told[-1], *notes])
            happened += [events] if events is not None else []
    if config and not problems:
        problems += _as_of(con, config, happened)
    problems.sort(key=lambda p: CLASSES.index(p.kind))
    return Checked(config, problems, told)


def _as_of(con: Any, config: Config, happened: list[Any]) -> list[Problem]:
    """Whether anything happened at all, and before as_of, asked of all sources together."""
    try:
        if not any(source.events for source in config.sources.values()):
            all_events(con, {}, config)
        if happened:
            # The faults of rows were told source by source: only the rows without any are asked here.
            sound = [events.filter(events.fault.isnull()) for events in happened]
            check_as_of(engine.together(sound), config)
    except InputError as fault:
        return [Problem("values", fault)]
    return []


def _sound_sources(path: str) -> dict[str, Source]:
    """The sources of a faulty configuration that are sound by themselves, so that their files are checked all the same."""
    try:
        plain, _ = read_yaml(workspace.find(path))
    except ParameterError:
        return {}
    found = {}
    for name, declared in plain["sources"].items() if isinstance(plain.get("sources"), dict) else ():
        try:
            found[name] = Source.model_validate(declared)
        except ValidationError:
            continue
    return found


def unusable_values(con: Any, opened: SourceTable, config: Config) -> tuple[list[WorkbenchError], Any, list[str]]:
    """What a run would stop for once it converts the values of a source -> (errors, its events on the engine or None, notes).

    notes: what a run would put right or set aside, told only where nothing stops it. The same functions as in a run, source by
    source, so that one fault hides no other; counts are told, never values.
    """
    alone, events = {opened.name: opened}, None
    try:
        settled = settle_records(alone, config)
        aside = pd.concat([settled.aside, unreadable_lines(alone)])
        if opened.source.events:
            events = all_events(con, settled.sources, config)
            check_events(settled.sources, events, config)
            aside = set_aside(alone, events, settled.aside)
        check_rejects(alone, aside, config.ingest.max_reject_share)
    except (InputError, ParameterError) as fault:
        return [fault], None, []
    put_right = [f"{r.rule} ({r.rows:,} row{'' if r.rows == 1 else 's'})" for r in settled.log.itertuples()]
    return [], events, [*put_right, *(f"set aside: {cause}" for cause in causes_of(aside))]


def problem_lines(checked: Checked) -> list[str]:
    """Problems -> lines for readers, at most MOST_LINES per class, each class with its fix."""
    lines: list[str] = []
    by_class: dict[str, list[WorkbenchError]] = {}
    for problem in checked.problems:
        by_class.setdefault(problem.kind, []).append(problem.fault)
    for kind, faults in by_class.items():
        mine = [line for fault in faults for line in _lines_of(fault, len(faults))]
        if len(mine) > MOST_LINES:
            # Every fault keeps its first line; what explains it has to give way.
            mine = [fault.what.splitlines()[0] for fault in faults][: MOST_LINES - 1]
            mine.append(
                f"… and {len(faults) - len(mine)} more" if len(faults) > len(mine) else f"Fix:  {faults[0].fix}".splitlines()[0]
            )
        lines += [f"{kind}:", *(f"  {line}" for line in mine)]
    return lines


def _lines_of(fault: WorkbenchError, many: int) -> list[str]:
    if many == 1:
        return str(fault).splitlines()
    fix = [f"Fix:  {line}" if n == 0 else line for n, line in enumerate(fault.fix.splitlines()[:4])]
    return [*fault.what.splitlines()[:3], *fix]


def count_of_problems(checked: Checked) -> int:
    """How many problems: faults of the settings one by one, the rest per source and file."""
    count = 0
    for problem in checked.problems:
        lines = problem.fault.what.splitlines()
        count += max(len(lines) - 1, 1) if problem.kind == "configuration" else 1
    return count
