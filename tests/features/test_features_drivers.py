"""What predicts: planted drivers come out on top, probabilities hold out of time, nothing is learned from the future or from noise."""

import numpy as np
import pandas as pd
import pytest

from workbench.core.errors import InputError
from workbench.features.drivers import OTHER_CUSTOMERS, OUT_OF_TIME, Moment, auc, learn, redundancy


def period(seed, n=1200, noise=8, slope=1.6):
    """Customers whose chance to lapse rises with `trouble`, and, weakly, with recency; spend follows past spend."""
    generator = np.random.default_rng(seed)
    trouble, recency, past = generator.normal(size=n), generator.exponential(20, n).round(), generator.lognormal(3, 0.8, n)
    chance = 1 / (1 + np.exp(1.5 - slope * trouble - 0.02 * recency))
    features = pd.DataFrame(
        {
            "customer_id": [f"c{i:05d}" for i in range(n)], "trouble": trouble, "recency_days": recency, "past": past,
            "past_too": past * generator.lognormal(0, 0.1, n), **{f"noise{i}": generator.normal(size=n) for i in range(noise)},
        }
    )  # fmt: skip
    active = (generator.random(n) > chance).astype(float)
    outcomes = pd.DataFrame(
        {
            "customer_id": features.customer_id,
            "future_active": active,
            "future_spend": active * past * generator.lognormal(0, 0.3, n),
        }
    )
    return Moment(features, outcomes), chance


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_driver_of_lapse_ranks_in_the_top_three(seed):
    (before, _), (then, _), (now, chance) = period(3 * seed), period(3 * seed + 1), period(3 * seed + 2)
    found = learn(before, then, now.features, "lapse", seed)
    assert found.judged == OUT_OF_TIME
    assert "trouble" in set(found.drivers.feature.head(3))
    best = found.drivers[found.drivers.feature == "trouble"].iloc[0]
    assert best.low > 0
    assert best.effect > 0.2
    assert found.beats_baseline
    assert found.baseline == "recency_days"
    noise = found.drivers[found.drivers.feature.str.startswith("noise")]
    assert (noise.importance < 0.02).all()
    # Probabilities are right for periods never seen, in the mean and in each tenth.
    assert found.predicted == pytest.approx(found.actual, abs=0.04)
    assert (
        (found.reliability.low <= found.reliability.predicted) & (found.reliability.predicted <= found.reliability.high)
    ).sum() >= 7
    assert np.corrcoef(found.predictions.predicted, chance)[0, 1] > 0.9
    assert found.predictions.predicted.mean() == pytest.approx(chance.mean(), abs=0.04)


def test_amounts_are_predicted_and_attributes_that_say_the_same_share_one_importance():
    (before, _), (then, _), (now, _) = period(1, 1200, 2), period(2, 1200, 2), period(3, 1200, 2)
    found = learn(before, then, now.features, "value", 1)
    assert not found.yes_no
    first = found.drivers.iloc[0]
    assert {first.feature, *first.also.split()} == {"past", "past_too"}
    assert first.effect > 0
    assert list(found.metrics.metric) == ["Spearman", "MAE"]
    assert found.baseline in {"past", "past_too"}
    curve = found.dependence[found.dependence.feature == first.feature].predicted
    assert curve.is_monotonic_increasing


def test_noise_predicts_nothing_and_that_is_said():
    (before, _), (then, _), (now, _) = period(4), period(5), period(6)
    columns = ["customer_id", *(f"noise{i}" for i in range(6))]
    found = learn(
        Moment(before.features[columns], before.outcomes),
        Moment(then.features[columns], then.outcomes),
        now.features[columns],
        "lapse",
        0,
    )
    assert not found.beats_baseline
    assert found.metrics.low[0] < 0.55
    assert found.predictions.predicted.std() < 0.08


def test_rows_shuffled_change_nothing_and_a_short_history_is_judged_on_other_customers():
    (then, _), (now, _) = period(7, 300, 1), period(8, 300, 1)
    found = learn(None, then, now.features, "lapse", 3)
    mixed = Moment(then.features.sample(frac=1, random_state=1), then.outcomes.sample(frac=1, random_state=2))
    again = learn(None, mixed, now.features.sample(frac=1, random_state=3), "lapse", 3)
    assert found.judged == OTHER_CUSTOMERS
    for name in ("predictions", "metrics", "reliability", "drivers", "dependence"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(again, name), check_exact=True)


