"""The worker's HTTP surface: every path, who may ask it, and which version on this machine answers."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol
from urllib.parse import quote

from lockgate.wire.workers import WorkerConfig
from lockgate.worker.entrance import Entrance
from lockgate.worker.http.messages import CLOSE, Answer, App, Reply, Request, failure
from lockgate.worker.observing.observer import Observer
from lockgate.worker.routing.passing import Address, Passer, hops_of
from lockgate.worker.routing.paths import Named, named
from lockgate.worker.routing.traffic import Traffic

_log = logging.getLogger("lockgate.worker")
_ASKED = (b"GET", b"HEAD")
_TOLD = (b"POST",)
_TEXT = b"text/plain; version=0.0.4; charset=utf-8"
_AGAIN = (b"retry-after", b"1")
_MOST_HOPS = 4
_MARGIN_SECONDS = 2.0  # a worker that is asked in passing may take its whole time, and the way there a little


class Serves(Protocol):
    """What is needed of a loaded version."""

    model: str
    version: int
    release: str
    engine: str
    identity: bytes

    def invoke(self, request: Request, reply: Reply) -> None:
        """Answer one invocation in MLflow's scoring protocol, now or later."""
        ...

    def infer(self, request: Request, reply: Reply) -> None:
        """Answer one inference request of the Open Inference Protocol."""
        ...

    def describe(self) -> Answer:
        """The model's metadata as the Open Inference Protocol gives it."""
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """What answers one path. `unnamed`: the path names no model, so the endpoint of the client's port is meant."""

    methods: tuple[bytes, ...]
    answer: App
    guarded: bool = True
    unnamed: bool = False


