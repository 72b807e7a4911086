"""What came in: a body read into its shape, a query without unknown words, the version or the stage it names."""

from __future__ import annotations

import difflib
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import TypeAdapter

from lockgate.domain.errors import BadInput, NotFound
from lockgate.domain.stages import Stage
from lockgate.domain.versions import VersionRef, model_name, version_number
from lockgate.server.authorise import lacking
from lockgate.server.identity import CALLER
from lockgate.usecases.ports import Work
from lockgate.wire.plain import WrongShape, from_json

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=1000)]
"""How many entries of a list are wanted."""


def body_of(shape: type[T]) -> Any:
    """The body as a value of `shape`, for a route's parameter.

    It answers 400 naming the field and what is expected there, and 403 to who may not do what the route does to the
    `model` that the body names. The content type is not looked at: a body that is JSON
    is JSON whatever curl calls it.
    """

    async def read(request: Request) -> T:
        raw = await request.body()
        try:
            plain = json.loads(raw)
        except (ValueError, RecursionError):
            raise BadInput("The body is not JSON.", hint=f"Send {_example(shape)}.") from None
        try:
            value = from_json(shape, plain, strict=True)
        except WrongShape as error:
            raise BadInput(f"{error}.", hint=f"Send {_example(shape)}.") from None
        await _allowed(request, getattr(value, "model", None))
        return value

    reader: Callable[[Request], Awaitable[T]] = read
    return Depends(reader)


async def _allowed(request: Request, model: object) -> None:
    """Raises Forbidden, which is on the record then."""
    if not isinstance(model, str) or (refusal := lacking(model)) is None:
        return
    asking = CALLER.get()
    if asking.judge is not None:
        asked = f"{request.method} {request.url.path}"
        await run_in_threadpool(asking.judge.put_on_record, asking.who, asked, model, refusal)
    raise refusal


def described(shape: type) -> dict[str, Any]:
    """The OpenAPI description of a body that body_of reads."""
    content = {"application/json": {"schema": TypeAdapter(shape).json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


def known_query_only(request: Request) -> None:
    """Refuse a query word the route does not know: `?modle=fraud` must not answer for all models."""
    known = [parameter.alias for parameter in request.scope["route"].dependant.query_params]
    for name in request.query_params:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, 1)
        hint = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(known) or 'none'}."
        raise BadInput(f"The query has the unknown word {name!r}.", hint=hint)


def version_ref(model: str, version: int) -> VersionRef:
    """The version a body names. Raises BadInput."""
    return VersionRef(model_name(model), version_number(version))


def stage_of(written: str) -> Stage:
    """The stage a body names, in any capitals. Raises BadInput naming the four."""
    return Stage.parse(written)


def known_model(work: Work, model: str) -> None:
    """Raises NotFound for a model that is not registered: an empty list would say that nothing happened to it."""
    if not work.catalog.has_model(model):
        raise NotFound(f"Registered Model with name={model} not found", hint="lockgate status lists the models.")


def told(text: str, what: str) -> str:
    """The text, which must say something. Raises BadInput."""
    if not text.strip():
        raise BadInput(f"{what} is empty.", hint="It stands on the record: say why in a few words.")
    return text


def _example(shape: type) -> str:
    schema = TypeAdapter(shape).json_schema()
    required = set(schema.get("required", ()))
    fields = ", ".join(f'"{name}": {_sample(name)}' for name in schema["properties"] if name in required)
    return "{" + fields + "}"


def _sample(name: str) -> str:
    return {"version": "7", "approved": "true", "model": '"fraud"', "environment": '"production"'}.get(name, '"…"')
