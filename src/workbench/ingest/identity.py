"""Who is who: records that share an identifier are one customer, strongest identifier first; then those that are alike enough."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from workbench.core.config import Identity
from workbench.ingest.ledger import keep_ids
from workbench.ingest.likeness import ENDS

AGREEMENT = 0.95  # assumed share of true pairs that agree on a shared identifier (m of Fellegi & Sunter 1969)
MAX_ACCOUNTS = {
    "domain": 3,
    "email": 1,
    "phone": 1,
}  # of one value: a provider's domain, a consultant's address, an exchange's number
ALIKE = "alike"
REVIEW = [*ENDS, "rule", "match_weight", "match_probability", "reason"]


@dataclass(frozen=True)
class Linked:
    """identities and matches as their contracts say.

    refused: identifier, records, reason; shared values that linked nobody. review: links not made that a person should look at.
    changes: customers of earlier runs that were merged or split (see `keep_ids`).
    """

    identities: pd.DataFrame
    matches: pd.DataFrame
    refused: pd.DataFrame
    review: pd.DataFrame
    changes: pd.DataFrame


@dataclass
class _Groups:
    """Records joined so far: `label` is the group of each, `made` and `refused` are links (a, b, rule, weight, probability, reason)."""

    label: np.ndarray
    exclusive: pd.DataFrame  # node, identifier, value: what a customer can have only one of
    counts: np.ndarray  # 1 where the record counts towards a group's size
    limit: int
    made: list[pd.DataFrame] = field(default_factory=list)
    refused: list[pd.DataFrame] = field(default_factory=list)

    def join(self, links: pd.DataFrame) -> None:
        """Join by the links of one rule (a, b, rule, weight, probability; surest first) wherever nothing speaks against it."""
        links = links[self.label[links.a] != self.label[links.b]]
        if links.empty:
            self.made.append(links)
            self._refuse(links, "")
            return
        made = self._spanning(links, self._components(links))
        component = self._components(made)
        torn = np.isin(component, self._torn(component))
        safe = made[~torn[made.a]]
        chosen = links[torn[links.a]]
        slowly = self._one_by_one(chosen)
        made = pd.concat([safe, slowly], ignore_index=True)
        component = self._components(made)
        sizes = np.bincount(component, weights=self.counts)
        crowded = sizes[component] > self.limit
        self._refuse(made[crowded[made.a]], f"the group would hold more than {self.limit} records")
        made = made[~crowded[made.a]]
        self.label = self._components(made)
        self.made.append(made)

    def _components(self, links: pd.DataFrame) -> np.ndarray:
        """The groups after joining by the links: for each record the smallest record of its group."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        n = len(self.label)
        edges = coo_array((np.ones(len(links)), (self.label[links.a], self.label[links.b])), shape=(n, n))
        component = connected_components(edges, directed=False)[1][self.label]
        first = np.full(component.max() + 1 if n else 0, n)
        np.minimum.at(first, component, np.arange(n))
        return first[component]

    def _spanning(self, links: pd.DataFrame, component: np.ndarray) -> pd.DataFrame:
        """As few links as hold each group together, the surest of them: a spanning forest over the groups before."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import minimum_spanning_tree

        n = len(self.label)
        low, high = np.minimum(self.label[links.a], self.label[links.b]), np.maximum(self.label[links.a], self.label[links.b])
        first = links.assign(low=low, high=high).drop_duplicates(["low", "high"])
        order = np.arange(1.0, len(first) + 1)
        tree = minimum_spanning_tree(coo_array((order, (first.low, first.high)), shape=(n, n)).tocsr())
        return first.iloc[np.sort(tree.data).astype(int) - 1][["a", "b", "rule", "weight", "probability"]]

    def _torn(self, component: np.ndarray) -> np.ndarray:
        """Groups that would hold two values of something a customer can have only one of."""
        held = self.exclusive.assign(component=component[self.exclusive.node])
        values = held.groupby(["component", "identifier"]).value.nunique()
        return values.index.get_level_values(0)[values > 1].unique().to_numpy()

    def _one_by_one(self, links: pd.DataFrame) -> pd.DataFrame:
        """The links of torn groups, taken in their order and left out where they would tear."""
        parent = dict(zip(self.label, self.label, strict=True)) if len(links) else {}
        mine = self.exclusive.assign(root=self.label[self.exclusive.node])
        involved = set(self.label[links.a]) | set(self.label[links.b])
        held: dict[int, dict[str, str]] = {}
        for root, kind, value in mine[mine.root.isin(involved)][["root", "identifier", "value"]].itertuples(index=False):
            held.setdefault(root, {}).setdefault(kind, value)

        def find(node: int) -> int:
            while parent[node] != node:
                parent[node] = parent[parent[node]]
                node = parent[node]
            return node

        keep, refuse = [], []
        for i, (a, b) in enumerate(zip(self.label[links.a], self.label[links.b], strict=True)):
            low, high = sorted((find(a), find(b)))
            if low == high:
                continue
            ours, theirs = held.get(low, {}), held.get(high, {})
            if clash := next((kind for kind in ours if kind in theirs and ours[kind] != theirs[kind]), ""):
                refuse.append((i, clash))
                continue
            parent[high] = low
            held[low] = {**theirs, **ours}
            keep.append(i)
        for clash in dict.fromkeys(kind for _, kind in refuse):
            self._refuse(links.iloc[[i for i, kind in refuse if kind == clash]], f"would give one customer two of {clash}")
        return links.iloc[keep]

    def _refuse(self, links: pd.DataFrame, reason: str) -> None:
        self.refused.append(links.assign(reason=reason))


def link_records(
    records: pd.DataFrame,
    identifiers: pd.DataFrame,
    settings: Identity,
    as_of: pd.Timestamp,
    trust: Mapping[str, int],
    key: bytes,
    alike: pd.DataFrame | None = None,
    ledger: pd.DataFrame | None = None,
    counted: Collection[str] | None = None,
) -> Linked:
    """Records and their identifiers (see `collect_records`) -> Linked; every record gets exactly one customer_id.

    alike: pairs with match_weight and match_probability (see `compare_records`); those from min_probability on join what no
    identifier joined. ledger: who had which customer_id before. counted: sources whose records are one person or account
    each (by default all): only these make a crowd of a value or a group too large to believe.

    Only what was seen before as_of decides who is who. A record first seen later joins the one customer that already
    holds one of its identifiers, else it stays alone. Values on too many records of one source link nobody.
    """
    ordered = _ranked(records, trust)
    usable = identifiers.dropna(subset=["value"]).merge(ordered[["source", "record_id", "node"]], on=["source", "record_id"])
    usable = usable[usable.identifier.isin(settings.keys)]
    counts = np.ones(len(ordered)) if counted is None else ordered.source.isin(list(counted)).to_numpy(float)
    earlier = usable.seen_at.isna() | (usable.seen_at < as_of)
    then, _ = _without_crowds(usable[earlier], settings, counts)  # later records do not undo a link
    usable, crowded = _without_crowds(usable, settings, counts)
    groups = _Groups(np.arange(len(ordered)), _exclusive(then, settings), counts, settings.max_records_per_customer)
    chance = _chances(then, len(ordered))
    for kind in settings.keys:
        groups.join(_shared(then[then.identifier == kind], kind, chance))
    sure = groups.label
    similar = _alike_links(alike, ordered, as_of)
    groups.join(similar[similar.probability >= settings.min_probability])
    known = groups.label.copy()
    groups.exclusive = _exclusive(usable, settings)
    groups.join(_later_links(ordered, usable, known, as_of, chance))
    links = pd.concat(groups.made, ignore_index=True)
    ids = keep_ids(ordered, groups.label, ledger, key)
    identities = ordered[["source", "record_id"]].assign(
        customer_id=ids.customer_id, match_probability=_certainty(sure, groups.label, links)
    )
    refused = pd.concat(groups.refused, ignore_index=True)
    return Linked(
        identities.sort_values(["source", "record_id"], ignore_index=True),
        _matches(ordered, links),
        pd.concat([crowded, _counted_refusals(refused)], ignore_index=True),
        _review(ordered, refused, similar, groups.label, settings),
        ids.changes,
    )


def _ranked(records: pd.DataFrame, trust: Mapping[str, int]) -> pd.DataFrame:
    """Records in the order in which they would name a customer: most trusted source, then earliest, then by name."""
    # A record keyed by e-mail may stand under several spellings; it is still one record.
    ranked = records[["source", "record_id", "first_seen_at"]]
    if ranked.duplicated(["source", "record_id"]).any():
        ranked = ranked.groupby(["source", "record_id"], as_index=False).first_seen_at.min()
    ranked = ranked.assign(trust=ranked.source.map(trust).fillna(0))
    ranked = ranked.sort_values(
        ["trust", "first_seen_at", "source", "record_id"],
        ascending=[False, True, True, True],
        na_position="first",
        ignore_index=True,
    )
    return ranked.assign(node=np.arange(len(ranked)))


def _without_crowds(usable: pd.DataFrame, settings: Identity, counts: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    limit, by = settings.max_records_per_value, ["identifier", "value"]
    persons = usable[counts[usable.node] > 0]
    persons = persons[persons.groupby("value").node.transform("size") > limit]  # mostly none, and quick to see
    sizes = persons.groupby([*by, "source"]).record_id.nunique().groupby(by).max()
    crowds = sizes[sizes > limit].to_frame("records").assign(reason=f"on more than {limit} records of one source")
    shared = _of_several_accounts(usable)
    both = pd.concat([crowds, shared[~shared.index.isin(crowds.index)]])
    usable = usable[~pd.MultiIndex.from_frame(usable[by]).isin(both.index)] if len(both) else usable
    crowded = both.rename_axis(by).reset_index()[["identifier", "records", "reason"]]
    return usable, crowded.astype({"identifier": "str", "records": "int64", "reason": "str"})


def _of_several_accounts(usable: pd.DataFrame) -> pd.DataFrame:
    """Values on records of more accounts than one organisation has: they lead to nobody in particular (b2b)."""
    accounts = usable[usable.identifier == "account_number"][["node", "value"]].rename(columns={"value": "account"})
    held = usable[usable.identifier.isin(MAX_ACCOUNTS)].merge(accounts, on="node")
    counts = held.groupby(["identifier", "value"]).account.nunique()
    limit = [MAX_ACCOUNTS[kind] for kind in counts.index.get_level_values("identifier")]
    shared = counts[counts > np.array(limit, dtype=int)].to_frame("records")
    shared["reason"] = "used by more accounts than one organisation has"
    return shared


def _exclusive(usable: pd.DataFrame, settings: Identity) -> pd.DataFrame:
    """The one-per-customer identifier values of each record; the first in the alphabet where a record has several."""
    held = usable[usable.identifier.isin(settings.one_per_customer)].sort_values(["node", "identifier", "value"])
    return held.drop_duplicates(["node", "identifier"])[["node", "identifier", "value"]]


def _chances(usable: pd.DataFrame, total: int) -> dict[str, float]:
    """Identifier -> u: the chance that two records share a value of it."""
    total = max(total, 2)
    sizes = usable.drop_duplicates(["identifier", "value", "node"]).groupby(["identifier", "value"]).size().astype(float)
    return ((sizes**2).groupby("identifier").sum() / total**2).clip(lower=1 / total**2).to_dict()


def _shared(mine: pd.DataFrame, kind: str, chance: Mapping[str, float]) -> pd.DataFrame:
    """Each record to the first one with the same value; weight = log2(m / u)."""
    mine = mine.sort_values(["value", "node"])
    anchor = mine.groupby("value").node.transform("first").to_numpy()
    node = mine.node.to_numpy()
    links = pd.DataFrame({"a": anchor, "b": node})[node != anchor].drop_duplicates()
    return links.assign(rule=f"same {kind}", weight=np.log2(AGREEMENT / chance.get(kind, AGREEMENT)), probability=1.0)


def _alike_links(alike: pd.DataFrame | None, ordered: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """Compared pairs of records seen before as_of, surest first."""
    columns = {"a": int, "b": int, "rule": "str", "weight": float, "probability": float}
    if alike is None or alike.empty:
        return pd.DataFrame(columns=list(columns)).astype(columns)
    node = ordered[~(ordered.first_seen_at >= as_of)].set_index(["source", "record_id"]).node
    a = node.reindex(pd.MultiIndex.from_frame(alike[ENDS[:2]])).to_numpy()
    b = node.reindex(pd.MultiIndex.from_frame(alike[ENDS[2:]])).to_numpy()
    links = pd.DataFrame({"a": a, "b": b, "rule": ALIKE, "weight": alike.match_weight, "probability": alike.match_probability})
    links = links.dropna(subset=["a", "b"]).astype({"a": int, "b": int})
    return links.sort_values(["weight", "a", "b"], ascending=[False, True, True], ignore_index=True)


def _later_links(
    ordered: pd.DataFrame, usable: pd.DataFrame, customer: np.ndarray, as_of: pd.Timestamp, chance: Mapping[str, float]
) -> pd.DataFrame:
    """Later records -> one link each where all their identifiers point to one earlier customer."""
    later = ordered.node[ordered.first_seen_at >= as_of]
    is_later = usable.node.isin(later)
    asked = usable.value.isin(usable.value[is_later])
    known = usable[asked & ~is_later & (usable.seen_at.isna() | (usable.seen_at < as_of))]
    holders = known.assign(owner=customer[known.node]).groupby(["identifier", "value"], as_index=False).agg(
        anchor=("node", "min"), owners=("owner", "nunique"), owner=("owner", "min")
    )  # fmt: skip
    found = usable[is_later].merge(holders, on=["identifier", "value"])
    found = found[found.owners == 1]
    clear = found[found.groupby("node").owner.transform("nunique") == 1]
    clear = clear.sort_values(["node", "identifier", "anchor"]).drop_duplicates("node")
    weight = np.log2(AGREEMENT / clear.identifier.map(chance).astype(float))
    links = {"a": clear.anchor, "b": clear.node, "rule": "same " + clear.identifier.astype("str"), "weight": weight}
    return pd.DataFrame(links).assign(probability=1.0)


def _certainty(sure: np.ndarray, label: np.ndarray, links: pd.DataFrame) -> np.ndarray:
    """How surely each record belongs: 1 where identifiers tie it to the record that names the customer, else its best likeness."""
    alike = links[links.rule == ALIKE]
    ends = pd.concat([pd.Series(alike.probability.to_numpy(), sure[alike[end]]) for end in ("a", "b")])
    best = ends.groupby(level=0).max()
    names = sure[label] == sure
    own = pd.Series(sure).map(best).fillna(1.0).to_numpy()
    return np.where(names, 1.0, own)


def _named(ordered: pd.DataFrame, links: pd.DataFrame) -> pd.DataFrame:
    low, high = np.minimum(links.a, links.b).astype(int), np.maximum(links.a, links.b).astype(int)
    left, right = (ordered.iloc[node].reset_index(drop=True) for node in (low, high))
    return pd.DataFrame(
        {
            "source_l": left.source, "record_id_l": left.record_id, "source_r": right.source, "record_id_r": right.record_id,
            "match_weight": links.weight.to_numpy(float), "match_probability": links.probability.to_numpy(float),
            "rule": links.rule.astype("str").to_numpy(),
        }
    )  # fmt: skip


def _matches(ordered: pd.DataFrame, links: pd.DataFrame) -> pd.DataFrame:
    return _named(ordered, links).sort_values(ENDS, ignore_index=True).astype({"rule": "str"})


def _counted_refusals(refused: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "identifier": refused.rule.astype("str").str.removeprefix("same "),
            "records": np.full(len(refused), 2),
            "reason": refused.reason.astype("str"),
        }
    )


def _review(
    ordered: pd.DataFrame, refused: pd.DataFrame, similar: pd.DataFrame, label: np.ndarray, settings: Identity
) -> pd.DataFrame:
    """Links that were refused, and pairs that are alike but not enough, surest first."""
    doubtful = similar[(similar.probability < settings.min_probability) & (label[similar.a] != label[similar.b])]
    doubtful = doubtful.assign(reason=f"less sure than identity.min_probability = {settings.min_probability:g}")
    both = pd.concat([refused, doubtful], ignore_index=True)
    named = _named(ordered, both).assign(reason=both.reason.to_numpy()).astype({"rule": "str", "reason": "str"})
    return named[REVIEW].sort_values(["match_weight", *ENDS], ascending=[False, True, True, True, True], ignore_index=True)


def visitors(identities: pd.DataFrame, records: pd.DataFrame, person_sources: list[str], as_of: pd.Timestamp) -> pd.Series:
    """-> True per identity whose customer is no known person before as_of: only cookies, devices or handles, or later records."""
    seen = identities.merge(records[["source", "record_id", "first_seen_at"]], on=["source", "record_id"], how="left")
    person = seen.source.isin(person_sources) & (seen.first_seen_at.isna() | (seen.first_seen_at < as_of))
    return ~identities.customer_id.isin(seen.customer_id[person])