class Router:
    """The application of one worker. For the loop's thread alone; nothing raises.

    `mlflow_version` and `served` are set once the model is loaded, `feedback` where labels are taken.
    """

    def __init__(self, config: WorkerConfig, observer: Observer, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._observer = observer
        self._clock = clock
        self._identity = identity_of(config.model, config.version, config.release)
        self._traffic = Traffic.ANSWER
        self._successors: Sequence[Address] = ()
        self._served: Serves | None = None
        self._known: dict[bytes, Route] = {}
        self.entrance = Entrance(config)
        self.passer = Passer(limit=config.queue_limit, seconds=config.timeout_seconds + _MARGIN_SECONDS)
        self.mlflow_version = ""
        self.feedback: App | None = None
        self._pong = Answer(200, b"\n", identity=self._identity)
        self._learn()

    @property
    def served(self) -> Serves | None:
        """The version that answers here by default, None until it is loaded."""
        return self._served

    @served.setter
    def served(self, served: Serves | None) -> None:
        self._served = served
        self._learn()

    @property
    def traffic(self) -> Traffic:
        """What is done with requests now."""
        return self._traffic

    def turn(self, traffic: Traffic, successors: Sequence[Address] = ()) -> None:
        """From now on do this with requests. `successors` are who took over, asked before the shared address."""
        self._traffic = traffic
        self._successors = (*successors, (self._config.host, self._config.port))

    def __call__(self, request: Request, reply: Reply, hops: int = 0) -> None:
        """Answer one request of a client, now or later, or let its connection go."""
        route = self._known.get(request.path) or self._found(request)
        refusal = self.entrance.refusal(request, guarded=route.guarded)
        if refusal is not None:
            self._say(request, reply, refusal)
        elif request.method not in route.methods:
            self._say(request, reply, _wrong_method(request, route))
        elif self._traffic is Traffic.ANSWER:
            route.answer(request, reply)
        else:
            self._turned(request, reply, hops)

    def passed_on(self, request: Request, reply: Reply) -> None:
        """Answer one request that another worker passes on. It goes no further, unless this one was taken over too."""
        self(request, reply, hops_of(request))

    # --- what paths answer

    def _learn(self) -> None:
        """Put down what every path answers that is asked often: the hot path looks it up and judges nothing."""
        known = {
            b"/ping": Route(_ASKED, self._ping, guarded=False, unnamed=True),
            b"/health": Route(_ASKED, self._ping, guarded=False, unnamed=True),
            b"/version": Route(_ASKED, self._version, unnamed=True),
            b"/metrics": Route(_ASKED, self._metrics, unnamed=True),
            b"/invocations": Route(_TOLD, self._invocations, unnamed=True),
            b"/feedback": Route(_TOLD, self._feedback, unnamed=True),
            b"/v2": Route(_ASKED, self._server, unnamed=True),
            b"/v2/health/live": Route(_ASKED, self._live, guarded=False, unnamed=True),
            b"/v2/health/ready": Route(_ASKED, self._ready, guarded=False, unnamed=True),
        }
        own = quote(self._config.model, safe="").encode()
        version = b"/versions/%d" % self._config.version
        for model in {own, self._config.model.encode()}:
            known[b"/models/" + model + b"/invocations"] = Route(_TOLD, self._invocations)
            known[b"/models/" + model + version + b"/invocations"] = Route(_TOLD, self._invocations)
            for one in (b"/v2/models/" + model, b"/v2/models/" + model + version):
                known[one] = Route(_ASKED, self._described)
                known[one + b"/ready"] = Route(_ASKED, self._ready)
                known[one + b"/infer"] = Route(_TOLD, self._infer)
        self._known = known

    def _found(self, request: Request) -> Route:
        """What a path answers that was not put down: another spelling, another model, or nothing."""
        path = request.path
        known = named(path)
        if known is None:
            return Route((request.method,), self._nothing)
        return self._of_another(known)

    def _of_another(self, asked: Named) -> Route:
        if asked.model == self._config.model and asked.version in (None, self._config.version):
            spelt = asked.path(self._config.model, asked.version)
            return self._known[spelt]
        return Route((*_ASKED, *_TOLD), partial(self._not_here, asked))

    def _nothing(self, request: Request, reply: Reply) -> None:
        told = request.path.decode("latin-1")[:200]
        self._say(
            request,
            reply,
            failure(404, "RESOURCE_DOES_NOT_EXIST", f"There is nothing at {told}. Predictions: POST /invocations"),
        )

    def _not_here(self, asked: Named, request: Request, reply: Reply) -> None:
        own = f"{self._config.model!r}, version {self._config.version}"
        wanted = f"{asked.model[:200]!r}" + ("" if asked.version is None else f", version {asked.version},")
        path = f"POST /models/{quote(self._config.model, safe='')}/invocations"
        told = f"Model {wanted} is not served here. This endpoint serves {own}: {path}"
        self._say(request, reply, failure(404, "RESOURCE_DOES_NOT_EXIST", told))

    def _ping(self, request: Request, reply: Reply) -> None:
        self._say(request, reply, self._pong if self._served is not None else _starting())

    def _version(self, request: Request, reply: Reply) -> None:
        self._say(request, reply, Answer(200, self.mlflow_version.encode()))

    def _metrics(self, request: Request, reply: Reply) -> None:
        self._say(request, reply, Answer(200, self._observer.text(), _TEXT))

    def _server(self, request: Request, reply: Reply) -> None:
        told = {"name": "lockgate", "version": self.mlflow_version, "extensions": []}
        self._say(request, reply, Answer(200, json.dumps(told).encode()))

    def _live(self, request: Request, reply: Reply) -> None:
        self._say(request, reply, Answer(200, b'{"live": true}'))

    def _ready(self, request: Request, reply: Reply) -> None:
        there = self._served is not None
        self._say(request, reply, Answer(200, b'{"ready": true}') if there else _starting())

    def _described(self, request: Request, reply: Reply) -> None:
        self._say(request, reply, _starting() if self._served is None else self._served.describe())

    def _invocations(self, request: Request, reply: Reply) -> None:
        if self._served is None:
            self._say(request, reply, _starting())
        else:
            self._served.invoke(request, partial(self._predicted, request, reply))

    def _infer(self, request: Request, reply: Reply) -> None:
        if self._served is None:
            self._say(request, reply, _starting())
        else:
            self._served.infer(request, partial(self._predicted, request, reply))

    def _feedback(self, request: Request, reply: Reply) -> None:
        if self.feedback is None:
            self._nothing(request, reply)
        else:
            self.feedback(request, partial(self._say, request, reply))

    # --- answers, and requests that others answer

    def _say(self, request: Request, reply: Reply, answer: Answer) -> None:
        if not answer.identity:
            answer.identity = self._identity
        self._observer.answered(request, answer, self._clock() - request.began, invocation=False)
        reply(answer)

    def _predicted(self, request: Request, reply: Reply, answer: Answer) -> None:
        if not answer.identity:
            answer.identity = self._identity
        self._observer.answered(request, answer, self._clock() - request.began, invocation=True)
        reply(answer)

    def _turned(self, request: Request, reply: Reply, hops: int) -> None:
        if self._traffic is Traffic.REFUSE:
            told = failure(503, "TEMPORARILY_UNAVAILABLE", "This endpoint is being retired.", _AGAIN, CLOSE)
            self._say(request, reply, told)
            return
        link = request.link
        for successor in self._successors:
            if link is None or isinstance(successor, tuple):
                break
            if link.hand_over(successor):
                self._observer.passed("handed")
                return
        self._pass_on(request, reply, self._successors, hops, CLOSE)

    def _pass_on(
        self, request: Request, reply: Reply, to: Sequence[Address], hops: int, *headers: tuple[bytes, bytes]
    ) -> None:
        if hops >= _MOST_HOPS:
            self._say(request, reply, _changing_over(*headers))
            return
        self._observer.passed("forwarded")

        def heard(answer: Answer | None) -> None:
            if answer is None:
                _log.warning("nobody took over a request")
                self._say(request, reply, _changing_over(*headers))
                return
            answer.headers = (*answer.headers, *headers)
            reply(answer)

        self.passer.send(request, to, heard, hops)


def identity_of(model: str, version: int, release: str) -> bytes:
    """The header lines that name what computes an answer."""
    names = {"model": model, "version": str(version), "release": release}
    return "".join(f"x-lockgate-{what}: {quote(name, safe='')}\r\n" for what, name in names.items()).encode()


def _wrong_method(request: Request, route: Route) -> Answer:
    told = b" or ".join(route.methods).decode()
    path = request.path.decode("latin-1")[:200]
    return failure(405, "BAD_REQUEST", f"Use {told} for {path}.", (b"allow", b", ".join(route.methods)))


def _starting() -> Answer:
    return failure(503, "TEMPORARILY_UNAVAILABLE", "The model is still being loaded.", _AGAIN)


def _changing_over(*headers: tuple[bytes, bytes]) -> Answer:
    told = "The endpoint is changing over. Try again."
    return failure(503, "TEMPORARILY_UNAVAILABLE", told, _AGAIN, *headers)
