"""The scoreboard equals figures computed by hand, and the planted future makes the ranking that it should."""

import dataclasses
import functools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator import planted_company
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score

from workbench.clustering import assign, baselines, scoreboard
from workbench.clustering.movement import Movement
from workbench.clustering.predictor import learn, predict
from workbench.core.config import ClusteringSettings
from workbench.core.contracts import check_frame
from workbench.core.stats import adjusted_r2, adjusted_r2_resampled
from workbench.views.movement import say_movement
from workbench.views.scoreboard import (
    AWARE,
    _surely_led,
    board_title,
    chart_scoreboard,
    mean_board,
    say_limit,
    say_scoreboard,
    say_tried,
)

SETTINGS = ClusteringSettings(min_segments=4, max_segments=10, min_size_share=0.07)


@functools.cache
def scored():
    company = planted_company(6, 50, 3)
    found = scoreboard.fit_slice(company.slices["full"], SETTINGS, company.relevance)
    outcomes = company.outcomes.copy()
    outcomes.loc[outcomes.index[:20], "future_discount_share"] = np.nan
    fitted = {"full": found, **scoreboard.fit_halves(company.slices, SETTINGS, company.relevance, found.n_segments_)}
    board = scoreboard.score_methods(SETTINGS, company.slices, fitted, 1.5, outcomes, ceiling_of(company, found, outcomes))
    return company, found, outcomes, board


def ceiling_of(company, found, outcomes):
    return scoreboard.prediction_ceiling(found.space_.predict(company.slices["full"].today), outcomes)


def by_least_squares(y, labels):
    """Adjusted R² of a regression on one dummy per group, the textbook way."""
    known = y.notna().to_numpy()
    y, dummies = y[known].to_numpy(), pd.get_dummies(labels[known]).to_numpy(float)
    residual = y - dummies @ np.linalg.lstsq(dummies, y, rcond=None)[0]
    r2 = 1 - residual @ residual / ((y - y.mean()) @ (y - y.mean()))
    n, k = dummies.shape
    return 1 - (1 - r2) * (n - 1) / (n - k)


def test_the_board_keeps_its_contract_and_has_a_row_per_method_and_outcome():
    _, _, outcomes, board = scored()
    check_frame("scoreboard", board)
    assert len(board) == 8 * (len(outcomes.columns) + 1)
    assert set(board.outcome) == {*outcomes.columns, scoreboard.MEAN}


def test_adjusted_r2_of_ours_and_rfm_equals_least_squares():
    company, found, outcomes, board = scored()
    value = board.set_index(["method", "outcome"]).r2_adjusted
    rfm = baselines.rfm_grid(company.slices["full"].today)
    macro = found.macro_[found.labels_]
    for method, groups in ((scoreboard.OURS, found.labels_), (scoreboard.MACRO, macro), (scoreboard.RFM, rfm)):
        hand = {name: by_least_squares(outcomes[name], groups) for name in outcomes}
        assert value[method].drop(scoreboard.MEAN).to_dict() == pytest.approx(hand, rel=1e-9)
        assert value[method, scoreboard.MEAN] == pytest.approx(np.mean(list(hand.values())), rel=1e-9)


def test_the_rfm_grid_is_given_what_the_scorecard_left_out():
    company, found, outcomes, _ = scored()
    part = company.slices["full"]
    shorter = dataclasses.replace(part, today=part.today.drop(columns="net_revenue"), everything=part.today)
    ways = scoreboard.methods(SETTINGS, {"full": shorter}, {"full": found})
    grid = ways[scoreboard.RFM].fit(shorter, 7)
    assert (grid == baselines.rfm_grid(part.today)).all()
    assert adjusted_mutual_info_score(grid, baselines.rfm_grid(shorter.today)) < 0.99, "the feature left out divides customers"


def test_random_methods_are_averaged_over_three_seeds():
    company, found, outcomes, board = scored()
    matrix, k = baselines.scaled(company.slices["full"].today), found.n_segments_
    fits = [baselines.kmeans(matrix, k, SETTINGS.seed + i) for i in range(3)]
    hand = np.mean([by_least_squares(outcomes.future_spend, fit) for fit in fits])
    assert board.set_index(["method", "outcome"]).r2_adjusted[scoreboard.KMEANS, "future_spend"] == pytest.approx(hand)


