"""Segments keep their identity from run to run; states follow rules; movement is told apart from chance."""

import datetime as dt
import functools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator import planted_company

from workbench.clustering import assign, lineage, scoreboard
from workbench.clustering.segmenter import Segmenter
from workbench.core.config import ClusteringSettings
from workbench.core.contracts import check_frame
from workbench.core.errors import InputError
from workbench.views.movement import say_lineage

SETTINGS = ClusteringSettings()
AS_OF = dt.date(2024, 1, 1)


def members(**segments):
    """0=10, 1=5 … -> customers c000 …, in segments of those sizes, named."""
    labels = np.repeat([int(name.removeprefix("s")) for name in segments], list(segments.values()))
    return named(labels, np.arange(len(labels)))


def named(labels, customers):
    frame = pd.DataFrame({"customer_id": [f"c{i:05d}" for i in customers], "segment_id": labels})
    return frame.assign(segment_name="name " + frame.segment_id.astype("str"))


def changes(table):
    return {(r.segment_id, r.previous_id): r.change for r in table.itertuples()}


def test_the_same_segments_under_other_numbers_are_continued():
    before, now = members(s0=30, s1=20, s2=10), members(s2=30, s0=20, s1=10)
    table = lineage.match_segments(now, before)
    check_frame("lineage", table)
    assert changes(table) == {(0, 1): "continued", (1, 2): "continued", (2, 0): "continued"}
    assert table.jaccard.to_list() == [1, 1, 1]
    assert table.set_index("segment_id").previous_name.to_dict() == {0: "name 1", 1: "name 2", 2: "name 0"}


def test_a_run_without_a_customer_in_common_is_not_compared():
    """As after a change of the key: nobody's segment is gone, they are other numbers."""
    found = {"segments": members(s0=30, s1=20), "registry": pd.DataFrame({"key": ["A"]}), "centres": None}
    config, path = SimpleNamespace(as_of=AS_OF), SimpleNamespace(name="may")
    last = SimpleNamespace(has=found.__contains__, read=found.get, config=config, path=path)
    run = SimpleNamespace(previous=lambda: last, judged_until=lambda: AS_OF)
    strangers = assign.read_previous(run, pd.Series(["k1", "k2"]))
    nothing = dict.fromkeys(("segments", "centres", "registry", "history", "as_of"))
    assert strangers == {**nothing, "run": "may", "apart": strangers["apart"]}
    assert "Not comparable with run may" in say_lineage(lineage.first_lineage(members(s0=5)), "may", strangers["apart"])
    known = assign.read_previous(run, pd.Series(["k1", "c00003"]))
    assert known["apart"] == ""
    assert known["segments"] is found["segments"]
    assert known["as_of"] == AS_OF


def test_a_damaged_last_run_does_not_stop_this_one():
    def read(name):
        raise InputError("runs/may/tables/registry.parquet: not the file that was written.", "", "restore it")

    last = SimpleNamespace(has=lambda name: True, read=read, path=SimpleNamespace(name="may"))
    found = assign.read_previous(SimpleNamespace(previous=lambda: last), pd.Series(["k1"]))
    assert found["segments"] is found["registry"] is None
    told = say_lineage(lineage.first_lineage(members(s0=5)), found["run"], found["apart"])
    assert told.startswith("**Not comparable with run may:** runs/may/tables/registry.parquet: not the file")


def test_a_segment_that_was_swallowed_or_shattered_is_not_continued():
    swallowed = lineage.match_segments(named([0] * 940, range(940)), named([0] * 40, range(40)))
    assert changes(swallowed) == {(0, -1): "born", (-1, 0): "gone"}
    shattered = lineage.match_segments(named([0] * 2, range(2)), named([0] * 40, range(40)))
    assert changes(shattered) == {(0, -1): "born", (-1, 0): "gone"}
    grown = lineage.match_segments(named([0] * 100, range(100)), named([0] * 40, range(40)))
    assert changes(grown) == {(0, 0): "continued"}


@pytest.mark.parametrize("crossed", [False, True])
def test_where_members_decide_nothing_places_do(crossed):
    before, now = named([0] * 10 + [1] * 10, range(20)), named(([0] * 5 + [1] * 5) * 2, range(20))
    centres = pd.DataFrame({"segment_id": [0, 1, 1], "customers": [10, 9, 1], "spend": [0.0, 10.0, 0.0]})  # the second has two
    earlier = pd.DataFrame({"segment_id": [0, 1], "customers": 10, "spend": [9.0, 0.0] if crossed else [0.0, 9.0]})
    table = lineage.match_segments(now, before, centres, earlier)
    assert dict(zip(table.segment_id, table.previous_id, strict=True)) == ({0: 1, 1: 0} if crossed else {0: 0, 1: 1})
    assert (table.change == "continued").all()


