"""A real Prometheus on loopback that scrapes one server, and the dashboard's panels evaluated by it."""

import contextlib
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.contracts.ports import free_port

MONITORING = Path(__file__).parents[1] / "deploy/monitoring"
PANELS = MONITORING / "dashboard.json"
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Series:
    """One line of a panel."""

    name: str
    values: Sequence[float]  # oldest first; those that are no numbers left out

    @property
    def curve(self) -> str:
        """The values as a line of bars from the least to the most."""
        least, most = min(self.values), max(self.values)
        spread = (most - least) or 1.0
        step = max(1, len(self.values) // 24)
        return "".join(_BARS[round((value - least) / spread * 7)] for value in self.values[::step])


class Prometheus:
    """Runs until closed; keeps what it scraped in a folder."""

    def __init__(self, folder: Path, target: int, *, every: float) -> None:
        """`target`: the port that is scraped `every` so many seconds."""
        program = shutil.which("prometheus")
        if program is None:
            raise FileNotFoundError("prometheus is not installed; `make setup` installs it")
        self._log = folder / "prometheus.log"
        self._url = f"http://127.0.0.1:{free_port()}"
        self._every = every
        config = {
            "global": {"scrape_interval": f"{round(every * 1_000)}ms", "evaluation_interval": "15s"},
            "rule_files": [str(MONITORING / "alerts.yaml")],
            "scrape_configs": [
                {"job_name": "talentfeed", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]},
            ],
        }
        (folder / "prometheus.json").write_text(json.dumps(config))  # JSON is YAML
        command = [program, f"--config.file={folder / 'prometheus.json'}", f"--storage.tsdb.path={folder / 'tsdb'}"]
        command += [f"--web.listen-address={self._url.removeprefix('http://')}", "--log.level=warn"]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)

    def wait(self, *, patience: float = 60.0) -> None:
        """Until it answers. Raises RuntimeError with its log where it ends."""
        deadline = time.monotonic() + patience
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self._url}/-/ready", timeout=5):
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self._log.read_text()[-2_000:])
            time.sleep(0.05)

    def ask(self, expression: str) -> list[Any]:
        """An expression's result now. Raises RuntimeError with the reason where it is refused."""
        return self._get("query", {"query": expression})

    def over(self, expression: str, seconds: float) -> list[Any]:
        """Its results over the last `seconds`, at most a hundred steps."""
        end = time.time()
        step = max(self._every, seconds / 100)
        return self._get("query_range", {"query": expression, "start": end - seconds, "end": end, "step": step})

    def alerts(self) -> list[str]:
        """Names of those that fire."""
        found = self._get("alerts", {})
        return sorted(one["labels"]["alertname"] for one in found if one["state"] == "firing")

    def _get(self, what: str, given: Mapping[str, Any]) -> list[Any]:
        url = f"{self._url}/api/v1/{what}?{urllib.parse.urlencode(given)}"
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                data = json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{given.get('query')}: {error.read().decode()}") from error
        return list(data["alerts"] if what == "alerts" else data["result"])

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=60)

    def panel(self, panel: Mapping[str, Any], seconds: float) -> list[Series]:
        """What a panel shows of the last `seconds`."""
        found = []
        for target in panel["targets"]:
            for one in self.over(target["expr"].replace("$job", "talentfeed"), seconds):
                values = [float(value) for _, value in one["values"] if value not in {"NaN", "+Inf", "-Inf"}]
                if values:
                    found.append(Series(_legend(target["legendFormat"], one["metric"]), values))
        return found


@contextlib.contextmanager
def watching(folder: Path, target: int, *, every: float) -> Iterator[Prometheus]:
    """A Prometheus that is ready, ended at the end."""
    folder.mkdir(exist_ok=True)
    prometheus = Prometheus(folder, target, every=every)
    try:
        prometheus.wait()
        yield prometheus
    finally:
        prometheus.close()


def panels() -> list[tuple[str, Mapping[str, Any]]]:
    """The dashboard's: each with the title of its row."""
    found, row = [], ""
    for panel in json.loads(PANELS.read_text(encoding="utf-8"))["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
        else:
            found.append((row, panel))
    return found


def nothing(panel: Mapping[str, Any]) -> str | None:
    """What a panel says where it has no data; None: then something is wrong."""
    text = panel["fieldConfig"]["defaults"].get("noValue")
    return None if text is None else str(text)


def _legend(form: str, labels: Mapping[str, str]) -> str:
    for name, value in labels.items():
        form = form.replace(f"{{{{{name}}}}}", value)
    return form
