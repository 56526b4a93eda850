"""Planted groups come back, structureless data pass no certificate, and the same data give the same segments."""

import functools
from io import BytesIO
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from simulator import planted_company
from sklearn import config_context
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score

from workbench.clustering import assign, baselines, cluster, model, repair, representation, segmenter, stability
from workbench.clustering.segmenter import Segmenter
from workbench.core.config import ClusteringSettings, Config
from workbench.core.errors import InputError, QualityGate
from workbench.core.rundir import Run
from workbench.views.clustering import _parted, say_stability

GROUPS = 12
UNTOLD = np.full((1, 2), np.nan)  # what two segments that no half can be asked for are found anew


def fitted(part, relevance=None, **parameters):
    found = Segmenter(**parameters)
    return found.fit(part.today, earlier=part.earlier, outcomes=part.earlier_outcomes, relevance=relevance)


@functools.cache
def planted(seed):
    company = planted_company(GROUPS, 60, seed)
    return company, fitted(company.slices["full"], company.relevance)


def certified(found, refits=4):
    sizes = assign.segment_sizes(found, np.ones(len(found.labels_)))
    return stability.certificate(sizes, *found.refit_agreement(refits), found.knows_, np.full((1, len(sizes)), np.nan))


# -- truth ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_planted_groups_come_back_by_the_defaults(seed):
    company, found = planted(seed)
    assert abs(found.n_segments_ - GROUPS) <= 2, f"{found.n_segments_} segments for {GROUPS} planted groups"
    assert adjusted_rand_score(company.groups, found.labels_) >= 0.9
    assert found.knows_


@pytest.mark.slow
@pytest.mark.parametrize("groups, seed, noise", [(10, 5, 0.25), (16, 6, 0.25), (20, 7, 0.2), (12, 8, 0.35)])
def test_other_numbers_of_planted_groups_come_back(groups, seed, noise):
    company = planted_company(groups, 60, seed, noise)
    found = fitted(company.slices["full"], company.relevance)
    assert abs(found.n_segments_ - groups) <= 2
    assert adjusted_rand_score(company.groups, found.labels_) >= 0.8


def test_planted_groups_pass_their_certificate():
    _, found = planted(0)
    table = certified(found)
    assert (table.verdict == "pass").mean() >= 0.8, table.stability.round(2).to_list()
    assert table["size"].sum() == len(found.labels_)
    assert table[["share", "revenue_share"]].sum().to_list() == pytest.approx([1, 1])
    assert (table.stability_low <= table.stability).all()
    assert (table.stability <= table.stability_high).all()
    assert table["size"].is_monotonic_decreasing


def noise_verdicts(seed, with_outcomes):
    generator = np.random.default_rng(seed)
    features, earlier = (pd.DataFrame(generator.normal(size=(400, 8))).add_prefix("f") for _ in range(2))
    outcomes = pd.DataFrame(generator.normal(size=(400, 4))).add_prefix("future_")
    told = {"earlier": earlier, "outcomes": outcomes} if with_outcomes else {}
    try:
        return set(certified(Segmenter(seed=seed).fit(features, **told)).verdict)
    except QualityGate:
        return set()


@pytest.mark.parametrize("share", [pytest.param(0.3, marks=pytest.mark.slow), 1.0])
def test_customers_who_are_there_twice_make_noise_no_knowledge(share):
    """A model that saw the twin knows the other: an export with duplicates must not look predictable."""
    generator = np.random.default_rng(3)
    frame = pd.DataFrame(generator.normal(size=(300, 6))).add_prefix("f")
    outcomes = pd.DataFrame(generator.lognormal(size=(300, 3))).add_prefix("future_")
    twice = np.repeat(np.arange(300), np.where(generator.random(300) < share, 2, 1))
    found = Segmenter(seed=1).fit(
        frame.iloc[twice].reset_index(drop=True),
        earlier=frame.iloc[twice].reset_index(drop=True),
        outcomes=outcomes.iloc[twice].reset_index(drop=True),
    )
    assert not found.knows_


