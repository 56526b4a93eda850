"""Movement is told apart from chance, and a forecast is worth what its backtest says."""

import numpy as np
import pandas as pd
import pytest
from simulator import planted_company

from workbench.clustering import movement, scoreboard
from workbench.clustering.movement import Moves
from workbench.core.config import ClusteringSettings
from workbench.core.contracts import check_frame
from workbench.views.clustering import say_backtest

SETTINGS = ClusteringSettings()


def observed(seed, movers):
    company = planted_company(12, 60, seed, movers=movers)
    found = scoreboard.fit_slice(company.slices["full"], SETTINGS, company.relevance)
    halves = scoreboard.fit_halves(company.slices, SETTINGS, company.relevance, found.n_segments_)
    part, parts = company.slices["full"], {half: company.slices[half].today for half in ("odd", "even")}
    return movement.observe_moves(found, part.earlier, part.earlier_outcomes, part.today, halves, parts, part.today.iloc[10:])


@pytest.mark.slow
def test_a_stationary_population_does_not_move_beyond_chance():
    moves = observed(0, 0.0)
    net, low, high = movement.net_movement(moves)
    assert low <= 0 <= high, f"net movement {net:.3f} ({low:.3f} to {high:.3f})"
    table = movement.migration_table(moves)
    check_frame("migration", table)
    assert table.share.sum() == pytest.approx(1)
    assert table.placebo_share.sum() == pytest.approx(1)
    sizes = np.bincount(moves.now)
    assert np.abs(movement.forecast(moves, sizes, 7).expected - sizes).max() < 0.05 * sizes.sum()
    # One horizon later is today here, but for ten customers who are gone.
    assert (moves.later < 0).sum() == 10
    assert (moves.later[moves.later >= 0] == moves.now[moves.later >= 0]).all()
    assert movement.backtest(moves, 7).no_change < 0.01


@pytest.mark.slow
def test_ten_per_cent_planted_movers_are_found():
    net, _, _ = movement.net_movement(observed(1, 0.1))
    assert 0.08 <= net <= 0.12, net


def test_forecast_by_hand():
    # Ten more went from 0 to 1 than came back, of twelve moves: chance explains 12 of its square of 100, so 8.8 of 50 go on.
    moved = np.array([[39, 11], [1, 49]])
    sizes = np.array([50.0, 50.0])
    stays = 1 - 0.88 * 10 / 50
    assert movement.forecast_sizes(moved, sizes) == pytest.approx([50 * stays, 100 - 50 * stays])
    assert movement.forecast_sizes(moved, sizes, 2) == pytest.approx([50 * stays**2, 100 - 50 * stays**2])


def test_moves_that_chance_explains_are_no_trend():
    moved = np.array([[40, 12], [9, 40]])
    assert movement.forecast_sizes(moved, np.array([49.0, 52.0])).tolist() == [49, 52]


def drifting(count, rate, goes_on, seed=0):
    """Two segments of equal size; a share `rate` of the first leaves it each horizon, in the last one only if it goes on."""
    rng = np.random.default_rng(seed)
    before = np.repeat([0, 1], count // 2)
    now = np.where((before == 0) & (rng.random(count) < rate), 1, before)
    later = np.where((now == 0) & (rng.random(count) < (rate if goes_on else 0)), 1, now)
    return Moves(before, now, (now, now), later)


def test_a_trend_that_goes_on_is_forecast_better_than_by_no_change():
    moves = drifting(4000, 0.3, goes_on=True)
    found = movement.backtest(moves, 7)
    assert found.forecast < 0.03
    assert found.no_change == pytest.approx(0.5 * 0.7 * 0.3, abs=0.02)
    assert found.low < found.difference < found.high < 0
    assert say_backtest(found).startswith("**The forecast was better than to expect no change:**")
    sizes = movement.forecast(moves, np.bincount(moves.now), 7)
    check_frame("forecast", sizes)
    assert sizes.expected[0] == pytest.approx(2000 * 0.7 * 0.7, rel=0.1)
    assert (sizes.expected_low <= sizes.expected).all()
    assert (sizes.expected <= sizes.expected_high).all()


def test_a_trend_that_stopped_makes_no_change_the_better_forecast():
    found = movement.backtest(drifting(4000, 0.3, goes_on=False), 7)
    assert found.no_change == 0
    assert 0 < found.low < found.difference < found.high
    assert "worse than to expect no change; do not plan by it" in say_backtest(found)
    assert "cannot be tested" in say_backtest(None)


def test_where_nothing_moved_beyond_chance_the_forecast_is_today():
    found = movement.backtest(drifting(400, 0.0, goes_on=False), 7)
    assert say_backtest(found).startswith("**No more moved one way than chance makes, so the forecast is today's sizes:**")


def test_customers_who_are_gone_judge_nothing_and_without_a_later_day_nothing_is_judged():
    moves = drifting(400, 0.3, goes_on=True)
    gone = np.where(np.arange(400) % 2 == 0, -1, moves.later)
    assert movement.backtest(moves._replace(later=gone), 7).customers == 200
    assert movement.backtest(moves._replace(later=None), 7) is None
    assert movement.backtest(moves._replace(later=np.full(400, -1)), 7) is None


def test_a_move_is_sure_only_beyond_chance():
    """Of 1,000: 60 went from 0 to 1 where chance moves 10; 12 came back where chance moves 10."""
    rows = [(0, 0, 440, 0.44, 0.49), (0, 1, 60, 0.06, 0.01), (1, 0, 12, 0.012, 0.01), (1, 1, 488, 0.488, 0.49)]
    table = pd.DataFrame(rows, columns=["from_segment", "to_segment", "customers", "share", "placebo_share"])
    sure = movement.surely_moved(table.assign(net_share=table.share - table.placebo_share))
    assert sure.to_list() == [False, True, False, False]
