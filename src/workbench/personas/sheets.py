"""What each destination receives: one or more sheets of columns in the destination's own words."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir
import pandas as pd

from workbench.core import engine
from workbench.personas.addresses import PROFILES, bare_email, plus_phone
from workbench.personas.audience import ADS, LATEST_PROFILES, Activation, translated

if TYPE_CHECKING:
    from workbench.core.rundir import Run

DANGEROUS = r"^\s*[=+\-@\t\r\n\x00＝＋－＠]"  # OWASP, CWE-1236, and the full-width forms that spreadsheets read alike
DIALLED = r"^\+\d{7,15}$"  # a phone number computes to nothing
PLAN = ("treatment", "channel", "offer", "message")
ACCOUNT_FIGURES = ("net_revenue", "order_count", "aov", "recency_days", "clv", "seats", "recurring_revenue")


@dataclass(frozen=True)
class Sheet:
    """One table of an export. key: what tells a row; split: the column that says into which file; form: how it is written.

    form: csv (for people and tools: cells that a spreadsheet would compute are made text), upload (hashes, as platforms read
    them: one file per audience, what came and what went apart), json, lookup, parquet or sql. Columns that begin with _ are not written.
    """

    name: str
    table: ir.Table
    key: str
    split: str = ""
    form: str = "csv"

    @property
    def columns(self) -> list[str]:
        """What is written."""
        return [c for c in self.table.columns if not c.startswith("_")]


def harmless(column: ir.Value) -> ir.Value:
    """A text that a spreadsheet would compute gets an apostrophe before it; phone numbers stay."""
    if not column.type().is_string():
        return column
    risky = column.re_search(DANGEROUS) & ~column.re_search(DIALLED)
    return ibis.cases((risky, ibis.literal("'") + column), else_=column)


def slug(name: str, number: int) -> str:
    """A segment's name as a file's name: a-z, 0-9 and -, never a path."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:48] or f"audience-{number}"


def build_sheets(run: Run, con: ibis.BaseBackend, channel: str, chosen: ir.Table, rules: Activation) -> list[Sheet]:
    """Those exported (see `decide`) -> the channel's sheets."""
    planned = _with_plan(run, con, chosen)
    match channel:
        case "email":
            return [_email(planned, rules)]
        case "crm":
            return _crm(run, con, planned, rules)
        case "web" | "in_app":
            return _devices(run, con, channel, planned)
        case "service":
            columns = ["segment_name", "stage", "vip", *PLAN]
            return [Sheet("lookup", planned.select("customer_id", *columns, _customer_id="customer_id", _segment_id="segment_id"), "customer_id")]  # fmt: skip
        case _ if channel in ADS:
            return [_upload(run, con, channel, planned, rules)]
    columns = ["segment_id", "segment_name", "macro_segment", "stage", "vip", *PLAN]
    return [Sheet("audience", planned.select("customer_id", *columns, _customer_id="customer_id", _segment_id="segment_id"), "customer_id", form=channel)]  # fmt: skip


def _with_plan(run: Run, con: ibis.BaseBackend, chosen: ir.Table) -> ir.Table:
    """What the playbook has for each customer's segment and stage."""
    plan = run.read_on(con, "playbook").select("segment_id", "stage", *PLAN, "trigger", "kpi")
    joined = chosen.left_join(plan, ["segment_id", "stage"])
    return joined.drop("segment_id_right", "stage_right")


def _email(planned: ir.Table, rules: Activation) -> Sheet:
    """One track per stage: who, what, on which days, when to stop, and who is held out."""
    cadence = translated(planned.stage, rules.cadence, "day 0")
    name = {"given_name": planned.given_name} if "given_name" in planned.columns else {}
    held = planned.held_out.ifelse("yes", "no")
    table = planned.select(
        customer_id="customer_id",
        email=bare_email(planned.email),
        **name,
        segment="segment_name",
        track="stage",
        treatment="treatment",
        message="message",
        offer="offer",
        trigger="trigger",
        cadence=cadence,
        touches_per_week=ibis.literal(float(rules.touches_per_week.get("email", 0))),
        suppress_when=ibis.literal("unsubscribed, bounced, or the next stage is reached"),
        holdout=held,
        measured_by="kpi",
        _customer_id="customer_id",
        _segment_id="segment_id",
    )
    return Sheet("track", table, "customer_id", split="track")


