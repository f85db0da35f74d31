"""Environment → one frozen, validated object. All errors are reported at once; secrets are never printed."""

import ssl
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from talentfeed.errors import PatternError, SettingsError


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _off(value: object) -> object:
    return None if isinstance(value, str) and value.lower() in {"off", "none", "false", "0"} else value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError("no such time zone; use a name such as UTC or America/Bogota") from error
    return value


def _prefix(value: str) -> str:
    if value == "/":  # no prefix: an empty variable counts as not set
        return ""
    if value and (not value.startswith("/") or value.endswith("/")):
        raise ValueError("a path prefix starts with / and does not end with it, such as /api; / alone means none")
    return value


def _preset(value: str) -> str:
    from talentfeed.ranking.presets import preset

    try:
        preset(value)
    except PatternError as error:
        raise ValueError(str(error)) from None
    return value


def _pattern(value: str) -> str:
    from talentfeed.ranking.feed import parse_pattern

    try:
        parse_pattern(value)
    except PatternError as error:
        raise ValueError(str(error)) from None
    return value


def _keys(value: list[SecretStr]) -> list[SecretStr]:
    for number, key in enumerate(value, 1):
        text = key.get_secret_value()
        if not (text.isascii() and text.isprintable() and " " not in text):
            raise ValueError(f"key {number} (not shown) does not fit a header: use printable ASCII without blanks")
    return value


def _nobody() -> list[Any]:
    """Not `list` itself: of a class that is C code Pydantic reads the signature with a tokenizer, 4 ms of a start."""
    return []


CommaSeparated = Annotated[list[str], NoDecode, BeforeValidator(_split)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]