def test_replication_of_the_rfm_grid_by_hand():
    company, *_, board = scored()
    odd, even = (baselines.rfm_grid(company.slices[half].today) for half in ("odd", "even"))
    told = board[board.method == scoreboard.RFM].replication_ami.unique()
    assert told == pytest.approx([adjusted_mutual_info_score(odd, even)])


def test_chance_replicates_nothing_and_the_same_half_everything():
    company, *_, board = scored()
    assert board.replication_null.max() < 0.1
    half = company.slices["odd"]
    alike = scoreboard.replication(scoreboard.Method(lambda part, _: baselines.rfm_grid(part.today)), half, half, 7)
    assert alike["replication_ami"] == pytest.approx(1)
    assert alike["replication_ari"] == pytest.approx(1)


def test_ceiling_by_hand():
    company, found, outcomes, board = scored()
    predicted = found.space_.predict(company.slices["full"].today)
    ceiling = scoreboard.prediction_ceiling(predicted, outcomes)
    y, p = outcomes.future_spend, predicted.future_spend
    assert ceiling["future_spend"] == pytest.approx(np.corrcoef(y, p)[0, 1] ** 2)
    assert scoreboard.prediction_ceiling(3 - predicted, outcomes)["future_spend"] == 0, "wrong way round is no knowledge"
    told = board.set_index(["method", "outcome"]).ceiling[scoreboard.OURS]
    assert told[scoreboard.MEAN] == pytest.approx(np.mean([ceiling[name] for name in outcomes]))


def test_ours_beats_what_clusters_whatever_varies():
    board = scored()[-1]
    mean = board[board.outcome == scoreboard.MEAN].set_index("method")
    for other in (scoreboard.RFM, scoreboard.KMEANS, scoreboard.PLAIN):
        gap = mean.r2_adjusted[scoreboard.OURS] - mean.r2_adjusted[other]
        assert gap > 0.05, f"{other}: {mean.r2_adjusted.round(3).to_dict()}"
    assert mean.replication_ami[scoreboard.OURS] > mean.replication_ami[scoreboard.RFM], mean.replication_ami.round(2).to_dict()


def test_without_outcomes_the_last_horizon_judges_and_nobody_by_models_that_saw_them():
    company, found, *_ = scored()
    board = scoreboard.score_methods(SETTINGS, company.slices, {"full": found}, 1.0, None, {})
    check_frame("scoreboard", board)
    assert set(board.judged) == {scoreboard.BEFORE}
    value = board.set_index(["method", "outcome"]).r2_adjusted
    happened, half = company.slices["full"].earlier_outcomes, np.arange(len(found.labels_)) % 2 == 0
    earlier, crossed = company.slices["full"].earlier, pd.DataFrame(np.nan, happened.index, list(found.space_.models_))
    for mine in (half, ~half):
        models = learn(earlier[~mine], happened[~mine], SETTINGS.seed, list(crossed))
        crossed.loc[mine] = predict(models, earlier[mine])
    matrix = found.space_.transform(earlier, crossed)
    centres = np.stack([((matrix[:, None] - centre) ** 2).sum(axis=2)[:, 0] for centre in found.centres_], axis=1)
    labels = found.centre_segment_[centres.argmin(axis=1)]
    grid = baselines.rfm_grid(earlier)
    for name in happened:
        assert value[scoreboard.OURS, name] == pytest.approx(by_least_squares(happened[name], labels), rel=1e-9)
        assert value[scoreboard.RFM, name] == pytest.approx(by_least_squares(happened[name], grid), rel=1e-9)
    y, p = happened.future_spend, crossed.future_spend
    ceiling = board.set_index(["method", "outcome"]).ceiling[scoreboard.OURS, "future_spend"]
    assert ceiling == pytest.approx(np.corrcoef(y, p)[0, 1] ** 2)
    told = say_scoreboard(board, {})
    assert told.startswith("**What comes is not known yet, so methods are judged by the last horizon:**")
    assert "out of time it explains" not in told
    assert "r2_adjusted" not in assign.headline(board, certificate_of(found)), (
        "no figure that later runs would take for one out of time"
    )


