"""The door: requests over HTTP."""

from typing import Any

from pydantic import BaseModel

# The framework's models of OpenAPI's document, and our own, get their validators when the document is first asked for,
# which seldom happens, not while they are defined, nor where the framework would have all of them built then.
BaseModel.model_config["defer_build"] = True
_rebuild = BaseModel.model_rebuild.__func__  # type: ignore[attr-defined]


def _rebuild_what_is_used(model: type[BaseModel], /, **how: Any) -> bool | None:
    """Pydantic itself says how, where a model is used that has no validator yet; the framework says nothing."""
    built: bool | None = _rebuild(model, **how) if how else None
    return built


BaseModel.model_rebuild = classmethod(_rebuild_what_is_used)  # type: ignore[assignment]
try:
    import fastapi.openapi.models  # noqa: F401
finally:
    BaseModel.model_rebuild = classmethod(_rebuild)  # type: ignore[assignment]
