"""Print every figure that the README quotes, from the newest finished run of the default configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from workbench.core.workspace import resolve
from workbench.views.scoreboard import mean_board


def scoreboard_rows(tables: Path) -> list[str]:
    """The scoreboard as Markdown rows."""
    board = pd.read_parquet(tables / "scoreboard.parquet")
    mean = mean_board(board).sort_values("r2_adjusted", ascending=False)
    ours = mean.r2_adjusted[mean.method == "this segmentation"].iloc[0]
    rows = [
        "| method | segments | adjusted R² (95 % interval) | of the ceiling | this segmentation against it | ahead by (95 % interval) | odd / even weeks (AMI) |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in mean.itertuples():
        value = f"{row.r2_adjusted:.3f} ({row.interval})"
        rows.append(
            f"| {row.method} | {row.n_segments} | {value} | {row.r2_adjusted / row.ceiling:.0%} | {ours / row.r2_adjusted:.2f} x | {row.lead} | {row.replication_ami:.2f} |"
        )
    return [*rows, f"| ceiling: a prediction for each customer | – | {mean.ceiling.iloc[0]:.3f} | 100 % | – | – | – |"]


def main() -> None:
    """Read runs/latest and print."""
    run = resolve("runs/latest")
    manifest = json.loads((run / "run.json").read_text())
    print(f"run {manifest['run_id']}: {manifest['company']}, as of {manifest['as_of']}\n")
    print("\n".join(scoreboard_rows(run / "tables")))
    quality = pd.read_parquet(run / "tables" / "segment_quality.parquet")
    counts = quality.verdict.value_counts()
    print(
        f"\ncertificate: {', '.join(f'{counts.get(v, 0)} {v}' for v in ('pass', 'watch', 'fail'))}; mean Jaccard {quality.stability.mean():.2f}"
    )
    print(f"\nseconds: {manifest['seconds']} in all")
    for stage, record in manifest["stages"].items():
        slow = sorted(record["sections"].items(), key=lambda s: -s[1])[:2]
        print(
            f"  {stage}: {record['seconds']} s, {record['peak_memory_mb']} MB; most in {', '.join(f'{n} ({s:.0f} s)' for n, s in slow)}"
        )


if __name__ == "__main__":
    main()