def test_without_outcomes_the_figures_are_those_that_come_true():
    """The planted company is stationary: what is said of the last horizon must hold of the next one."""
    company, found, outcomes, board = scored()
    back = scoreboard.score_methods(SETTINGS, company.slices, {"full": found}, 1.0, None, {})
    mean, then = (b[b.outcome == scoreboard.MEAN].set_index("method").r2_adjusted for b in (board, back))
    assert then.to_dict() == pytest.approx(mean.to_dict(), abs=0.08)


def test_without_outcomes_and_without_a_history_only_replication_is_known():
    company, *_ = scored()
    bare = {name: dataclasses.replace(part, earlier_outcomes=part.earlier_outcomes * 0) for name, part in company.slices.items()}
    found = scoreboard.fit_slice(bare["full"], SETTINGS, company.relevance)
    fitted = {"full": found, **scoreboard.fit_halves(bare, SETTINGS, company.relevance, found.n_segments_)}
    board = scoreboard.score_methods(SETTINGS, bare, fitted, 1.0, None, {})
    check_frame("scoreboard", board)
    assert set(board.judged) == {scoreboard.NEVER}
    assert set(board.outcome) == {scoreboard.MEAN}
    assert board.r2_adjusted.isna().all()
    assert board.replication_ami.notna().all()
    assert scoreboard.prediction_ceiling(None, None) == {}
    told = say_scoreboard(board, {})
    assert told.startswith("**What comes is not known yet, and there is no earlier horizon to judge by either.** Found again")
    assert "nan" not in told + " ".join(mean_board(board).interval + mean_board(board).lead) + board_title(board)
    assert list(assign.wide_board(board).outcome) == [scoreboard.MEAN]


def certificate_of(found):
    return pd.DataFrame({"verdict": "pass", "stability": 0.9}, index=range(found.n_segments_))


def test_replication_is_missing_where_nobody_is_in_both_halves():
    company, *_ = scored()
    odd, even = company.slices["odd"], company.slices["even"]
    strangers = dataclasses.replace(even, today=even.today.rename(index=lambda name: f"x{name}"))
    found = scoreboard.replication(scoreboard.Method(lambda part, _: baselines.rfm_grid(part.today)), odd, strangers, 7)
    assert np.isnan(list(found.values())).all()


def test_replication_is_missing_where_half_of_the_events_give_no_segments():
    company, found, *_ = scored()
    same = scoreboard.Slice("odd", *(frame * 0 for frame in (company.slices["odd"].today,) * 3))
    slices = company.slices | {"odd": same, "even": dataclasses.replace(same, name="even")}
    assert not scoreboard.fit_halves(slices, SETTINGS, company.relevance, found.n_segments_)
    method = scoreboard.methods(SETTINGS, slices, {"full": found})[scoreboard.OURS]
    assert np.isnan(list(scoreboard.replication(method, same, same, 7).values())).all()


def test_plain_is_given_every_feature_and_once_more_those_in_use():
    company, found, outcomes, _ = scored()
    noise = pd.DataFrame(np.random.default_rng(1).normal(size=(len(outcomes), 20)), outcomes.index).add_prefix("noise_")
    slices = {
        name: dataclasses.replace(part, everything=part.today.join(noise)) if name == "full" else part
        for name, part in company.slices.items()
    }
    board = scoreboard.score_methods(SETTINGS, slices, {"full": found}, 1.0, outcomes, ceiling_of(company, found, outcomes))
    value = board[board.outcome == scoreboard.MEAN].set_index("method").r2_adjusted
    usual = scored()[-1].set_index(["method", "outcome"]).r2_adjusted
    assert value[scoreboard.PLAIN_CHOSEN] == pytest.approx(usual[scoreboard.PLAIN, scoreboard.MEAN])
    fits = [baselines.plain_umap_hdbscan(slices["full"].everything, SETTINGS, SETTINGS.seed + i) for i in range(3)]
    hand = [np.mean([by_least_squares(outcomes[name], fit) for fit in fits]) for name in outcomes]
    assert value[scoreboard.PLAIN] == pytest.approx(np.mean(hand))
    assert value[scoreboard.OURS] == pytest.approx(usual[scoreboard.OURS, scoreboard.MEAN])


