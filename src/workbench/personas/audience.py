"""Who may be addressed through a channel: consent and suppression first, then what the channel can use, then how often is enough."""

from __future__ import annotations

import functools
import hashlib
import hmac
import operator
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from pydantic import BeforeValidator, Field

from workbench.core import engine, workspace
from workbench.core.config import Count, Strict, Switch, read_yaml_model
from workbench.core.contacts import contacts_per_week
from workbench.core.errors import ParameterError
from workbench.core.inputs import read_key
from workbench.personas import addresses
from workbench.personas.addresses import HASH, PROFILES

if TYPE_CHECKING:
    from workbench.core.rundir import Run

ADS = ("google", "meta", "tiktok", "linkedin")
CHANNELS = ("email", "crm", *ADS, "web", "in_app", "service", "csv", "parquet", "sql", "json")
LATEST_PROFILES = {"google": "google@2026-04", "meta": "meta@2025-08", "tiktok": "tiktok@2025-08", "linkedin": "linkedin@2025-08"}
FLOORS = {"google": 100, "meta": 100, "tiktok": 1000, "linkedin": 300}  # what the platforms ask for, RELIABILITY S11
SHOWN_HELD_OUT = ("email", "crm", "service")  # their files say who is held out; the others leave them away
ADDRESSED_BY = {"email": ("email",), "crm": ("email", "phone"), "linkedin": ("email",)} | {
    c: ("email", "phone") for c in ("google", "meta", "tiktok")
}
HIGHEST = 2**32
HASH_CELL = "^[0-9a-fA-F]{64}$"


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Activation(Strict):
    """Who may be addressed, where and how often; a file that a marketer edits (configs/activation.yaml)."""

    suppression: str = Field(min_length=1, description="file of those never to be addressed, one per line; none: there is none")
    consent: Mapping[Literal[CHANNELS], Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)]] = Field(
        {}, description="consents that must all be yes; any: at least one yes to anything"
    )
    profiles: Mapping[Literal[ADS], Literal[tuple(PROFILES)]] = Field({}, description="another version of a normalisation")
    hashed: tuple[Literal["email", "phone"], ...] = Field((), description="identifiers that arrive as SHA-256 already")
    min_audience: Count = Field(20, ge=1, description="smaller audiences are not exported")
    merge_small: Switch = Field(False, description="audiences too small are joined to others of their macro-segment")
    holdout_share: float = Field(0.1, ge=0, le=0.5, description="share of the eligible that stays untreated")
    holdout_salt: str = Field("programme-1", min_length=1, description="another word draws another holdout group")
    max_touches_per_week: float = Field(3, ge=0, description="planned contacts per customer over all channels")
    touches_per_week: Mapping[Literal[CHANNELS], Annotated[float, Field(ge=0)]] = {}
    retention_days: Count = Field(30, ge=1, description="exported files should be deleted after so many days")
    cadence: Mapping[str, str] = Field({}, description="e-mail tracks: stage -> on which days")

    def needs(self, channel: str) -> tuple[str, ...]:
        """Consents the channel needs; one that is not named needs a consent of its own name."""
        return self.consent.get(channel, (channel,))

    def floor(self, channel: str) -> int:
        """The smallest audience: ours, or the platform's where that is larger."""
        return max(self.min_audience, FLOORS.get(channel, 1))


def read_activation(path: str) -> Activation:
    """A YAML file -> Activation; raises ParameterError naming every fault."""
    return read_yaml_model(Activation, path)


# -- what is known of each customer -----------------------------------------------------------------------------------------


def read_everyone(run: Run, con: ibis.BaseBackend, rules: Activation, listed: Mapping[str, list[str]]) -> ir.Table:
    """A finished run -> one row per customer, computed once: consent_*, segment, stage, identifiers, contacts that run, holdout.

    listed: the suppression list, compared with private/persons and, where the run has it, with every other address that a source
    knows of a customer (private/addresses). Whom to address comes from private/persons only. Raises InputError where the run's notebook 04 wrote
    no `journey`, ParameterError for identifiers that are hashes without being declared so.
    """
    customers = run.read_on(con, "customers")
    segments = run.read_on(con, "segments").select("customer_id", "segment_id", "segment_name", "macro_segment")
    quality = run.read_on(con, "segment_quality").select("segment_id", "verdict")
    segments = segments.left_join(quality, "segment_id").drop("segment_id_right")
    journey = run.read_on(con, "journey")
    consents = [c for c in customers.columns if c.startswith("consent_")]
    known = customers.select("customer_id", *consents)
    persons = run.read_on(con, "private/persons") if run.has("private/persons") else None
    for more in (segments, journey, persons, _running_contacts(run, con), _unsubscribed(run, con)):
        if more is not None:
            known = known.left_join(more, "customer_id").drop("customer_id_right")
    known = known.mutate(**_identifiers(known), held_out=_held_out(known.customer_id, run, rules))
    known = known.mutate(
        same_email=addresses.same_email(known.email),
        same_phone=addresses.digits_phone(known.phone),
        usable_email=_usable(known.email, addresses.bare_email, "email" in rules.hashed),
        usable_phone=_usable(known.phone, addresses.plus_phone, "phone" in rules.hashed),
    )
    known = engine.materialize(con, known.order_by("customer_id"), "known")
    _refuse_hashes(known, rules)
    stop = engine.materialize(con, _suppressed(_every_address(run, con, known), listed), "stop")
    everyone = engine.materialize(con, known.mutate(listed=known.customer_id.isin(stop.customer_id)), "everyone")
    con.drop_table("known")
    return everyone


