"""The door: requests over HTTP."""

from pydantic import BaseModel

# The framework's and our own models of OpenAPI's document get their validators when the document is first asked for,
# which seldom happens, and not while they are defined: that was a twentieth of each start.
BaseModel.model_config["defer_build"] = True