def test_above_the_sample_limit_all_methods_are_judged_by_the_same_drawn_customers():
    company, found, outcomes, board = scored()
    settings = SETTINGS.model_copy(update={"sample_limit": 200})
    judges = scoreboard.draw_judges(outcomes, settings)
    drawn = scoreboard.score_methods(settings, company.slices, {"full": found}, 1.0, judges, ceiling_of(company, found, judges))
    value, whole = (b.set_index(["method", "outcome"]).r2_adjusted.sort_index() for b in (drawn, board))
    assert 0 < (value - whole)[scoreboard.RFM].abs().max() < 0.25
    rows = scoreboard.draw_rows(len(outcomes), 200, settings.seed + 2)
    hand = by_least_squares(outcomes.future_spend.iloc[rows], found.labels_[rows])
    assert value[scoreboard.OURS, "future_spend"] == pytest.approx(hand)
    ceiling = np.corrcoef(outcomes.future_spend.iloc[rows], found.predicted_.future_spend.iloc[rows])[0, 1] ** 2
    assert drawn.set_index(["method", "outcome"]).ceiling[scoreboard.OURS, "future_spend"] == pytest.approx(ceiling)
    tried = scoreboard.score_tried(found, company.slices["full"], judges, ceiling_of(company, found, judges))
    assert tried.r2_adjusted[tried.chosen].tolist() == [pytest.approx(value[scoreboard.OURS, scoreboard.MEAN])]


def test_the_lead_over_the_rfm_grid_is_beyond_chance_and_over_itself_zero():
    board = scored()[-1].set_index(["method", "outcome"])
    assert ((board.r2_low < board.r2_adjusted) & (board.r2_adjusted < board.r2_high)).all()
    assert (board.loc[scoreboard.OURS][["lead_low", "lead_high"]] == 0).all(axis=None)
    assert board.lead_low[scoreboard.RFM, scoreboard.MEAN] > 0


# -- pieces -------------------------------------------------------------------------------------------------------------


def test_adjusted_r2_by_hand():
    # Groups 1 2 and 5 6: between 16, within 1, total 17; R² 16/17; adjusted 1 - (1/2) / (17/3).
    assert adjusted_r2(np.array([1.0, 2, 5, 6]), np.array([0, 0, 1, 1])) == pytest.approx(1 - (1 / 2) / (17 / 3))
    assert adjusted_r2(np.array([1.0, 2, np.nan, 5, 6]), np.array([0, 0, 2, 1, 1])) == pytest.approx(1 - (1 / 2) / (17 / 3))
    assert np.isnan(adjusted_r2(np.array([1.0, 2]), np.array([0, 1])))
    assert np.isnan(adjusted_r2(np.full(9, 0.1), np.arange(9) % 2))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.sampled_from([0.0, 10.0, 10.5])), min_size=1, max_size=60))
def test_the_rfm_grid_has_at_most_27_cells_and_never_parts_equal_customers(rows):
    frame = pd.DataFrame(rows, columns=["recency_days", "order_count", "net_revenue"]).astype(float)
    labels = baselines.rfm_grid(frame)
    assert set(labels) == set(range(len(set(labels))))
    assert len(set(labels)) <= 27
    assert frame.assign(label=labels).groupby(["recency_days", "order_count", "net_revenue"]).label.nunique().max() == 1


def test_the_rfm_grid_fills_27_cells_and_does_without_a_constant():
    thirds = np.array(np.meshgrid([1.0, 2, 3], [1.0, 2, 3], [1.0, 2, 3])).reshape(3, -1).T
    frame = pd.DataFrame(thirds, columns=["recency_days", "order_count", "net_revenue"])
    assert len(set(baselines.rfm_grid(frame))) == 27
    assert len(set(baselines.rfm_grid(frame.drop(columns="order_count")))) == 9


@pytest.mark.parametrize("k, grids", [(8, [(2, 2, 2)]), (17, [(2, 3, 3), (3, 2, 3), (3, 3, 2)]), (26, [(3, 3, 3)])])
def test_the_rfm_grids_of_equal_size_are_as_even_as_can_be(k, grids):
    assert baselines.even_grids(k) == grids


def test_plain_umap_hdbscan_gives_everybody_one_label_even_where_nothing_varies():
    frame = pd.DataFrame({"x": np.ones(80), "y": np.ones(80)})
    assert baselines.plain_umap_hdbscan(frame, SETTINGS, 7).tolist() == [0] * 80


