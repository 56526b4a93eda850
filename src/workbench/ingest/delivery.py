"""Data contracts of the sources (C27): what a system has to deliver, in YAML for machines and Markdown for people.

They say what the declaration says, and hold no value of anybody's data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from workbench.core.config import ChannelColumn, Config, Events, Match, Source, TypeColumn
from workbench.core.files import write_text

STALE_DAYS = 31  # the quality table warns when a source's last event lies longer before as_of
FORMATS = {
    "iso": "ISO 8601, such as 2024-12-31 or 2024-12-31T23:59:59+01:00", "epoch_s": "seconds since 1970-01-01 UTC", "epoch_ms": "milliseconds since 1970-01-01 UTC",
    "epoch_us": "microseconds since 1970-01-01 UTC", "excel_serial": "days as Excel counts them",
}  # fmt: skip
EVENT_TEXTS = {
    "event_id": "tells one event from another", "order_id": "the order that a line belongs to", "item": "what it was about", "category": "group of the item",
    "subcategory": "finer group of the item", "campaign_id": "campaign", "topic": "topic",
    "text": "what the customer wrote (kept apart from the tables, in private/)",
}  # fmt: skip
EVENT_NUMBERS = {"quantity": "how many", "amount": "money received for the line", "cost": "what it cost"}


def write_delivery_contracts(config: Config, folder: Path) -> list[Path]:
    """One <source>.yaml and <source>.md per source into a folder -> their paths; older ones of the same name are replaced."""
    written = []
    for name, contract in delivery_contracts(config).items():
        for ending, text in (("yaml", contract_yaml(contract)), ("md", contract_markdown(contract))):
            path = folder / f"{name}.{ending}"
            write_text(path, text)
            written.append(path)
    return written


def delivery_contracts(config: Config) -> dict[str, dict[str, Any]]:
    """A configuration -> the contract of each source as plain values: source, purpose, delivery, key, freshness, columns."""
    return {name: _contract(name, source, config) for name, source in config.sources.items()}


def contract_yaml(contract: dict[str, Any]) -> str:
    """A contract as YAML."""
    return yaml.safe_dump(contract, sort_keys=False, allow_unicode=True, width=120)


def contract_markdown(contract: dict[str, Any]) -> str:
    """A contract as a page for the people who deliver the data."""
    lines = [f"# Data contract: {contract['source']}", "", contract["purpose"], "", "## How to deliver", ""]
    lines += [f"- {key.replace('_', ' ')}: {value}" for key, value in contract["delivery"].items()]
    lines += ["", "## Key", "", *(f"- {key.replace('_', ' ')}: {value}" for key, value in contract["key"].items())]
    lines += ["", "## Freshness", "", *(f"- {key.replace('_', ' ')}: {value}" for key, value in contract["freshness"].items())]
    lines += ["", "## Columns", "", "| column | what for | type | format | may be empty | allowed |", "|---|---|---|---|---|---|"]
    for column in contract["columns"]:
        cells = [column["name"], "; ".join(column["needed_for"]), column["type"], column.get("format", ""), "yes" if column["may_be_empty"] else "no",
                 ", ".join(column.get("allowed", []))]  # fmt: skip
        lines.append(f"| {' | '.join(_cell(c) for c in cells)} |")
    lines += ["", "Other columns may be there; they are ignored. The order of the columns does not matter.", ""]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;") or "–"


def _contract(name: str, source: Source, config: Config) -> dict[str, Any]:
    who = {"customer": "customers", "person": "people of customers", "case": "cases such as contracts, tickets or answers"}[
        source.record_is
    ]
    parts = (
        [f"who ({who})"] * bool(source.record_id)
        + ["what happened"] * bool(source.events)
        + ["what items cost"] * bool(source.costs)
    )
    parts += ["facts joined to customers"] * bool(source.lookup)
    return {
        "source": name,
        "kind": source.kind,
        "purpose": f"{source.note or 'Source'} – read for: {', '.join(parts)}.",
        "delivery": _delivery(source),
        "key": _key(source),
        "freshness": _freshness(source, config),
        "columns": _columns(source, config),
    }


def _delivery(source: Source) -> dict[str, Any]:
    if source.database:
        return {"database_table": source.database.table, "rows": "may be none" if source.optional else "at least one"}
    found: dict[str, Any] = {"path": source.path, "format": source.file_format}
    if source.file_format == "csv":
        found["delimiter"] = {"": "comma", ",": "comma", ";": "semicolon", "\\t": "TAB", "\t": "TAB", "|": "bar"}.get(
            source.csv.delimiter, source.csv.delimiter
        )
        found["encoding"] = source.csv.encoding or "utf-8"
        found["header"] = f"line {source.csv.skip_rows + 1} names the columns, each name once"
        found["quoting"] = (
            'values that hold the delimiter, a quotation mark or a line end stand in ", a quotation mark in them is doubled'
        )
    if source.file_format == "excel":
        found["sheet"] = source.sheet or "the first"
        found["header"] = f"row {source.csv.skip_rows + 1} names the columns, each name once"
    if source.file_format == "jsonl":
        found["lines"] = "one JSON object per line; a dot in a column's name leads into nested objects"
    found["decimal_mark"] = source.decimal
    if source.missing:
        found["words_for_no_value"] = ", ".join(source.missing)
    found["rows"] = "may be none" if source.optional else "at least one"
    return found


def _key(source: Source) -> dict[str, Any]:
    if not source.record_id:
        return {"column": (source.costs and source.costs.item) or (source.lookup and source.lookup.column) or "none"}
    events_only = bool(source.events)
    repeats = (
        "may repeat: one row per event"
        if events_only
        else "unique"
        if source.duplicates == "stop"
        else "may repeat: the latest row counts"
    )
    return {"column": source.record_id, "uniqueness": repeats}


def _freshness(source: Source, config: Config) -> dict[str, Any]:
    until = config.data_until or config.as_of
    if not source.events:
        return {"expected": f"as of {until} or later", "next": "a new export before every run"}
    return {
        "expected": f"every event up to the end of the day before {until}",
        "warned": f"when the last event lies more than {STALE_DAYS} days before as_of ({config.as_of})",
        "next": "a new export before every run; rows once delivered stay as they are",
    }


def _columns(source: Source, config: Config) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}

    def need(
        column: str | None, purpose: str, kind: str, empty: bool = True, form: str = "", allowed: tuple[str, ...] = ()
    ) -> None:
        if not column:
            return
        entry = found.setdefault(column, {"name": column, "needed_for": [], "type": kind, "may_be_empty": True})
        entry["needed_for"].append(purpose)
        entry["may_be_empty"] = entry["may_be_empty"] and empty
        if entry["type"] == "text" or entry["type"] == "code":
            entry["type"] = kind if kind != "text" else entry["type"]
        if form:
            entry["format"] = form
        if allowed:
            entry["allowed"] = list(dict.fromkeys([*entry.get("allowed", []), *allowed]))

    if source.record_id:
        need(source.record_id, "record_id: tells one record from another", "code", empty=False, form="leading zeros stay")
    need(source.created_at, "created_at: the record's first day", "time", form=_time_format(source.created_at_format, "", config))
    for name, column in source.identity.items():
        need(column, f"identity: {name.replace('_', ' ')}", *_identity_type(name, source, config))
    for name, column in source.profile.items():
        need(column, f"profile: {name.replace('_', ' ')}", "text")
    for name, column in source.consent.items():
        need(
            column,
            f"consent by {name}",
            "yes or no",
            form="anything else counts as unknown",
            allowed=("yes", "no", *source.yes_words, *source.no_words),
        )
    for events in source.events:
        _of_events(need, events, source, config)
    if source.costs:
        need(source.costs.item, "costs: the item", "code", empty=False)
        need(
            source.costs.rate,
            "costs: share of the item's price that it costs",
            "number",
            empty=False,
            form=_number_format(source),
        )
    if source.lookup:
        need(source.lookup.column, f"lookup: equals the customers' {source.lookup.by}", "text", empty=False)
    return [
        dict(
            sorted(
                entry.items(), key=lambda item: ("name", "needed_for", "type", "format", "may_be_empty", "allowed").index(item[0])
            )
        )
        for entry in found.values()
    ]


def _identity_type(name: str, source: Source, config: Config) -> tuple[Any, ...]:
    match name:
        case "email":
            return "e-mail address", True, "name@domain"
        case "phone":
            return "phone number", True, f"with country code, or as dialled in {config.company.region}"
        case "birth_date":
            return "date", True, _time_format(source.birth_date_format, "", config, False)
        case "domain":
            return "domain", True, "such as example.org"
    return ("code", True, "leading zeros stay") if name.endswith(("number", "_id")) else ("text", True)


def _of_events(need: Any, events: Events, source: Source, config: Config) -> None:
    """What one declaration of events needs."""
    what = events.type if isinstance(events.type, str) else "events"
    if isinstance(events.type, TypeColumn):
        need(events.type.column, "what happened", "word", False, "other words are left out", tuple(events.type.values))
    zone = events.zone or config.company.zone
    need(events.at, f"{what}: when", "time", False, _time_format(events.at_format, zone, config, since=str(events.since or "")))
    need(
        events.ends_at,
        f"{what}: when it ended",
        "time",
        True,
        _time_format(events.at_format, zone, config, since=str(events.since or "")),
    )
    for name, purpose in EVENT_TEXTS.items():
        need(getattr(events, name), f"{what}: {purpose}", "code" if name.endswith("_id") or name == "item" else "text")
    for name, purpose in EVENT_NUMBERS.items():
        need(getattr(events, name), f"{what}: {purpose}", "number", True, _number_format(source))
    discounts = (events.discount,) if isinstance(events.discount, str) else events.discount or ()
    for column in discounts:
        need(column, f"{what}: money off", "number", True, _number_format(source))
    low_high = f", from {events.score_range[0]:g} to {events.score_range[1]:g}" if events.score_range else ""
    need(events.score, f"{what}: a number the customer gave", "number", True, _number_format(source) + low_high)
    known = (config.company.currency, *config.company.currency_rates)
    need(
        events.currency,
        f"{what}: currency of the amounts",
        "currency code",
        False,
        "three letters (ISO 4217)",
        tuple(dict.fromkeys(known)),
    )
    if isinstance(events.channel, ChannelColumn):
        need(events.channel.column, f"{what}: channel", "word")
    for name, purpose in (
        ("where", "only these rows count"),
        ("own_brand", "marks the company's own brand"),
        ("machine", "marks what a machine caused"),
    ):
        match: Match | None = getattr(events, name)
        if match:
            need(match.column, f"{what}: {purpose} ({match.words})", "word")


def _number_format(source: Source) -> str:
    return f"decimal mark {source.decimal}"


def _time_format(pattern: str, zone: str, config: Config, with_zone: bool = True, since: str = "") -> str:
    if pattern in ("hours", "days"):
        return f"{pattern} since {since}"
    form = FORMATS.get(pattern, pattern)
    return (
        f"{form}; without a zone it is the time of {zone or config.company.zone}"
        if with_zone and not pattern.startswith("epoch")
        else form
    )
