"""The configuration: one YAML file, strict models, every error at once."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import types
import typing
import zoneinfo
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from workbench.core import workspace
from workbench.core.errors import ParameterError, did_you_mean
from workbench.core.strict_yaml import Where, read_yaml

KINDS = (
    "crm",
    "marketing_automation",
    "email",
    "mobile_app",
    "web",
    "social",
    "tickets",
    "pos",
    "loyalty",
    "survey",
    "ads",
    "finance",
    "enrichment",
)
STAGES = ("ingest", "features", "clustering", "personas", "kpis")
PERSON_KEYS = ("customer_number", "loyalty_id", "email", "phone")
ACCOUNT_KEYS = ("account_number", "tax_id", "domain")
IDENTIFIERS = PERSON_KEYS + ACCOUNT_KEYS
PERSONAL = (
    "given_name",
    "family_name",
    "full_name",
    "birth_date",
    "house_number",
    "street",
    "address_line_2",
    "postcode",
    "city",
    "state",
    "country",
    "organisation",
    "handle",
)
PASSWORD = re.compile(r"^[^:]+://[^/:]*:([^/]+)@|[?&](?:\w*password|passwd|pwd)=([^&]+)", re.IGNORECASE)  # in an address
SECRET = re.compile(r"(password|passwd|secret|token|api_?key)", re.IGNORECASE)


def _whole_number(value: Any) -> Any:
    """Refuse 10.0 and 1e3 where a whole number is meant: they are typing slips more often than intentions."""
    if isinstance(value, (bool, float)) or (isinstance(value, str) and not re.fullmatch(r"\s*[+-]?\d+\s*", value)):
        raise ValueError("a whole number such as 10 is expected")
    return value


def _switch(value: Any) -> Any:
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError("true or false is expected")
    return value


Count = Annotated[int, BeforeValidator(_whole_number)]
Switch = Annotated[bool, BeforeValidator(_switch)]
Seed = Annotated[
    int, Field(ge=0, le=4_000_000_000), BeforeValidator(_whole_number)
]  # scikit-learn takes less than 2**32, and seeds are counted up from it
Share = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    """Frozen; an unknown setting is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


class Csv(Strict):
    """How a delimited text file is written."""

    delimiter: str = Field(
        "", description="character between two columns, \\t for TAB; empty: the one that gives the declared columns"
    )
    encoding: str = Field("", description="for example utf-8, cp1252, utf-16; empty: utf-8, else recognised and told")
    skip_rows: Count = Field(0, ge=0, description="lines above the header")


class Database(Strict):
    """A table of a database, read as text like any other source."""

    url: str = Field(description="SQLAlchemy address such as sqlite:///data/shop.db; with a password only as env:NAME")
    table: str = Field(description="name of the table or view, schema.table where it is not in the default one")

    @model_validator(mode="after")
    def _no_password(self) -> Database:
        """A password is never written down: it would stand in every run's config.yaml."""
        literal = PASSWORD.search(self.url)
        if literal and not self.url.startswith("env:") and not re.fullmatch(r"env:\w+", literal[1] or literal[2]):
            raise ValueError("url holds a password: write env:NAME in its place, and set that environment variable")
        return self


class Lookup(Strict):
    """External facts joined to customers: their attribute `by` equals the source's `column`; the profile columns are added."""

    by: str = Field(description="golden attribute of customers: postcode, city, or a profile attribute")
    column: str = Field(description="column of this source with the same values, one row each")


class Match(Strict):
    """Rows in which `column` has one of `values`; without values: rows in which it is filled."""

    column: str
    values: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Which rows these are, in words."""
        return ", ".join(self.values) or "filled"


class TypeColumn(Strict):
    """Event types read from a column; `values` translates the system's words to ours, others are left out and counted."""

    column: str
    values: Mapping[str, str] = Field(min_length=1)


class ChannelColumn(Strict):
    """The channel read from a column."""

    column: str


AT_FORMATS = "iso, epoch_s, epoch_ms, epoch_us, excel_serial, hours or days (with since), or a strptime pattern such as %Y%m%d"


