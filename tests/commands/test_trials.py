"""`evaluate DIR`, `simulate DIR` and `fit DIR` as processes, on a made folder."""

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.commands.dataset import VIDEOS, write

from talentfeed.demo import folder as folders
from talentfeed.demo.dataset import import_dataset
from talentfeed.evidence import PROFILE_PRIOR, TASTE_PRIOR


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "talentfeed", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=240, check=False)


def report(result: subprocess.CompletedProcess[str]) -> Any:
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "made")


def test_evaluate_measures_the_full_product_and_hidden_histories(folder: Path, tmp_path: Path) -> None:
    lines = gzip.decompress((folder / "interactions.csv.gz").read_bytes()).decode().splitlines()
    later = tmp_path / "later.csv.gz"
    later.write_bytes(gzip.compress("\n".join([lines[0], *lines[-300:]]).encode()))
    found = report(run("evaluate", str(folder), "--test", str(later), "--hide-history", cwd=tmp_path))
    assert list(found["policies"]) == ["random", "popular", "classic", "learned"]
    assert (found["left_out"], found["pure"], found["hide_history"]) == (300, False, True)


def test_what_was_liked_later_does_not_move_the_pages_before_it(folder: Path, tmp_path: Path) -> None:
    """The same period judged with its rewards turned round: were they known, the pages would differ."""
    lines = gzip.decompress((folder / "interactions.csv.gz").read_bytes()).decode().splitlines()
    turned = [line[:-1] + str(1 - int(line[-1])) for line in lines[-500:]]
    all_liked = [f"{line[:-1]}1" for line in lines[-500:]]  # so that both ask for the same
    for name, rows in (("a", lines[-500:]), ("b", turned)):
        text = "\n".join([lines[0], *rows, *all_liked])
        (tmp_path / f"{name}.csv.gz").write_bytes(gzip.compress(text.encode()))
    one, other = (
        report(run("evaluate", str(folder), "--test", str(tmp_path / f"{n}.csv.gz"), "--pattern", "AU", cwd=tmp_path))
        for n in "ab"
    )
    assert one["policies"] == other["policies"]
    assert list(one["policies"]) == ["random", "popular", "classic", "learned"]
    recall = {name: policy["recall@24"] for name, policy in one["policies"].items()}
    assert recall["learned"] > max(recall["popular"], recall["random"]) + 0.05  # it finds the circles
    for policy in one["policies"].values():
        assert policy["recall@24_interval"][0] <= policy["recall@24"] <= policy["recall@24_interval"][1]
        assert 24 / VIDEOS <= policy["coverage"] <= 1
    assert sum(group["users"] for group in one["by_history"].values()) == one["users"]
    assert one["left_out"] == 500  # what is judged on is in no training folder


def test_simulate_plays_every_policy_and_the_oracle_is_above_all(tmp_path: Path) -> None:
    folder = write(tmp_path / "made", dated=False)
    found = report(run("simulate", str(folder), "--seeds", "2", "--curve", "c.svg", cwd=tmp_path))
    reward = {name: one["reward"] for name, one in found["policies"].items()}
    assert list(reward) == ["random", "popular", "classic", "learned", "oracle"]
    assert max(reward, key=lambda name: reward[name]) == "oracle"
    assert reward["learned"] > reward["random"]
    assert (found["users"], found["videos"], found["requests"]) == (20, 150, 36)
    assert len(found["policies"]["classic"]["by_seed"]) == 2
    picture = ElementTree.parse(tmp_path / "c.svg").getroot()  # noqa: S314 - our own file
    assert sum(part.tag.endswith("polyline") for part in picture) == 5


def test_fit_says_the_weights_for_viewers_with_a_history_and_without(folder: Path, tmp_path: Path) -> None:
    found = report(run("fit", str(folder), cwd=tmp_path))
    assert found["blend"]["warm"]["als"] > 0
    assert set(found["blend"]["cold"]) == {"popularity_12h", "popularity_3d", "shown", "worth"}


