"""What each server is asked, in its own protocol, and how its answer is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.serving import content

ID = "the-same-for-all"  # MLServer answers with the id it is given, or one that it makes up


@dataclass(frozen=True, slots=True)
class Protocol:
    """`path` with the model's name in it, the body for rows, and the text before the list of predictions."""

    path: str
    body: Callable[[list[list[float]]], Any]
    before: str = '"predictions":'

    def predictions(self, body: bytes) -> object:
        """What an answer says. Raises ValueError, KeyError or TypeError when it says nothing."""
        told = json.loads(body)
        if self.before == '"data":':
            return told["outputs"][0]["data"]
        return told["predictions"] if self.before else told


def _split(rows: list[list[float]]) -> Any:
    return {"dataframe_split": {"columns": content.names(), "data": rows}}


def _instances(rows: list[list[float]]) -> Any:
    return {"instances": rows}


def _tensor(rows: list[list[float]]) -> Any:
    shape = [len(rows), len(rows[0])]
    flat = [value for row in rows for value in row]
    return {"id": ID, "inputs": [{"name": "rows", "shape": shape, "datatype": "FP64", "data": flat}]}


MLFLOW = Protocol("/invocations", _split)
OPEN_INFERENCE = Protocol("/v2/models/{model}/infer", _tensor, '"data":')
KSERVE = Protocol("/v1/models/{model}:predict", _instances)
PLAIN = Protocol("/{model}", _instances)
BARE = Protocol("/{model}", _instances, "")
PROTOCOLS = {"mlflow": MLFLOW, "v2": OPEN_INFERENCE, "kserve": KSERVE, "plain": PLAIN, "bare": BARE}


@dataclass(frozen=True, slots=True)
class Question:
    """One request as it goes over the wire, and what its answer must say; None: anything with status 200."""

    request: bytes
    expected: Any
    body: bytes = b""


def questions(protocol: Protocol, model: str, rows: int, port: int, expected: list[Any]) -> list[Question]:
    """All requests of that size for that model."""
    path = protocol.path.format(model=model)
    found = []
    for asked, right in zip(content.asked(rows), expected, strict=True):
        body = json.dumps(protocol.body(asked)).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        found.append(Question(head.encode() + body, right, body))
    return found


def static(path: str, port: int) -> list[Question]:
    """A request whose answer needs no model."""
    return [Question(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode(), None)]
