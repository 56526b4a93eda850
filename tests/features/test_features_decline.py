"""The early warning: planted declines are found in time, steady and seasonal customers are left alone, the future is not seen."""

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from feature_events import SCHEMA, engine

from workbench.core.engine import as_table, fetch
from workbench.core.errors import InputError
from workbench.features.decline import FALSE_ALARMS, PRIOR_WEEKS, REFERENCE, decline_table, threshold
from workbench.features.window import Window

WEEKS = 26
WINDOW = Window(dt.date(2024, 4, 15), 7 * WEEKS, "UTC")


def company(chance, seed):
    """Chance of an active day, shape (customers, weeks; oldest first) -> frame: customer (number), days_ago of each active day."""
    generator = np.random.default_rng(seed)
    active = generator.random((*chance.shape, 7)) < chance[:, :, None]
    customer, week, day = np.nonzero(active)
    return pd.DataFrame({"customer": customer, "days_ago": 7 * (chance.shape[1] - week) - day})


def events(days, kind="order"):
    noon = np.datetime64(WINDOW.end.replace(tzinfo=None), "us") + np.timedelta64(12, "h")
    moments = noon - days.days_ago.to_numpy() * np.timedelta64(1, "D")
    n = len(days)
    known = {
        "customer_id": [f"c{c:05d}" for c in days.customer], "occurred_at": moments, "event_type": [kind] * n
    }  # fmt: skip
    return pa.table({f.name: pa.array(known.get(f.name, [None] * n), f.type) for f in SCHEMA}, schema=SCHEMA)


def run(arrow):
    found = fetch(decline_table(as_table(engine(), arrow, "declines"), WINDOW)).set_index("customer_id").sort_index()
    return found


def plain_decline(days, weeks=WEEKS, recent=8):
    """The same by the book, in numpy, customer by customer and week by week."""
    counts = days.assign(week=weeks - 1 - (days.days_ago - 1) // 7).pivot_table(index="customer", columns="week", aggfunc="size")
    x = counts.reindex(columns=range(weeks)).fillna(0).to_numpy()
    n = weeks - recent
    base = x[:, :n].sum(1)
    season = x[base > 0].sum(0) / x[base > 0][:, :n].sum(0).mean()
    mean = base.mean() / n
    prior = mean / max(base.var() / n**2 - mean / n, 1e-6)
    level, usual = (prior * mean + base) / (prior + n), base / n

    def spread(v):
        return v * np.maximum(1 - v / 7, 1 / 7)

    scatter = ((x[:, :n] - usual[:, None] * season[:n]) ** 2).sum(1)
    dispersion = scatter.sum() / (n - 1) / spread(usual).sum()
    deviation = np.sqrt((PRIOR_WEEKS * dispersion * spread(level) + scatter) / (PRIOR_WEEKS + n - 1))
    height, rows = threshold(n, recent), {}
    for c, row in zip(counts.index, x, strict=True):
        i, total, largest, since = len(rows), 0.0, 0.0, np.nan
        for t in range(n, weeks):
            total = max(0.0, total + (level[i] * season[t] - row[t]) / deviation[i] - REFERENCE)
            largest = max(largest, total)
            if total == 0:
                since = np.nan
            elif total > height and np.isnan(since):
                since = weeks - 1 - t
        rows[f"c{c:05d}"] = (largest, since >= 0, since)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["decline", "declining", "weeks_since"])


def ramp(n, level, weeks_left=4, length=12):
    """Chance per day: steady, then falling to zero in a straight line over `length` weeks, of which `weeks_left` are to come."""
    shape = np.ones(WEEKS)
    done = length - weeks_left
    shape[WEEKS - done :] = 1 - np.arange(1, done + 1) / length
    return np.full((n, 1), level / 7) * shape


