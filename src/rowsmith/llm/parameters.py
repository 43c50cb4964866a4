"""Parameters that a model refuses: found in the service's own words, left out from then on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Parametrised(Protocol):
    """A provider whose requests have parameters that can be left out."""

    @property
    def strict_params(self) -> bool:
        """Whether a refused parameter is an error."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What is sent beside the conversation and the schema, by the names that `Request.omit` takes."""