def _every_address(run: Run, con: ibis.BaseBackend, known: ir.Table) -> ir.Table:
    """customer_id, email, phone and their one spelling: those that survived, and those that some source record holds besides."""
    plain = known.select("customer_id", "email", "phone", "same_email", "same_phone")
    if not run.has("private/addresses"):
        return plain
    other = run.read_on(con, "private/addresses").select("customer_id", "email", "phone")
    return plain.union(other.mutate(same_email=addresses.same_email(other.email), same_phone=addresses.digits_phone(other.phone)))


def _usable(column: ir.StringValue, rule: Callable[[ir.StringValue], ir.StringValue], is_hash: bool) -> ir.BooleanValue:
    return column.re_search(HASH_CELL).fill_null(False) if is_hash else rule(column).notnull()


def _identifiers(known: ir.Table) -> dict[str, ir.Value]:
    """What later steps rely on, present in every run."""
    here, none = known.columns, ibis.null("string")
    return {
        "email": known.email if "email" in here else none,
        "phone": known.phone if "phone" in here else none,
        "running": known.running.fill_null(0.0) if "running" in here else ibis.literal(0.0),
        "unsubscribed": known.unsubscribed.fill_null(False) if "unsubscribed" in here else ibis.literal(False),
    }


def _refuse_hashes(known: ir.Table, rules: Activation) -> None:
    """Raise ParameterError for identifiers that are hashes already but not declared: they would be hashed twice."""
    for name in ("email", "phone"):
        if name not in rules.hashed and engine.count_rows(known.filter(known[name].re_search(HASH_CELL))):
            raise ParameterError(
                f'{name}: some values are SHA-256 already (64 hexadecimal characters), but "{name}" is not declared as hashed.',
                "Hashed twice they match nobody.",
                f"write  hashed: [{name}]  into the activation file, or deliver plain values",
            )


def _running_contacts(run: Run, con: ibis.BaseBackend) -> ir.Table | None:
    """customer_id, running: contacts per week that the company's own campaigns made in the 28 days before as_of."""
    return contacts_per_week(run.read_on(con, "events"), run.config.as_of)


def _unsubscribed(run: Run, con: ibis.BaseBackend) -> ir.Table:
    """customer_id, unsubscribed: whoever ever unsubscribed, also after as_of: a no counts from the moment it is known."""
    events = run.read_on(con, "events")
    gone = events.filter(events.event_type.isin(["email_unsubscribe", "unsubscribe"]), events.customer_id.notnull())
    return gone.select("customer_id").distinct().mutate(unsubscribed=True)


def _held_out(customer_id: ir.StringValue, run: Run, rules: Activation) -> ir.BooleanValue:
    """A keyed, salted hash of the customer below the share: the same for every channel and every run."""
    salt = hmac.new(read_key(run.config), f"holdout:{rules.holdout_salt}".encode(), hashlib.sha256).hexdigest()
    bound = f"{int(rules.holdout_share * HIGHEST):08x}"
    return engine.hashed(ibis.literal(salt) + customer_id).substr(0, 8) < bound


# -- suppression ----------------------------------------------------------------------------------------------------------


def read_suppression(rules: Activation, region: str) -> dict[str, list[str]]:
    """The suppression list -> {customer_id, email, phone, hash: values in the one spelling that finds every other}.

    One entry per line; further columns of a CSV after a comma or semicolon are entries as well. Raises ParameterError when the
    list is not there, since nobody would be suppressed then, or when a line is nothing that can be recognised.
    """
    found: dict[str, set[str]] = {"customer_id": set(), "email": set(), "phone": set(), "hash": set()}
    if rules.suppression == "none":
        return {kind: [] for kind in found}
    path = workspace.resolve(rules.suppression)
    if not path.is_file():
        raise ParameterError(
            f"suppression: {path} is not there.",
            "Whoever asked never to be addressed would be addressed.",
            "name the list, or write  suppression: none  if there is none",
        )
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        for entry in filter(None, (part.strip().strip('"') for part in re.split("[,;\t]", line))):
            kind, value = _recognised(entry, region)
            if kind:
                found[kind].add(value)
            elif number > 1:  # the first line may be a heading
                raise ParameterError(
                    f"{path}:{number}: an entry is neither e-mail, phone, customer_id nor SHA-256.",
                    "Whoever it stands for would be addressed.",
                    "one per line; delete the line if it stands for nobody",
                )
    return {kind: sorted(values) for kind, values in found.items()}


