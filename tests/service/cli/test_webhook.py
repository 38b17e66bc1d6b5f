"""The options of `serve` that are about webhooks: what they set, and secrets that stay secret.

The service itself is replaced by one that keeps its settings, as in `test_serve`.
"""

from pathlib import Path

import pytest

from service.catalogue import catalogue
from service.cli import working
from service.settings import CannotServeError, Settings, WebhookSettings
from tests.service.cli.runner import refused, served

SECRET = "whsec_" + "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0"
OTHER = "whsec_" + "b3RoZXIgb3RoZXIgb3RoZXIgb3RoZXIgb3Ro"


@pytest.fixture(autouse=True)
def _no_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "log_to_stderr", lambda _: None)


def test_networks_and_time_are_options(monkeypatch: pytest.MonkeyPatch) -> None:
    args = ("--webhook-allow", "10.0.0.0/8", "--webhook-allow", "::1", "--webhook-timeout", 7)
    found = served(monkeypatch, *args).webhook
    assert found == WebhookSettings(allow=("10.0.0.0/8", "::1"), timeout_s=7)


def test_secrets_are_read_from_a_file_one_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "secrets"
    file.write_text(f"{SECRET}\n\n{OTHER}\r\n")
    assert served(monkeypatch, "--webhook-secret-file", file).webhook.secrets == (SECRET, OTHER)


def test_or_from_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"JOBLOG_WEBHOOK_SECRETS": f"{SECRET} {OTHER}"}
    assert served(monkeypatch, env=env).webhook.secrets == (SECRET, OTHER)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "secrets"
    if content is not None:
        file.write_bytes(content)
    assert str(file) in refused(2, "serve", "--webhook-secret-file", file)


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "x"])
def test_a_time_limit_is_a_duration(seconds: str) -> None:
    refused(2, "serve", "--webhook-timeout", seconds)


def test_secrets_do_not_show_in_the_settings() -> None:
    assert SECRET not in repr(Settings(webhook=WebhookSettings(secrets=(SECRET,))))


@pytest.mark.parametrize(
    "settings",
    [
        WebhookSettings(allow=("10.0.0.1/8",)),
        WebhookSettings(allow=("localhost",)),
        WebhookSettings(secrets=("whsec_tooshort",)),
        WebhookSettings(secrets=(SECRET, SECRET + "!")),
    ],
)
async def test_what_cannot_work_is_refused_at_the_start(settings: WebhookSettings) -> None:
    with pytest.raises(CannotServeError, match=r"^webhooks: ") as refusal:
        async with catalogue(Settings(webhook=settings)):
            pass
    assert "tooshort" not in str(refusal.value)
    assert SECRET not in str(refusal.value)