def test_an_outcome_that_hardly_anybody_has_takes_no_verdict_from_the_others():
    company, found, outcomes, board = scored()
    rare = outcomes.assign(future_score=np.where(np.arange(len(outcomes)) < 8, 1.0 * (np.arange(len(outcomes)) % 2), np.nan))
    ceiling = ceiling_of(company, found, outcomes) | {"future_score": 0.1}
    again = scoreboard.score_methods(SETTINGS, company.slices, {"full": found}, 1.5, rare, ceiling)
    mean = again[again.outcome == scoreboard.MEAN].set_index("method")
    assert np.isfinite(mean[["r2_low", "r2_high", "lead_low", "lead_high"]]).all(axis=None)
    assert mean.lead_low[scoreboard.RFM] > 0
    silent = scoreboard.score_methods(SETTINGS, company.slices, {"full": found}, 1.5, rare[["future_score"]] * np.nan, {})
    assert "Nothing to judge knowledge by: nothing differs in what customers did" in say_scoreboard(silent, {})


@pytest.mark.parametrize(
    "better, named",
    [
        (None, ""),
        (scoreboard.RFM, "the RFM grid"),
        (scoreboard.RFM_EQUAL, "the RFM grid of equal size"),
        (scoreboard.KMEANS, scoreboard.KMEANS),
        (scoreboard.MACRO, ""),
    ],
)
@pytest.mark.parametrize("surely", [True, False])
def test_the_verdict_recommends_what_knows_most(better, named, surely):
    board = scored()[3].copy()
    mine = (board.outcome == scoreboard.MEAN) & (board.method == better)
    board.loc[mine, ["r2_adjusted", "lead_high"]] = 0.99, -0.01 if surely else 0.01
    said = "**Where it wins:**"
    if named:
        said = f"{named} 99.0%{': surely more' if surely else f', a difference that chance can make: {named} does as well, and is simpler'}. Use {named}.**"
    elif better:
        said = "macro-segments alone explain 99.0%, no less: treat by them."
    told = say_scoreboard(board, {})
    assert said in told
    assert ("Where it wins" in told) == (better in (None, scoreboard.MACRO))
    assert told.count("Use ") == bool(named)


@pytest.mark.parametrize(
    "net, said",
    [((-0.05, -0.06, -0.03), "cannot be judged"), ((0.0, -0.01, 0.01), "No movement"), ((0.05, 0.03, 0.06), "5.0% of the")],
)
def test_movement_is_told_only_where_the_placebo_is_not_surely_more(net, said):
    assert said in say_movement(Movement(1000, 0.3, *net))


def test_resampled_r2_is_that_of_the_rows_drawn():
    generator = np.random.default_rng(4)
    outcomes, labels = generator.normal(size=(60, 2)), generator.integers(0, 5, 60)
    outcomes[:5, 1] = np.nan
    weights = generator.poisson(1.0, (3, 60)).astype(float)
    found = adjusted_r2_resampled(outcomes, labels, weights)
    for times, row in zip(weights.astype(int), found, strict=True):
        rows = np.repeat(np.arange(60), times)
        assert row == pytest.approx([adjusted_r2(outcomes[rows, i], labels[rows]) for i in range(2)])


def test_intervals_of_adjusted_r2_cover_the_populations():
    """Five groups whose means explain a third of the variance: 95 % intervals hold the population's value as often as they say."""
    generator, means = np.random.default_rng(8), np.array([-1.2, -0.5, 0, 0.5, 1.2]) * 0.88
    truth = means.var() / (means.var() + 1)
    held = 0
    for _ in range(200):
        labels = generator.integers(0, 5, 500)
        y = means[labels] + generator.normal(size=500)
        drawn = adjusted_r2_resampled(y[:, None], labels, generator.poisson(1.0, (200, 500)).astype(float))
        held += abs(adjusted_r2(y, labels) - truth) < 1.96 * drawn.std(ddof=1)
    assert 180 <= held <= 198


