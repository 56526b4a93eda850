"""`workbench init`: look at a user's own files and draft a configuration, every guess marked as one."""

from __future__ import annotations

import datetime as dt
import os
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.core import workspace
from workbench.core.config import Engine, load_config
from workbench.core.engine import connect
from workbench.core.errors import InputError, ParameterError
from workbench.core.files import write_text
from workbench.ingest.draft.columns import Column
from workbench.ingest.draft.guess import Guess, SourceGuess, value_of
from workbench.ingest.draft.guesses import guess_sources
from workbench.ingest.draft.history import Facts, look_through, plan_time, segments_for
from workbench.ingest.draft.samples import take_samples
from workbench.ingest.draft.text import all_guesses, draft_text

ZONES = {  # offsets that were seen -> a zone that has them; + east of Greenwich
    frozenset({"+01:00", "+02:00"}): "Europe/Berlin", frozenset({"+00:00", "+01:00"}): "Europe/London", frozenset({"+02:00", "+03:00"}): "Europe/Athens",
    frozenset({"-05:00", "-04:00"}): "America/New_York", frozenset({"-06:00", "-05:00"}): "America/Chicago", frozenset({"-07:00", "-06:00"}): "America/Denver",
    frozenset({"-08:00", "-07:00"}): "America/Los_Angeles", frozenset({"+05:30"}): "Asia/Kolkata", frozenset({"+09:00"}): "Asia/Tokyo",
    frozenset({"+10:00", "+11:00"}): "Australia/Sydney", frozenset({"+08:00"}): "Asia/Singapore", frozenset({"-03:00"}): "America/Sao_Paulo",
}  # fmt: skip
CURRENCY_OF = {
    "DE": "EUR",
    "AT": "EUR",
    "FR": "EUR",
    "IT": "EUR",
    "ES": "EUR",
    "NL": "EUR",
    "GB": "GBP",
    "CH": "CHF",
    "US": "USD",
}


@dataclass(frozen=True)
class Draft:
    """A written draft. table: per source source, file, rows, kind, key, time, missing. left_out: files that are no source, and why."""

    path: Path
    table: list[dict[str, str]]
    guesses: int
    open_guesses: int
    missing: list[str]
    left_out: list[str]
    key_file: Path


def draft_configuration(words: Sequence[str], output: str, today: dt.date | None = None) -> Draft:
    """Files, folders, patterns and database addresses -> a configuration at `output` (never overwritten), its key beside it.

    Raises ParameterError where the file exists already, InputError where nothing can be drafted from the files.
    """
    target = workspace.resolve(output)
    if target.exists() or target.is_symlink():
        raise ParameterError(
            f"{output}: exists already.", "A draft never overwrites a file.", "name another one with -o other.yaml"
        )
    if target.suffix not in (".yaml", ".yml"):
        raise ParameterError(
            f"-o {output}: a configuration is a YAML file.", "Nothing was written.", f"-o {Path(output).stem or 'my'}.yaml"
        )
    samples, passed = take_samples(words)
    guesses = guess_sources(samples)
    facts = _read_all(guesses)
    known = [g for g in guesses if not g.refusal]
    if not known:
        raise InputError(
            "\n".join(f"{g.sample.place}: {g.refusal}." for g in guesses[:6]),
            "There is nothing to draft from.",
            "name a file with customers or orders",
        )
    plan, missing = plan_time([facts[g.name] for g in known], today or dt.datetime.now(dt.UTC).date())
    plain = _whole(known, facts, plan, target)
    text = draft_text(plain, known, [g for g in guesses if g.refusal], passed, missing, output)
    key_file = _write_key(target)
    write_text(target, text)
    load_config(target)  # what is written is sound, or it is a fault of ours that must show here
    table = [_row(g, facts.get(g.name, Facts())) for g in guesses]
    marks = all_guesses(plain)
    return Draft(target, table, len(marks), sum(g.is_open for _, g in marks), missing, passed, key_file)


def _read_all(guesses: list[SourceGuess]) -> dict[str, Facts]:
    """Read every drafted source whole on the engine; one that cannot be read is left out and says why."""
    con, facts = connect(Engine()), {}
    for guess in guesses:
        if not guess.refusal:
            try:
                facts[guess.name] = _read(con, guess)
            except InputError as fault:
                what = fault.what.splitlines()[0]
                what = (what.partition(f'source "{guess.name}": ')[2] or what).removeprefix(guess.sample.place).strip(" .")
                guess.refusal = f"{what} – {fault.fix.splitlines()[0]}" if fault.fix else what
    return facts


def _read(con: Any, guess: SourceGuess) -> Facts:
    try:
        return look_through(con, guess)
    except InputError as fault:
        if "csv.encoding" not in fault.fix or "csv" in guess.plain and "encoding" in guess.plain["csv"]:
            raise
        # Something further down is not UTF-8 and nobody can tell what it is: the likeliest, said to be a guess.
        guess.plain["csv"] = {
            **guess.plain.get("csv", {}),
            "encoding": Guess("cp1252", "its bytes are not UTF-8 and fit several other encodings", True),
        }
        return look_through(con, guess)


