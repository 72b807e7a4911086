"""One version in memory and the ways to ask it: MLflow's scoring protocol and the Open Inference Protocol."""

from __future__ import annotations

import logging
from pathlib import Path
from urllib.parse import quote

from lockgate.wire.workers import WorkerConfig
from lockgate.worker.artifacts import manifest_of
from lockgate.worker.http.messages import Answer, Reply, Request, failure
from lockgate.worker.invocations.exact import Scorer
from lockgate.worker.invocations.reasons import NotLoaded, why_it_did_not_load
from lockgate.worker.invocations.threads import Threads
from lockgate.worker.observing.observer import Observer

_log = logging.getLogger("lockgate.worker")


class Served:
    """A loaded version. All but `load` is for the loop's thread.

    `identity` is the block of header lines that every answer of this version carries. `engine` is the name of what
    computes: `pyfunc` is MLflow's own way. Once `stuck` is set its predictions never come back: replace the process.
    """

    def __init__(self, config: WorkerConfig, observer: Observer, scorer: Scorer, threads: Threads) -> None:
        self.model = config.model
        self.version = config.version
        self.release = config.release
        self.engine = "pyfunc"
        self.identity = identity(config)
        self.stuck = threads.stuck
        self._observer = observer
        self._scorer = scorer
        self._threads = threads
        self._limit = config.queue_limit
        self._seconds = config.timeout_seconds
        self._waiting = 0

    @classmethod
    def load(cls, config: WorkerConfig, observer: Observer) -> Served:
        """Check the digest, load, choose the engine, warm up: in a thread of its own, which later predicts.

        Blocks until that is done, so call it outside the loop's thread. Raises NotLoaded with the reason for a person.
        """
        threads = Threads(config.threads)
        try:
            return cls(config, observer, threads.here(lambda: _loaded(config)), threads)
        except BaseException:
            threads.close()
            raise

    def invoke(self, request: Request, reply: Reply) -> None:
        """Answer one invocation in MLflow's scoring protocol, now or later."""
        if self._waiting >= self._limit:
            reply(self._named(_full(self._limit)))
            return
        self._waiting += 1
        body, content_type = request.body, request.content_type.decode("latin-1")

        def done(answer: Answer | None) -> None:
            self._waiting -= 1
            # MLflow's own words for it
            reply(self._named(answer or Answer(504, b"Request processing time exceeded limit")))

        self._threads.start(lambda: self._scorer.score(body, content_type), self._seconds, done)

    def infer(self, request: Request, reply: Reply) -> None:
        """Answer one inference request of the Open Inference Protocol v2 (JSON)."""
        told = f"The Open Inference Protocol comes later: {request.path[:200].decode('latin-1')}"
        reply(self._named(failure(501, "NOT_IMPLEMENTED", told)))

    def describe(self) -> Answer:
        """The model's metadata as the Open Inference Protocol v2 gives it."""
        return self._named(failure(501, "NOT_IMPLEMENTED", "The Open Inference Protocol comes later."))

    def close(self) -> None:
        """Let go of the model's threads. What is under way still gets its answer."""
        self._threads.close()

    def _named(self, answer: Answer) -> Answer:
        answer.identity = self.identity
        return answer


def identity(config: WorkerConfig) -> bytes:
    """The header lines that name the version a worker serves."""
    named = {"model": config.model, "version": str(config.version), "release": config.release}
    return "".join(f"x-lockgate-{what}: {quote(name, safe='')}\r\n" for what, name in named.items()).encode()


def _loaded(config: WorkerConfig) -> Scorer:
    folder = Path(config.artifacts)
    try:
        if not folder.is_dir():
            raise NotLoaded(f"The artifacts are not there: {folder} does not exist.")
        if manifest_of(folder).digest != config.digest:
            raise NotLoaded("The artifacts have changed since they were pinned: their digest is another one.")
        scorer = Scorer.load(folder)
        scorer.warm_up(folder)
        return scorer
    except NotLoaded:
        raise
    except BaseException as error:  # a model's code can raise anything, SystemExit too, and each is a reason
        _log.exception("the model did not load")
        raise NotLoaded(why_it_did_not_load(error, folder)) from error


def _full(limit: int) -> Answer:
    told = f"{limit} predictions are waiting already."
    return failure(503, "TEMPORARILY_UNAVAILABLE", told, (b"retry-after", b"1"))