def test_fit_without_a_folder_leaves_the_weights_that_the_next_build_takes(folder: Path, tmp_path: Path) -> None:
    assert run("import", str(folder), cwd=tmp_path).returncode == 0
    found = report(run("fit", cwd=tmp_path))
    on_the_folder = report(run("fit", str(folder), cwd=tmp_path))
    assert found["rows"] == on_the_folder["rows"]  # what is imported is all there
    assert found["blend"]["warm"] == pytest.approx(on_the_folder["blend"]["warm"], rel=1e-6)
    assert run("build", cwd=tmp_path).returncode == 0
    listed = report(run("snapshots", cwd=tmp_path))["versions"]
    assert [one["weights"] for one in listed] == ["default", found["weights"]]


def test_the_demo_s_own_people_are_judged_as_a_dataset_and_tell_what_a_profile_is_worth(tmp_path: Path) -> None:
    """As docs/judging.md has it: demo, export, evaluate, fit."""
    assert run("demo", "--scale", "0.05", "--no-serve", cwd=tmp_path).returncode == 0
    written = report(run("export", "own", cwd=tmp_path))
    found = report(run("evaluate", "own", "--pattern", "AU", cwd=tmp_path))
    assert list(found["policies"]) == ["random", "popular", "classic", "learned"]
    assert found["policies"]["learned"]["recall@24"] > found["policies"]["random"]["recall@24"]
    assert 0 < found["left_out"] < written["interactions"]
    fitted = report(run("fit", "own", cwd=tmp_path))
    assert fitted["rows"] == written["interactions"]
    assert fitted["blend"]["profile"] != dict(PROFILE_PRIOR)  # its people have profiles, by which they like
    assert fitted["blend"]["taste"] != dict(TASTE_PRIOR)


def test_a_folder_that_is_there_is_not_written_over(folder: Path, tmp_path: Path) -> None:
    import_dataset(folder, tmp_path / "var/talentfeed.db")
    result = run("export", "var", cwd=tmp_path)
    assert result.returncode == 1
    assert "it is there already" in result.stderr


def test_what_was_imported_is_exported_again(folder: Path, tmp_path: Path) -> None:
    import_dataset(folder, tmp_path / "var/talentfeed.db")
    written = report(run("export", "own", cwd=tmp_path))
    before, after = (folders.read(path) for path in (folder, tmp_path / "own"))
    assert (written["users"], written["videos"]) == (len(before.users), len(before.videos))
    assert before.users.tolist() == after.users.tolist()
    rows = [
        sorted(zip(log.at, log.user, log.video, log.reward, strict=True))
        for log in (before.interactions, after.interactions)
    ]
    assert rows[0] == rows[1]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".own")] == []


def test_what_is_fitted_travels_to_a_builder_that_has_no_folder_of_its_own(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAPSHOT_URL", str(tmp_path / "published"))
    assert run("import", str(folder), cwd=tmp_path).returncode == 0
    found = report(run("fit", cwd=tmp_path))
    shutil.rmtree(tmp_path / "var/snapshots")
    assert run("build", cwd=tmp_path).returncode == 0
    listed = report(run("snapshots", cwd=tmp_path))["versions"]
    assert [one["weights"] for one in listed] == ["default", found["weights"]]


def test_options_of_a_dataset_need_one(tmp_path: Path) -> None:
    result = run("evaluate", "--pattern", "AU", cwd=tmp_path)
    assert result.returncode == 1
    assert "name its folder first" in result.stderr


def test_a_pool_of_chance_is_refused(folder: Path, tmp_path: Path) -> None:
    result = run("evaluate", str(folder), "--pattern", "EXPLORE", cwd=tmp_path)
    assert result.returncode == 1
    assert "ranks by chance; use one of VMP AU NU" in result.stderr
