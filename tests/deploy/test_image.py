"""The images, as far as they can be proven without an engine: linted, read, and their install steps run."""

import contextlib
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contracts.ports import free_port
from tests.deploy.dockerfile import lineage, stages

from talentfeed.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy/Dockerfile"
STAGES = stages(DOCKERFILE)
IMAGES = ("serving", "builder")
BUILDS = ("ibis", "duckdb", "pyarrow", "connectorx", "implicit", "scipy")


def environment(image: str) -> dict[str, str]:
    """What ENV sets in an image."""
    texts = [text for stage in lineage(STAGES, image) for text in stage.texts("ENV")]
    return dict(pair.split("=", 1) for text in texts for pair in text.split())


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_no_compiler_and_no_installer_and_is_nobody(image: str) -> None:
    chain = lineage(STAGES, image)
    own = "\n".join(f"{one.word} {one.text}" for stage in chain for one in stage.instructions)
    assert not re.search(r"gcc|apt-get|\bpip\b", own)
    users = [user for stage in chain for user in stage.texts("USER")]
    assert users
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]), "Kubernetes can tell that a number is not root, not a name"
    copied = [text for stage in chain for text in stage.texts("COPY") if text.startswith("--from=")]
    assert [re.findall(r"/\S+", text) for text in copied] == [["/opt/talentfeed", "/opt/talentfeed"]]


def test_only_the_builder_has_what_builds() -> None:
    assert "requirements/build.txt" not in str(lineage(STAGES, "serving-environment"))
    assert "requirements/build.txt" in str(lineage(STAGES, "building-environment"))
    assert next(reversed(STAGES)) == "serving", "where no target is named the last stage is built"


def test_every_package_is_pinned_with_hashes_and_none_is_compiled() -> None:
    installs = [text for stage in STAGES.values() for text in stage.texts("RUN") if " pip " in text]
    ours = [text for text in installs if text.endswith(" .")]
    assert len(ours) == 1
    assert "--no-deps" in ours[0]
    for text in set(installs) - set(ours):
        assert "--require-hashes --only-binary :all:" in text


