"""Answers: the wire's shapes as JSON that nobody on the way may keep."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from lockgate.wire.plain import to_json


class Json(Response):
    """One shape as JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The bytes of the shape."""
        return json.dumps(to_json(content), ensure_ascii=True, separators=(",", ":")).encode()

    def init_headers(self, headers: Any = None) -> None:
        """Where a promotion stands is old news a moment later, so no cache may hold it."""
        super().init_headers(headers)
        self.headers["cache-control"] = "no-store"
        self.headers["x-content-type-options"] = "nosniff"
