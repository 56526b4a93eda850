"""Movement is told apart from chance, and a forecast is worth what its backtest says."""

import numpy as np
import pandas as pd
import pytest
from simulator import planted_company, weekly_company

from workbench.clustering import movement, scoreboard
from workbench.clustering.movement import Known, Moves
from workbench.core.config import ClusteringSettings
from workbench.core.contracts import check_frame
from workbench.views.movement import chart_migration, say_backtest

SETTINGS = ClusteringSettings()


def observed(seed, movers, noise=0.25):
    company = planted_company(12, 60, seed, noise, movers)
    found = scoreboard.fit_slice(company.slices["full"], SETTINGS, company.relevance)
    return movement.observe_moves(found, company.slices, company.slices["full"].today.iloc[10:])


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.25, 0.8])
def test_a_stationary_population_does_not_move_beyond_chance(noise):
    """Also where chance moves a third of the customers."""
    moves = observed(0, 0.0, noise)
    moved = movement.net_movement(moves, 7)
    assert moved.low <= 0 <= moved.high, moved
    assert (moved.observed > 0.3) == (noise > 0.5)
    assert movement.surely_moved(moves, 7).sum() <= 1  # of 156 pairs: one run in twenty shows one by chance
    table = movement.migration_table(moves)
    check_frame("migration", table)
    assert table.share.sum() == pytest.approx(1)
    assert table.placebo_share.sum() == pytest.approx(1)
    sizes = np.bincount(moves.now)
    assert np.abs(movement.forecast(moves.known, sizes, 7).expected - sizes).max() < 0.05 * sizes.sum()
    if noise > 0.5:
        return
    # One horizon later is today here, but for ten customers who are gone.
    known = moves.known
    assert (known.later < 0).sum() == 10
    assert (known.later[known.later >= 0] == known.now[known.later >= 0]).all()
    assert movement.backtest(known, 7).no_change < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.25, 0.5, 0.8])
def test_ten_per_cent_planted_movers_are_found(noise):
    """Also where chance moves one in ten, or one in three, of those who have not changed."""
    net = np.mean([movement.beyond_chance(observed(seed, 0.1, noise)) for seed in (0, 1, 2)])
    assert 0.08 <= net <= 0.12, net


def moved_by_weeks(window, horizon, movers, seed=0):
    slices = weekly_company(seed, window, horizon, movers=movers)
    relevance = pd.Series(0.2, slices["full"].today.columns)
    found = scoreboard.fit_slice(slices["full"], SETTINGS, relevance)
    return movement.observe_moves(found, slices, shared=movement.shared_days(7 * window, 7 * horizon))


@pytest.mark.slow
@pytest.mark.parametrize("window", [26, 52])
def test_where_windows_share_weeks_nobody_moves_either(window):
    moved = movement.net_movement(moved_by_weeks(window, 13, 0.0), 7)
    assert moved.observed > 0.05
    assert moved.low <= 0.01, moved
    assert moved.high >= -0.01, moved


@pytest.mark.slow
def test_movers_are_found_where_orders_come_at_random():
    net = np.mean([movement.beyond_chance(moved_by_weeks(26, 26, 0.1, seed)) for seed in (0, 1)])
    assert 0.08 <= net <= 0.13, net


def test_days_that_windows_share_change_between_odd_and_even_weeks():
    assert movement.shared_days(91, 91) == (0, 0)
    assert movement.shared_days(182, 91) == (0.5, 1)
    assert movement.shared_days(182, 84) == (98 / 182, 0)
    # Thirteen weeks and a day: the first day of each week falls in a week of the other kind.
    assert movement.shared_days(14 * 26 + 92, 92).swapped == pytest.approx(6 / 7)


