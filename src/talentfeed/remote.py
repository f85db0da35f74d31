"""Operator commands with the in-process store: they act through the running server's admin API."""

import http.client
import json
from typing import Any

from talentfeed.errors import SettingsError, TalentFeedError
from talentfeed.settings import Settings


def ask_server(settings: Settings, method: str, path: str, content: Any = None) -> dict[str, Any]:
    """Have the running server do it. Raises TalentFeedError if it does not answer or refuses."""
    if not settings.admin_api_key:
        raise SettingsError("No admin key: set ADMIN_API_KEY to one of the running server's keys")
    key = settings.admin_api_key[0].get_secret_value()
    connection = http.client.HTTPConnection(settings.api_host, settings.api_port, timeout=60)
    try:
        connection.request(method, path, None if content is None else json.dumps(content), {"X-Admin-Key": key})
        response = connection.getresponse()
        body = json.loads(response.read() or b"{}")
    except OSError as error:
        raise TalentFeedError(
            f"No server answers at {settings.api_host}:{settings.api_port} ({error}); with the in-process store "
            "this command acts through the running server: start it with talentfeed serve"
        ) from None
    finally:
        connection.close()
    if response.status >= 400:
        raise TalentFeedError(f"The server answered {response.status}: {json.dumps(body)}")
    answer: dict[str, Any] = body["body"]
    return answer