def _row(guess: SourceGuess, facts: Facts) -> dict[str, str]:
    events = guess.plain.get("events") or [{}]
    key = value_of(guess.plain.get("record_id")) or value_of(guess.plain.get("costs", {}).get("item")) or ""
    missing = guess.refusal and f"left out: {guess.refusal}" or ", ".join(guess.missing)
    time = value_of(events[0].get("at")) or value_of(guess.plain.get("created_at")) or ""
    return {
        "source": guess.name, "file": guess.sample.place, "rows": f"{facts.rows:,}" if facts.rows else "", "kind": "" if guess.refusal else guess.kind,
        "key": "" if guess.refusal else key, "time": "" if guess.refusal else time, "missing": missing,
    }  # fmt: skip


# -- the company -------------------------------------------------------------------------------------------------------


def _whole(known: list[SourceGuess], facts: dict[str, Facts], plan: dict[str, Any], target: Path) -> dict[str, Any]:
    """The whole configuration as a draft."""
    beside = _from_workspace(target.parent)
    clustering = segments_for(max((facts[g.name].customers for g in known), default=0))
    settings = {"clustering": clustering} if clustering else {}
    return {
        "company": _company(known),
        **{k: plan[k] for k in ("as_of", "data_until") if k in plan},
        "identity": {"key_file": f"{beside}{target.stem}.key", "ledger": f"{beside}{target.stem}_customer_ids.parquet"},
        "sources": {g.name: g.plain for g in known},
        **({"features": plan["features"]} if "features" in plan else {}),
        **settings,
        "kpis": {"targets": ""},  # the project's goals are examples of another company: nobody's own
    }


def _from_workspace(folder: Path) -> str:
    root = workspace.root().resolve()
    folder = folder.resolve()
    inside = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder.as_posix()
    return "" if inside == "." else f"{inside}/"


def _company(known: list[SourceGuess]) -> dict[str, Any]:
    """Kind, currency, time zone and country, from what the values show."""
    region, region_reason, is_seen = _region(known)
    identities = {name for g in known for name in g.plain.get("identity", {})}
    found: dict[str, Any] = {"name": "Own company"}
    if identities & {"account_number", "tax_id"}:
        found["kind"] = Guess("b2b", "there are accounts or tax numbers: customers look like organisations")
    found["currency"] = _currency(known, region, is_seen)
    found["timezone"] = _zone(known)
    found["region"] = Guess(region, region_reason, not is_seen and "phone" in identities)
    return found


def _columns(known: list[SourceGuess], setting: str) -> list[Column]:
    chosen = [(g, value_of(e[setting])) for g in known for e in g.plain.get("events", []) if setting in e]
    return [g.columns[name] for g, name in chosen if name in g.columns]


def _currency(known: list[SourceGuess], region: str, is_seen: bool) -> Guess:
    codes = sum((c.counts for c in _columns(known, "currency")), Counter())
    if codes:
        others = sorted(set(codes) - {codes.most_common(1)[0][0]})
        more = f"; add currency_rates for {', '.join(others[:5])}" if others else ""
        return Guess(codes.most_common(1)[0][0], f"the most frequent code{more}", bool(others))
    signs = sum((c.symbols for c in _columns(known, "amount")), Counter())
    if signs:
        return Guess(signs.most_common(1)[0][0], "from the sign at the amounts")
    if is_seen and region in CURRENCY_OF:
        return Guess(CURRENCY_OF[region], f"the currency of {region}", True)
    return Guess("EUR" if region == "DE" else "USD", "no file names a currency", True)


def _zone(known: list[SourceGuess]) -> Guess:
    times = [
        c.time for g in known for e in g.plain.get("events", []) if (c := g.columns[value_of(e["at"])]).time and c.time.has_clock
    ]
    offsets = frozenset(o for t in times for o in t.offsets if o not in ("Z", "+00:00"))
    is_naive = any(t.is_naive for t in times)
    zone = ZONES.get(offsets) or next((z for key, z in ZONES.items() if offsets and offsets <= key), None)
    if zone:
        return Guess(zone, f"times carry {' and '.join(sorted(offsets))}", len(offsets) == 1)
    if is_naive:
        return Guess("UTC", "times carry no zone: write the one of the company's clocks, such as Europe/Berlin", True)
    return Guess("UTC", "days and hours are counted there; times carry their own zone, or have no hours")


def _region(known: list[SourceGuess]) -> tuple[str, str, bool]:
    """-> (country, why, whether telephone numbers show it)."""
    import phonenumbers

    seen: Counter = Counter()
    for guess in known:
        name = value_of(guess.plain.get("identity", {}).get("phone"))
        for number in list(guess.columns[name].counts)[:400] if name else []:
            if number.startswith("+"):
                try:
                    seen[phonenumbers.region_code_for_country_code(phonenumbers.parse(number, None).country_code)] += 1
                except phonenumbers.NumberParseException:
                    continue
    seen.pop("ZZ", None)
    if seen:
        best, count = seen.most_common(1)[0]
        return (
            best,
            f"{count / seen.total():.0%} of the phone numbers with a country code are from there".replace("%", " %"),
            True,
        )
    german = sum(c.says(r"kunde|bestell|datum|betrag|menge|strasse|vorname|umsatz") for g in known for c in g.columns.values())
    if german > 1:
        return "DE", "names of columns are German", False
    return "US", "nothing in the files names a country", False


# -- the key -----------------------------------------------------------------------------------------------------------


def _write_key(target: Path) -> Path:
    """A fresh secret key beside the configuration, readable by its owner only; one that is there stays."""
    path = target.with_name(f"{target.stem}.key")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return path
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32) + "\n")
    return path