class Events(Strict):
    """What happened: which columns of a source say what, when and how much. Values are column names of the source."""

    type: str | TypeColumn = Field(description="an event type such as order, or {column, values}")
    at: str = Field(description="column with the time")
    at_format: str = Field("iso", description=AT_FORMATS)
    since: dt.date | None = Field(None, description="day 0 of at_format hours or days")
    ends_at: str | None = Field(None, description="column with the end, such as a ticket's closing; same format as at")
    zone: str = Field("", description="time zone of naive times; empty: the company's")
    event_id: str | None = Field(None, description="column that tells one event from another: repeats of it count once")
    where: Match | None = Field(None, description="use only these rows: {column, values}, or {column} where it is filled")
    channel: str | ChannelColumn = Field("", description="a channel such as store, or {column}; empty: the source's kind")
    order_id: str | None = None
    item: str | None = None
    category: str | None = None
    subcategory: str | None = None
    quantity: str | None = None
    amount: str | None = Field(None, description="money received for the line")
    discount: str | tuple[str, ...] | None = Field(None, description="money off; several columns are added up")
    cost: str | None = None
    campaign_id: str | None = None
    topic: str | None = Field(None, description="column with what it was about: a ticket's or a mailing's topic")
    question: str = Field("", description="words for what score answers, such as: price matters; of type survey_answer")
    text: str | None = Field(None, description="column with what the customer wrote; kept in private/ alone")
    currency: str | None = Field(None, description="column with the currency code of the amounts")
    score: str | None = Field(None, description="a number the customer gave: NPS, satisfaction, sentiment")
    score_range: tuple[float, float] | None = Field(None, description="lowest and highest score; others are set aside")
    own_brand: Match | None = Field(None, description="lines of the company's own brand")
    machine: Match | None = Field(None, description="events that a machine caused, such as opens by a mail scanner")

    @property
    def kinds(self) -> tuple[str, ...]:
        """The event types that are declared."""
        return tuple(self.type.values.values()) if isinstance(self.type, TypeColumn) else (self.type,)

    @model_validator(mode="after")
    def _one_topic(self) -> Events:
        if self.question and self.topic:
            raise ValueError("question and topic both say what the event is about: keep one")
        return self


class Costs(Strict):
    """What the items cost: joined to order lines by `item`; cost = amount x `rate`."""

    item: str
    rate: str


