"""Groups that are there are found among other customers too; borders through a continuum are not."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator import planted_company

from workbench.clustering import anew, baselines, scoreboard
from workbench.core.config import ClusteringSettings
from workbench.views.clustering import say_found_anew

SETTINGS = ClusteringSettings(min_segments=12, max_segments=12)


@pytest.mark.slow
@pytest.mark.parametrize("noise, low, high", [(0.25, 0.9, 1.0), (2.5, 0.0, 0.5)])
def test_groups_that_are_there_are_found_among_other_customers_too(noise, low, high):
    """At ten times the noise the planted groups run into each other: then borders hang on who was looked at."""
    company = planted_company(12, 100, 0, noise)
    full = company.slices["full"]
    fitted = scoreboard.fit_slice(full, SETTINGS, company.relevance)
    found = anew.find_anew(full, SETTINGS, company.relevance, fitted)
    assert found.segments.shape == (2 * anew.SPLITS, 12)
    by_size = np.average(found.segments.mean(axis=0), weights=np.bincount(fitted.labels_))
    assert found.methods[scoreboard.OURS] == pytest.approx(by_size)
    assert low <= found.methods[scoreboard.OURS] <= high
    assert found.chance < 0.12
    assert found.methods[scoreboard.RFM_EQUAL] > 0.8, "its borders are ruled, and so come back"


@pytest.mark.parametrize(
    "each, why", [(6, "72 customers halve into less than 50"), (25, "150 customers are too few to learn from")]
)
def test_half_of_too_few_customers_says_nothing_of_others(each, why):
    company = planted_company(12, each, 0)
    full = company.slices["full"]
    fitted = scoreboard.fit_slice(full, SETTINGS.model_copy(update={"min_segments": 2, "max_segments": 6}), company.relevance)
    found = anew.find_anew(full, SETTINGS, company.relevance, fitted)
    assert np.isnan(found.segments).all(), why
    assert found.segments.shape[1] == fitted.n_segments_
    assert "cannot be told" in say_found_anew(found, pd.DataFrame())


def test_what_was_found_anew_is_told_with_simpler_ways_beside_it():
    methods = pd.Series({scoreboard.OURS: 0.5, scoreboard.KMEANS: 0.45, scoreboard.RFM_EQUAL: 0.95})
    found = anew.Anew(np.array([[0.7, 0.4, 0.3]]), methods, 0.06)
    steady = {"stability": [0.9, 0.8, 0.8, 0.6], "stability_low": [0.8, 0.6, 0.3, 0.5]}
    table = pd.DataFrame({**steady, "found_anew": [0.7, 0.4, 0.3, 0.2], "size": [700, 200, 60, 40]})
    told = say_found_anew(found, table)
    for part in (
        "Jaccard of 0.50",
        "67% of the members",
        "at random, 0.06",
        "reaches 0.45",
        "equal size 0.95",
        "the mean is 0.40, and 3 of 4 are under 0.5",
        "1 of these would pass by the refits",
        "share most of their customers, and the space",
    ):
        assert part in told
    assert "none of 1 is under 0.5. " in say_found_anew(found, table[:1])
    assert "The refits share the space:" in say_found_anew(found, table.assign(size=10_000))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_an_rfm_grid_among_the_same_customers_is_that_of_their_ranks(seed, parts):
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(generator.integers(0, 9, (60, 3)).astype(float), columns=list(baselines.RFM))
    frame = frame.mask(generator.random((60, 3)) < 0.1)
    ranks = frame.rank(method="average", pct=True)
    cells = (np.ceil(ranks * parts).fillna(1).clip(1, parts) - 1) @ [parts**2, parts, 1]
    grid = baselines.rfm_grid(frame, (parts,) * 3)
    assert pd.DataFrame({"grid": grid, "cell": cells}).drop_duplicates().shape[0] == len(set(grid)) == cells.nunique()
    assert (baselines.rfm_grid(frame, (parts,) * 3, among=frame.sample(frac=1, random_state=1)) == grid).all()