class Settings(BaseSettings):
    """Every setting, by the name of its environment variable in lower case. Nothing set = the embedded default."""

    model_config = SettingsConfigDict(
        env_file="credentials/.env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,  # what is missing is judged together with what is wrong
    )

    environment: Literal["local", "staging", "prod"] = Field(
        "local", description="In `staging` and `prod` a missing MYSQL_HOST or REDIS_HOST is an error."
    )

    mysql_host: str | None = Field(None, description="The platform's database; unset = the embedded SQLite database.")
    mysql_port: Port = Field(3306, description="Its port.")
    mysql_user: str = Field("talentfeed", description="An account that may read the platform's tables.")
    mysql_password: SecretStr = Field(SecretStr(""), description="Its password.")
    mysql_db: str = Field("talentpitch", description="The platform's schema.")
    mysql_ssl_ca: Path | None = Field(None, description="CA file; set = TLS, verified.")
    mysql_write_user: str | None = Field(
        None, description="A second account for `activity_log` and the ledger; unset = MYSQL_USER."
    )
    mysql_write_password: SecretStr = Field(SecretStr(""), description="Its password.")
    mysql_write_db: str | None = Field(
        None,
        description="The schema of `activity_log` and the ledger, such as a copy's in a shadow run; unset = MYSQL_DB.",
    )
    db_timezone: Annotated[str, BeforeValidator(_zone)] = Field(
        "UTC", description="Time zone of the database's times; MySQL's TIMESTAMP columns have none."
    )

    redis_host: str | None = Field(None, description="Redis or Valkey 6+; unset = the in-process store.")
    redis_port: Port = Field(6379, description="Its port.")
    redis_password: SecretStr = Field(SecretStr(""), description="Its password.")
    redis_scheme: Literal["redis", "tls", "rediss"] = Field("redis", description="`tls` and `rediss` are the same.")
    redis_db: int = Field(1, ge=0, description="Its database number.")
    redis_ssl_ca: Path | None = Field(None, description="CA file for TLS; unset = the system's.")

    ssh_host: str | None = Field(None, description="A bastion: MySQL and Redis are then reached through it.")
    ssh_port: Port = Field(22, description="Its port.")
    ssh_user: str | None = Field(None, description="The user there.")
    ssh_key_path: Path | None = Field(None, description="Private key file, mode 0600.")
    ssh_known_hosts: Path | None = Field(
        None, description="File with the bastion's host key, as of ssh-keyscan or ~/.ssh/known_hosts."
    )

    api_host: str = Field("127.0.0.1", description="Address to listen on.")
    api_port: Port = Field(5002, description="Port to listen on.")
    workers: int = Field(1, ge=1, le=256, description="Processes that serve; more than one needs Redis.")
    api_prefix: Annotated[str, BeforeValidator(_prefix)] = Field(
        "/api", description="Path prefix of all API calls; `/` = none."
    )
    admin_api_key: Annotated[list[SecretStr], NoDecode, BeforeValidator(_split), AfterValidator(_keys)] = Field(
        default_factory=_nobody,
        description="Admin keys, comma-separated; each is valid. None = admin calls are refused.",
    )
    cors_origins: CommaSeparated = Field(
        default_factory=_nobody, description="Origins that browsers may call from, comma-separated; none = closed."
    )
    rate_limit_per_minute: int = Field(
        0, ge=0, description="API calls that a client may make a minute, over all processes; 0 = no limit."
    )
    rate_limit_header: str | None = Field(
        None,
        description="Header in which a trusted proxy names the client, such as X-Forwarded-For, of which the last is "
        "taken; unset = the connection's address.",
    )
    media_base_url: str = Field("https://media.talentpitch.co", description="Where avatars are.")

    flush_interval_seconds: Seconds = Field(900, description="Waiting activities are flushed this often.")
    flush_threshold_activities: int = Field(50, ge=1, description="… and when a user has so many waiting.")
    flush_beside: bool = Field(
        True, description="Flush in a process beside those that serve; false: in theirs. Without REDIS_HOST always so."
    )
    flush_lease_seconds: Seconds = Field(60, description="A batch whose flusher is silent so long is taken over.")
    ledger_prune_seconds: Seconds = Field(3600, description="How often the ledger forgets what nobody can write again.")
    activity_ttl_seconds: int = Field(86_400, ge=1, description="Life of `user_activity:*` keys.")
    session_ttl_seconds: int = Field(3_600, ge=1, description="Life of `session:*` keys.")
    session_budget_ms: float = Field(
        25, gt=0, description="Milliseconds that a feed waits for its session, at most; after some misses not at all."
    )
    reload_interval_seconds: float = Field(0, ge=0, description="Build a new snapshot this often; 0 = only when asked.")

    snapshot_url: str | None = Field(
        None,
        description="Where snapshots travel: a folder on a shared volume, or `s3://bucket/prefix` with the extra `s3`; "
        "unset = they stay in DATA_DIR.",
    )
    snapshot_tolerance: float = Field(
        0.5, ge=0, lt=1, description="Share by which a build's counts may fall below the last snapshot's."
    )

    data_dir: Path = Field(Path("var"), description="Where the embedded database and the snapshots are kept.")
    blacklist_path: Path = Field(Path("data/blacklist.csv"), description="URLs never shown; reread on each build.")
    preset: Annotated[str, AfterValidator(_preset)] = Field(
        "learned", description="The named set of ranking weights: `learned`, or `classic`, which needs no signals."
    )
    feed_pattern: Annotated[str, AfterValidator(_pattern)] = Field(
        "VMP AU AU VMP NU FW", description="Pools by slot, repeated; discover uses it without FW, flow is FW alone."
    )
    epsilon: float = Field(0.02, ge=0, le=1, description="Share of uniform exploration in each slot.")
    policy_mode: Literal["static", "shadow", "online"] = Field(
        "static",
        description="`static` learns nothing; `shadow` learns beside the policy that is served; `online` serves what "
        "is learned. With Redis, `talentfeed learn` does the learning.",
    )
    reward_window_seconds: Seconds = Field(
        1_800, description="An impression without an event for so long has the reward 0."
    )
    policy_update_seconds: Seconds = Field(60, description="Least time between two versions of what is learned.")
    policy_half_life_days: float = Field(
        30, ge=0, description="Time in which what was learned comes to count half; 0 = it always counts."
    )
    resume_subject_type: str = Field(
        r"App\Interacpedia\Resumes\Resume", description="`subject_type` of videos in `activity_log`."
    )
    challenge_subject_type: str = Field(
        r"App\Interacpedia\Challenges\Challenge", description="`subject_type` of flows in `activity_log`."
    )

    traces_url: str | None = Field(
        None,
        description="An OpenTelemetry collector's address for traces (OTLP over HTTP), such as "
        "http://collector:4318/v1/traces, with the extra `otel`; unset = no traces.",
    )
    traces_share: float = Field(
        0.01, ge=0, le=1, description="Share of requests that are traced where the caller does not decide."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")
    log_format: Literal["platform", "json"] = Field(
        "platform", description="The platform's log line, or one JSON object a line."
    )
    log_file: Annotated[Path | None, BeforeValidator(_off)] = Field(
        Path("logs/talent.log"), description="Log file beside stdout; `LOG_FILE=off` turns it off."
    )

    @field_validator("mysql_host", "redis_host")
    @classmethod
    def _no_embedded_default_in_production(cls, value: str | None, info: ValidationInfo) -> str | None:
        environment = info.data.get("environment", "local")
        if value is None and environment != "local":
            raise ValueError(f"missing, and ENVIRONMENT={environment} has no embedded default; set it")
        return value

    @field_validator("mysql_ssl_ca", "redis_ssl_ca")
    @classmethod
    def _holds_certificates(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        try:
            ssl.create_default_context(cafile=str(value))
        except OSError as error:  # an SSLError is one
            reason = error.strerror if error.errno and not isinstance(error, ssl.SSLError) else "no certificate in it"
            raise ValueError(f"{value} cannot be used: {reason}; name a file of CA certificates (PEM)") from None
        return value

    @field_validator("ssh_key_path", "ssh_known_hosts")
    @classmethod
    def _in_the_home_folder(cls, value: Path | None) -> Path | None:
        return value and value.expanduser()

    @field_validator("ssh_user", "ssh_key_path", "ssh_known_hosts")
    @classmethod
    def _bastion_is_complete(cls, value: object, info: ValidationInfo) -> object:
        if value is None and info.data.get("ssh_host") is not None:
            raise ValueError("missing, and SSH_HOST is set; the bastion needs it")
        return value

    @field_validator("mysql_write_password")
    @classmethod
    def _is_somebodys(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        if value.get_secret_value() and info.data.get("mysql_write_user") is None:
            raise ValueError("set, but MYSQL_WRITE_USER is not; name the account it is of, or leave both out")
        return value

    @property
    def embedded_database(self) -> Path:
        """The SQLite file that stands in for MySQL where MYSQL_HOST is not set."""
        return self.data_dir / "talentfeed.db"

    @property
    def snapshot_dir(self) -> Path:
        """Where snapshots are published."""
        return self.data_dir / "snapshots"


def load(env_file: Path | None = Path("credentials/.env")) -> Settings:
    """Read the environment and `credentials/.env`.

    Raises SettingsError with one line for each wrong value: the variable, the reason, never a secret.
    """
    try:
        return Settings(_env_file=env_file)  # type: ignore[call-arg]  # pydantic-settings takes it, its stub does not
    except ValidationError as error:
        lines = [
            f"{str(problem['loc'][0]).upper()}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_input=False, include_url=False, include_context=False)
        ]
        raise SettingsError("\n".join(["These settings are wrong:", *(f"  {line}" for line in lines)])) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{env_file} cannot be read: {error}; mend it, or remove it") from None


def reference() -> str:
    """Every setting, its default and its meaning, as a Markdown table."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, SecretStr):
            default = default.get_secret_value()
        shown = "" if default is None or default in ("", []) else f"`{default}`"
        rows.append(f"| `{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(rows)
