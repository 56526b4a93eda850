"""The statistics of experiments against published software, against least squares, and against simulated truth.

Goldens: statsmodels 0.15.0 (confint_proportions_2indep, proportions_ztest, CompareMeans, anova_oneway, combine_effects,
NormalIndPower, OLS), computed apart because the project does not depend on it.
"""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from workbench.core.stats import false_discovery, pool_effects
from workbench.kpis import effects

I = np.arange(60)  # noqa: E741
A = np.where(I % 3 == 0, 0, I * I % 37 + I / 7)
B = np.where(I % 4 == 0, 0, I * I % 29 + I / 9)[:45]


def cells(*samples):
    values, groups = np.concatenate(samples), np.repeat(np.arange(len(samples)), [len(s) for s in samples])
    return effects.describe_cells(values, groups, len(samples))


def one(sample):
    return cells(sample)


def share(x, n):
    return effects.Cells(np.array([float(n)]), np.array([x / n]), np.array([np.nan]))


def test_difference_of_shares_is_newcombes():
    found = effects.compare_shares(share(45, 300), share(30, 310), 0.95)
    assert (found.low[0], found.high[0]) == pytest.approx((0.0008921726174829225, 0.10614747824633963), rel=1e-10)
    assert found.p[0] == pytest.approx(0.04535564081575662, rel=1e-10)


def test_small_counts_get_fishers_exact_test():
    found = effects.compare_shares(share(5, 20), share(1, 22), 0.95)
    assert found.p[0] == stats.fisher_exact([[5, 15], [1, 21]]).pvalue


def test_difference_of_means_is_welchs():
    found = effects.compare_means(one(A), one(B), 0.95)
    assert (found.low[0], found.high[0]) == pytest.approx((-1.7245358093950118, 8.131414116273316), rel=1e-10)
    assert (found.p[0], found.freedom[0]) == pytest.approx((0.2002060416918954, 102.92549295606466), rel=1e-10)
    assert found.p[0] == pytest.approx(stats.ttest_ind(A, B, equal_var=False).pvalue, rel=1e-12)


def test_permutation_is_that_of_all_ways_to_deal_the_arms():
    values, arm = np.array([0, 0, 1.5, 2, 3, 4.2, 9, 30.0, 7.7, 2.6]), np.isin(np.arange(10), (2, 6, 7))
    t = [stats.ttest_ind(values[list(c)], np.delete(values, c), equal_var=False).statistic for c in combinations(range(10), 3)]
    seen = stats.ttest_ind(values[arm], values[~arm], equal_var=False).statistic
    wanted = 2 * min(np.mean(np.array(t) >= seen - 1e-9), np.mean(np.array(t) <= seen + 1e-9))
    for treated, sign in ((arm, 1), (~arm, -1)):
        welch = effects.compare_means(one(values[treated]), one(values[~treated]), 0.8)
        found = effects.by_permutation(welch, values, np.zeros(10, int), treated, 0.8, 7)
        assert found.p[0] == pytest.approx(wanted, abs=0.03)
        near, far = np.quantile(sign * np.array(t), [0.1, 0.9])
        bounds = [found.effect[0] - q * found.error[0] for q in (far, near)]
        assert [found.low[0], found.high[0]] == pytest.approx(bounds, rel=0.1)


def test_permutation_is_welchs_where_nothing_is_skewed_and_hangs_on_no_order():
    rng = np.random.default_rng(4)
    values, groups, treated = rng.normal(0, 1, 900), np.repeat([0, 1, 2], 300), rng.random(900) < 0.3
    found = effects.describe_cells(values, 2 * groups + treated, 6)
    arms = [effects.Cells(*(a.reshape(3, 2)[:, i] for a in (found.n, found.mean, found.variance))) for i in (1, 0)]
    welch = effects.compare_means(*arms, 0.95)
    dealt = effects.by_permutation(welch, values, groups, treated, 0.95, 7)
    assert dealt.p == pytest.approx(welch.p, abs=0.04)
    assert dealt.low == pytest.approx(welch.low, abs=0.2 * welch.error.max())
    mixed = rng.permutation(900)
    again = effects.by_permutation(welch, values[mixed], groups[mixed], treated[mixed], 0.95, 7)
    assert (again.p == dealt.p).all()
    assert (again.low == dealt.low).all()


def test_the_common_error_is_that_of_students_t():
    found = effects.compare_means(one(A), one(B), 0.95)
    assert found.effect[0] / found.common[0] == pytest.approx(stats.ttest_ind(A, B).statistic, rel=1e-12)
    alike = effects.compare_shares(share(9, 90), share(1, 10), 0.95)
    assert alike.common[0] == pytest.approx(np.sqrt(12 / 104 * 92 / 104 * (1 / 92 + 1 / 12)), rel=1e-12)


