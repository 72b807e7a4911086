"""Routes that prove the record: checkpoints, the export, proofs about entries, and the keys that sign."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from lockgate.domain.checkpoints import Check, proof_texts
from lockgate.domain.errors import NotFound
from lockgate.domain.keyring import Keyring
from lockgate.server.api.answering import Json
from lockgate.server.api.asking import body_of, described
from lockgate.server.identity import caller
from lockgate.usecases import export, keys
from lockgate.usecases.ports import Ports
from lockgate.usecases.sequence import root_of
from lockgate.wire import record as wire
from lockgate.wiring import check_signature, fast_json

_PIECE = 64 * 1024
Count = Annotated[int, Query(ge=0)]


def routes(ports: Ports) -> APIRouter:
    """The routes over these ports."""
    router = APIRouter(tags=["record"])
    _about_the_tree(router, ports, check_signature)
    _about_keys(router, ports, check_signature)
    return router


def _about_the_tree(router: APIRouter, ports: Ports, check: Check) -> None:
    @router.get("/audit/checkpoint", response_model=wire.Checkpoint)
    def read_checkpoint() -> Json:
        """The newest signed checkpoint; 404 before the first."""
        with ports.store.reading() as work:
            found, kept = export.newest_checkpoint(work), work.tree.newest()
        if found is None or kept is None:
            raise NotFound("No checkpoint is signed yet.", hint="The controller signs one seconds after it starts.")
        point = found.checkpoint
        return Json(wire.Checkpoint(kept.note, point.origin, point.size, _text(point.root), point.at, kept.key))

    @router.get("/audit/proof")
    def prove_entry(chain: str, number: Annotated[int, Query(ge=1)]) -> Json:
        """The proof that one entry is on the record; 409 while no checkpoint covers it."""
        return Json(export.prove(ports.store, check, chain, number))

    @router.get("/audit/consistency", response_model=wire.ConsistencyProof)
    def prove_consistency(first: Count, second: Annotated[int | None, Query(ge=0)] = None) -> Json:
        """The proof that the first `second` entries (all, when not given) begin with the first `first`."""
        found = export.consistency(ports.store, first, second)
        with ports.store.reading() as work:
            first_root, second_root = (_text(root_of(work.tree, size)) for size in (found.first, found.second))
        proof = proof_texts(found.proof)
        return Json(wire.ConsistencyProof(found.first, found.second, first_root, second_root, proof))

    @router.get("/audit/export", response_class=StreamingResponse)
    def export_record() -> StreamingResponse:
        """The whole record as it is now, one JSON object a line; x-lockgate-entries says how many to expect."""
        count = export.count(ports.store)
        pieces = _joined(export.lines(ports.store, check, ports.clock.now(), fast_json()))
        headers = {wire.ENTRIES_HEADER: str(count), "cache-control": "no-store", "x-content-type-options": "nosniff"}
        return StreamingResponse(pieces, media_type="application/x-ndjson", headers=headers)


def _about_keys(router: APIRouter, ports: Ports, check: Check) -> None:
    @router.get("/audit/keys", response_model=wire.RecordKeys)
    def read_keys() -> Json:
        """The keys that sign checkpoints, in the order in which they came."""
        return Json(_keys(ports, check))

    @router.post("/audit/keys", response_model=wire.RecordKeys, openapi_extra=described(wire.KeyAsk))
    def add_key(body: Annotated[wire.KeyAsk, body_of(wire.KeyAsk)]) -> Json:
        """Put a key on the record that a known one vouches for."""
        keys.add(ports, caller(), body.public, body.vouched, body.reason, check)
        return Json(_keys(ports, check))

    @router.post("/audit/keys/retire", response_model=wire.RecordKeys, openapi_extra=described(wire.RetireKeyAsk))
    def retire_key(body: Annotated[wire.RetireKeyAsk, body_of(wire.RetireKeyAsk)]) -> Json:
        """Let a key sign no more; what it signed stays good. 409 for the only one."""
        keys.retire(ports, caller(), body.id, body.reason, check)
        return Json(_keys(ports, check))


def _keys(ports: Ports, check: Check) -> wire.RecordKeys:
    with ports.store.reading() as work:
        ring: Keyring = keys.ring(work, check)
    shown = tuple(
        wire.RecordKey(
            each.public.id, str(each.public), each.at, each.by, each.arrival.value, each.vouched_by, each.retired_at
        )
        for each in ring.keys
    )
    return wire.RecordKeys(ring.origin, shown)


def _joined(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Lines in pieces of a size that is worth sending."""
    held: list[bytes] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= _PIECE:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _text(told: bytes) -> str:
    return base64.b64encode(told).decode()
