"""The base of all that is asked for and stored: immutable, and one text for equal values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

#: How many, in whole numbers of 64 bits; and how much, of seconds or bytes on average.
Count = Annotated[int, Field(ge=0, lt=2**63)]
Amount = Annotated[float, Field(ge=0, le=1e100)]


class Frozen(BaseModel):
    """Base of specs, steps and results, and of their parts: immutable, and unknown fields are
    refused. Pydantic does not pass this configuration down, so parts have it too."""

    # NaN does not survive JSON: an absent number is absent, and a reason stands beside it.
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    def model_copy(
        self,
        *,
        update: Mapping[str, Any] | None = None,
        deep: bool = False,  # noqa: ARG002
    ) -> Self:
        """A copy with other values, validated as the original was. What was computed from
        the old values, such as an id, does not travel with it."""
        said = {name: getattr(self, name) for name in self.model_fields_set}
        return self.model_validate({**said, **(update or {})})


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no blanks: equal values give equal text."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(value: object) -> str:
    """SHA-256 of a JSON value's canonical form, in hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