def test_split_merged_born_and_gone():
    before = named([0] * 30 + [1] * 20 + [2] * 12 + [3] * 9, range(71))
    # 0 splits into 0 (20) and 1 (10); 1 takes up 2 and lives on as 2; 3 has left; 4 holds newcomers.
    now = named([0] * 20 + [1] * 10 + [2] * 32 + [4] * 15, [*range(62), *range(100, 115)])
    table = lineage.match_segments(now, before)
    assert changes(table) == {
        (0, 0): "continued",
        (1, 0): "split",
        (2, 1): "continued",
        (4, -1): "born",
        (2, 2): "merged",
        (-1, 3): "gone",
    }
    check_frame("lineage", table)


def test_a_first_run_is_all_born():
    assert set(lineage.first_lineage(members(s0=3, s1=2)).change) == {"born"}


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 6))
def test_every_segment_of_either_run_stands_in_the_lineage(seed, k, k_before):
    generator = np.random.default_rng(seed)
    now = named(generator.integers(0, k, 40), range(40))
    before = named(generator.integers(0, k_before, 40), range(20, 60))
    table = lineage.match_segments(now, before)
    check_frame("lineage", table)
    assert set(table.segment_id) - {-1} == set(now.segment_id)
    assert set(table.previous_id) - {-1} == set(before.segment_id) or set(table.previous_id) - {-1} <= set(before.segment_id)
    assert set(before.segment_id) <= set(table.previous_id)
    assert not table[table.change == "continued"].duplicated("previous_id").any()


@functools.cache
def planted(seed=0, movers=0.0):
    company = planted_company(12, 60, seed, movers=movers)
    return company, scoreboard.fit_slice(company.slices["full"], SETTINGS, company.relevance)


@pytest.mark.slow
def test_without_one_per_cent_of_the_customers_nearly_everybody_keeps_the_segment():
    company, found = planted()
    part = company.slices["full"]
    stay = np.random.default_rng(1).random(len(part.today)) >= 0.01
    again = Segmenter().fit(
        part.today[stay], earlier=part.earlier[stay], outcomes=part.earlier_outcomes[stay], relevance=company.relevance
    )
    before = named(found.labels_, range(len(stay)))
    now = named(again.labels_, np.flatnonzero(stay))
    table = lineage.match_segments(now, before).query("change == 'continued'").set_index("segment_id").previous_id
    kept = (table.reindex(again.labels_).to_numpy() == found.labels_[stay]).mean()
    assert kept >= 0.95


@pytest.mark.slow
def test_a_planted_new_group_is_born():
    company, found = planted()
    part, newcomers = company.slices["full"], np.flatnonzero(company.groups == 5)
    stay = np.setdiff1d(np.arange(len(company.groups)), newcomers)
    earlier_run = Segmenter().fit(
        part.today.iloc[stay],
        earlier=part.earlier.iloc[stay],
        outcomes=part.earlier_outcomes.iloc[stay],
        relevance=company.relevance,
    )
    table = lineage.match_segments(named(found.labels_, range(len(company.groups))), named(earlier_run.labels_, stay))
    born = table.segment_id[table.change == "born"].to_list()
    assert len(born) == 1
    assert (company.groups[found.labels_ == born[0]] == 5).mean() > 0.9


# -- states ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "verdicts, states",
    [
        (["pass"] * 4, ["proposed", "pilot", "active", "active"]),
        (["watch", "pass", "watch", "pass"], ["proposed", "pilot", "pilot", "active"]),
        (["pass", "pass", "pass", "watch", "pass"], ["proposed", "pilot", "active", "watch", "active"]),
        (["pass", "pass", "pass", "fail", "fail", "pass"], ["proposed", "pilot", "active", "watch", "sunset", "sunset"]),
        (["fail", "pass", "fail", "watch"], ["proposed", "pilot", "pilot", "pilot"]),
    ],
)
def test_states_follow_the_verdicts(verdicts, states):
    registry, seen = None, []
    for month, verdict in enumerate(verdicts):
        now = members(s0=5)
        table = lineage.match_segments(now, now) if month else lineage.first_lineage(now)
        certificate = pd.DataFrame({"segment_id": [0], "verdict": [verdict], "stability": [0.7]})
        registry = lineage.build_registry(table, certificate, AS_OF + dt.timedelta(days=30 * month), registry)
        check_frame("registry", registry)
        seen.append(registry.state.iloc[0])
    assert seen == states
    assert registry.key.to_list() == ["s0001"]
    assert registry.since.to_list() == ["2024-01-01"]


