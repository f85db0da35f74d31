"""`talentfeed serve` with one more route, that answers with the same bytes ready-made: what the application costs.

Started by benchmarks.serving; READY_BYTES names the file that holds them, once it is there.
"""

import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from talentfeed import cli
from talentfeed.api import app as application

PATH = "/ready"
_made = application.create_app


def with_ready_bytes(*parts: Any) -> FastAPI:
    """The application and that route."""
    app, place, bodies = _made(*parts), Path(os.environ["READY_BYTES"]), list[bytes]()

    async def ready(request: Request) -> Response:
        await request.body()
        if not bodies:
            bodies.append(place.read_bytes())  # noqa: ASYNC240 - once
        return Response(bodies[0], media_type="application/json")

    app.add_api_route(PATH, ready, methods=["POST"])
    return app


if __name__ == "__main__":
    application.create_app = with_ready_bytes  # type: ignore[assignment]
    cli.main()
