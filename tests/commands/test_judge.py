"""`talentfeed judge` as a process, on a small made folder."""

import gzip
import json
import subprocess
import sys
from pathlib import Path


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "talentfeed", "judge", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def test_judge_ends_with_its_estimates_as_one_json_line_and_says_what_it_cannot_conclude(tmp_path: Path) -> None:
    rows = [f"{n},2019,{n % 4},{n % 3 + 1},{int(n % 5 == 0)},0.25" for n in range(60)]
    log = "\n".join([",timestamp,item_id,position,click,propensity_score", *rows])
    (tmp_path / "random/men").mkdir(parents=True)
    (tmp_path / "random/men/men.csv.gz").write_bytes(gzip.compress(log.encode()))
    ones = "".join("    - 1\n" for _ in range(4))
    (tmp_path / "prior_bts.yaml").write_text(f"men:\n  alpha:\n{ones}  beta:\n{ones}")
    result = run(".", "--resamples", "100", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout.splitlines()[-1])
    assert set(report["campaigns"]["men"]["estimates"]) == {"replay", "ips", "snips", "dr"}
    assert report["campaigns"]["men"]["rows"] == 60
    assert "! men: too little overlap to conclude: 60 rows" in result.stdout


def test_judge_says_what_a_folder_lacks(tmp_path: Path) -> None:
    result = run(str(tmp_path / "absent"), cwd=tmp_path)
    assert result.returncode == 1
    assert "accepted: an Open Bandit folder" in result.stderr
    assert "Traceback" not in result.stderr
