"""Who is who: records that share an identifier are one customer, strongest identifier first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from workbench.core.config import Identity
from workbench.ingest.records import pseudonym

AGREEMENT = 0.95  # assumed share of true pairs that agree on a shared identifier (m of Fellegi & Sunter 1969)


@dataclass(frozen=True)
class Linked:
    """identities and matches as their contracts say; refused: links that were not made, with the reason."""

    identities: pd.DataFrame
    matches: pd.DataFrame
    refused: pd.DataFrame


@dataclass
class _Groups:
    """Union-find over records that refuses to join two groups holding different values of a one-per-customer identifier."""

    parent: np.ndarray
    exclusive: dict[int, dict[str, str]] = field(default_factory=dict)

    def find(self, record: int) -> int:
        while self.parent[record] != record:
            self.parent[record] = self.parent[self.parent[record]]
            record = self.parent[record]
        return int(record)

    def hold_exclusive(self, usable: pd.DataFrame, settings: Identity) -> None:
        """Note the one-per-customer identifiers of records that are still alone."""
        exclusive = usable[usable.identifier.isin(settings.one_per_customer)].sort_values(["node", "identifier", "value"])
        for node, kind, value in exclusive[["node", "identifier", "value"]].itertuples(index=False):
            self.exclusive.setdefault(node, {}).setdefault(kind, value)

    def conflict(self, a: int, b: int) -> str:
        mine, theirs = self.exclusive.get(self.find(a), {}), self.exclusive.get(self.find(b), {})
        return next((kind for kind in mine if kind in theirs and mine[kind] != theirs[kind]), "")

    def join(self, a: int, b: int) -> None:
        first, second = sorted((self.find(a), self.find(b)))
        if first != second:
            self.parent[second] = first
            self.exclusive.setdefault(first, {}).update(self.exclusive.pop(second, {}))


def link_records(
    records: pd.DataFrame,
    identifiers: pd.DataFrame,
    settings: Identity,
    as_of: pd.Timestamp,
    trust: Mapping[str, int],
    key: bytes,
) -> Linked:
    """Records and their identifiers (see `collect_records`) -> Linked; every record gets exactly one customer_id.

    Only what was seen before as_of decides who is who. A record first seen later joins the one customer that already
    holds one of its identifiers, else it stays alone. Values on too many records of one source link nobody.
    """
    ordered = _ranked(records, trust)
    usable = identifiers.dropna(subset=["value"]).merge(ordered[["source", "record_id", "node"]], on=["source", "record_id"])
    usable = usable[usable.identifier.isin(settings.keys)]
    earlier = usable.seen_at.isna() | (usable.seen_at < as_of)
    then, _ = _without_crowds(usable[earlier], settings.max_records_per_value)  # later records do not undo a link
    usable, crowded = _without_crowds(usable, settings.max_records_per_value)
    groups, links, refused = _join_all(len(ordered), then, settings)
    customer = np.array([groups.find(node) for node in range(len(ordered))])
    late = _attach_later(ordered, usable, customer, as_of)
    groups.hold_exclusive(usable[usable.node.isin([node for node, _, _ in late])], settings)
    for node, anchor, rule in late:
        if reason := groups.conflict(anchor, node):
            refused.append((anchor, node, rule, reason))
            continue
        groups.join(anchor, node)
        customer[node] = customer[anchor]
        links.append((anchor, node, rule))
    ids = {
        root: f"c_{pseudonym(key, f'{s}|{r}')}"
        for root, s, r in zip(ordered.node, ordered.source, ordered.record_id, strict=True)
    }
    identities = ordered[["source", "record_id"]].assign(customer_id=[ids[c] for c in customer], match_probability=1.0)
    return Linked(
        identities.sort_values(["source", "record_id"], ignore_index=True),
        _matches(ordered, then, links),
        pd.concat([crowded, _refused(ordered, refused)], ignore_index=True),
    )


def _ranked(records: pd.DataFrame, trust: Mapping[str, int]) -> pd.DataFrame:
    """Records in the order in which they would name a customer: most trusted source, then earliest, then by name."""
    # A record keyed by e-mail may stand under several spellings; it is still one record.
    ranked = records.groupby(["source", "record_id"], as_index=False).first_seen_at.min()
    ranked = ranked.assign(trust=ranked.source.map(trust).fillna(0))
    ranked = ranked.sort_values(
        ["trust", "first_seen_at", "source", "record_id"],
        ascending=[False, True, True, True],
        na_position="first",
        ignore_index=True,
    )
    return ranked.assign(node=np.arange(len(ranked)))


def _without_crowds(usable: pd.DataFrame, limit: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    counts = usable.groupby(["identifier", "value", "source"]).record_id.nunique().groupby(["identifier", "value"]).max()
    crowds = counts[counts > limit]
    keep = ~pd.MultiIndex.from_frame(usable[["identifier", "value"]]).isin(crowds.index)
    crowded = pd.DataFrame(
        {
            "identifier": crowds.index.get_level_values(0),
            "records": crowds.to_numpy(),
            "reason": f"on more than {limit} records of one source",
        }
    )
    return usable[keep], crowded.astype({"identifier": "str"})


def _join_all(n: int, usable: pd.DataFrame, settings: Identity) -> tuple[_Groups, list, list]:
    groups, links, refused = _Groups(np.arange(n)), [], []
    groups.hold_exclusive(usable, settings)
    for kind in settings.keys:
        mine = usable[usable.identifier == kind].sort_values(["value", "node"])
        previous_value, anchor = None, -1
        for value, node in mine[["value", "node"]].itertuples(index=False):
            if value != previous_value:
                previous_value, anchor = value, node
            elif node != anchor and groups.find(anchor) != groups.find(node):
                if reason := groups.conflict(anchor, node):
                    refused.append((anchor, node, kind, reason))
                else:
                    groups.join(anchor, node)
                    links.append((anchor, node, kind))
    return groups, links, refused


def _attach_later(ordered: pd.DataFrame, usable: pd.DataFrame, customer: np.ndarray, as_of: pd.Timestamp) -> list:
    """Later records -> (node, anchor node, rule) where all their identifiers point to one earlier customer."""
    later = ordered.node[ordered.first_seen_at >= as_of]
    is_later = usable.node.isin(later)
    known = usable[~is_later & (usable.seen_at.isna() | (usable.seen_at < as_of))]
    holders = known.groupby(["identifier", "value"]).node.min().rename("anchor").reset_index()
    owners = (
        known.assign(owner=customer[known.node]).groupby(["identifier", "value"]).owner.nunique().rename("owners").reset_index()
    )
    found = usable[is_later].merge(holders, on=["identifier", "value"]).merge(owners, on=["identifier", "value"])
    found = found[found.owners == 1].assign(owner=lambda f: customer[f.anchor])
    clear = (
        found[found.groupby("node").owner.transform("nunique") == 1]
        .sort_values(["node", "identifier", "anchor"])
        .drop_duplicates("node")
    )
    return list(clear[["node", "anchor", "identifier"]].itertuples(index=False, name=None))


def _matches(ordered: pd.DataFrame, usable: pd.DataFrame, links: list) -> pd.DataFrame:
    """Made links -> matches; match_weight = log2(m / u), u the chance that two records share a value of that rule."""
    total = max(len(ordered), 2)
    u = {}
    for kind, mine in usable.groupby("identifier"):
        sizes = mine.groupby("value").node.nunique().to_numpy(float)
        u[kind] = max((sizes**2).sum() / total**2, 1 / total**2)
    pairs = pd.DataFrame(links, columns=["l", "r", "identifier"])
    left, right = (
        ordered.iloc[pairs.l.astype(int)].reset_index(drop=True),
        ordered.iloc[pairs.r.astype(int)].reset_index(drop=True),
    )
    frame = pd.DataFrame(
        {
            "source_l": left.source, "record_id_l": left.record_id, "source_r": right.source, "record_id_r": right.record_id,
            "match_weight": np.log2(AGREEMENT / pairs.identifier.map(u).astype(float)), "match_probability": 1.0,
            "rule": "same " + pairs.identifier.astype("str"),
        }
    )  # fmt: skip
    return frame.sort_values(["source_l", "record_id_l", "source_r", "record_id_r"], ignore_index=True)


def _refused(ordered: pd.DataFrame, refused: list) -> pd.DataFrame:
    frame = pd.DataFrame(refused, columns=["l", "r", "identifier", "kind"])
    return pd.DataFrame(
        {
            "identifier": frame.identifier.astype("str"),
            "records": 2,
            "reason": "would give one customer two of " + frame.kind.astype("str"),
        }
    )


def visitors(identities: pd.DataFrame, records: pd.DataFrame, person_sources: list[str], as_of: pd.Timestamp) -> pd.Series:
    """-> True per identity whose customer is no known person before as_of: only cookies, devices or handles, or later records."""
    seen = identities.merge(records[["source", "record_id", "first_seen_at"]], on=["source", "record_id"], how="left")
    person = seen.source.isin(person_sources) & (seen.first_seen_at.isna() | (seen.first_seen_at < as_of))
    return ~identities.customer_id.isin(seen.customer_id[person])