@pytest.mark.parametrize(("copies", "learned_from", "crossed"), [(1, 1300, False), (2, 1300, False), (2, 3000, True)])
def test_of_many_customers_those_judge_of_whom_nothing_was_learned(monkeypatch, copies, learned_from, crossed):
    """With every customer there twice, hardly a stranger is left once most were learned from: then each half is judged by models of the other."""
    monkeypatch.setattr(segmenter, "LEARNED", learned_from)
    company = planted_company(6, 400, seed=0)
    part, rows = company.slices["full"], np.tile(np.arange(2400), copies)
    today, earlier, after = (f.iloc[rows].reset_index(drop=True) for f in (part.today, part.earlier, part.earlier_outcomes))
    fitted = Segmenter(min_segments=6, max_segments=7, sample_limit=1000)
    fitted.fit(today, earlier=earlier, outcomes=after, relevance=company.relevance)
    learned, back = segmenter.draw_rows(len(today), learned_from, fitted.seed), fitted.look_back()
    seen = np.isin(rows[back.index], rows[learned])
    own = fitted.space_.predict(earlier.loc[back.index])
    spread = (own / fitted.space_.spread_ - fitted.space_.middle_ / fitted.space_.spread_).to_numpy()
    by_own = np.allclose(back[list(own)].to_numpy(), spread)
    assert (seen.any(), not by_own) == (crossed, crossed)
    assert adjusted_rand_score(company.groups[rows], fitted.labels_) > 0.9


def test_twins_are_alike_in_what_tells_customers_apart():
    features = pd.DataFrame({"a": [1.0, 1.0, 1.0, 2.0, 1.0, 1.0], "b": [np.nan] * 6})
    outcomes = pd.DataFrame({"spend": [3.5, 3.5, 0.0, 3.5, 0.0, 4.5], "active": [1.0, 1.0, 0.0, 1.0, 0.0, 1.0]})
    assert representation.twins(features, outcomes).tolist() == [0, 0, 1, 2, 3, 4], "who did nothing is no twin"
    none = pd.DataFrame({"spend": np.arange(6) + 0.5})
    assert representation.twins(features, none).tolist() == [*range(6)]


@pytest.mark.slow
def test_noise_passes_no_certificate_over_twenty_seeds():
    passed = [seed for seed in range(20) if "pass" in noise_verdicts(seed, seed % 2 == 0)]
    assert not passed


def test_a_certificate_without_knowledge_is_no_better_than_watch():
    sizes = pd.DataFrame({"segment_id": [0, 1], "size": [3, 1]})
    agree = np.array([[0.9, 0.4], [0.8, 0.3]])
    assert stability.certificate(sizes, agree, agree, True, UNTOLD).verdict.to_list() == ["pass", "fail"]
    assert stability.certificate(sizes, agree, agree, False, UNTOLD).verdict.to_list() == ["watch", "fail"]


def test_a_segment_that_other_customers_do_not_give_is_no_better_than_watch():
    sizes, agree = pd.DataFrame({"segment_id": [0, 1, 2], "size": [3, 2, 1]}), np.full((2, 3), 0.9)
    table = stability.certificate(sizes, agree, agree, True, np.array([[0.7, 0.6, 0.1], [0.5, 0.3, 0.2]]))
    assert table.found_anew.to_list() == pytest.approx([0.6, 0.45, 0.15])
    assert table.verdict.to_list() == ["pass", "watch", "watch"]


def test_where_nothing_survives_the_gate_says_what_to_try():
    table = pd.DataFrame({"verdict": ["fail", "fail"], "stability": [0.4, 0.3]})
    counts = pd.DataFrame({"n_repaired": [10, 11], "survives": [0.4, 0.35], "surviving": [0.1, 0.09]})
    with pytest.raises(QualityGate, match="(?s)No segment survives.*10 segments: 40%.*RFM grid"):
        assign.check_trust(table, counts)
    assign.check_trust(table.assign(verdict=["watch", "fail"]), counts)


# -- every customer once, and the same again ----------------------------------------------------------------------------


def test_every_customer_has_one_label_and_a_strength():
    company, found = planted(0)
    sizes = np.bincount(found.labels_)
    assert len(found.labels_) == len(found.strengths_) == len(found.core_) == len(company.groups)
    assert len(sizes) == found.n_segments_ == len(found.persistence_) == len(found.macro_)
    assert found.strengths_.min() >= 0
    assert found.strengths_.max() <= 1
    assert (np.diff(sizes) <= 0).all()
    assert found.core_.mean() > 0.5


@pytest.mark.slow
def test_the_same_customers_in_another_order_get_the_same_segments():
    company, found = planted(1)
    part, order = company.slices["full"], np.random.default_rng(0).permutation(len(company.groups))
    shuffled = [frame.iloc[order].sort_index() for frame in (part.today, part.earlier, part.earlier_outcomes)]
    again = Segmenter().fit(shuffled[0], earlier=shuffled[1], outcomes=shuffled[2], relevance=company.relevance)
    np.testing.assert_array_equal(again.matrix_, found.matrix_)
    np.testing.assert_array_equal(again.labels_, found.labels_)
    np.testing.assert_array_equal(again.strengths_, found.strengths_)