def _crm(run: Run, con: ibis.BaseBackend, planned: ir.Table, rules: Activation) -> list[Sheet]:
    """Accounts with figures and the treatment; contacts with the identifiers whose own consent is a yes."""
    features = run.read_on(con, "features")
    figures = [c for c in ACCOUNT_FIGURES if c in features.columns]
    account = planned.left_join(features.select("customer_id", *figures), "customer_id").drop("customer_id_right")
    told = {"segment": account.segment_name, "part_of": account.macro_segment, "stage": account.stage, "vip": account.vip}
    accounts = account.select("customer_id", **told, **{c: account[c].round(2) for c in figures}, **{c: account[c] for c in PLAN}, holdout=account.held_out.ifelse("yes", "no"), _customer_id="customer_id", _segment_id="segment_id")  # fmt: skip
    return [Sheet("accounts", accounts, "customer_id"), Sheet("contacts", _contacts(run, con, planned), "contact_id")]


def _contacts(run: Run, con: ibis.BaseBackend, planned: ir.Table) -> ir.Table:
    """b2c: the customer; b2b: the people known under the account who said no to nothing and yes to something."""
    if run.config.company.kind == "b2b" and run.has("people"):
        people = run.read_on(con, "people")
        consents = [c for c in people.columns if c.startswith("consent_")]
        willing = [people[c] == "yes" for c in consents] or [ibis.literal(False)]
        people = people.filter(ibis.or_(*willing), *[people[c] != "no" for c in consents])
        facts = [c for c in people.columns if c not in ("person_id", "customer_id", "records")]
        joined = people.inner_join(planned.select("customer_id", "segment_name", "segment_id", "stage"), "customer_id")
        return joined.select(contact_id=joined.person_id + "/" + joined.customer_id, person_id="person_id", customer_id="customer_id", **{c: joined[c] for c in facts}, segment=joined.segment_name, stage=joined.stage, _customer_id="customer_id", _segment_id="segment_id")  # fmt: skip
    names = [c for c in ("given_name", "family_name", "street", "postcode", "city", "country") if c in planned.columns]

    def allowed(kind: str, value: ir.StringValue) -> ir.StringValue:
        consent = f"consent_{kind}"
        yes = planned[consent] == "yes" if consent in planned.columns else ibis.literal(False)
        return ibis.cases((yes & ~planned.unsubscribed if kind == "email" else yes, value))

    email, phone = allowed("email", bare_email(planned.email)), allowed("phone", plus_phone(planned.phone))
    table = planned.select(contact_id="customer_id", customer_id="customer_id", **{c: planned[c] for c in names}, email=email, phone=phone, segment="segment_name", stage="stage", _customer_id="customer_id", _segment_id="segment_id")  # fmt: skip
    return table.filter(table.email.notnull() | table.phone.notnull())


def _devices(run: Run, con: ibis.BaseBackend, channel: str, planned: ir.Table) -> list[Sheet]:
    """Cookies or devices of those chosen, as the website or the app itself names them."""
    kind = {"web": "web", "in_app": "mobile_app"}[channel]
    sources = [name for name, source in run.config.sources.items() if source.kind == kind]
    identities = run.read_on(con, "identities")
    mine = identities.filter(identities.source.isin(sources)).select("customer_id", "record_id").distinct()
    joined = mine.inner_join(planned, "customer_id")
    key = {"web": "visitor_id", "in_app": "device_id"}[channel]
    columns = {"customer_id": joined.customer_id} if channel == "in_app" else {}
    table = joined.select(**{key: joined.record_id}, **columns, segment_id=joined.segment_id, segment=joined.segment_name, stage=joined.stage, message=joined.message, offer=joined.offer, _customer_id=joined.customer_id, _segment_id=joined.segment_id)  # fmt: skip
    table = table.distinct(on=key, keep="first")
    return [Sheet("lookup" if channel == "web" else "attributes", table, key, form="lookup" if channel == "web" else "csv")]


def _upload(run: Run, con: ibis.BaseBackend, channel: str, planned: ir.Table, rules: Activation) -> Sheet:
    """Hashed identifiers, one list per segment; a platform learns neither our number nor the segment's story."""
    profile = PROFILES[rules.profiles.get(channel, LATEST_PROFILES[channel])]
    if "country" not in planned.columns:
        planned = planned.mutate(country=ibis.literal(run.config.company.region))
    names = engine.fetch(planned.select("audience").distinct().order_by("audience")).audience
    files = unique_slugs(names)
    audience = (
        ibis.cases(*((planned.audience == n, f) for n, f in files.items()), else_="audience") if files else planned.audience
    )
    table = planned.select(**profile.apply(planned, rules.hashed), _audience=audience, _customer_id="customer_id", _segment_id="segment_id")  # fmt: skip
    return Sheet("list", table, "_customer_id", split="_audience", form="upload")


def unique_slugs(names: pd.Series) -> dict[str, str]:
    """Names -> a file's name of its own for each."""
    taken: dict[str, str] = {}
    for number, name in enumerate(names):
        plain = slug(name, number)
        taken[plain if plain not in taken else f"{plain}-{number}"] = name
    return {name: plain for plain, name in taken.items()}
