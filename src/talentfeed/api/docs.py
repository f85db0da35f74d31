"""The page at /docs: one file of our own, so that reading it fetches nothing from anywhere else."""

import base64
import hashlib
import re
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

_PAGE = (Path(__file__).parent / "docs.html").read_bytes()


def _inline(tag: str) -> str:
    """The hashes by which the browser knows the page's own inline blocks."""
    blocks = re.findall(rf"<{tag}>(.*?)</{tag}>".encode(), _PAGE, re.DOTALL)
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(block).digest()).decode()}'" for block in blocks)


_POLICY = (
    f"default-src 'none'; script-src {_inline('script')}; style-src {_inline('style')}; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def page(_: Request) -> Response:
    """Renders /openapi.json with a form to try each call."""
    return Response(_PAGE, media_type="text/html", headers={"content-security-policy": _POLICY})