# -- the estimator ----------------------------------------------------------------------------------------------------------

QUICK = {"min_segments": 6, "max_segments": 6, "min_size_share": 0.05, "n_neighbors": 10}


def test_the_earlier_window_is_aligned_by_name_and_by_customer():
    company = planted_company(6, 50, 3)
    part = company.slices["full"]
    told = fitted(part, company.relevance, **QUICK)
    mixed = Segmenter(**QUICK).fit(
        part.today, earlier=part.earlier[sorted(part.earlier, reverse=True)].assign(more=1.0),
        outcomes=part.earlier_outcomes.sort_values("future_spend"), relevance=company.relevance,
    )  # fmt: skip
    np.testing.assert_array_equal(mixed.labels_, told.labels_)
    with pytest.raises(InputError, match="lacks 1 of"):
        Segmenter(**QUICK).fit(part.today, earlier=part.earlier.iloc[:, 1:], outcomes=part.earlier_outcomes)
    with pytest.raises(InputError, match="not an outcome of each"):
        Segmenter(**QUICK).fit(part.today, earlier=part.earlier, outcomes=part.earlier_outcomes.head(30))
    strangers = part.earlier_outcomes.set_axis([f"x{i}" for i in range(len(part.earlier_outcomes))])
    with pytest.raises(InputError, match="not an outcome of each"):  # as many, but of others
        Segmenter(**QUICK).fit(part.today, earlier=part.earlier, outcomes=strangers)
    with pytest.raises(InputError, match="earlier features without outcomes"):
        Segmenter().fit(part.today, earlier=part.earlier)


def test_other_columns_than_those_it_was_fitted_with_are_refused():
    part = planted_company(6, 50, 3).slices["full"]
    found, odd = Segmenter(**QUICK).fit(part.today), part.today.columns[0]
    with pytest.raises(InputError, match="lacks 1 of"):
        found.predict(part.today.drop(columns=odd))
    with pytest.raises(InputError, match=f"no numbers: {odd}"):
        found.predict(part.today.assign(**{odd: "n/a"}))
    with pytest.raises(InputError, match="stand for several columns: 1"):
        Segmenter(**QUICK).fit(part.today.rename(columns={odd: 1, part.today.columns[1]: "1"}))
    bare = Segmenter(**QUICK).fit(part.today.to_numpy())
    with pytest.raises(InputError, match="columns without names, for"):
        bare.predict(np.hstack([part.today.to_numpy()] * 2))


def test_an_outcome_that_hardly_varies_is_no_obstacle():
    """Of one customer alone: half of the customers have nothing to learn it from."""
    part = planted_company(6, 50, 3).slices["full"]
    rare = pd.DataFrame({"rare": (np.arange(len(part.earlier)) == 3) * 1.0}, index=part.earlier.index)
    found = Segmenter(**{**QUICK, "max_segments": 7}).fit(part.today, earlier=part.earlier, outcomes=rare)
    assert 6 <= found.n_segments_ <= 7
    assert not found.knows_


def test_frames_as_output_everywhere_change_nothing():
    part = planted_company(6, 50, 3).slices["full"]
    found = Segmenter(**QUICK).fit(part.today)
    with config_context(transform_output="pandas"):
        again = Segmenter(**QUICK).fit(part.today)
        np.testing.assert_array_equal(again.predict(part.today), found.labels_)
        assert list(again.transform(part.today)) == list(found.get_feature_names_out())


def test_a_fit_that_fails_leaves_nothing_of_the_one_before():
    part = planted_company(6, 50, 3).slices["full"]
    found = Segmenter(**QUICK).fit(part.today)
    with pytest.raises(QualityGate):
        found.fit(part.today * 0)
    with pytest.raises(NotFittedError):
        found.predict(part.today)


def test_fitted_again_without_a_history_it_forgets_what_it_knew():
    part = planted_company(6, 50, 3).slices["full"]
    found = fitted(part, **QUICK)
    assert found.knows_
    assert not found.fit(part.today).knows_
    assert len(found.predict(part.today.head(0))) == 0
    numbered = part.today.set_axis(range(part.today.shape[1]), axis=1)
    loaded = model.load_model(model.dump_model(Segmenter(**QUICK).fit(numbered)))
    assert len(loaded.predict(numbered.head(3))) == 3


