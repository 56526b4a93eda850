"""The number of segments is the one that was still best after the repair, and the repair joins what the tree says."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import linkage
from simulator import planted_company

from workbench.clustering import choice, cluster, knowledge, repair, stability
from workbench.clustering.segmenter import Segmenter
from workbench.core.contracts import check_frame
from workbench.views import clustering as views


def cut(segments, knowledge, agreement, groups=None):
    """A cut of which only the figures matter."""
    belongs = np.arange(groups or segments) % segments
    agree = np.repeat(np.asarray(agreement, float)[:, None], segments, axis=1)
    return repair.Cut(np.zeros((len(belongs), 1)), np.ones(len(belongs)), belongs, belongs, agree, knowledge, pd.DataFrame())


def test_figures_that_choose_are_those_after_the_repair():
    """Three groups more know most before the repair; what they are joined to knows less than the plain ten."""
    table = choice.choose({10: cut(10, 0.28, [0.75, 0.74, 0.76]), 13: cut(10, 0.20, [0.7, 0.71, 0.69], groups=13)})
    assert table.n_segments[table.chosen].to_list() == [10]
    assert table.n_repaired.to_list() == [10, 10]
    assert table.surviving.to_list() == pytest.approx([0.28 * 0.75, 0.20 * 0.70])


def test_the_cut_of_which_most_survives_is_taken_and_how_sure_that_is_is_judged_in_pairs():
    steady, finer = [0.80, 0.70, 0.75], [0.79, 0.71, 0.74]
    table = choice.choose({10: cut(10, 0.3, steady), 12: cut(12, 0.3, finer), 15: cut(15, 0.3, [0.6, 0.4, 0.55])})
    assert table.n_segments[table.chosen].to_list() == [10]  # a finer one that knows no more would only come back less
    assert table.surviving_error[0] == 0
    assert 0 < table.surviving_error[1] < table.surviving_error[2]
    more = choice.choose({10: cut(10, 0.3, steady), 12: cut(12, 0.33, finer)})
    assert more.n_segments[more.chosen].to_list() == [12]


def test_what_survives_is_counted_by_customers_as_knowledge_is():
    """A large segment that does not come back weighs what its customers weigh."""
    sizes = np.array([90.0, 5.0, 5.0])
    one = repair.Cut(np.zeros((3, 1)), sizes, np.arange(3), np.arange(3), np.array([[0.2, 1.0, 1.0]]), 0.5, pd.DataFrame())
    assert one.survives == pytest.approx([0.9 * 0.2 + 0.1])
    assert one.surviving == pytest.approx([0.5 * 0.28])


def test_of_two_cuts_that_end_in_as_many_segments_the_better_one_is_taken():
    table = choice.choose({16: cut(15, 0.25, [0.70, 0.74], groups=16), 17: cut(15, 0.25, [0.71, 0.735], groups=17)})
    assert table.n_segments[table.chosen].to_list() == [17]


def _again(*cuts):
    return [c.surviving for c in cuts]


def _last(groups, segments=None):
    return repair.Last(np.zeros((groups, 1)), np.arange(groups) % (segments or groups))


def _number(table):
    return int(table.n_segments[table.chosen].iloc[0])


def test_of_equals_the_one_that_knows_most_is_taken():
    """Within a standard error of the best by what survives, and by nothing else: people asked for small segments."""
    steady, finer = [0.80, 0.70, 0.75], [0.70, 0.72, 0.69]
    cuts = {10: cut(10, 0.30, steady), 12: cut(12, 0.31, finer), 15: cut(15, 0.40, [0.3, 0.32, 0.31])}
    table = choice.choose(cuts)
    assert table.surviving.idxmax() == 0
    assert table.surviving[0] - table.surviving[1] < table.surviving_error[1]
    assert _number(table) == 12
    told = views.say_counts(table, pd.DataFrame({"why": []}), True)
    assert "By the product of both 10 is as good within a standard error, and knows no more." in told
    assert "as much surviving knowledge as any, and the most telling" in views.chart_counts(table).get_title()


def test_as_many_as_the_last_run_had_are_made_again_unless_another_number_is_surely_better():
    steady, finer = [0.80, 0.70, 0.75], [0.79, 0.72, 0.76]
    cuts = {10: cut(10, 0.3, steady), 12: cut(12, 0.3, finer), 15: cut(15, 0.3, [0.6, 0.4, 0.55])}
    lasts = {None: None, 10: _last(10), 12: _last(12), 15: _last(15), 40: _last(40)}
    chosen = {number: choice.choose(cuts, last=last, again=_again) for number, last in lasts.items()}
    assert {number: _number(table) for number, table in chosen.items()} == {None: 12, 10: 10, 12: 12, 15: 12, 40: 12}
    assert [table.as_before.any() for table in chosen.values()] == [False, True, False, False, False]
    by = lambda lead: lambda *cs: [np.array([0.2, 0.21, 0.19]) * (1 + lead * (c.n_segments == 12)) for c in cs]  # noqa: E731
    assert _number(choice.choose(cuts, last=_last(15), again=by(-0.01))) == 15, "the lead is gone when looked at again"
    assert _number(choice.choose(cuts, last=_last(15), again=by(0.01))) == 12
    joined = {10: cut(10, 0.3, steady), 13: cut(10, 0.3, finer, groups=13)}
    assert (
        _number(choice.choose(joined, last=_last(10), again=_again)) == 10
    )  # of as many segments those that begin from the last run's
    assert _number(choice.choose(joined, last=_last(13, 10), again=_again)) == 13  # which may have joined some
    assert "They go on from the last run" in views.say_counts(chosen[10], pd.DataFrame({"why": []}), True)
    assert "as many as in the last run" in views.chart_counts(chosen[10]).get_title()


def test_centres_of_the_last_run_are_taken_up_where_they_are_as_tight_and_only_there():
    """On an even square every cut into two is much like another: then the one that was there stays."""
    generator = np.random.default_rng(0)
    even = generator.random((2000, 2))
    across, along = np.array([[0.25, 0.5], [0.75, 0.5]]), np.array([[0.5, 0.25], [0.5, 0.75]])
    pool = cluster.Pool(np.vstack([across, across + 0.01]), np.full(4, 0.5), np.ones(4), ())
    labels = {
        name: cluster.cut_pool(even, pool, 2, last)[1] for name, last in (("none", None), ("across", across), ("along", along))
    }
    side, height = even[:, 0] > 0.5, even[:, 1] > 0.5
    alike = lambda found, truth: max((found == truth).mean(), (found != truth).mean())  # noqa: E731
    assert alike(labels["none"], side) > 0.95
    assert alike(labels["across"], side) > 0.95
    assert alike(labels["along"], height) > 0.95
    apart = np.vstack([even * 0.1, even * 0.1 + [5, 0]])  # here the last cut is clearly worse
    wrong = cluster.cut_pool(
        apart, cluster.Pool(apart[[0, -1]], np.full(2, 0.5), np.ones(2), ()), 2, np.array([[2.5, 0.0], [2.5, 9.0]])
    )[1]
    assert alike(wrong, apart[:, 0] > 2) == 1


def test_where_nothing_is_known_the_fewest_segments_are_taken():
    table = choice.choose({10: cut(10, 0.0, [0.7, 0.7]), 11: cut(11, 0.0, [0.8, 0.8])})
    assert table.n_segments[table.chosen].to_list() == [10]


@pytest.fixture(scope="module")
def fitted():
    company = planted_company(12, 60, 0)
    part = company.slices["full"]
    return Segmenter().fit(part.today, earlier=part.earlier, outcomes=part.earlier_outcomes, relevance=company.relevance)


def test_the_table_speaks_of_the_segments_that_are_published(fitted):
    check_frame("counts", fitted.counts_)
    chosen = fitted.counts_[fitted.counts_.chosen].iloc[0]
    assert chosen.n_repaired == fitted.n_segments_
    assert chosen.n_segments - chosen.n_repaired == len(fitted.repairs_)
    labels = fitted.centre_segment_[fitted._knower.place(fitted.centres_)]
    assert chosen.knowledge == pytest.approx(fitted._knower.knowledge(labels))


def repaired(places, sizes, found_again=None, values=None, last=None):
    """A thousand customers at places on a line, in groups that two refits find at `found_again`; values: what is known of their future."""
    matrix = np.repeat(places, sizes)[:, None] + 0.001 * np.random.default_rng(3).normal(size=(1000, 1))
    pool, again = (
        cluster.Pool(np.array(at)[:, None], np.array(sizes) / 1000, np.ones(len(sizes)), ())
        for at in (places, found_again or places)
    )
    knower = knowledge.Knower(_NoHistory(), matrix, None, None)
    if values is not None:
        knower._values = values
    wanted = Segmenter(min_segments=2, max_segments=4, min_size_share=0.02)._settings()
    return repair.cut_and_repair(matrix, pool, 4, [stability.Refit(np.arange(1000), again)] * 2, knower, wanted, last)


def test_what_does_not_come_back_is_joined_with_what_lies_nearest():
    """Refits see the groups at 0 and 1 as one, and the one at 5 as two: a third of theirs at 0 comes back, all of it once joined."""
    found = repaired([0.0, 1.0, 5.0, 9.0], [200, 400, 200, 200], [0.6, 4.9999, 5.0001, 9.0])
    assert found.repairs.why.to_list() == [repair.UNSTEADY]
    assert found.repairs.customers.to_list() == [200]
    assert found.repairs.before.to_list() == pytest.approx([1 / 3])
    assert found.repairs.after.to_list() == pytest.approx([1.0])
    order = np.argsort(found.centres[:, 0])
    assert found.belongs[order[0]] == found.belongs[order[1]] != found.belongs[order[2]]


def test_what_the_last_run_joined_stays_joined_and_what_it_told_apart_is_only_joined_for_sure():
    places, sizes = [0.0, 1.0, 5.0, 9.0], [200, 400, 200, 200]
    last = repair.Last(np.array([[0.01], [0.99], [5.01], [8.99]]), np.array([0, 0, 1, 2]))
    found = repaired(places, sizes, last=last)
    assert found.n_segments == 3
    assert found.repairs.why.to_list() == [repair.BEFORE]
    assert found.repairs.customers.to_list() == [200]
    order = np.argsort(found.centres[:, 0])
    assert found.belongs[order[0]] == found.belongs[order[1]] != found.belongs[order[2]]
    alike = np.random.default_rng(0).normal(size=(1000, 1))
    apart = repair.Last(last.centres, np.arange(4))
    assert repaired(places, sizes, values=alike).n_segments < 4
    assert repaired(places, sizes, values=alike, last=apart).n_segments == 4
    gone = repaired(places, sizes, [0.6, 4.9999, 5.0001, 9.0], last=apart)
    assert gone.repairs.why.to_list() == [repair.UNSTEADY], "a third of it comes back, for sure"
    few = repair.Last(last.centres, np.array([0, 0, 0, 0]))  # of a run that wanted fewer than two
    assert repaired(places, sizes, last=few).n_segments == 4
    elsewhere = repair.Last(np.array([[0.0], [0.1], [0.2], [9.0]]), np.array([0, 0, 1, 2]))
    assert elsewhere.among(found.centres).tolist() == [0, 1, 2, 3], "other places are no beginning"


def test_two_whose_futures_are_the_same_are_joined():
    values = np.random.default_rng(0).normal(size=(1000, 1))
    assert repaired([0.0, 1.0, 5.0, 9.0], [250] * 4).repairs.empty, "of all that is known, places tell them apart"
    values[500:] += np.repeat([3.0, 6.0], 250)[:, None]
    found = repaired([0.0, 1.0, 5.0, 9.0], [250] * 4, values=values)
    assert found.repairs.why.to_list() == [repair.SAME]
    order = np.argsort(found.centres[:, 0])
    assert found.belongs[order[0]] == found.belongs[order[1]]
    assert found.n_segments == 3


def test_what_is_too_small_is_joined_with_what_lies_nearest():
    """A handful at 0.1 beside many at 0, and two at 5 and 9 that come back."""
    found = repaired([0.0, 0.1, 5.0, 9.0], [400, 3, 300, 297])
    assert found.repairs.why.to_list() == [repair.SMALL]
    assert found.repairs.customers.to_list() == [3]
    at = {place: found.belongs[np.abs(found.centres[:, 0] - place).argmin()] for place in (0.0, 0.1, 5.0, 9.0)}
    assert at[0.0] == at[0.1] != at[5.0] != at[9.0]
    assert found.agreement == pytest.approx(np.ones((2, 3)))


class _NoHistory:
    models_ = {}


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.integers(2, 12))
def test_the_tree_of_equal_sizes_is_wards(seed, k):
    centres = np.random.default_rng(seed).normal(size=(k, 3))
    ours = cluster.ward_tree(centres, np.ones(k))
    theirs = linkage(centres, "ward")
    assert ours[:, 3] == pytest.approx(theirs[:, 3])
    assert np.sort(ours[:, :2], axis=1) == pytest.approx(np.sort(theirs[:, :2], axis=1))
    assert ours[:, 2] == pytest.approx(theirs[:, 2] / np.sqrt(2 * k))  # scipy's height is the root of twice what a join adds


def test_ward_weighs_by_size_by_hand():
    costs = cluster.ward_costs(np.array([[0.0], [2.0], [5.0]]), np.array([1, 3, 6]))
    assert costs[0, 1] == pytest.approx(1 * 3 / 4 * 4)
    assert costs[1, 2] == pytest.approx(3 * 6 / 9 * 9)
    assert np.isinf(np.diag(costs)).all()


def test_of_all_beginnings_the_one_that_settles_tightest_is_taken():
    """Four groups of customers, of which one fit saw two as one and another as two: where centres begin decides where they settle."""
    generator = np.random.default_rng(5)
    matrix = np.concatenate([generator.normal(middle, 0.3, (100, 2)) for middle in ((0, 0), (6, 0), (0, 40), (6, 40))])
    found = (
        np.array([[0, 0], [6, 0], [3, 40]]),
        np.array([[0, 0], [6, 0], [0, 40], [6, 40]]),
        np.array([[-0.3, 0], [0.3, 0], [6, 0], [3, 40.0]]),
    )
    rows = np.arange(400)
    ends = np.cumsum([0, *map(len, found)])
    fits = tuple((rows, np.arange(a, b).repeat(400 // (b - a) + 1)[:400]) for a, b in zip(ends[:-1], ends[1:], strict=True))
    pool = cluster.Pool(
        np.vstack(found), np.array([0.3, 0.3, 0.4, 0.1, 0.1, 0.1, 0.1, 0.3, 0.3, 0.3, 0.9]), np.ones(ends[-1]), fits
    )
    assert pool.owners.tolist() == [0] * 3 + [1] * 4 + [2] * 4
    settled = [
        ((matrix - c[labels]) ** 2).sum()
        for c, labels in (cluster.settle(matrix, start) for start in cluster._beginnings(pool, 4))
    ]
    centres, labels, groups = cluster.cut_pool(matrix, pool, 4)
    assert max(settled) > 2 * min(settled)  # the beginnings do matter here
    assert ((matrix - centres[labels]) ** 2).sum() == pytest.approx(min(settled))
    assert np.bincount(labels).tolist() == [100] * 4
    assert (groups == cluster.nearest(pool.centres, centres)[0]).all()


def test_the_sentence_says_what_is_published_what_more_would_cost_and_what_was_joined():
    cuts = {13: cut(10, 0.28, [0.75, 0.74, 0.76], groups=13), 20: cut(16, 0.29, [0.5, 0.51, 0.49], groups=20)}
    repairs = pd.DataFrame({"why": [repair.UNSTEADY, repair.UNSTEADY, repair.SMALL]})
    told = views.say_counts(choice.choose(cuts), repairs, True)
    assert told.startswith(
        "**10 segments** know 28.0% of the earlier horizon's outcomes, and a customer's segment comes back in refits at a mean Jaccard index of 0.75 "
    )
    assert "Most is known by 16, 29.0%, which come back at 0.50." in told
    assert (
        "Of 13 dense groups, joined with the nearest sibling: 2 because they do not come back and 1 as too small to act on."
        in told
    )
    assert "standard error" not in told
    assert "Nothing shows" in views.say_counts(choice.choose(cuts), repairs, False)


def test_numbers_that_chance_may_put_before_the_chosen_one_are_named():
    cuts = {10: cut(10, 0.28, [0.75, 0.74, 0.76]), 12: cut(12, 0.279, [0.76, 0.73, 0.755]), 16: cut(16, 0.29, [0.5, 0.51, 0.49])}
    told = views.say_counts(choice.choose(cuts), pd.DataFrame({"why": []}), True)
    assert "By the product of both 12 is as good within a standard error, and knows no more." in told


def test_another_cut_into_as_many_segments_is_told_and_where_the_wanted_least_ends_the_joining():
    cuts = {10: cut(10, 0.28, [0.75, 0.74, 0.76]), 13: cut(10, 0.30, [0.5, 0.51, 0.49], groups=13)}
    told = views.say_counts(choice.choose(cuts), pd.DataFrame({"why": []}), True)
    assert "Most is known by another cut into as many, 30.0%, which comes back at 0.50." in told
    assert "Fewer than 10 are not wanted" in told
    finer = views.say_counts(choice.choose({10: cuts[13], 16: cut(16, 0.31, [0.8, 0.8, 0.79])}), pd.DataFrame({"why": []}), True)
    assert "not wanted" not in finer


def test_a_cut_that_keeps_a_segment_too_small_to_act_on_is_second_choice():
    """Ten segments wanted at least: the tenth, of one customer, may not be joined; eleven groups may."""
    alone = dataclasses.replace(cut(10, 0.3, [0.9, 0.91, 0.89]), sizes=np.array([9.0] * 9 + [1.0]))
    others = cut(10, 0.3, [0.8, 0.82, 0.78], groups=20)
    table = choice.choose({10: alone, 20: others}, least=2)
    assert table.n_segments[table.chosen].to_list() == [20]
    assert "leave a segment that is too small to act on" in views.say_counts(table, others.repairs.assign(why=[]), True)
    table = choice.choose({10: alone, 11: dataclasses.replace(alone, knowledge=0.2)}, least=2)
    assert table.n_segments[table.chosen].to_list() == [10], "where every cut has one, the best of them"