def test_what_other_numbers_would_have_told_is_measured_as_on_the_board():
    company, found, outcomes, board = scored()
    ceiling = ceiling_of(company, found, outcomes)
    full = company.slices["full"]
    tried = scoreboard.score_tried(found, full, outcomes, ceiling)
    ours = board.set_index(["method", "outcome"]).r2_adjusted[scoreboard.OURS, scoreboard.MEAN]
    assert tried.r2_adjusted[tried.chosen].tolist() == [pytest.approx(ours)]
    assert (
        list(tried.n_segments)
        == [len(np.unique(labels)) for labels in found.tried(found.matrix_)]
        == list(found.counts_.n_repaired)
    )
    other = found.tried(found.matrix_)[-1]
    judged = [o for o in outcomes if np.isfinite(ceiling[o])]
    assert tried.r2_adjusted.iloc[-1] == pytest.approx(np.mean([by_least_squares(outcomes[o], other) for o in judged]))
    told = say_tried(tried)
    for row in (tried.r2_adjusted.idxmin(), tried.r2_adjusted.idxmax()):
        assert f"({tried.n_segments[row]}" in told
        assert f"{tried.r2_adjusted[row]:.1%}" in told
    assert "cannot be known yet" in say_tried(scoreboard.score_tried(found, full, None, {}))
    assert "No other number" in say_tried(tried[tried.chosen])


def test_what_so_few_groups_can_tell_at_all_is_told_beside_what_segments_do():
    """By scikit-learn itself on the predictions over their outcomes' spread."""
    company, found, outcomes, board = scored()
    ceiling = ceiling_of(company, found, outcomes)
    limit = scoreboard.score_limit(found, outcomes, ceiling)
    assert limit.n_segments.tolist() == [found.n_segments_, found.max_segments]
    spread = company.slices["full"].earlier_outcomes[list(found.predicted_)].std()
    alone = (found.predicted_ / spread).to_numpy()
    groups = KMeans(found.n_segments_, n_init=10, random_state=found.seed).fit(alone - alone.mean(axis=0)).labels_
    by_hand = np.mean([by_least_squares(outcomes[name], groups) for name in outcomes])
    assert limit.r2_adjusted[0] == pytest.approx(by_hand, rel=0.02)
    told = say_limit(limit, board)
    assert f"{limit.r2_adjusted[0]:.1%} with {found.n_segments_} groups" in told
    ours = (board.method == scoreboard.OURS) & (board.outcome == scoreboard.MEAN)
    assert f"this segmentation {board.r2_adjusted[ours].iloc[0]:.1%}" in told
    high, low = (
        say_limit(limit, board.assign(ceiling=value)) for value in (2 * limit.r2_adjusted.max(), limit.r2_adjusted.max())
    )
    assert "leave 50% of it to single customers" in high
    assert "Groups need lose nothing of it." in low
    short = say_limit(limit, board.assign(ceiling=0.9 * limit.r2_adjusted.max(), r2_adjusted=0.72 * limit.r2_adjusted.max()))
    assert "Groups need lose nothing of it; these segments lose 20%." in short
    assert say_limit(scoreboard.score_limit(found, None, {}), board) == ""
    assert say_limit(limit, board.assign(ceiling=np.nan)) == ""


def test_where_kmeans_in_the_same_space_surely_tells_more_the_reader_is_told_what_dense_groups_cost():
    board = scored()[3].copy()
    aware = (board.outcome == scoreboard.MEAN) & (board.method == AWARE)
    board.loc[aware, ["lead_low", "lead_high"]] = -0.059, -0.014
    assert "finding dense groups in it loses 1.4 to 5.9 points." in say_scoreboard(board, {})
    assert chart_scoreboard(board).get_title().endswith(f"\n{AWARE} knows more")
    board.loc[aware, "lead_high"] = 0.001
    assert "loses" not in say_scoreboard(board, {})
    assert AWARE not in chart_scoreboard(board).get_title()


def test_surely_more_allows_for_how_many_were_compared():
    """Ten rows: a lead of 2.3 errors is no longer beyond chance, one of 4 is."""
    lead, error = np.r_[0.1, -0.08, -0.046, np.full(7, 0.02)], 0.02
    board = pd.DataFrame({"lead_low": lead - 1.96 * error, "lead_high": lead + 1.96 * error})
    assert _surely_led(board).tolist() == [False, True] + [False] * 8
