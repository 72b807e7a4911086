"""The worker's HTTP surface: every path, who may ask it, and which version on this machine answers."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from lockgate.wire.routes import Place
from lockgate.wire.workers import WorkerConfig
from lockgate.worker.entrance import Entrance
from lockgate.worker.http.messages import CLOSE, Answer, App, Reply, Request, failure, identity_of
from lockgate.worker.observing.observer import Observer
from lockgate.worker.routing.neighbours import Neighbours
from lockgate.worker.routing.passing import Address, Passer, hops_of
from lockgate.worker.routing.paths import Way, named, path_of
from lockgate.worker.routing.served import How, Serves, describing, inferring, invoking, probing
from lockgate.worker.routing.traffic import Traffic
from lockgate.worker.routing.versions import Load, Versions

_log = logging.getLogger("lockgate.worker")
MOST_SWITCHES = 3
_TEXT = b"text/plain; version=0.0.4; charset=utf-8"
_AGAIN = (b"retry-after", b"1")
_MOST_HOPS = 4
_MARGIN_SECONDS = 2.0  # a worker that is asked in passing may take its whole time, and the way there a little


@dataclass(frozen=True, slots=True)
class Route:
    """What answers one path, and to which methods.

    `guarded`: the endpoint's token is asked for here. `unnamed`: the path names no model, so the endpoint is meant by
    whose port the client came. `away`: another endpoint's workers answer.
    """

    methods: tuple[bytes, ...]
    answer: App
    guarded: bool = True
    unnamed: bool = False
    away: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """What is asked by a path that names a model. `divided`: versions share it. `how` None: it is about no version."""

    methods: tuple[bytes, ...]
    how: How | None
    divided: bool = False


_ASKED = (b"GET", b"HEAD")
_TOLD = (b"POST",)
KINDS: dict[Way, Kind] = {
    (b"models", b"invocations"): Kind(_TOLD, invoking, divided=True),
    (b"v2", b"infer"): Kind(_TOLD, inferring, divided=True),
    (b"v2", b""): Kind(_ASKED, describing),
    (b"v2", b"ready"): Kind(_ASKED, probing),
    (b"models", b"feedback"): Kind(_TOLD, None),
}


class Router:
    """The application of one worker. For the loop's thread alone; nothing raises.

    `mlflow_version` and `served` are set once the model is loaded, `feedback` where labels are taken.
    """

    def __init__(
        self,
        config: WorkerConfig,
        observer: Observer,
        load: Load | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._observer = observer
        self._clock = clock
        self._home = config.endpoint
        self._identity = identity_of(config.model, config.version, config.release)
        self._traffic = Traffic.ANSWER
        self._successors: Sequence[Address] = ()
        self._served: Serves | None = None
        self._known: dict[bytes, Route] = {}
        self.entrance = Entrance(config)
        self.passer = Passer(limit=config.queue_limit, seconds=config.timeout_seconds + _MARGIN_SECONDS)
        self._neighbours = Neighbours(config.endpoint)
        self._versions = Versions(config, observer, self.passer, load, clock)
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
        self._successors = (*successors, *self._by_port(self._config.host, self._config.port))

    def tell_routes(self, told: Mapping[str, Any]) -> None:
        """Take what the agent says of the environment's endpoints: `places`, each a `Place`.

        Raises KeyError, TypeError or ValueError when it is something else, and has then changed nothing.
        """
        self._neighbours.tell(told)
        self._learn()

    def tell_split(self, told: Mapping[str, Any]) -> None:
        """Take what the agent says of further versions of the model: see `Versions.tell`.

        Raises KeyError, TypeError or ValueError when it is something else, and has then changed nothing.
        """
        self._versions.tell(told)
        self._learn()

    def close(self) -> None:
        """Let go of lines to other workers, and of further versions."""
        self.passer.close()
        self._versions.close()

    def __call__(self, request: Request, reply: Reply, hops: int = 0) -> None:
        """Answer one request of a client, now or later, or let its connection go."""
        route = self._known.get(request.path) or self._found(request)
        link = request.link
        if route.unnamed and link is not None and link.home != self._home:
            route = self._homeward(link.home, route)
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
        route = self._known.get(request.path) or self._found(request)
        if route.away:
            # it was sent to the wrong place by who knows no better, and goes round in circles from here
            route = Route(route.methods, self._not_here)
            self._answer_here(route, request, reply)
        elif self._traffic is Traffic.FORWARD and self._versions.shares:
            # this release was taken over and has a share still: what is passed on to it is meant for it
            self._answer_here(route, request, reply)
        else:
            self(request, reply, hops_of(request))

    def _answer_here(self, route: Route, request: Request, reply: Reply) -> None:
        """Answer what may come in, whatever is done with clients' requests now."""
        refusal = self.entrance.refusal(request, guarded=route.guarded)
        if refusal is None and request.method not in route.methods:
            refusal = _wrong_method(request, route)
        if refusal is None:
            route.answer(request, reply)
        else:
            self._say(request, reply, refusal)

    # --- what paths answer

    def _learn(self) -> None:
        """Put down what every path answers that is asked often: the hot path looks it up and judges nothing."""
        known = {
            b"/ping": Route(_ASKED, self._ping, guarded=False, unnamed=True),
            b"/health": Route(_ASKED, self._ping, guarded=False, unnamed=True),
            b"/version": Route(_ASKED, self._version, unnamed=True),
            b"/metrics": Route(_ASKED, self._metrics, unnamed=True),
            b"/invocations": Route(_TOLD, self._divided(invoking), unnamed=True),
            b"/feedback": Route(_TOLD, self._feedback, unnamed=True),
            b"/v2": Route(_ASKED, self._server, unnamed=True),
            b"/v2/health/live": Route(_ASKED, self._live, guarded=False, unnamed=True),
            b"/v2/health/ready": Route(_ASKED, self._ready, guarded=False, unnamed=True),
        }
        model, version = self._config.model, self._config.version
        for way, kind in KINDS.items():
            divided = self._divided(kind.how) if kind.divided and kind.how else self._own(way)
            known[path_of(way, model)] = Route(kind.methods, divided)
            if kind.how is not None:
                known[path_of(way, model, version)] = Route(kind.methods, self._own(way))
                for other in self._versions.numbers:
                    answer = partial(self._exactly, other, kind.how)
                    known[path_of(way, model, other)] = Route(kind.methods, answer)
            for place in self._neighbours.models.values():
                answer = partial(self._elsewhere, place)
                known[path_of(way, place.model)] = Route(kind.methods, answer, guarded=False, away=True)
        self._known = known

    def _found(self, request: Request) -> Route:
        """What a path answers that was not put down: another spelling, a version of another model, or nothing."""
        asked = named(request.path)
        if asked is None:
            return Route((request.method,), self._nothing)
        methods = KINDS[asked.way].methods
        if asked.model == self._config.model:
            return self._known.get(path_of(asked.way, asked.model, asked.version)) or Route(methods, self._not_here)
        place = self._neighbours.models.get(asked.model)
        if place is None:
            return Route(methods, self._not_here)
        return Route(methods, partial(self._elsewhere, place), guarded=False, away=True)

    def _homeward(self, home: str, route: Route) -> Route:
        """The same path at the endpoint by whose port the client came."""
        place = self._neighbours.endpoints.get(home)
        answer = self._astray if place is None else partial(self._elsewhere, place)
        return Route(route.methods, answer, guarded=False, away=True)

    def _own(self, way: Way) -> App:
        return {
            (b"models", b"invocations"): self._invocations,
            (b"v2", b"infer"): self._infer,
            (b"v2", b"ready"): self._ready,
            (b"v2", b""): self._described,
            (b"models", b"feedback"): self._feedback,
        }[way]

    def _divided(self, how: How) -> App:
        """What answers requests that name no version: the worker's own one, unless others have a share."""
        primary = self._invocations if how is invoking else self._infer
        if not self._versions.divides:
            return primary

        def divided(request: Request, reply: Reply) -> None:
            self._versions.divide(how, primary, request, partial(self._of_version, request, reply))

        return divided

    def _exactly(self, number: int, how: How, request: Request, reply: Reply) -> None:
        self._versions.exactly(number, how, request, partial(self._of_version, request, reply))

    def _nothing(self, request: Request, reply: Reply) -> None:
        told = request.path.decode("latin-1")[:200]
        self._say(
            request,
            reply,
            failure(404, "RESOURCE_DOES_NOT_EXIST", f"There is nothing at {told}. Predictions: POST /invocations"),
        )

    def _not_here(self, request: Request, reply: Reply) -> None:
        asked = named(request.path)
        wanted = repr(asked.model[:200]) if asked is not None else "of that name"
        wanted += f", version {asked.version}," if asked is not None and asked.version is not None else ""
        versions = ", ".join(map(str, sorted({self._config.version, *self._versions.numbers})))
        path = f"POST /models/{quote(self._config.model, safe='')}/invocations"
        told = f"Model {wanted} is not served here. This endpoint serves {self._config.model!r}, version {versions}: "
        self._say(request, reply, failure(404, "RESOURCE_DOES_NOT_EXIST", told + path))

    def _astray(self, request: Request, reply: Reply) -> None:
        """The endpoint that the client came to is not known here. On a new connection it gets there again."""
        self._say(request, reply, _changing_over(CLOSE))

    def _ping(self, request: Request, reply: Reply) -> None:
        self._say(request, reply, self._pong if self._served is not None else _starting())

    def _version(self, request: Request, reply: Reply) -> None:
        self._say(request, reply, Answer(200, self.mlflow_version.encode()))

    def _metrics(self, request: Request, reply: Reply) -> None:
        self._say(request, reply, Answer(200, self._observer.text(alone=self.entrance.asks), _TEXT))

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
        seconds = self._clock() - request.began
        reply(answer)
        self._observer.answered(request, answer, seconds, invocation=False)

    def _predicted(self, request: Request, reply: Reply, answer: Answer) -> None:
        if not answer.identity:
            answer.identity = self._identity
        seconds = self._clock() - request.began
        reply(answer)  # first: what is counted and logged must not make the client wait
        self._observer.answered(request, answer, seconds, invocation=True)

    def _of_version(self, request: Request, reply: Reply, answer: Answer) -> None:
        """An answer that names who gave it was counted there; any other says why there is none."""
        if answer.identity:
            reply(answer)
        else:
            self._say(request, reply, answer)

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

    def _elsewhere(self, place: Place, request: Request, reply: Reply) -> None:
        """Let another endpoint's worker answer: give it the connection, or pass on what one asks that changes often.

        A load balancer's connection asks now for one model, now for another: giving it away each time costs more.
        """
        folders = self._neighbours.turn(place)
        link = request.link
        if link is not None and link.switches < MOST_SWITCHES:
            for folder in folders:
                if link.hand_over(folder):
                    self._observer.passed("handed")
                    return
        self._pass_on(request, reply, [*folders, *self._by_port(place.host, place.port)], 0)

    def _by_port(self, host: str, port: int) -> Sequence[Address]:
        """Where whoever accepts on a port is found when its workers are not known: not where that takes TLS."""
        return () if self._config.tls_certificate else ((host, port),)

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


def _wrong_method(request: Request, route: Route) -> Answer:
    told = b" or ".join(route.methods).decode()
    path = request.path.decode("latin-1")[:200]
    return failure(405, "BAD_REQUEST", f"Use {told} for {path}.", (b"allow", b", ".join(route.methods)))


def _starting() -> Answer:
    return failure(503, "TEMPORARILY_UNAVAILABLE", "The model is still being loaded.", _AGAIN)


def _changing_over(*headers: tuple[bytes, bytes]) -> Answer:
    told = "The endpoint is changing over. Try again."
    return failure(503, "TEMPORARILY_UNAVAILABLE", told, _AGAIN, *headers)