def test_no_layer_holds_a_secret_and_every_variable_is_known() -> None:
    settings = {name.upper() for name in Settings.model_fields}
    secrets = {name.upper() for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    assert len(secrets) == 4
    for image in IMAGES:
        named = set(environment(image))
        assert named <= settings | {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
        assert not named & secrets
    sources = {
        source
        for stage in STAGES.values()
        for text in stage.texts("COPY")
        if not text.startswith("--from=")
        for source in text.split()[:-1]
    }
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert sources == let_in, "the engine is given what is copied, and nothing else"


def test_the_linter_finds_nothing() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_linter_would_find_something(tmp_path: Path) -> None:
    worse = tmp_path / "Dockerfile"
    worse.write_text(DOCKERFILE.read_text().replace("--no-install-recommends ", ""))
    linter = Path(sys.executable).with_name("hadolint")
    assert "DL3015" in subprocess.run([linter, worse], capture_output=True, text=True, check=False).stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the steps of the serving image install, in a folder that stands for the engine's root."""
    root = tmp_path_factory.mktemp("image")
    folder = root / "source"
    folder.mkdir()
    for stage in lineage(STAGES, "serving-environment"):
        for one in stage.instructions:
            if one.word == "COPY":
                *sources, target = one.text.split()
                for source in sources:
                    _copy(ROOT / source, folder / target)
            elif one.word == "RUN" and "apt-get" not in one.text:
                _run(one.text, root)
    return root


def _copy(source: Path, target: Path) -> None:
    ignored = [line[3:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("**/")]
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(*ignored))
    else:
        shutil.copy(source, target)


def _run(text: str, root: Path) -> None:
    command = re.sub(r"^--mount=\S+ ", "", text)
    if "compileall" in command:  # all of it would take longer than the rest of the test
        [package] = (root / "talentfeed").glob("lib/python3*/site-packages/talentfeed")
        command = command.replace("/opt/talentfeed/lib", str(package))
    command = command.replace("/opt/talentfeed", str(root / "talentfeed"))
    command = re.sub(r"^python ", f"{sys.executable} ", command)
    given = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        ["sh", "-c", command], cwd=root / "source", env=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@pytest.mark.timeout(1200)
def test_what_the_steps_install_fetches_a_snapshot_and_serves_it_and_passes_the_health_check(
    installed: Path, tmp_path: Path
) -> None:
    home = installed / "talentfeed"
    site = next(home.glob("lib/python3*/site-packages"))
    assert not [name for name in BUILDS if (site / name).exists()]
    assert not (site / "pip").exists()
    assert (site / "s3fs").is_dir()
    assert (site / "talentfeed/ranking/_kernel.so").is_file()
    before = set(home.rglob("*"))
    ours = [path.suffix for path in before if path.is_relative_to(site / "talentfeed")]
    assert ours.count(".pyc") == ours.count(".py") > 0
    port = free_port()
    given = environment("serving") | {"PATH": f"{home / 'bin'}:/usr/bin:/bin", "API_HOST": "127.0.0.1"}
    given |= {"API_PORT": str(port), "DATA_DIR": str(tmp_path / "data"), "SNAPSHOT_URL": str(tmp_path / "published")}
    [command] = [json.loads(text) for text in STAGES["serving"].texts("CMD")]
    [entry] = [json.loads(text) for text in STAGES["running"].texts("ENTRYPOINT")]
    with _server([str(home / "bin" / entry[0]), *command], given, tmp_path):
        assert _status(port, "/health/live") == 200
        assert _status(port, "/health/ready") == 503, "nothing was published yet, and nothing here can build"
        assert _healthy(given)
        _publish(given["SNAPSHOT_URL"], tmp_path / "builder")
        deadline = time.monotonic() + 120
        while _status(port, "/health/ready") != 200:
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.1)
        assert len(_feed(port)["items"]) == 24
    assert not _healthy(given), "the check must fail where nobody serves"
    assert set(home.rglob("*")) == before, "a read-only file system would have refused that"


def test_the_pins_of_both_images_agree() -> None:
    serving, s3, building = (_pins(name) for name in ("serve", "s3", "build"))
    assert serving.items() <= s3.items()
    assert serving.items() <= building.items()
    assert {"duckdb", "ibis-framework", "pyarrow", "implicit"} <= building.keys() - s3.keys()
    assert not [name for name in s3.keys() & building.keys() if s3[name] != building[name]]


def _pins(name: str) -> dict[str, str]:
    text = (ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9._-]+)\S*?==(\S+)", text, flags=re.MULTILINE))


@contextlib.contextmanager
def _server(command: list[str], given: dict[str, str], folder: Path) -> Iterator[None]:
    with (folder / "log").open("w") as log:
        started = subprocess.Popen(command, cwd=folder, env=given, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 120
            while _status(int(given["API_PORT"]), "/health/live") is None:
                assert started.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.1)
            yield
        finally:
            started.terminate()
            code = started.wait(timeout=60)
    assert code == 0, (folder / "log").read_text()


def _status(port: int, path: str) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


def _publish(url: str, folder: Path) -> None:
    """What the builder does, with made-up data and the libraries that the tests run with."""
    folder.mkdir()
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), "SNAPSHOT_URL": url, "LOG_FILE": "off"}
    command = [sys.executable, "-m", "talentfeed", "demo", "--scale", "0.02", "--seed", "3", "--no-serve"]
    done = subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _feed(port: int) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/api/search/total", '{"user_id": 42}')
        response = connection.getresponse()
        assert response.status == 200
        body: dict[str, Any] = json.loads(response.read())["body"]
        return body
    finally:
        connection.close()


def _healthy(given: dict[str, str]) -> bool:
    """What the image's HEALTHCHECK says."""
    [check] = STAGES["serving"].texts("HEALTHCHECK")
    program, *arguments = json.loads(check[check.index("[") :])
    command = [given["PATH"].split(":")[0] + "/" + program, *arguments]
    return subprocess.run(command, env=given, capture_output=True, check=False).returncode == 0
