"""The manifests: valid by the schemas, agreed with each other, with the settings and with what the page says."""

import copy
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from tests.deploy.dockerfile import lineage, stages
from tests.deploy.kustomize import render
from typer.main import get_command

from talentfeed import settings
from talentfeed.cli import app
from talentfeed.settings import Settings
from talentfeed.supervisor import PATIENCE

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "deploy/kubernetes"
PAGE = (ROOT / "docs/deploying.md").read_text(encoding="utf-8")
SUPPORTED = ("1.30", "1.37")  # the oldest that the page names, the newest whose schema there is
RENDERED = {overlay: render(MANIFESTS / overlay) for overlay in ("staging", "prod")}
OVERLAYS = pytest.mark.parametrize("overlay", RENDERED)
KNOWN = {name.upper() for name in Settings.model_fields}
SECRET: dict[str, Any] = yaml.safe_load((MANIFESTS / "secret.example.yaml").read_text(encoding="utf-8"))


def the(overlay: str, kind: str, name: str) -> Any:
    [found] = [one for one in RENDERED[overlay] if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def pods(overlay: str) -> dict[str, Any]:
    """Every pod template by its component."""
    return {
        "serving": the(overlay, "Deployment", "talentfeed-serving")["spec"]["template"],
        "learner": the(overlay, "Deployment", "talentfeed-learner")["spec"]["template"],
        "builder": the(overlay, "CronJob", "talentfeed-builder")["spec"]["jobTemplate"]["spec"]["template"],
    }


def given(overlay: str) -> dict[str, str]:
    data: dict[str, str] = the(overlay, "ConfigMap", "talentfeed-settings")["data"]
    return data


def megabytes(quantity: str) -> float:
    number, unit = re.fullmatch(r"(\d+)([MG]i)", quantity).groups()  # type: ignore[union-attr]  # else the test fails
    return float(number) * {"Mi": 1, "Gi": 1024}[unit]


@OVERLAYS
@pytest.mark.parametrize("version", SUPPORTED)
def test_every_object_is_valid_by_the_schemas_of_kubernetes(overlay: str, version: str) -> None:
    assert len(RENDERED[overlay]) == 14
    for one in [*RENDERED[overlay], SECRET]:
        kubernetes_validate.validate(one, version, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_refused() -> None:
    wrong = copy.deepcopy(the("prod", "Deployment", "talentfeed-serving"))
    wrong["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, SUPPORTED[0], strict=True)


@OVERLAYS
def test_every_setting_is_mapped_or_said_to_be_left_to_its_default(overlay: str) -> None:
    section = PAGE.split("## Settings left to their defaults")[1].split("\n## ")[0]
    left = set(re.findall(r"^\| `([A-Z_]+)` \|", section, flags=re.MULTILINE))
    mapped = given(overlay).keys() | SECRET["stringData"].keys()
    assert mapped <= KNOWN, "a variable that no setting has"
    assert not mapped & left
    assert mapped | left == KNOWN, "map what is new in deploy/kubernetes, or list it in docs/deploying.md"


@OVERLAYS
def test_the_secrets_are_those_of_the_settings_and_in_no_manifest(overlay: str) -> None:
    secret = {name.upper() for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    assert SECRET["stringData"].keys() == secret
    assert not [one for one in RENDERED[overlay] if one["kind"] == "Secret"]
    name = SECRET["metadata"]["name"]
    plain = {"configMapRef": {"name": "talentfeed-settings"}}
    [serving] = pods(overlay)["serving"]["spec"]["containers"]
    assert serving["envFrom"] == [plain, {"secretRef": {"name": name}}]
    assert "env" not in serving
    [builder] = pods(overlay)["builder"]["spec"]["containers"]
    assert builder["envFrom"] == [plain]
    password = {"name": "MYSQL_PASSWORD", "valueFrom": {"secretKeyRef": {"name": name, "key": "MYSQL_PASSWORD"}}}
    assert builder["env"] == [password], "who builds only reads the database"
    [learner] = pods(overlay)["learner"]["spec"]["containers"]
    assert learner["envFrom"] == [plain]
    password = {"name": "REDIS_PASSWORD", "valueFrom": {"secretKeyRef": {"name": name, "key": "REDIS_PASSWORD"}}}
    assert learner["env"] == [password], "who learns needs Redis alone"


@OVERLAYS
def test_the_settings_load(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KNOWN:
        monkeypatch.delenv(name, raising=False)
    for name, value in (given(overlay) | SECRET["stringData"]).items():
        if name != "MYSQL_SSL_CA":  # a file that is there in the pod alone
            monkeypatch.setenv(name, value)
    loaded = settings.load(env_file=None)
    assert loaded.environment == overlay
    assert loaded.snapshot_url is not None, "pods fetch snapshots, so that they start without the database"
    assert loaded.log_file is None
    assert loaded.api_host == "0.0.0.0"  # noqa: S104 - the pod's own
    assert loaded.redis_host is not None
    assert loaded.policy_mode != "static", "a learner would refuse to start"


@OVERLAYS
def test_all_that_is_written_is_written_to_volumes(overlay: str) -> None:
    for pod in pods(overlay).values():
        [container] = pod["spec"]["containers"]
        volumes = {one["name"]: one for one in pod["spec"]["volumes"]}
        mounts = {one["mountPath"]: volumes[one["name"]] for one in container["volumeMounts"]}
        assert "emptyDir" in mounts[given(overlay)["DATA_DIR"]]
        assert "emptyDir" in mounts["/tmp"]  # noqa: S108 - the pod's own
        assert Path(given(overlay)["MYSQL_SSL_CA"]).parent.as_posix() in mounts


@OVERLAYS
def test_pods_pass_the_restricted_standard_and_have_no_token(overlay: str) -> None:
    namespace = the(overlay, "Namespace", f"talentfeed-{overlay}")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    accounts = {one["metadata"]["name"]: one for one in RENDERED[overlay] if one["kind"] == "ServiceAccount"}
    [user] = [text for stage in lineage(stages(ROOT / "deploy/Dockerfile"), "running") for text in stage.texts("USER")]
    for pod in pods(overlay).values():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert accounts[spec["serviceAccountName"]]["automountServiceAccountToken"] is False
        whole, [container] = spec["securityContext"], spec["containers"]
        assert whole["runAsNonRoot"] is True
        assert f"{whole['runAsUser']}:{whole['runAsGroup']}" == user
        assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    assert not {one["kind"] for one in RENDERED[overlay]} & {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}


@OVERLAYS
def test_what_selects_pods_selects_ours(overlay: str) -> None:
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(overlay).items()}
    deployment = the(overlay, "Deployment", "talentfeed-serving")
    assert deployment["spec"]["selector"]["matchLabels"] == labels["serving"]
    assert the(overlay, "Service", "talentfeed")["spec"]["selector"] == labels["serving"]
    budget = the(overlay, "PodDisruptionBudget", "talentfeed-serving")
    assert budget["spec"]["selector"]["matchLabels"] == labels["serving"]
    for name, wanted in labels.items():
        policy = the(overlay, "NetworkPolicy", f"talentfeed-{name}")["spec"]
        assert policy["podSelector"]["matchLabels"] == wanted
        assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    spreads = pods(overlay)["serving"]["spec"]["topologySpreadConstraints"]
    assert [one["labelSelector"]["matchLabels"] for one in spreads] == [labels["serving"]] * 2
    scaled = the(overlay, "HorizontalPodAutoscaler", "talentfeed-serving")["spec"]["scaleTargetRef"]
    assert (scaled["kind"], scaled["name"]) == ("Deployment", deployment["metadata"]["name"])
    assert "replicas" not in deployment["spec"], "a deployment would undo what was scaled"


@OVERLAYS
def test_ports_and_egress_are_those_of_the_settings(overlay: str) -> None:
    [container] = pods(overlay)["serving"]["spec"]["containers"]
    [port] = container["ports"]
    assert str(port["containerPort"]) == given(overlay)["API_PORT"]
    assert the(overlay, "Service", "talentfeed")["spec"]["ports"][0]["targetPort"] == port["name"]
    policy = the(overlay, "NetworkPolicy", "talentfeed-serving")["spec"]
    assert [one["port"] for rule in policy["ingress"] for one in rule["ports"]] == [port["containerPort"]]
    out = {str(one["port"]) for rule in policy["egress"] for one in rule["ports"]}
    assert out == {"53", "443", given(overlay)["MYSQL_PORT"], given(overlay)["REDIS_PORT"]}
    policy = the(overlay, "NetworkPolicy", "talentfeed-learner")["spec"]
    assert "ingress" not in policy
    assert {str(one["port"]) for rule in policy["egress"] for one in rule["ports"]} == {
        "53",
        given(overlay)["REDIS_PORT"],
    }


@OVERLAYS
def test_probes_ask_for_health_and_a_stop_has_the_time_it_needs(overlay: str) -> None:
    spec = pods(overlay)["serving"]["spec"]
    [container] = spec["containers"]
    asked = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert asked == {"startup": "/health/live", "liveness": "/health/live", "readiness": "/health/ready"}
    first = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    readiness = container["readinessProbe"]
    assert first >= readiness["periodSeconds"]
    assert spec["terminationGracePeriodSeconds"] >= first + PATIENCE + 5


@OVERLAYS
def test_commands_exist_and_workers_have_a_core_each(overlay: str) -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]  # a group of commands
    for name, pod in pods(overlay).items():
        [container] = pod["spec"]["containers"]
        image, _, tag = container["image"].rpartition(":")
        assert image.endswith("/talentfeed-builder" if name == "builder" else "/talentfeed-serving")
        assert tag not in ("", "latest")
        command, *options = container["args"]
        known = {option for parameter in commands[command].params for option in parameter.opts}
        assert {word for word in options if word.startswith("--")} <= known
        resources = container["resources"]
        assert megabytes(resources["requests"]["memory"]) <= megabytes(resources["limits"]["memory"])
        if name == "serving":
            assert options == ["--workers", resources["limits"]["cpu"]]


@OVERLAYS
def test_memory_wakes_somebody_before_the_limit_ends_a_pod(overlay: str) -> None:
    alerts = (ROOT / "deploy/monitoring/alerts.yaml").read_text(encoding="utf-8")
    [bound] = re.findall(r"talentfeed_memory_shared_bytes\{[^}]*\} > (\d+)e6", alerts)
    [container] = pods(overlay)["serving"]["spec"]["containers"]
    limit = megabytes(container["resources"]["limits"]["memory"])
    assert int(bound) * int(container["args"][-1]) <= 0.8 * limit


def test_production_scales_as_the_page_says() -> None:
    scaler = the("prod", "HorizontalPodAutoscaler", "talentfeed-serving")["spec"]
    targets = {one["resource"]["name"]: one["resource"]["target"]["averageUtilization"] for one in scaler["metrics"]}
    rows = dict(re.findall(r"^\| HPA (\S+) \| \S+ \| (\S+) \|", PAGE, flags=re.MULTILINE))
    assert rows == {
        "minimum": str(scaler["minReplicas"]),
        "maximum": str(scaler["maxReplicas"]),
        "CPU": f"{targets['cpu']}%",
        "memory": f"{targets['memory']}%",
    }
    [container] = pods("prod")["serving"]["spec"]["containers"]
    wanted, most = container["resources"]["requests"], container["resources"]["limits"]
    for row in (f"| serving request | {wanted['cpu']} core", f"| serving limit | {most['cpu']} core"):
        assert row in PAGE
    assert f"{wanted['memory']} |" in PAGE
    assert f"{most['memory']} |" in PAGE
    assert the("prod", "PodDisruptionBudget", "talentfeed-serving")["spec"]["minAvailable"] < scaler["minReplicas"]


def test_every_variable_in_the_table_of_recommended_values_is_ours() -> None:
    section = PAGE.split("## The platform's values and ours")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| [^|]+ \| `([^`]*)` \|", section, flags=re.MULTILINE))
    assert len(rows) == section.count("\n| `")
    assert rows == {name: given("prod")[name] for name in rows}