def test_the_same_day_looked_at_again_is_no_new_evidence():
    now, registry = members(s0=5, s1=4), None
    certificate = pd.DataFrame({"segment_id": [0, 1], "verdict": ["pass", "fail"], "stability": [0.9, 0.4]})
    for _ in range(3):
        table = lineage.first_lineage(now) if registry is None else lineage.match_segments(now, now)
        registry = lineage.build_registry(table, certificate, AS_OF, registry, None if registry is None else AS_OF)
    assert registry.state.to_list() == ["proposed", "proposed"]
    # An earlier day told later takes nothing back.
    past = lineage.build_registry(lineage.match_segments(now, now), certificate, AS_OF - dt.timedelta(days=90), registry, AS_OF)
    assert past.last_passed.to_list() == ["2024-01-01", ""]
    later = lineage.build_registry(lineage.match_segments(now, now), certificate, AS_OF + dt.timedelta(days=30), past, AS_OF)
    assert later.state.to_list() == ["pilot", "sunset"]


def test_who_was_unassigned_has_no_name_to_be_continued():
    before = pd.concat([members(s0=5), pd.DataFrame({"customer_id": ["x"], "segment_id": [-1], "segment_name": ["unassigned"]})])
    table = lineage.match_segments(named([0] * 5, range(90, 95)), before)
    assert table.previous_name[table.change == "born"].to_list() == [""]


def test_what_is_gone_is_put_down_and_what_is_born_gets_a_new_key():
    certificate = pd.DataFrame({"segment_id": [0, 1], "verdict": ["pass", "watch"], "stability": [0.9, 0.6]})
    first = lineage.build_registry(lineage.first_lineage(members(s0=5, s1=4)), certificate, AS_OF)
    now = named([0] * 5 + [1] * 6, [*range(5), *range(50, 56)])
    later = lineage.build_registry(lineage.match_segments(now, members(s0=5, s1=4)), certificate, dt.date(2024, 2, 1), first)
    assert later.key.to_list() == ["s0001", "s0002", "s0003"]
    assert later.state.to_list() == ["pilot", "sunset", "proposed"]
    assert later.segment_id.to_list() == [0, -1, 1]
    assert later.evidence[1] == "not found again as of 2024-02-01"


def test_a_segment_that_never_passes_expires():
    certificate = pd.DataFrame({"segment_id": [0], "verdict": ["watch"], "stability": [0.6]})
    now = members(s0=5)
    first = lineage.build_registry(lineage.first_lineage(now), certificate, AS_OF)
    assert first.expires.to_list() == ["2024-12-31"]
    later = lineage.build_registry(lineage.match_segments(now, now), certificate, dt.date(2025, 1, 2), first)
    assert later.state.to_list() == ["sunset"]


def test_every_customers_way_through_the_segments_is_kept_from_run_to_run():
    def run(as_of, where, keys, earlier=None):
        segments = pd.DataFrame({"customer_id": list(where), "segment_id": list(where.values())})
        registry = pd.DataFrame({"key": list(keys), "segment_id": list(keys.values())})
        found = lineage.build_history(segments, registry, dt.date.fromisoformat(as_of), earlier)
        check_frame("history", found)
        return found

    first = run("2025-01-01", {"a": 0, "b": 1, "c": -1, "left": 0}, {"s0001": 0, "s0002": 1})
    assert first.to_dict("list") == {
        "customer_id": ["a", "b", "c", "left"],
        "since": ["2025-01-01"] * 4,
        "key": ["s0001", "s0002", "", "s0001"],
    }
    # Numbers have changed places, keys have not: a stays, b moves, c buys, one is new, one is erased.
    second = run("2025-02-01", {"a": 1, "b": 1, "c": 0, "new": 0}, {"s0001": 1, "s0002": 0}, first)
    assert second.values.tolist() == [
        ["a", "2025-01-01", "s0001"], ["b", "2025-01-01", "s0002"], ["b", "2025-02-01", "s0001"],
        ["c", "2025-01-01", ""], ["c", "2025-02-01", "s0002"], ["new", "2025-02-01", "s0002"],
    ]  # fmt: skip
    again = run("2025-02-01", {"a": 1, "b": 0, "c": 0, "new": 0}, {"s0001": 1, "s0002": 0}, second)
    assert again.customer_id.tolist() == ["a", "b", "c", "c", "new"], "the same day looked at again replaces what was said of it"
    # A run that looks back to test out of time takes nothing from what came after its day.
    back = run("2025-01-15", {"a": 0, "b": 1, "c": -1, "new": -1}, {"s0001": 0, "s0002": 1}, second)
    assert back[back.since != "2025-01-15"].values.tolist() == second.values.tolist()
    assert back[back.since == "2025-01-15"].values.tolist() == [["new", "2025-01-15", ""]]