@pytest.mark.parametrize("turned", [0, 0.1])
@pytest.mark.parametrize("swapped", [None, 0.0, 0.35, 0.85, 1.0])
def test_what_two_times_disagree_more_than_one_is_who_turned(swapped, turned):
    """Five kinds of customers, placed by sums of 26 weeks, 13 of them shared by both windows (or none): half of the weeks is often wrong."""
    rng = np.random.default_rng(0)
    count, shared = 20_000, 0 if swapped is None else 13
    kind = rng.integers(0, 5, count)
    other = np.where(rng.random(count) < turned, (kind + rng.integers(1, 5, count)) % 5, kind)
    weeks = rng.normal(size=(count, 52 - shared)) * 2
    weeks[:, :26] += kind[:, None]
    weeks[:, 26:] += other[:, None]
    if not shared:
        parity = np.arange(52) % 2
        then, now = (np.arange(26), parity[:26]), (np.arange(26, 52), parity[:26])
    else:
        # All windows of one kind of customer in the shared weeks: only who turned half a window ago differs.
        odd = np.arange(26) % 2
        turns = rng.permutation(13) < round(swapped * 13)
        then, now = (np.arange(26), odd), (np.arange(13, 39), np.append(odd[13:] ^ turns, odd[13:] ^ 1))

    def placed(window, half=None):
        weeks_of, parity = window
        chosen = weeks_of if half is None else weeks_of[parity == half]
        return np.clip(np.rint(weeks[:, chosen].mean(axis=1)), 0, 4).astype(int)

    both = movement.Shared() if swapped is None else movement.Shared(0.5, round(swapped * 13) / 13)
    halves = [(placed(window, 1), placed(window, 0)) for window in (then, now)]
    moves = Moves(placed(then), placed(now), *halves, segments=5, shared=both)
    assert movement.share_moved(moves) > 0.2
    if not turned:
        assert movement.beyond_chance(moves) == pytest.approx(0, abs=0.02)
        assert not movement.surely_moved(moves, 7).any()
    elif not shared:
        assert movement.beyond_chance(moves) == pytest.approx(turned, rel=0.2)
    else:
        assert 0.02 < movement.beyond_chance(moves) < turned  # half of their window is who they were


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
    return Known(before, now, segments=2, later=later)


def test_a_trend_that_goes_on_is_forecast_better_than_by_no_change():
    known = drifting(4000, 0.3, goes_on=True)
    found = movement.backtest(known, 7)
    assert found.forecast < 0.03
    assert found.no_change == pytest.approx(0.5 * 0.7 * 0.3, abs=0.02)
    assert found.low < found.difference < found.high < 0
    assert say_backtest(found).startswith("**The forecast was better than to expect no change:**")
    sizes = movement.forecast(known, np.bincount(known.now), 7)
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
    known = drifting(400, 0.3, goes_on=True)
    gone = np.where(np.arange(400) % 2 == 0, -1, known.later)
    assert movement.backtest(known._replace(later=gone), 7).customers == 200
    assert movement.backtest(known._replace(later=None), 7) is None
    assert movement.backtest(known._replace(later=np.full(400, -1)), 7) is None


def test_a_move_is_sure_only_beyond_chance():
    """Of 1,000: 60 went from 0 to 1 for good; ten more of each are now here and now there, whatever the weeks."""
    rng, kind = np.random.default_rng(0), np.repeat([0, 1], 500)
    after = np.where(np.arange(1000) < 60, 1, kind)

    def look(at):
        return np.where(rng.random(1000) < 0.02, 1 - at, at)

    moves = Moves(look(kind), look(after), (look(kind), look(kind)), (look(after), look(after)), segments=2)
    assert movement.surely_moved(moves, 7).tolist() == [[False, True], [False, False]]
    assert movement.beyond_chance(moves) == pytest.approx(0.06, abs=0.015)


def test_halves_that_tell_nothing_tell_of_no_movement():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (6, 500))
    moves = Moves(*labels[:2], tuple(labels[2:4]), tuple(labels[4:]), segments=3)
    assert np.isnan(moves.net).all()


@pytest.mark.filterwarnings("ignore:The set_bad function:PendingDeprecationWarning")  # seaborn's heat map
def test_where_nobody_moves_there_is_an_empty_map():
    moves = Moves(np.arange(4) % 2, np.arange(4) % 2, *[(np.arange(4) % 2,) * 2] * 2, segments=2)
    drawn = chart_migration(movement.migration_table(moves), movement.surely_moved(moves, 7))
    assert drawn.get_title() == "Of 2 moves between segments, none is surely more than chance makes"


@pytest.mark.filterwarnings("ignore:The set_bad function:PendingDeprecationWarning")
def test_moves_that_are_fewer_than_chance_would_make_are_not_counted_as_moves():
    """Two of a placebo that goes both ways, where customers went one way."""
    pairs = [(0, 0, 0.0), (0, 1, -0.02), (1, 0, 0.05), (1, 1, 0.0)]
    table = pd.DataFrame(pairs, columns=["from_segment", "to_segment", "net_share"])
    title = chart_migration(table, ~np.eye(2, dtype=bool)).get_title()
    assert title.startswith("Of 2 moves between segments, 1 is surely more than chance makes,\n1 surely fewer")