def test_heterogeneity_is_welchs_anova_and_q_is_cochrans():
    made = cells(A[:15], A[15:40], A[40:], B)
    q, p = effects.heterogeneity(made.mean, np.sqrt(made.variance / made.n), made.n - 1)
    assert p == pytest.approx(0.2722048751703482, rel=1e-10)
    d, v = np.array([0.1, 0.3, 0.35, 0.65, 0.45, 0.15]), np.array([0.03, 0.03, 0.05, 0.01, 0.05, 0.02])
    q, p = effects.heterogeneity(d, np.sqrt(v), np.full(6, 1e9))
    assert q == pytest.approx(12.805627705627714, rel=1e-12)
    assert p == pytest.approx(stats.chi2.sf(q, 5), rel=1e-5)


def test_pooling_uses_the_variance_between_groups_of_dersimonian_and_laird():
    d, v = np.array([0.1, 0.3, 0.35, 0.65, 0.45, 0.15]), np.array([0.03, 0.03, 0.05, 0.01, 0.05, 0.02])
    tau2, mean = 0.039785966460723785, 0.34424967841900606
    b = 3 / 5 * v / (v + tau2)
    pooled, low, high = pool_effects(d, np.sqrt(v), 0.95)
    assert pooled == pytest.approx((1 - b) * d + b * mean, rel=1e-10)
    assert ((low < pooled) & (pooled < high)).all()
    assert np.isnan(pool_effects(d[:3], np.sqrt(v[:3]), 0.95)[0]).all()


def test_power_and_sample_size():
    error = np.sqrt(1 / 250 + 1 / 300)
    assert effects.power_of(0.2, error, 0.05) == pytest.approx(0.6463766056323055, rel=1e-9)
    assert effects.per_arm(0.2, 1.0, 1.0, 0.05, 0.8) == np.ceil(392.4430232577885)
    assert effects.power_of(effects.detectable_effect(error, 0.05, 0.8), error, 0.05) == pytest.approx(0.8, abs=1e-4)


def test_q_values_are_those_of_benjamini_and_hochberg():
    p = np.array([0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216])
    wanted = [0.01, 0.04, 0.084, 0.084, 0.084, 0.1, 0.10571429, 0.216, 0.216, 0.216]
    assert false_discovery(p) == pytest.approx(wanted, rel=1e-6)


def test_cuped_is_the_regression_on_arm_within_strata():
    x, stratum, arm = (I * 7 % 11).astype(float), I % 2, I // 2 % 2
    cell = stratum * 2 + arm
    found = effects.describe_cells(effects.cuped(A, x, stratum, cell), cell, 4).mean.reshape(2, 2)
    # Coefficients of arm in each stratum of y ~ stratum * arm + x.
    assert found[:, 1] - found[:, 0] == pytest.approx([-4.58956185, -1.18325714], rel=1e-7)


def test_cuped_takes_away_variance_and_keeps_the_effect():
    rng = np.random.default_rng(0)
    x, arm = rng.normal(0, 1, 4000), rng.integers(0, 2, 4000)
    y = 2 * x + rng.normal(0, 1, 4000) + 0.3 * arm
    adjusted = effects.cuped(y, x, np.zeros(4000, int), arm)
    raw, near = effects.describe_cells(y, arm, 2), effects.describe_cells(adjusted, arm, 2)
    assert (near.variance < 0.25 * raw.variance).all()
    assert near.mean[1] - near.mean[0] == pytest.approx(0.3, abs=0.1)
    assert effects.cuped(y, np.ones(4000), np.zeros(4000, int), arm) == pytest.approx(y)


@pytest.mark.parametrize("between", [0.0, 0.5, 2.0])
def test_pooled_intervals_cover_the_effects_of_the_groups(between):
    rng = np.random.default_rng(1)
    hits = []
    for _ in range(300):
        error = rng.uniform(0.5, 1.5, 20)
        truth = rng.normal(1, between, 20)
        _, low, high = pool_effects(rng.normal(truth, error), error, 0.95)
        hits.append(((low <= truth) & (truth <= high)).mean())
    assert np.mean(hits) >= 0.935


def test_intervals_of_differences_cover_what_they_promise():
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(2000), 60)
    revenue = [effects.describe_cells(rng.gamma(0.8, 20, len(groups)), groups, 2000) for _ in range(2)]
    bought = [effects.describe_cells((rng.random(len(groups)) < 0.1) * 1.0, groups, 2000) for _ in range(2)]
    for found in (effects.compare_means(*revenue, 0.95), effects.compare_shares(*bought, 0.95)):
        assert 0.94 <= ((found.low <= 0) & (found.high >= 0)).mean() <= 0.975


def test_nothing_is_invented_for_nobody_or_one():
    nobody, many = effects.Cells(np.zeros(1), np.full(1, np.nan), np.full(1, np.nan)), one(1.0 * (B > 9))
    for few in (nobody, one(A[:1])):
        found = effects.compare_means(few, many, 0.95)
        assert np.isnan([found.p, found.low, found.error]).all()
    found = effects.compare_shares(nobody, many, 0.95)
    assert np.isnan([found.p, found.low, found.effect, found.error]).all()