class Source(Strict):
    """One system's export: a file, who it is about, what it knows, what happened."""

    kind: Literal[KINDS]
    path: str = Field("", description="file or pattern such as exports/*.csv, relative to the workspace (the folder you run in)")
    database: Database | None = Field(None, description="a database table instead of a file")
    optional: Switch = Field(False, description="an export without rows is no fault")
    format: Literal["csv", "parquet", "jsonl", "excel"] | None = Field(None, description="from the file's ending when left out")
    csv: Csv = Csv()
    sheet: str = Field("", description="sheet of an Excel file; empty: the first")
    missing: tuple[str, ...] = Field((), description='words that mean "no value", such as n/a; nothing else is taken for missing')
    yes_words: tuple[str, ...] = Field((), description="further words for yes, such as ja")
    no_words: tuple[str, ...] = Field((), description="further words for no, such as nein")
    currency: str = Field("", pattern=r"^([A-Z]{3})?$", description="currency of the amounts; empty: the company's")
    decimal: Literal[".", ","] = Field(".", description="decimal mark of numbers written as text")
    origin: Literal["own", "real", "simulated", "mixed"] = Field("own", description="shown on the report's first page")
    note: str = ""
    trust: Count = Field(50, ge=0, le=100, description="who is believed when sources disagree: higher wins")
    record_id: str | None = Field(None, description="column that tells one record (contact, device, card) from another")
    record_is: Literal["customer", "person", "case"] = Field(
        "customer",
        description="person: one of several people of an account (b2b); case: a contract, ticket or answer, many per customer",
    )
    duplicates: Literal["stop", "keep_latest"] = Field("stop", description="two rows of one record_id in a source without events")
    created_at: str | None = Field(None, description="column with the record's first day")
    created_at_format: str = Field("iso", description="as at_format of events")
    birth_date_format: str = Field("iso", description="iso or a strptime pattern such as %d.%m.%Y")
    identity: Mapping[str, str] = Field({}, description="identifiers and personal data: e-mail, phone, card, name, …")
    profile: Mapping[str, str] = Field({}, description="attributes to keep: our name -> column")
    consent: Mapping[str, str] = Field({}, description="consent by channel: our name -> column with yes / no")
    events: tuple[Events, ...] = ()
    costs: Costs | None = None
    lookup: Lookup | None = Field(None, description="external facts by postcode, city or another attribute")

    @field_validator("identity")
    @classmethod
    def _known_identity(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for name in value:
            if name not in IDENTIFIERS + PERSONAL:
                raise ValueError(f'"{name}" is no identity.{did_you_mean(name, IDENTIFIERS + PERSONAL)}')
        return value

    @field_validator("events")
    @classmethod
    def _known_zones(cls, value: tuple[Events, ...]) -> tuple[Events, ...]:
        for events in value:
            if events.zone and events.zone not in zoneinfo.available_timezones():
                raise ValueError(f'"{events.zone}" is no time zone.{did_you_mean(events.zone, zoneinfo.available_timezones())}')
        return value

    @model_validator(mode="after")
    def _says_something(self) -> Source:
        if bool(self.path) == bool(self.database):
            raise ValueError("a source needs either path (a file) or database (a table)")
        if not (self.record_id or self.events or self.costs or self.lookup):
            raise ValueError("a source needs record_id (who), events (what happened), costs or lookup (facts)")
        for events in self.events:
            if (events.at_format in ("hours", "days")) != (events.since is not None):
                raise ValueError("at_format hours or days needs since, the day they count from, and no other format takes it")
        return self

    @property
    def file_format(self) -> str:
        """The declared format, else the one of the file's ending (a .gz left aside), else csv."""
        endings = {".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl", ".xlsx": "excel"}
        return self.format or endings.get(Path(self.path.lower().removesuffix(".gz")).suffix, "csv")


class Company(Strict):
    """Whose customers these are."""

    name: str = "Own company"
    kind: Literal["b2c", "b2b"] = "b2c"
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$")
    currency_rates: Mapping[str, Annotated[float, Field(gt=0)]] = Field(
        {}, description="one unit of another currency in ours, such as EUR: 1.08"
    )
    timezone: str = Field("", description="IANA name; days and hours are counted there, times without a zone are read there")
    region: str = Field("US", pattern=r"^[A-Z]{2}$", description="country of phone numbers without a country code")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value and value not in zoneinfo.available_timezones():
            raise ValueError(f'"{value}" is no time zone.{did_you_mean(value, zoneinfo.available_timezones())}')
        return value

    @property
    def zone(self) -> str:
        """The declared time zone, else UTC (times without a zone are refused then, so nothing is misread)."""
        return self.timezone or "UTC"


class Engine(Strict):
    """Where events are computed: ingest always on the embedded DuckDB, features and KPIs on `backend`, whose partitions place customers, too."""

    backend: Literal["duckdb", "spark"] = Field("duckdb", description="spark needs the extra of that name and Java 17")
    memory_limit: str = Field("4GB", pattern=r"^\d+(\.\d+)? ?[MG]B$", description="of DuckDB, and of a local Spark")
    threads: Count = Field(2, ge=1, le=256)
    master: str = Field(
        "",
        pattern=r"^(local(\[.+\])?|local-cluster\[.+\]|spark://.+|k8s://.+|yarn)?$",
        description="Spark's master, such as spark://host:7077, whose machines see the run directory and have the same Python packages; empty: this machine",
    )
    options: Mapping[str, str] = Field({}, description="further settings of Spark, such as spark.executor.memory: 8g")

    @field_validator("options")
    @classmethod
    def _no_secret(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for name in value:
            if not name.startswith("spark."):
                raise ValueError(f'"{name}" is no setting of Spark: they begin with spark.')
            if SECRET.search(name):
                raise ValueError(f"{name} would stand in every run's config.yaml: write it into Spark's spark-defaults.conf")
        return value


class Identity(Strict):
    """What makes two records one customer: shared identifiers first, then the weight of all that agrees and differs."""

    keys: tuple[Literal[IDENTIFIERS], ...] = Field((), description="strongest first; left out: all that fit the company's kind")
    one_per_customer: tuple[Literal[IDENTIFIERS], ...] = Field((), description="two different values are never one customer")
    max_records_per_value: Count = Field(20, ge=2, description="a value on more records than this links nobody")
    free_mail: tuple[str, ...] = Field((), description="further mail domains that anybody can have an address at (b2b)")
    max_records_per_customer: Count = Field(50, ge=2, description="a larger group is not joined but written to the review file")
    probabilistic: Switch = Field(True, description="also compare names, birth dates, addresses, e-mails and phones (Splink)")
    min_probability: float = Field(0.8, ge=0.5, lt=1, description="smallest match probability that joins two records")
    max_pairs: Count = Field(50_000_000, ge=1000, description="largest number of pairs that may be compared")
    ledger: str = Field("data/customer_ids.parquet", description="which record got which customer_id, kept from run to run")
    key_file: str = Field("data/pseudonym.key", description="secret key of the pseudonyms (64 hex characters)")


class Stage(Strict):
    """The parameters of one notebook."""

    run_dir: str = Field("runs/lab", description="run directory")


class IngestSettings(Stage):
    """Parameters of 01_ingest."""

    config: str = Field("configs/grocer.yaml", description="configuration file; used when the run directory is new")
    max_reject_share: Share = Field(0.01, description="largest share of a source's rows that may be unreadable")
    max_orphan_share: Share = Field(0.5, description="largest share of a source's events that may belong to nobody known")
    store: str = Field("data/store", description="what was read before, so that only new rows are read again; empty: none")
    example_rows: Count = Field(5, ge=1, le=50, description="rows shown of long tables")


class FeatureSettings(Stage):
    """Parameters of 02_features."""

    window_days: Count = Field(182, ge=14, description="days of behaviour before as_of that features describe")
    horizon_days: Count = Field(92, ge=7, description="days of outcomes: after as_of, and one horizon earlier to learn from")
    top_categories: Count = Field(12, ge=0, le=100, description="product categories that get a share of their own")
    top_subcategories: Count = Field(20, ge=0, le=200, description="product subcategories that get a share of their own")
    search_window_days: Count = Field(120, ge=7, description="searches of this many days before as_of are recent")
    cart_hours: Count = Field(24, ge=1, le=720, description="a filled cart that no order follows for so long is abandoned")
    text_topics: Count = Field(8, ge=0, le=50, description="topics looked for in what customers write; 0: none")
    prior_orders: float = Field(5.0, ge=0, description="shares and rates are shrunk as if this many average orders came first")
    min_coverage: Share = Field(0.05, description="smallest share of customers with a value for a feature to be used")


class ClusteringSettings(Stage):
    """Parameters of 03_clustering."""

    min_segments: Count = Field(10, ge=2, description="fewest segments wanted")
    max_segments: Count = Field(30, ge=2, description="most segments wanted")
    min_size_share: float = Field(0.012, gt=0, le=0.2, description="smallest segment, as a share of the customers")
    n_neighbors: Count = Field(30, ge=2, le=500, description="UMAP: neighbours that make up a customer's surroundings")
    n_components: Count = Field(8, ge=2, le=50, description="UMAP: dimensions that HDBSCAN clusters in")
    min_samples: Count = Field(3, ge=1, description="HDBSCAN: higher calls more customers noise")
    tail_weight: float = Field(0.3, ge=0, le=2, description="weight of today's features beside the predicted outcomes")
    bootstraps: Count = Field(20, ge=2, le=200, description="refits on resampled customers for the stability certificate")
    audiences: str = Field("configs/audiences.yaml", description="audiences made by hand, counted layer by layer; empty: none")
    sample_limit: Count = Field(20_000, ge=1000, description="customers that segments are found among; all others are assigned")
    seed: Seed = Field(7, description="makes the run repeatable")

    @model_validator(mode="after")
    def _band(self) -> ClusteringSettings:
        if self.min_segments > self.max_segments:
            raise ValueError(f"min_segments {self.min_segments} is larger than max_segments {self.max_segments}")
        return self


class PersonaSettings(Stage):
    """Parameters of 04_personas."""

    playbook: str = Field("configs/playbook.yaml", description="rules: which treatment for whom at which stage")
    feedback: str = Field("", description="file of renames, vetoes and notes from analysts and teams; empty: none")
    confidence: float = Field(0.95, ge=0.5, lt=1, description="level of the intervals")
    false_discovery: float = Field(0.05, gt=0, lt=1, description="share of claims that may be chance")
    min_effect: float = Field(0.3, ge=0, description="smallest difference worth a sentence, in standard deviations")
    max_claims: Count = Field(6, ge=1, le=20, description="claims told per persona")
    writer: str = Field("", description="OpenAI-compatible endpoint that rephrases stories, https://host/v1; empty: none")
    writer_model: str = Field("", description="which model the endpoint is asked for")
    writer_key: str = Field("", pattern=r"^(env:\w+)?$", description="the endpoint's key, only as env:NAME; empty: none")


class KpiSettings(Stage):
    """Parameters of 05_kpis."""

    targets: str = Field("configs/targets.yaml", description="goals per KPI; empty: none")
    assumptions: str = Field("configs/business_case.yaml", description="what acting is assumed to bring and to cost")
    draws: Count = Field(10_000, ge=100, le=1_000_000, description="draws of the business case's assumptions")
    cost_per_ticket: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="what answering a service ticket costs, in money; 0: not known"
    )
    confidence: float = Field(0.95, ge=0.5, lt=1, description="level of the intervals")
    bootstraps: Count = Field(500, ge=50, le=10000, description="resamples of customers for intervals of money")
    control_arm: str = Field("control", min_length=1, description="name of the arm that stays untreated in experiments")
    arm_shares: str = Field("", description="planned shares of the arms, such as control: 0.1, mail: 0.9; empty: equal")
    experiment_days: Count = Field(28, ge=1, le=366, description="days after the assignment in which outcomes count")
    effect_wanted: float = Field(0.1, gt=0, description="smallest effect worth finding, as a share of the control arm's mean")
    false_discovery: float = Field(0.05, gt=0, lt=1, description="share of found effects that may be chance")
    seed: Seed = Field(7, description="makes the intervals repeatable")

    @field_validator("arm_shares")
    @classmethod
    def _shares_add_up(cls, value: str) -> str:
        shares = parse_shares(value)
        if value.strip() and (min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6):
            raise ValueError("shares are above 0 and add up to 1, such as control: 0.1, mail: 0.9")
        return value


def parse_shares(text: str) -> dict[str, float]:
    """Text such as control: 0.1, mail: 0.9 -> {"control": 0.1, "mail": 0.9}; raises ValueError for anything else."""
    parts = [part.rpartition(":") for part in text.split(",") if part.strip()]
    if any(not name.strip() or not re.fullmatch(r"\s*\d*\.?\d+\s*", share) for name, _, share in parts):
        raise ValueError("shares are written as control: 0.1, mail: 0.9")
    return {name.strip(): float(share) for name, _, share in parts}


SETTINGS: dict[str, type[Stage]] = dict(
    zip(STAGES, (IngestSettings, FeatureSettings, ClusteringSettings, PersonaSettings, KpiSettings), strict=True)
)


class Attributes(Strict):
    """How what customers are becomes features; without a word of this, every attribute that is not sensitive is used."""

    sensitive: tuple[str, ...] = Field((), description="attributes such as age_band that may be used although law protects them")
    separator: str = Field("|", description="what stands between several values of one attribute: erp|help desk")
    growth: Mapping[str, str] = Field({}, description="attribute now -> the same before: headcount: headcount_year_ago")


class Config(Strict):
    """A whole configuration file."""

    company: Company = Company()
    as_of: dt.date = Field(description="the only now: features end the moment this day begins")
    data_until: dt.date | None = Field(
        None, description="the day the exports were made, where as_of lies before it; default as_of"
    )
    sources: Mapping[str, Source] = Field(min_length=1)
    names: Mapping[str, str] = Field({}, description="words for readers: a category as the system writes it -> plain words")
    identity: Identity = Identity()
    attributes: Attributes = Attributes()
    engine: Engine = Engine()
    ingest: IngestSettings = IngestSettings()
    features: FeatureSettings = FeatureSettings()
    clustering: ClusteringSettings = ClusteringSettings()
    personas: PersonaSettings = PersonaSettings()
    kpis: KpiSettings = KpiSettings()

    @model_validator(mode="before")
    @classmethod
    def _keys_of_the_kind(cls, value: Any) -> Any:
        """Fill identity.keys by the company's kind, so that the resolved configuration says what linked."""
        if (
            not isinstance(value, dict)
            or not isinstance(value.get("identity") or {}, dict)
            or (value.get("identity") or {}).get("keys")
        ):
            return value
        company = value.get("company")
        kind = company.get("kind") if isinstance(company, dict) else getattr(company, "kind", "b2c")
        keys = ACCOUNT_KEYS if kind == "b2b" else PERSON_KEYS
        return value | {"identity": {**(value.get("identity") or {}), "keys": list(keys)}}

    @field_validator("sources")
    @classmethod
    def _source_names(cls, value: Mapping[str, Source]) -> Mapping[str, Source]:
        for name in value:
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
                raise ValueError(f'source name "{name}": use lower-case letters, digits and _')
        return value

    @property
    def hash(self) -> str:
        """SHA-256 of everything that decides the results (not where the run lies)."""
        plain = self.model_dump(mode="json")
        for stage in STAGES:
            plain[stage].pop("run_dir")
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

    def to_yaml(self) -> str:
        """The configuration with every default written out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def load_config(path: str | Path, overrides: Mapping[str, str] | None = None) -> Config:
    """A YAML file (and `section.setting` -> text overrides) -> Config; raises ParameterError naming every fault at once."""
    found = workspace.find(path)
    plain, where = read_yaml(found)
    for name, value in (overrides or {}).items():
        _override(plain, name, value)
    return _validated(Config, plain, lambda keys: _place(found, keys, where, overrides or {}))


def read_settings(model: type[Strict], values: Mapping[str, Any], place: str) -> Any:
    """Plain values (a notebook's parameters, a playbook) -> the checked model; raises ParameterError naming every fault."""
    return _validated(model, dict(values), lambda keys: f"{place}: {'.'.join(map(str, keys))}")


def read_yaml_model(model: type[Strict], path: str | Path) -> Any:
    """A YAML file of any declared model (playbook, targets) -> the checked model; an empty path is an empty file."""
    if not path:
        return read_settings(model, {}, "no file is named")
    found = workspace.find(path)
    plain, where = read_yaml(found)
    return _validated(model, plain, lambda keys: _place(found, keys, where, {}))


def config_schema() -> dict[str, Any]:
    """The JSON schema that editors complete and check configurations with."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}


def _override(plain: dict[str, Any], name: str, value: str) -> None:
    if SECRET.search(name):
        raise ParameterError(
            f"-p {name}: parameters are written into the notebooks.",
            "A secret would be stored in plain text.",
            "use env:NAME in the configuration",
        )
    *parents, last = name.split(".")
    target: Any = plain
    for parent in parents:
        if isinstance(target, dict) and target.get(parent) is None:
            target[parent] = {}
        target = target[parent] if isinstance(target, dict) else None
    if not isinstance(target, dict):
        raise ParameterError(
            f"-p {name}: there is no such setting that a parameter could change.", fix="change it in the configuration"
        )
    target[last] = value


def _place(path: Path, keys: tuple, where: Where, overrides: Mapping[str, str]) -> str:
    dotted = ".".join(map(str, keys))
    for name in overrides:
        if name == dotted or name.startswith(f"{dotted}."):
            return f"-p {name}"
    for cut in range(len(keys), -1, -1):
        if keys[:cut] in where:
            return f"{path}:{where[keys[:cut]]}: {dotted}".removesuffix(": ")
    return f"{path}: {dotted}"


def _validated(model: type[Strict], plain: dict[str, Any], place: typing.Callable[[tuple], str]) -> Any:
    try:
        return model.model_validate(plain)
    except ValidationError as fault:
        lines = list(dict.fromkeys(_sentence(model, e, place) for e in fault.errors(include_url=False)))
    many = f"{len(lines)} faults in the settings:" if len(lines) > 1 else "a fault in the settings:"
    raise ParameterError(
        "\n".join([many, *lines]), "Nothing was run; earlier runs are unchanged.", "correct the settings named above"
    ) from None


def _sentence(model: type[Strict], error: Any, place: typing.Callable[[tuple], str]) -> str:
    keys = tuple(k for k in error["loc"] if not (isinstance(k, str) and k in _UNION_BRANCHES))
    match error["type"]:
        case "extra_forbidden":
            known = _fields_at(model, keys[:-1])
            return f"{place(keys)}: there is no such setting.{did_you_mean(str(keys[-1]), known)}"
        case "missing":
            return f"{place(keys)}: is required."
    message = error["msg"].removeprefix("Value error, ")
    value = error["input"]
    shown = "" if isinstance(value, (dict, BaseModel)) else f", found {str(value)[:60]!r}"
    return f"{place(keys)}: {message[0].lower()}{message[1:]}{shown}"


_UNION_BRANCHES = {"str", "TypeColumn", "ChannelColumn", "tuple[str, ...]"}


def _fields_at(model: Any, keys: tuple) -> list[str]:
    """Names that are legal at this place of the model, following mappings, tuples and unions."""
    if not keys:
        return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []
    if isinstance(model, type) and issubclass(model, BaseModel):
        field = model.model_fields.get(str(keys[0]))
        return _first_fields(field.annotation, keys[1:]) if field else []
    return []


def _first_fields(annotation: Any, keys: tuple) -> list[str]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _fields_at(annotation, keys)
    arguments = typing.get_args(annotation)
    is_container = typing.get_origin(annotation) not in (typing.Union, types.UnionType)
    for argument in arguments:
        names = _first_fields(argument, keys[1:] if is_container and keys else keys)
        if names:
            return names
    return []
