"""A randomised experiment declared as a source, from the file to the KPIs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pipeline_company import QUICK, make_workspace

pytestmark = pytest.mark.slow
SOURCE = """sources:
  trial:
    kind: marketing_automation
    path: data/demo/trial/assignments.csv
    trust: 50
    record_id: card_number
    identity: {loyalty_id: card_number}
    events:
      - type: assignment
        at: drawn_at
        campaign_id: trial
        topic: arm
        cost: price
"""


def test_an_experiment_of_the_demo_company_reaches_its_readout_and_the_campaign_return(tmp_path):
    company = make_workspace(tmp_path, 300)
    folder = company.folder / "data" / "demo"
    cards = (
        pd.read_parquet(folder / "pos" / "order_lines.parquet", columns=["card_number"]).card_number.astype(str).drop_duplicates()
    )
    arm = np.random.default_rng(3).choice(["control", "letter"], len(cards))
    drawn = pd.DataFrame(
        {"card_number": sorted(cards), "drawn_at": "2017-10-05", "trial": "autumn letter", "arm": arm, "price": "0.70"}
    )
    (folder / "trial").mkdir()
    drawn.to_csv(folder / "trial" / "assignments.csv", index=False)
    result = company.command("run", company.edit_config("sources:\n", SOURCE), "--run-id", "trial", *QUICK)
    assert result.returncode == 0, result.stdout + result.stderr
    tables = {n: pd.read_parquet(company.run_folder("trial") / "tables" / f"{n}.parquet") for n in ("experiment_checks", "experiments", "kpis", "readiness")}  # fmt: skip
    check = tables["experiment_checks"].iloc[0]
    assert (check.experiment, check.reason, check.assigned) == ("autumn letter", "", len(cards))
    # Nothing was done to anybody, so nothing may be found.
    readout = tables["experiments"]
    assert set(readout.outcome) == {"ordered", "orders", "revenue", "margin"}
    assert not readout.verdict.isin(["better", "worse"]).any()
    roi = tables["kpis"].query("kpi == 'campaign_roi' and segment_id == -2").iloc[0]
    assert roi.ci_low < 0 < roi.ci_high
    assert roi.denominator == pytest.approx(0.7 * (arm == "letter").sum(), rel=0.02)
    ready = tables["readiness"].set_index("capability").ready
    assert ready["campaign_roi"]