def test_what_cannot_be_learned_says_why():
    (then, _), (now, _) = period(9, 300, 1), period(10, 300, 1)
    few = Moment(then.features.head(150), then.outcomes)
    assert "too few" in learn(None, few, now.features, "lapse", 0).reason
    none = Moment(then.features, then.outcomes.assign(future_active=1.0))
    found = learn(None, none, now.features, "lapse", 0)
    assert "differ" in found.reason
    assert (found.predictions.predicted == 0).all()
    assert not len(found.drivers)
    same = Moment(then.features, then.outcomes.assign(future_spend=5.0))
    assert "same for everybody" in learn(None, same, now.features, "value", 0).reason
    with pytest.raises(InputError, match="future_redeemed"):
        learn(None, then, now.features, "response", 0)


def test_odd_columns_do_no_harm():
    """All-null, constant, nearly unknown, infinite, 16-digit numbers, zero-inflated, refunds above purchases."""
    (then, _), (now, _) = period(11, 300, 0), period(12, 300, 0)

    def odd(frame):
        ids = np.arange(len(frame)) + 4_000_000_000_000_000
        rare = np.where(np.arange(len(frame)) % 40 == 0, 3.0, 0.0)
        with_inf = frame.trouble.where(frame.trouble < 2, np.inf)
        return frame.assign(
            empty=np.nan, constant=1.0, known_once=[1.0] + [np.nan] * (len(frame) - 1), card=ids, rare=rare, inf=with_inf
        )

    outcomes = then.outcomes.assign(future_spend=then.outcomes.future_spend - 20)
    found = learn(None, Moment(odd(then.features), outcomes), odd(now.features), "value", 0)
    told = set(found.drivers.feature) | {f for also in found.drivers.also for f in also.split()}
    assert not {"empty", "constant", "known_once"} & told
    assert {"card", "rare", "inf"} <= told
    assert found.predictions.predicted.notna().all()


def test_auc_by_hand():
    # Pairs (yes, no): 3 > 1, 3 > 2, 2 > 1, 2 = 2 counts half: 3.5 of 4.
    assert auc(np.array([1, 1, 0, 0]), np.array([3, 2, 1, 2])) == 3.5 / 4
    assert np.isnan(auc(np.ones(3), np.arange(3)))


def test_redundancy_puts_like_attributes_side_by_side():
    features = period(13)[0].features
    catalog = pd.DataFrame({"feature": [c for c in features if c != "customer_id"]}).assign(relevance=0.1)
    found = redundancy(features.assign(constant=1.0), catalog, most=50)
    order = list(found.columns)
    assert abs(order.index("past") - order.index("past_too")) == 1
    assert found.loc["past", "past_too"] == pytest.approx(features.past.corr(features.past_too, method="spearman"))
    np.testing.assert_allclose(found, found.T)
    assert np.diag(found).tolist() == [1.0] * len(found)
    assert redundancy(features, catalog.head(1)).shape == (1, 1)


def test_what_readers_see_holds_with_and_without_a_model():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from workbench.views import features as views

    (then, _), (now, _) = period(14, 300, 1), period(15, 300, 1)
    names = [c for c in then.features if c != "customer_id"]
    catalog = pd.DataFrame(
        {"feature": names, "noun": [n.replace("_", " ") for n in names], "high": "have much", "low": "have little"}
    )
    told = learn(None, then, now.features, "lapse", 0)
    few = learn(None, Moment(then.features.head(20), then.outcomes), now.features, "lapse", 0)
    for found in (told, few):
        for chart in (views.chart_reliability(found), views.chart_drivers(found, catalog)):
            chart.figure.canvas.draw()
            plt.close(chart.figure)
    assert "AUC" in views.say_drivers(told, catalog)
    assert "cannot be predicted: 20 customers" in views.say_drivers(few, catalog)