def _recognised(entry: str, region: str) -> tuple[str, str]:
    if re.fullmatch(r"[cp]_[0-9a-f]{16}", entry.lower()):
        return "customer_id", entry.lower()
    if HASH.fullmatch(entry.lower()):
        return "hash", entry.lower()
    if "@" in entry or "＠" in entry:
        return "email", addresses.same_email_of(entry)
    number = addresses.full_number(entry, region)
    return ("phone", number.lstrip("+").lstrip("0")) if number else ("", "")


def _suppressed(everyone: ir.Table, listed: Mapping[str, list[str]]) -> ir.Table:
    """customer_id of those on the list, in any spelling, hashed by any profile or plainly."""
    con = everyone.get_backend()

    def named(kind: str, column: ir.StringValue) -> ir.BooleanValue:
        values = engine.as_table(con, pa.table({"value": pa.array(listed[kind], pa.string())}), f"suppressed_{kind}")
        return column.isin(values.value)

    tests = [
        named("customer_id", everyone.customer_id),
        named("email", everyone.same_email),
        named("phone", everyone.same_phone),
    ]
    if listed["hash"]:
        spelt = [rule(everyone.email) for rule in (addresses.bare_email, addresses.gmail_email, addresses.unsuffixed_email)]
        spelt += [everyone.same_email, everyone.phone, everyone.same_phone, everyone.customer_id]
        tests += [named("hash", engine.hashed(text)) for text in spelt] + [named("hash", everyone.email)]
    hit = functools.reduce(operator.or_, (test.fill_null(False) for test in tests))
    return everyone.filter(hit).select("customer_id")


# -- the gates --------------------------------------------------------------------------------------------------------------

NOT_AGREED, REFUSED, SUPPRESSED = "consent missing or unknown", "said no", "on the suppression list"
SAME_PERSON, NO_SEGMENT, UNSTABLE = "said no under another record", "in no segment", "segment does not survive resampling"
UNUSABLE, TWICE, VETOED = "no usable address", "address of another customer in the file", "treatment vetoed"
TOO_OFTEN, HELD_OUT, SMALL = "contacted often enough already", "held out for measuring", "audience too small"
LAWFUL = (REFUSED, NOT_AGREED, SUPPRESSED, SAME_PERSON)
REASONS = (*LAWFUL, NO_SEGMENT, UNSTABLE, VETOED, UNUSABLE, TWICE, TOO_OFTEN, HELD_OUT, SMALL)


def decide(everyone: ir.Table, channel: str, rules: Activation, others: ir.Table | None, accept: bool) -> ir.Table:
    """Everybody -> customer_id, segment_id, segment_name, macro_segment, held_out, audience, reason (why not exported; missing: exported).

    others: customer_id, touches planned by other exported channels. accept: also segments whose verdict is fail. audience: the
    segment's name, or with merge_small its macro-segment's.
    """
    agreed, refused = _agreement(everyone, rules.needs(channel), channel)
    gone = everyone.filter(refused | everyone.listed)
    again = everyone.same_email.isin(gone.same_email)
    identifiers = ADDRESSED_BY.get(channel, ())
    if "phone" in identifiers:
        again = again.fill_null(False) | everyone.same_phone.isin(gone.same_phone).fill_null(False)
    usable = functools.reduce(operator.or_, (everyone[f"usable_{name}"] for name in identifiers), ibis.literal(not identifiers))
    reason = ibis.cases(
        (refused, REFUSED),
        (~agreed, NOT_AGREED),
        (everyone.listed, SUPPRESSED),
        (again.fill_null(False), SAME_PERSON),
        (everyone.segment_id.isnull() | (everyone.segment_id < 0), NO_SEGMENT),
        ((everyone.verdict == "fail") & ibis.literal(not accept), UNSTABLE),
        (everyone.vetoed.fill_null(False) & ibis.literal(channel != "service"), VETOED),
        (~usable, UNUSABLE),
        else_=ibis.null("string"),
    )
    address = everyone.same_email if channel == "email" else _both(everyone)
    kept = ("customer_id", "segment_id", "segment_name", "macro_segment", "held_out", "running")
    gated = engine.materialize(everyone.get_backend(), everyone.select(*kept, reason=reason, address=address), "gated")
    return _floors(_later_gates(gated, channel, rules, others), channel, rules)


