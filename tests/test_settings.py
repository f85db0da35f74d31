"""Environment → settings: everything wrong is said at once, and no secret with it."""

import re
from pathlib import Path

import pytest

from talentfeed import settings
from talentfeed.errors import SettingsError

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in settings.Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_nothing_set_is_the_embedded_default() -> None:
    loaded = settings.load(env_file=None)
    assert loaded.mysql_host is None
    assert loaded.redis_host is None
    assert (loaded.api_host, loaded.api_port) == ("127.0.0.1", 5002)
    assert loaded.embedded_database == Path("var/talentfeed.db")


def test_all_errors_are_reported_at_once_and_secrets_never(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ENVIRONMENT": "prod",
        "MYSQL_PORT": "many",
        "REDIS_DB": "-1",
        "SSH_HOST": "bastion",
        "MYSQL_PASSWORD": "open-sesame",
        "DB_TIMEZONE": "Mars/Olympus",
        "API_PREFIX": "api/",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        settings.load(env_file=None)
    text = str(caught.value)
    for name in ("MYSQL_HOST", "REDIS_HOST", "MYSQL_PORT", "REDIS_DB", "SSH_USER", "SSH_KEY_PATH", "SSH_KNOWN_HOSTS"):
        assert f"{name}: " in text
    assert "DB_TIMEZONE: no such time zone" in text
    assert "API_PREFIX: a path prefix" in text
    assert "open-sesame" not in text


def test_secrets_are_not_printed_with_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_API_KEY", "first-key, second-key")
    monkeypatch.setenv("REDIS_PASSWORD", "open-sesame")
    loaded = settings.load(env_file=None)
    assert [key.get_secret_value() for key in loaded.admin_api_key] == ["first-key", "second-key"]
    assert not re.search("first-key|second-key|open-sesame", repr(loaded) + str(loaded) + str(loaded.model_dump()))


def test_the_file_gives_what_the_environment_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    file.write_text("API_PORT=6001\nFLUSH_THRESHOLD_ACTIVITIES=7\nUNRELATED=1\n")
    monkeypatch.setenv("API_PORT", "6002")
    loaded = settings.load(env_file=file)
    assert (loaded.api_port, loaded.flush_threshold_activities) == (6002, 7)


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_HOST", "")
    assert settings.load(env_file=None).redis_host is None


@pytest.mark.parametrize("word", ["off", "none", "OFF", "0"])
def test_the_log_file_can_be_turned_off(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("LOG_FILE", word)
    assert settings.load(env_file=None).log_file is None


def test_the_reference_page_is_what_the_code_says() -> None:
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    assert settings.reference() in page, "docs/settings.md is out of date: paste the output of `talentfeed settings`"


def test_a_slash_alone_means_no_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PREFIX", "/")
    assert settings.load(env_file=None).api_prefix == ""


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"API_PORT=6001\n# \xff\xfe\n")
    with pytest.raises(SettingsError, match=re.escape(str(file))):
        settings.load(env_file=file)


def test_presets_and_patterns_are_judged_with_all_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRESET", "turbo")
    monkeypatch.setenv("FEED_PATTERN", "VMP XX")
    monkeypatch.setenv("API_PORT", "0")
    with pytest.raises(SettingsError, match=r"(?s)API_PORT.*PRESET: .*classic.*FEED_PATTERN: .*no pool is called XX"):
        settings.load(env_file=None)


@pytest.mark.parametrize("key", ["clé", "two words", "line\nbreak"])
def test_an_admin_key_that_fits_no_header_is_refused_without_being_shown(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADMIN_API_KEY", f"good-key,{key}")
    with pytest.raises(SettingsError, match="ADMIN_API_KEY: key 2") as caught:
        settings.load(env_file=None)
    assert key not in str(caught.value)


def test_a_password_of_nobody_is_refused_and_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYSQL_WRITE_PASSWORD", "open-sesame")
    with pytest.raises(SettingsError, match="MYSQL_WRITE_PASSWORD: set, but MYSQL_WRITE_USER is not") as caught:
        settings.load(env_file=None)
    assert "sesame" not in str(caught.value)
    monkeypatch.setenv("MYSQL_WRITE_USER", "writer")
    assert settings.load(env_file=None).mysql_write_user == "writer"
