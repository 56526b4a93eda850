"""Movement is told apart from chance, and a forecast is worth what its backtest says."""

import numpy as np
import pandas as pd
import pytest
from simulator import planted_company, weekly_company

from workbench.clustering import movement, scoreboard
from workbench.clustering.movement import Moves
from workbench.core.config import ClusteringSettings
from workbench.core.contracts import check_frame
from workbench.views.clustering import say_backtest

SETTINGS = ClusteringSettings()


def observed(seed, movers, noise=0.25):
    company = planted_company(12, 60, seed, noise, movers)
    found = scoreboard.fit_slice(company.slices["full"], SETTINGS, company.relevance)
    return movement.observe_moves(found, company.slices, company.slices["full"].today.iloc[10:])


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
@pytest.mark.parametrize("noise", [0.25, 0.5])
def test_ten_per_cent_planted_movers_are_found(noise):
    """With twice the noise one in ten unchanged customers changes segments, too."""
    net = np.mean([movement.net_movement(observed(seed, 0.1, noise))[0] for seed in (0, 1, 2)])
    assert 0.08 <= net <= 0.12, net


def moved_by_weeks(window, horizon, movers):
    slices = weekly_company(0, window, horizon, movers=movers)
    relevance = pd.Series(0.2, slices["full"].today.columns)
    found = scoreboard.fit_slice(slices["full"], SETTINGS, relevance)
    return movement.observe_moves(found, slices, shared=movement.shared_days(7 * window, 7 * horizon))


@pytest.mark.slow
@pytest.mark.parametrize("window", [26, 52])
def test_where_windows_share_weeks_nobody_moves_either(window):
    moves = moved_by_weeks(window, 13, 0.0)
    net, low, high = movement.net_movement(moves)
    assert (moves.before != moves.now).mean() > 0.05
    assert low <= 0.01, f"net movement {net:.3f} ({low:.3f} to {high:.3f})"
    assert high >= -0.01, f"net movement {net:.3f} ({low:.3f} to {high:.3f})"


@pytest.mark.slow
def test_movers_are_found_where_orders_come_at_random():
    """Of the tenth who turned to another group some land in the segment that they were in: the segments are fewer than the customers' ways."""
    net, _, _ = movement.net_movement(moved_by_weeks(26, 26, 0.1))
    assert 0.05 <= net <= 0.12, net


def test_days_that_windows_share_change_between_odd_and_even_weeks():
    assert movement.shared_days(91, 91) == (0, 0)
    assert movement.shared_days(182, 91) == (0.5, 1)
    assert movement.shared_days(182, 84) == (98 / 182, 0)
    # Thirteen weeks and a day: the first day of each week falls in a week of the other kind.
    assert movement.shared_days(14 * 26 + 92, 92).swapped == pytest.approx(6 / 7)


@pytest.mark.parametrize("changed", [0, 1])
@pytest.mark.parametrize("swapped", [None, 0.0, 0.5, 0.85])
def test_what_halves_agree_on_is_no_chance(swapped, changed):
    """Sums of 26 weeks, 13 of them shared (or none): the placebo differs as unchanged customers do, whether all have changed or nobody."""
    rng = np.random.default_rng(0)
    count, shared = 20_000, 0 if swapped is None else 13
    weeks = rng.normal(size=(count, 52 - shared))
    then, now = np.arange(26), np.arange(26) + 26 - shared
    change = changed * np.sqrt(26) * rng.normal(size=count)

    def halves(window, moved):
        odd = np.arange(26) % 2 == 0
        # Which of the shared weeks are odd now is drawn, so that as many as said are even ones of the earlier window.
        if moved is now and shared:
            was_odd, turned = (then % 2 == 0)[26 - shared :], rng.permutation(shared) < round(swapped * shared)
            odd = np.append(was_odd ^ turned, np.arange(26 - shared) % 2 == 0)
        level = change / 2 if moved is now else 0
        return [
            2 * (weeks[:, window[chosen]].sum(axis=1) * np.sqrt(13 / chosen.sum()) + level)[:, None] for chosen in (odd, ~odd)
        ]

    before, after = weeks[:, then].sum(axis=1), weeks[:, now].sum(axis=1) + change
    halves_then, halves_now = halves(then, then), halves(now, now)
    both = movement.Shared() if swapped is None else movement.Shared(13 / 26, round(swapped * 13) / 13)
    scale = movement.chance_scale(before[:, None], after[:, None], halves_then, halves_now, both)
    placebo = scale * (halves_now[0] - halves_now[1])
    assert placebo.var() == pytest.approx(2 * (26 - shared), rel=0.1)


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