def _later_gates(gated: ir.Table, channel: str, rules: Activation, others: ir.Table | None) -> ir.Table:
    """Gates that look beyond the customer: one row per address, contacts per week over all channels, the holdout."""
    mine, left = rules.touches_per_week.get(channel, 0), gated.filter(gated.reason.isnull(), gated.address.notnull())
    first = left.group_by("address").agg(customer_id=left.customer_id.min())
    double = gated.address.notnull() & ~gated.customer_id.isin(first.customer_id) & ibis.literal(channel in ADDRESSED_BY)
    planned = gated.running + mine
    if others is not None:
        gated = gated.left_join(others, "customer_id").drop("customer_id_right")
        planned = gated.running + mine + gated.touches.fill_null(0.0)
    often = (planned > rules.max_touches_per_week) & ibis.literal(mine > 0)
    left_away = gated.held_out & ibis.literal(channel not in SHOWN_HELD_OUT)
    later = ibis.cases((double, TWICE), (often, TOO_OFTEN), (left_away, HELD_OUT), else_=ibis.null("string"))
    kept = ("customer_id", "segment_id", "segment_name", "macro_segment", "held_out")
    return engine.materialize(gated.get_backend(), gated.select(*kept, reason=gated.reason.coalesce(later)), "staged")


def _floors(staged: ir.Table, channel: str, rules: Activation) -> ir.Table:
    """The same with `audience`; audiences below the floor are left out, or join their macro-segment's first."""
    floor, left = rules.floor(channel), staged.filter(staged.reason.isnull())
    sizes = engine.fetch(left.group_by("segment_name", "macro_segment").agg(size=left.count()))
    to = sizes.macro_segment.where((sizes["size"] < floor) & rules.merge_small, sizes.segment_name)
    total = sizes["size"].groupby(to).sum()
    small = sizes.segment_name[to.map(total) < floor].tolist()
    audience = translated(staged.segment_name, dict(zip(sizes.segment_name, to, strict=True)), "")
    reason = staged.reason.coalesce(ibis.cases((staged.segment_name.isin(small), SMALL)) if small else ibis.null("string"))
    return engine.materialize(staged.get_backend(), staged.mutate(audience=audience, reason=reason), "decided")


def translated(column: ir.StringValue, words: Mapping[str, str], otherwise: str) -> ir.StringValue:
    """Each word of the column by the mapping."""
    false = ibis.literal(False)  # so that an empty mapping is an expression too
    return ibis.cases((false, otherwise), *((column == word, told) for word, told in words.items()), else_=otherwise)


def _both(table: ir.Table) -> ir.StringValue:
    """E-mail and phone as one text: two customers with both equal are one row to a platform."""
    known = table.same_email.notnull() | table.same_phone.notnull()
    return ibis.cases((known, table.same_email.fill_null("") + " " + table.same_phone.fill_null("")))


def _agreement(everyone: ir.Table, needs: tuple[str, ...], channel: str) -> tuple[ir.BooleanValue, ir.BooleanValue]:
    """-> (agreed, refused). A consent that no source declares is missing, and missing is not a yes."""
    false = ibis.literal(False)
    stated = {c.removeprefix("consent_"): everyone[c] for c in everyone.columns if c.startswith("consent_")}
    yes = {name: (value == "yes").fill_null(False) for name, value in stated.items()}
    no = {name: (value == "no").fill_null(False) for name, value in stated.items()}
    if "any" in needs:
        some = functools.reduce(operator.or_, yes.values(), false)
        return some, functools.reduce(operator.or_, no.values(), false) & ~some
    agreed = functools.reduce(operator.and_, (yes.get(name, false) for name in needs))
    refused = functools.reduce(operator.or_, (no.get(name, false) for name in needs))
    return (agreed, refused | everyone.unsubscribed) if channel == "email" else (agreed, refused)


def touches_elsewhere(con: ibis.BaseBackend, folder: Path, channel: str) -> ir.Table | None:
    """customer_id, touches: what the other channels' last exports in the same folder plan per customer and week."""
    files = sorted(p for p in folder.glob("*/state/members.parquet") if p.parent.parent.name != channel)
    tables = [engine.read_parquet(con, path).select("customer_id", "touches") for path in files]
    if not tables:
        return None
    every = tables[0].union(*tables[1:]) if tables[1:] else tables[0]
    return every.group_by("customer_id").agg(touches=every.touches.sum())


def count_reasons(decided: ir.Table) -> dict[str, int]:
    """Reason -> customers; "" for those exported."""
    counted = engine.fetch(decided.group_by(reason=decided.reason.fill_null("")).agg(customers=lambda t: t.count()))
    return {row.reason: int(row.customers) for row in counted.itertuples()}
