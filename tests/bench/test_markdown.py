import json
import sys
from pathlib import Path

import pytest

from sprec.bench.__main__ import main
from sprec.bench.markdown import markdown

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "benchmarks.json"
CONTEST = {
    **{"name": "SFT step", "unit": "rows", "peer": "TRL, batch 2", "pairs": 3, "tokens_per_second": 700.0},
    **{"ours_rate": 3.656, "peer_rate": 0.871, "ratio": 4.198, "ratio_low": 3.9, "ratio_high": 4.4},
    **{
        "ours_bytes": 2.34e9,
        "peer_bytes": 5.02e9,
        "at_least": 4.0,
        "peak_share": 0.561,
        "ratio_at_peak": 7.5,
    },
}
REPORT = {
    "machine": {
        **{"processor": "Some CPU", "threads": 2, "peak_bf16": 4.361e11, "peak_float32": 1.98e11},
        "provenance": {"commit": "0123456789abcdef"},
    },
    **{"quick": False, "contests": [CONTEST], "growths": []},
    "checks": [{"name": "peak GB of DPO", "value": 2.61, "limit": 2.5, "at_least": False}],
    "left_out": ["evaluation: the 5 minutes were over"],
}


def test_tables_hold_the_figures_with_their_aims():
    assert markdown(REPORT).splitlines() == [
        "Some CPU, 2 threads, products 436 GFLOP/s in bf16 and 198 GFLOP/s in float32, commit 0123456789:",
        "",
        "| row | ours /s | peer /s | times as fast (range) | aim | of peak | GB ours, peer | peer |",
        "|---|---|---|---|---|---|---|---|",
        "| SFT step | 3.66 rows | 0.871 | **4.2** (3.9–4.4) | ≥ 4 ✓ | 56% | 2.3, 5.0 | TRL, batch 2 |",
        "",
        "| check | figure | aim |",
        "|---|---|---|",
        "| peak GB of DPO | 2.61 | ≤ 2.5 ✗ |",
        "",
        "* left out: evaluation: the 5 minutes were over",
    ]


def test_command_prints_the_tables_of_a_file_and_measures_nothing(tmp_path, monkeypatch, capsys):
    file = tmp_path / "measured.json"
    file.write_text(json.dumps(REPORT))
    monkeypatch.setattr(sys, "argv", ["bench", "--markdown", str(file)])
    main()
    assert capsys.readouterr().out == markdown(REPORT) + "\n"


@pytest.mark.skipif(not MEASURED.is_file(), reason="no benchmarks.json")
def test_readme_holds_what_was_measured():
    report = json.loads(MEASURED.read_text(encoding="utf-8"))
    assert not report["quick"]
    assert markdown(report) in (ROOT / "README.md").read_text(encoding="utf-8")