def test_it_is_a_scikit_learn_estimator():
    company, found = planted(0)
    today = company.slices["full"].today
    other = clone(found).set_params(seed=8)
    assert other.get_params()["seed"] == 8
    with pytest.raises(NotFittedError):
        other.predict(today)
    assert Segmenter.of(ClusteringSettings()).get_params() == Segmenter().get_params()
    named = clone(found).set_output(transform="pandas")
    named.__dict__.update({name: value for name, value in vars(found).items() if name.endswith("_")})
    assert list(named.transform(today)) == list(found.get_feature_names_out())


def test_customers_keep_their_labels_and_new_ones_join_their_kind():
    company, found = planted(0)
    today = company.slices["full"].today
    np.testing.assert_array_equal(found.predict(today), found.labels_)
    np.testing.assert_array_equal(found.predict(today.iloc[:7]), found.labels_[:7])
    later = planted_company(GROUPS, 60, 0).slices["odd"].today  # other noise around the same groups, in another half of the weeks
    assert adjusted_rand_score(found.predict(later), company.groups) > 0.7


def test_a_stored_model_assigns_alike_and_a_foreign_one_is_refused(tmp_path):
    company, found = planted(0)
    today = company.slices["full"].today
    again = model.load_model(model.dump_model(found))
    for one, other in zip(again.place(today), found.place(today), strict=True):
        np.testing.assert_array_equal(one, other)
    plain = Segmenter(min_segments=4, max_segments=8, min_size_share=0.05).fit(today)
    np.testing.assert_array_equal(model.load_model(model.dump_model(plain)).predict(today), plain.labels_)
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    bomb, cut = skops.io.dumps({"format": 2, "more": np.zeros(model.LARGEST // 8 + 1)}, compression=8), BytesIO()
    with ZipFile(cut, "w") as parts:
        parts.writestr("schema.json", "")
        parts.filelist[0].file_size = parts.filelist[0].compress_size = 10**6  # promises more than there is
    kinds = (
        b"",
        b"not a model",
        skops.io.dumps({"format": 0}),
        skops.io.dumps(FunctionTransformer(tmp_path.mkdir)),
        bomb,
        cut.getvalue(),
    )
    for content in kinds:
        with pytest.raises(InputError, match="not a segmenter's model"):
            model.load_model(content)
    parts = skops.io.loads(model.dump_model(found), trusted=model.TRUSTED)
    for name, wrong in (
        ("centres", parts["centres"][:, 1:]),
        ("centres", parts["centres"] * np.nan),
        ("macro", parts["macro"][1:]),
        ("medians", parts["medians"] * np.nan),
        ("spread", parts["spread"] * 0),
        ("lines", parts["lines"][:, 1:]),
        ("bounds", parts["bounds"] * np.inf),
    ):
        with pytest.raises(InputError, match="do not fit the rest"):
            model.load_model(skops.io.dumps(parts | {name: wrong}))
    foreign = HistGradientBoostingRegressor(max_iter=3).fit(
        np.random.default_rng(0).random((200, today.shape[1] + 1)), np.arange(200.0)
    )
    foreign._predictors[0][0].nodes["feature_idx"] = today.shape[1]
    with pytest.raises(InputError, match="trees do not fit the rest"):
        model.load_model(skops.io.dumps(parts | {"trees": dict.fromkeys(parts["trees"], foreign)}))
    with pytest.raises(InputError, match="format 2, this version reads"):
        model.load_model(skops.io.dumps(parts | {"format": 2}))


@pytest.mark.slow
def test_above_the_sample_limit_the_others_are_assigned():
    company = planted_company(GROUPS, 125, 2)
    found = fitted(company.slices["full"], company.relevance, sample_limit=1000)
    assert len(found.rows_) == 1000
    assert len(found.labels_) == 1500
    assert abs(found.n_segments_ - GROUPS) <= 2
    assert adjusted_rand_score(company.groups, found.labels_) >= 0.9
    np.testing.assert_array_equal(found.predict(company.slices["full"].today), found.labels_)
    assert not found.core_[np.setdiff1d(np.arange(1500), found.rows_)].any()
    assert (np.diff(np.bincount(found.labels_)) <= 0).all()  # numbered by falling size


def test_a_sample_holds_every_stratum_in_its_share():
    frame = pd.DataFrame({"x": np.arange(10_000.0), "y": np.arange(10_000.0) ** 2})
    rows = segmenter.sample_rows(frame, 1000, 3)
    assert len(rows) == len(set(rows)) == 1000
    assert np.bincount(rows // 500).tolist() == [50] * 20
    assert len(segmenter.sample_rows(frame.head(1029), 1000, 3)) == 1000
    rare = frame.assign(y=np.where(frame.x % 5 == 0, frame.x, 0.0))  # quartiles are the same
    for sample in (rare, rare * 1e300):
        np.testing.assert_array_equal(segmenter.sample_rows(sample * 0.001, 1000, 3), segmenter.sample_rows(sample, 1000, 3))
    assert segmenter.sample_rows(frame, 10_000, 3).tolist() == list(range(10_000))


# -- data that carry no segments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "features, words",
    [
        (np.ones((300, 5)), "300 customers are of only 1 kind: "),
        (np.full((300, 5), np.nan), "300 customers are of only 1 kind: "),
        (np.repeat(np.eye(3), 100, axis=0), "300 customers are of only 3 kinds: "),
    ],
    ids=["identical customers", "all missing", "three kinds of customers"],
)
def test_too_little_to_divide_is_refused_with_a_way_out(features, words):
    with pytest.raises(QualityGate, match=f"(?s){words}.*min_segments"):
        Segmenter().fit(features)


def test_where_no_feature_is_in_use_nothing_is_learned_and_nobody_is_divided():
    """As where the scorecard rightly leaves out all of them."""
    nothing, outcomes = pd.DataFrame(index=range(300)), pd.DataFrame({"spend": np.arange(300.0)})
    with pytest.raises(QualityGate, match="(?s)300 customers are of only 1 kind: .*feature_catalog"):
        Segmenter().fit(nothing, earlier=nothing, outcomes=outcomes)


@pytest.mark.parametrize("odd", [np.arange(60.0), pd.Series(range(60)), np.zeros((60, 2, 2)), 3.0])
def test_what_is_no_table_is_refused_in_words(odd):
    with pytest.raises(ValueError, match="is a .* dimensions, not a table"):
        Segmenter().fit(odd)


def test_a_second_run_on_the_same_customers_takes_up_the_first():
    company, found = planted(0)
    part = company.slices["full"]
    last = assign.centre_table(found)
    last.insert(1, "future_of_nobody", 0.0)  # a coordinate that is gone
    again = Segmenter().fit(
        part.today,
        earlier=part.earlier,
        outcomes=part.earlier_outcomes,
        relevance=company.relevance,
        last=last.drop(columns=last.columns[2]),
    )
    assert adjusted_rand_score(found.labels_, again.labels_) > 0.99


def test_an_array_goes_by_the_places_of_the_columns_it_was_fitted_with():
    company, found = planted(0)
    part = company.slices["full"].today
    assert (found.predict(part.to_numpy()) == found.predict(part)).all()
    assert found.feature_names_in_.tolist() == list(part)
    with pytest.raises(InputError, match="lacks|columns without names"):
        found.predict(part.to_numpy()[:, 1:])


def test_one_dense_group_alone_is_no_segmentation():
    generator = np.random.default_rng(0)
    lump = np.vstack([generator.normal(size=(30, 2)) * 1e-3, generator.normal(size=(30, 2))])
    with pytest.raises(QualityGate, match="(?s)Too few dense groups to make 10 to 30 segments.*min_size_share"):
        Segmenter(min_size_share=0.2).fit(lump)


@pytest.mark.parametrize("customers", [1, 3, 49])
def test_under_fifty_customers_are_refused(customers):
    with pytest.raises(InputError, match=f"{customers} customers .* at least 50"):
        Segmenter().fit(np.random.default_rng(0).normal(size=(customers, 5)))


@pytest.mark.parametrize("customers", [0, 1, 2, 49])
def test_of_too_few_customers_only_the_rfm_tiers_are_left(customers, tmp_path):
    run = Run.create(
        tmp_path / "run", Config(as_of="2024-01-01", sources={"web": {"kind": "web", "path": "x", "record_id": "c"}})
    )
    today = pd.DataFrame({c: np.arange(customers) for c in ("recency_days", "order_count", "net_revenue")})
    with pytest.raises(InputError, match=f"{customers} customers .* at least 50"):
        assign.check_enough(run, today.set_index(pd.Index([f"c{i}" for i in range(customers)])))
    assert (run.path / "rfm_tiers.csv").exists() == (customers > 1)
    if customers > 1:
        tiers = pd.read_csv(run.path / "rfm_tiers.csv")
        assert list(tiers) == ["customer_id", "tier"]
        assert len(tiers) == customers
        assert tiers.tier.nunique() == 2, "all three grow together, so low and high are the only tiers"


def test_infinite_and_missing_values_are_no_obstacle():
    company, found = planted(0)
    today = company.slices["full"].today.copy()
    today.iloc[0, 0], today.iloc[1, 1], today.iloc[2, 2] = np.inf, -np.inf, np.nan
    placed, strengths = found.place(today)
    assert (placed[3:] == found.labels_[3:]).all()
    assert np.isfinite(strengths).all()


@pytest.mark.slow
def test_repeated_rows_are_no_obstacle():
    company, _ = planted(0)
    part = company.slices["full"]
    twice = pd.concat([part.today, part.today.iloc[:200]])
    earlier, after = (pd.concat([f, f.iloc[:200]]) for f in (part.earlier, part.earlier_outcomes))
    again = Segmenter().fit(twice, earlier=earlier, outcomes=after, relevance=company.relevance)
    assert abs(again.n_segments_ - GROUPS) <= 2
    np.testing.assert_array_equal(again.labels_[-200:], again.labels_[:200])


def test_fewer_dimensions_than_components_are_no_obstacle():
    generator = np.random.default_rng(0)
    matrix = np.repeat(np.array([[0.0], [10], [20], [30]]), 40, axis=0) + generator.normal(size=(160, 1)) * 0.1
    found = Segmenter(min_segments=3, max_segments=6, min_size_share=0.15).fit(matrix)
    assert adjusted_rand_score(np.repeat(range(4), 40), found.labels_) == 1


def test_a_few_huge_customers_are_not_the_segments_where_nothing_is_known_of_the_future():
    """As z-scores, twelve customers made nine of ten segments and everybody else the tenth."""
    generator = np.random.default_rng(1)
    group = generator.integers(0, 10, 1500)
    loadings = generator.normal(size=(6, 8)) / 2.5
    place = 2 * generator.normal(size=(10, 6))[group] @ loadings
    spent = pd.DataFrame(np.exp(0.6 * (place + 0.5 * generator.normal(size=(1500, 8))))).add_prefix("f")
    spent.iloc[:12] *= 300
    found = Segmenter().fit(spent)
    assert adjusted_rand_score(group, found.labels_) > 0.8
    assert np.bincount(found.labels_).min() >= repair.least_size(1500, ClusteringSettings().min_size_share), (
        "the twelve are too few to act on"
    )


@pytest.mark.slow
def test_groups_over_orders_of_magnitude_come_back_as_on_a_plain_scale():
    """As asinh of the value, what is below the median was all the same: 10 segments at 0.63 where the plain scale has 12 at 0.98."""
    generator = np.random.default_rng(2)
    group = generator.integers(0, GROUPS, 2400)
    place = 3 * generator.normal(size=(GROUPS, 6))[group] + generator.normal(size=(2400, 6))
    told = {}
    for name, values in (("plain", place), ("skewed", np.exp(place / 2))):
        found = Segmenter().fit(pd.DataFrame(values).add_prefix("f"))
        assert abs(found.n_segments_ - GROUPS) <= 2
        told[name] = adjusted_rand_score(group, found.labels_)
    assert told["plain"] > 0.9
    assert told["skewed"] > told["plain"] - 0.02


# -- pieces by hand -------------------------------------------------------------------------------------------------------


def test_nearest_by_hand():
    labels, distances = cluster.nearest(np.array([[0.0], [4.0], [5.0], [9.0]]), np.array([[0.0], [10.0]]))
    assert labels.tolist() == [0, 0, 0, 1]
    assert distances[1] == pytest.approx([4, 6])


def test_settle_moves_customers_to_the_nearer_centre():
    matrix = np.array([[0.0], [0.1], [0.2], [10.0], [10.1], [0.3], [9.0]])
    centres, labels = cluster.settle(matrix, np.array([[3.0], [9.5]]))
    assert labels.tolist() == [0, 0, 0, 1, 1, 0, 1]
    assert centres[:, 0] == pytest.approx([0.15, 29.1 / 3], abs=1e-6)  # single precision


def test_best_jaccard_by_hand():
    labels, again = np.array([0, 0, 0, 0, 1, 1, 2]), np.array([0, 0, 0, 1, 1, 1, 1])
    # 0 shares 3 of 4 customers with the first group; 1 shares 2 of 4 with the second, 2 shares 1 of 4.
    assert stability.best_jaccard(labels, again, 3) == pytest.approx([3 / 4, 2 / 4, 1 / 4])
    assert stability.best_jaccard(labels, labels, 3) == pytest.approx([1, 1, 1])
    # Without the third customer, in no group now, 0 shares 2 of 4 with the first; nobody shares anything where nothing is found.
    assert stability.best_jaccard(labels, np.where(np.arange(7) == 2, -1, again), 3) == pytest.approx([2 / 4, 2 / 4, 1 / 4])
    assert stability.best_jaccard(labels, np.full(7, -1), 3).tolist() == [0, 0, 0]


def test_small_segments_are_told_with_what_a_test_of_them_can_find():
    found = Segmenter(min_size_share=0.05)
    found.labels_, found.n_segments_, found.persistence_ = np.repeat([0, 1, 2], [560, 400, 39]), 3, np.ones(3)
    sizes = assign.segment_sizes(found, np.ones(999))
    assert sizes.too_small.tolist() == [False, False, True]  # four fifths of 5 % of 999 are 40
    for size, effect in zip(sizes["size"], sizes.smallest_effect, strict=True):  # power of the t-test of two halves
        degrees = size - 2
        found_in = stats.nct.sf(stats.t.ppf(0.975, degrees), degrees, effect * np.sqrt(size / 4))
        assert found_in == pytest.approx(0.8, abs=0.03)
    table = stability.certificate(sizes, np.full((2, 3), 0.9), np.full((2, 3), 0.9), True, np.full((1, 3), np.nan))
    assert "**Too small to act on alone: segment 2 with 39 customers.**" in say_stability(table)
    named = table.assign(segment_name=["big", "middling", "tiny ones"])
    assert "**Too small to act on alone: tiny ones with 39 customers.**" in say_stability(named)
    assert "Too small" not in say_stability(table[:2])
    assert "with other seeds (segment 1: under 0.5)" in say_stability(table.assign(seed_stability=[0.9, 0.44, 0.8]))


def test_certificate_by_hand():
    sizes = pd.DataFrame({"segment_id": [0, 1], "size": [3, 1]})
    table = stability.certificate(sizes, np.array([[0.8, 0.4], [0.7, 0.6]]), np.array([[1.0, 0.5]]), True, UNTOLD).set_index(
        "segment_id"
    )
    assert table.verdict.to_list() == ["pass", "watch"]
    assert table.stability.to_list() == pytest.approx([0.75, 0.5])
    assert table.stability_low.to_list() == pytest.approx([0.705, 0.41])
    assert table.seed_stability.to_list() == [1.0, 0.5]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.integers(2, 10))
def test_macro_groups_are_nested(seed, k):
    generator = np.random.default_rng(seed)
    centres, sizes = generator.normal(size=(k, 3)), generator.integers(1, 50, size=k)
    levels = [cluster.macro_groups(centres, sizes, count) for count in range(1, k + 1)]
    for count, level in enumerate(levels, 1):
        assert set(level) == set(range(count))
        weights = np.bincount(level, sizes)
        assert (np.diff(weights) <= 0).all()
    for coarse, fine in zip(levels, levels[1:], strict=False):
        assert len(set(zip(fine, coarse, strict=True))) == len(set(fine)), "a finer group lies in two coarser ones"


def test_macro_groups_join_what_lies_near():
    centres = np.array([[0.0, 0], [10, 0], [0.5, 0], [10, 1]])
    assert cluster.macro_groups(centres, np.array([5, 9, 5, 9]), 2).tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("k, macros", [(2, 2), (10, 2), (12, 3), (24, 6), (30, 8)])
def test_one_macro_segment_for_about_four_segments(k, macros):
    assert segmenter.macro_count(k) == macros


def test_everybody_is_in_the_segment_table_once_and_the_unknown_are_unassigned():
    found = Segmenter()
    found.labels_, found.macro_ = np.array([0, 1, 0]), np.array([1, 0])
    found.strengths_, found.core_ = np.array([0.9, 0.8, 0.1]), np.array([True, True, False])
    index = pd.Index(["b", "c", "d"], name="customer_id")
    customers = pd.DataFrame({"customer_id": ["d", "a", "c", "b"]})
    table = assign.segment_table(found, customers, index, np.arange(6.0).reshape(3, 2)).set_index("customer_id")
    assert table.index.to_list() == ["a", "b", "c", "d"]
    assert table.segment_id.to_list() == [-1, 0, 1, 0]
    assert table.macro_id.to_list() == [-1, 1, 0, 1]
    assert table.assigned.to_list() == ["unassigned", "core", "core", "soft"]
    assert table.strength.to_list() == [0, 0.9, 0.8, 0.1]
    assert np.isnan(table.map_x["a"])
    kinds = assign.count_kinds(table.reset_index()).set_index("assigned")
    assert kinds.customers.to_dict() == {"core": 2, "soft": 1, "unassigned": 1}
    assert kinds.share.sum() == 1


# -- the representation ---------------------------------------------------------------------------------------------------


def test_too_short_a_history_falls_back_to_the_features_alone():
    company, _ = planted(0)
    part = company.slices["full"]
    short = representation.Space().fit(part.today, earlier=part.earlier[:199], outcomes=part.earlier_outcomes[:199])
    assert short.predict(part.today) is None
    ranks = stats.spearmanr(short.transform(part.today)[:, 0], part.today.iloc[:, 0]).statistic
    assert (ranks, short.transform(part.today).shape) == (pytest.approx(1, abs=1e-4), part.today.shape)
    flat = part.earlier_outcomes.assign(**dict.fromkeys(part.earlier_outcomes, 1.0))
    assert not representation.Space().fit(part.today, earlier=part.earlier, outcomes=flat).models_


def test_a_source_that_began_lately_has_no_past_to_learn_from_and_is_no_obstacle():
    """scikit-learn's boosting stops at a column without a single known value."""
    generator = np.random.default_rng(0)
    today = pd.DataFrame(generator.normal(size=(600, 4))).add_prefix("f")
    outcomes = pd.DataFrame({"future_spend": today.f0 + generator.normal(size=600)})
    plain = representation.Space().fit(today, earlier=today, outcomes=outcomes)
    late = representation.Space().fit(today.assign(new=today.f1), earlier=today.assign(new=np.nan), outcomes=outcomes)
    assert np.corrcoef(plain.predict(today).future_spend, late.predict(today.assign(new=today.f1)).future_spend)[0, 1] > 0.95


def test_scaled_features_are_z_scores_with_missing_values_at_the_median():
    frame = pd.DataFrame({"x": [1.0, 2, np.nan, 3], "never": [np.nan] * 4})
    deviation = np.std([1, 2, 2, 3])
    assert baselines.scaled(frame)[:, 0] == pytest.approx((np.array([1, 2, 2, 3]) - 2) / deviation)
    assert baselines.scaled(frame)[:, 1].tolist() == [0, 0, 0, 0]


def test_predictions_know_the_planted_future_and_traits_are_left_out():
    company, found = planted(0)
    predicted = found.space_.predict(company.slices["full"].today)
    correlation = predicted.corrwith(company.outcomes)
    assert correlation.min() > 0.7, correlation.round(2).to_dict()
    assert not [name for name in found.get_feature_names_out() if name.startswith("trait")]


def test_what_is_known_of_the_earlier_window_was_predicted_by_models_that_never_saw_it():
    generator = np.random.default_rng(0)
    features = pd.DataFrame(generator.normal(size=(600, 6))).add_prefix("f")
    outcomes = pd.DataFrame(generator.normal(size=(600, 1))).add_prefix("future_")
    space = representation.Space().fit(features, earlier=features, outcomes=outcomes)
    seen, crossed = space.transform(features)[:, 0], space.crossed_coordinates(features, outcomes, features)[0][:, 0]
    assert np.corrcoef(seen, outcomes.future_0)[0, 1] > 0.4, "learned by heart"
    assert abs(np.corrcoef(crossed, outcomes.future_0)[0, 1]) < 0.15


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=15))
def test_labels_beside_the_map_stand_apart_and_move_no_more_than_that_takes(heights):
    wanted = np.sort(heights)
    found = _parted(wanted)
    assert (np.diff(found) >= 0.045 - 1e-9).all()
    assert found.min() >= 0.02 - 1e-9
    assert found.max() <= 0.98 + 1e-9


def test_labels_beside_the_map_stay_where_there_is_room_and_crowd_where_there_is_none():
    assert _parted(np.array([0.3, 0.5, 0.9])) == pytest.approx([0.3, 0.5, 0.9])
    assert (np.diff(_parted(np.linspace(0, 1, 40))) > 0.02).all()