def test_a_planted_decline_is_flagged_four_weeks_before_it_ends():
    """Activity falls to zero over 12 weeks; at week 8 it is flagged for 9 of 10 who were active on 5 days a week, half of 3."""
    generator = np.random.default_rng(3)
    steady = np.minimum(generator.gamma(1.5, 2 / 7, (3000, 1)), 0.9) * np.ones(WEEKS)
    found = run(events(company(np.vstack([ramp(60, 5), ramp(60, 4), ramp(60, 3), ramp(60, 1), steady]), 3)))
    planted = np.repeat([5, 4, 3, 1], 60)
    number = found.index.str[1:].astype(int)
    flagged = found.declining.groupby(np.where(number < 240, planted[np.minimum(number, 239)], 0)).mean()
    assert flagged[5] >= 0.85
    assert flagged[4] >= 0.65
    assert flagged[3] >= 0.4
    assert flagged[1] >= 0.04
    assert flagged[0] <= FALSE_ALARMS
    assert found.weeks_since[found.declining].between(0, 7).all()


@pytest.mark.parametrize("seed", range(2))
def test_steady_customers_are_left_alone_in_every_season(seed):
    generator = np.random.default_rng(seed)
    season = 1 + 0.5 * np.sin(np.arange(WEEKS) / WEEKS * 2 * np.pi)  # falls by half before as_of, for everybody
    level = np.minimum(generator.gamma(1.0, 2 / 7, (2000, 1)), 0.6)
    assert run(events(company(level * season, seed))).declining.mean() <= FALSE_ALARMS
    busiest = np.full((1500, 1), 4.5 / 7) * np.ones(WEEKS)
    assert run(events(company(busiest, seed))).declining.mean() <= FALSE_ALARMS


def test_it_equals_a_plain_computation():
    generator = np.random.default_rng(5)
    chance = np.minimum(generator.gamma(1.0, 0.3, (200, 1)), 0.95) * generator.uniform(0.3, 1, (200, WEEKS))
    days = company(np.vstack([chance, ramp(20, 5)]), 5)
    pd.testing.assert_frame_equal(
        run(events(days)), plain_decline(days), check_names=False, check_dtype=False, rtol=1e-5, check_index_type=False
    )


def test_neither_the_future_nor_messages_nor_the_order_of_rows_matter():
    days = company(np.vstack([ramp(40, 4), np.full((60, WEEKS), 0.3)]), 1)
    arrow = events(days)
    later = events(pd.DataFrame({"customer": [0, 1, 999], "days_ago": [0, -3, -5]}))
    sent = events(pd.DataFrame({"customer": [0, 1, 2] * 7, "days_ago": list(range(1, 22))}), "email_delivered")
    mixed = pa.concat_tables([later, arrow, sent])
    mixed = mixed.take(np.random.default_rng(0).permutation(len(mixed)))
    pd.testing.assert_frame_equal(run(mixed), run(arrow), check_exact=True)


def test_the_threshold_holds_its_rate_and_rises_with_the_weeks():
    """Known values: 5 % of single normal weeks with a known level pass the 95th percentile less the reference."""
    assert threshold(10**9, 1) == pytest.approx(1.6449 - REFERENCE, abs=0.02)
    assert threshold(18, 4) < threshold(18, 8) < threshold(9, 8)
    assert threshold(18, 8, 0.01) > threshold(18, 8)


def test_odd_data():
    """One customer alone, one without earlier weeks, nobody at all, a window too short."""
    steady = pd.DataFrame({"customer": 0, "days_ago": range(1, 7 * WEEKS, 3)})
    assert not run(events(steady)).declining.any()
    new = pd.DataFrame({"customer": 1, "days_ago": [1, 2, 9]})
    found = run(events(pd.concat([steady, new])))
    assert found.declining.to_list() == [False, False]
    only_new = run(events(new))
    assert only_new.decline.isna().all()
    assert not only_new.declining.any()
    assert not len(run(events(new.head(0))))
    with pytest.raises(InputError, match="weeks"):
        decline_table(as_table(engine(), events(new), "short"), Window(WINDOW.as_of, 41, "UTC"))
