"""A run whose configuration names Spark: ingest stays on the embedded engine, features and KPIs come out the same from Spark."""

from __future__ import annotations

import importlib.util
import shutil

import numpy as np
import pandas as pd
import pipeline_ingest as tiny
import pytest

from workbench.clustering.segmenter import Segmenter
from workbench.core import engine, workspace
from workbench.core.config import Engine, load_config
from workbench.core.errors import EnvironmentFault, ParameterError
from workbench.core.rundir import Run
from workbench.features import matrix
from workbench.features.window import Window
from workbench.kpis import arms, campaigns, customer_sums, design, retention
from workbench.kpis.period import Period

there_is_spark = importlib.util.find_spec("pyspark") and shutil.which("java")


@pytest.mark.slow
@pytest.mark.skipif(not there_is_spark, reason="needs Java 17 and pyspark: pip install 'workbench[spark]'")
def test_a_run_on_spark_has_the_features_and_kpis_of_one_on_the_embedded_engine(small_demo, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(small_demo))
    grocer = workspace.PACKAGE.parents[1] / "configs" / "grocer.yaml"
    (small_demo / "configs").mkdir(exist_ok=True)
    (small_demo / "configs" / "spark.yaml").write_text(f"{grocer.read_text()}\nengine: {{backend: spark, memory_limit: 2GB}}\n")
    ingested = tiny.run_notebook_01("spark", "configs/spark.yaml").run
    assert ingested.engine.name == "duckdb"
    found = {}
    for backend in ("spark", "duckdb"):
        run = Run.open(ingested.path)
        run.config = run.config.model_copy(update={"engine": run.config.engine.model_copy(update={"backend": backend})})
        events, settings = run.read_events(), run.config.features
        assert (events.get_backend().name == "duckdb") == (backend == "duckdb")
        known = matrix.Known(events)
        window = Window(run.config.as_of, settings.window_days, run.config.company.zone)
        plan = matrix.plan_features(known, window, settings)
        features = matrix.build_features(known, plan, window)
        period = Period(run.config.as_of, settings.horizon_days, run.config.company.zone)
        sums = customer_sums.build_customer_sums(events, features.customer_id, period)
        spend = pd.DataFrame({"spend": [customer_sums.sum_ad_spend(events, period)]})
        # Real campaigns stand in for assignments, so that there are some.
        kind = events.event_type
        tried = events.mutate(event_type=(kind == "campaign_sent").ifelse("assignment", kind))
        more = (
            campaigns.read_answers(events, period),
            arms.read_assignments(tried, 28, period.end),
            design.read_history(events, features.customer_id, period),
            retention.read_lifetimes(events, period),
            retention.build_cohorts(events, period, 0.95),
        )
        found[backend] = (features, matrix.outcomes_if_reached(known, plan, features.customer_id), sums, spend, *more)
    for theirs, ours in zip(*found.values(), strict=True):
        assert len(ours)
        pd.testing.assert_frame_equal(theirs, ours, rtol=1e-9, atol=0)


@pytest.mark.slow
@pytest.mark.skipif(not there_is_spark, reason="needs Java 17 and pyspark: pip install 'workbench[spark]'")
def test_customers_are_placed_in_partitions_as_one_after_another(tmp_path):
    generator = np.random.default_rng(7)
    middle, customers = 4 * generator.normal(size=(10, 5)), 25_000
    group = generator.integers(0, 10, customers)

    def window() -> pd.DataFrame:
        return pd.DataFrame(middle[group] + generator.normal(size=(customers, 5)), columns=list("abcde"))

    today, earlier = window(), window()
    outcomes = pd.DataFrame({"spend": middle[group, 0] + generator.normal(size=customers), "is_active": 1.0 * (group < 4)})
    each = engine.in_partitions(engine.connect_configured(Engine(backend="spark", memory_limit="2GB"), tmp_path))
    found = {}
    for name, way in (("here", {}), ("spark", {"each": each})):
        segmenter = Segmenter(sample_limit=1000, min_segments=10, max_segments=10)
        found[name] = segmenter.fit(today, earlier=earlier, outcomes=outcomes, **way)
        np.testing.assert_array_equal(segmenter.place(today, **way)[0], segmenter.labels_)
    pd.testing.assert_frame_equal(found["spark"].predicted_, found["here"].predicted_)
    np.testing.assert_array_equal(found["spark"].labels_, found["here"].labels_)
    np.testing.assert_array_equal(found["spark"].strengths_, found["here"].strengths_)
    with pytest.raises(EnvironmentFault, match="executors: No module named 'nowhere'"):
        each(lambda _: __import__("nowhere"), [1])


def test_without_java_the_fault_names_the_command(tmp_path, monkeypatch):
    pytest.importorskip("pyspark")
    from workbench.core.engine import connect_configured

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(EnvironmentFault, match="apt-get install openjdk-17-jre-headless") as fault:
        connect_configured(Engine(backend="spark"), tmp_path)
    assert fault.value.exit_code == 4


def test_without_pyspark_the_fault_names_the_command(tmp_path, monkeypatch):
    from workbench.core.engine import connect_configured

    monkeypatch.setitem(__import__("sys").modules, "pyspark.sql", None)
    with pytest.raises(EnvironmentFault, match=r"pip install 'workbench\[spark\]'"):
        connect_configured(Engine(backend="spark"), tmp_path)


@pytest.mark.parametrize(
    "name, value, told",
    [
        ("master", "sc://host", "should match pattern"),
        ("options", {"spark.hadoop.fs.s3a.secret.key": "x"}, "spark-defaults.conf"),
        ("options", {"executor.memory": "2g"}, "no setting of Spark"),
    ],
)
def test_a_wrong_setting_of_spark_is_told(home, name, value, told):
    tiny.write_company(home, {}, {"engine": {"backend": "spark", name: value}})
    with pytest.raises(ParameterError, match=told):
        load_config("configs/sixty.yaml")
