"""One version in memory and the ways to ask it: MLflow's scoring protocol and the Open Inference Protocol."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lockgate.domain.policy import EngineKind
from lockgate.wire.workers import WorkerConfig
from lockgate.worker.artifacts import manifest_of
from lockgate.worker.engines.choosing import choose
from lockgate.worker.http.messages import JSON, Answer, Reply, Request, failure, identity_of
from lockgate.worker.invocations.batches import Asked, Batches, Limits
from lockgate.worker.invocations.bodies import Form, Rows
from lockgate.worker.invocations.exact import Scorer
from lockgate.worker.invocations.fast import Fast
from lockgate.worker.invocations.inference import Inference, Takes, Unfit, description, inferred, problem, translated
from lockgate.worker.invocations.reasons import NotLoaded, why_it_did_not_load
from lockgate.worker.invocations.stalls import Stalls
from lockgate.worker.invocations.threads import Threads
from lockgate.worker.observing.observer import Observer

_log = logging.getLogger("lockgate.worker")
EXIT_STUCK = 4  # of a process whose predictions never come back: its owner starts another
_LONGEST_READ_HERE = 128 * 1024  # bytes of a body that the loop's thread reads: about half a millisecond


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory, and the fast way through it where there is one."""

    scorer: Scorer
    fast: Fast | None


class Served:
    """A loaded version. All but `load` is for the loop's thread.

    `identity` is the block of header lines that every answer of this version carries. `engine` is the name of what
    computes: `pyfunc` is MLflow's own way. Once `stuck` is set its predictions never come back: replace the process.
    """

    def __init__(self, config: WorkerConfig, observer: Observer, loaded: Loaded, threads: Threads) -> None:
        fast = loaded.fast
        self.model = config.model
        self.version = config.version
        self.release = config.release
        self.engine = EngineKind.PYFUNC.value if fast is None else fast.engine.name
        self.identity = identity_of(config.model, config.version, config.release)
        self.stuck = threads.stuck
        self._observer = observer
        self._scorer = loaded.scorer
        self._threads = threads
        self._limits = Limits(config.batch_rows, config.queue_limit, config.timeout_seconds, config.batch_wait_seconds)
        self._stalls = Stalls(config.timeout_seconds, _give_up)
        self._fast = fast
        self._batches = None if fast is None else self._batching(fast)
        metadata = loaded.scorer.model.metadata
        self._takes = Takes.of(metadata, None if fast is None else fast.engine.features)
        self._platform = _platform(metadata)
        self._exact_waiting = 0
        self._trying: set[Form] = set()

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
        fast = self._fast
        if fast is not None and len(request.body) <= _LONGEST_READ_HERE:
            read = fast.read(request.body, request.content_type)
            if read is not None and self._predicted_fast(fast, read, request, reply):
                return
        self._exactly(request, reply)

    def _predicted_fast(self, fast: Fast, read: tuple[Form, Rows], request: Request, reply: Reply) -> bool:
        form, rows = read
        holds = fast.found.get(form)
        if not holds:
            if holds is None:
                self._try(fast, form)
            return False
        batches = self._batches
        assert batches is not None
        if len(rows) > fast.costs.most and self._refused(reply):
            return True
        batches.add(Asked(request, reply, rows, fast.fortran(form)))
        return True

    def _waiting(self) -> int:
        return self._exact_waiting + (self._batches.waiting if self._batches is not None else 0)

    def _tell_waiting(self) -> None:
        self._observer.waiting(self._waiting())

    def _refused(self, reply: Reply) -> bool:
        """Whether as many wait as may."""
        if self._waiting() < self._limits.waiting:
            return False
        reply(self._named(_full(self._limits.waiting)))
        return True

    def _exactly(self, request: Request, reply: Reply) -> None:
        """Answer by MLflow's own code, in one of the model's threads."""
        if self._refused(reply):
            return
        self._exact_waiting += 1
        body, content_type = request.body, request.content_type
        # what is short was looked at already
        fast = self._fast if len(body) > _LONGEST_READ_HERE else None

        def work() -> tuple[Answer, float]:
            began = time.perf_counter()
            answer = fast.answer(body, content_type) if fast is not None else None
            answer = answer or self._scorer.score(body, content_type.decode("latin-1"))
            return answer, time.perf_counter() - began

        def done(came: tuple[Answer, float] | None) -> None:
            self._exact_waiting -= 1
            self._tell_waiting()
            if came is None:
                self._late(request, reply)
                return
            self._observer.predicted(1, came[0].rows, came[1])
            reply(self._named(came[0]))

        self._threads.start(work, self._limits.seconds, done)
        self._tell_waiting()

    def _late(self, _request: Request, reply: Reply) -> None:
        # MLflow's own words for it
        reply(self._named(Answer(504, b"Request processing time exceeded limit")))

    def _try(self, fast: Fast, form: Form) -> None:
        """Find out whether bodies of this form can be read, for the next requests in it."""
        if form in self._trying or form not in fast.trial.forms():
            return
        self._trying.add(form)

        def done(holds: bool | None) -> None:
            self._trying.discard(form)
            fast.found[form] = bool(holds)

        self._threads.start(lambda: fast.trial.holds(form), self._limits.seconds, done)

    def _batching(self, fast: Fast) -> Batches:
        self._stalls.watch()
        return Batches(
            fast.engine,
            fast.costs,
            self._threads,
            self._observer,
            self._limits,
            settle=fast.columns.settle,
            identity=self.identity,
            exact=self._exactly,
            late=self._late,
            stalls=self._stalls,
            changed=self._tell_waiting,
        )

    def infer(self, request: Request, reply: Reply) -> None:
        """Answer one inference request of the Open Inference Protocol v2 (JSON)."""
        if request.header(b"inference-header-content-length"):
            reply(self._named(problem(400, "Tensors in binary form are not understood here. Send JSON.")))
            return
        if len(request.body) <= _LONGEST_READ_HERE:
            self._inferred(request, reply, translated(request.body, self._takes))
            return
        if self._refused(reply):
            return

        def done(came: tuple[Inference, bytes] | Unfit | None) -> None:
            self._inferred(request, reply, came)

        self._threads.start(lambda: translated(request.body, self._takes), self._limits.seconds, done)

    def _inferred(self, request: Request, reply: Reply, came: tuple[Inference, bytes] | Unfit | None) -> None:
        """Answer an inference request that was made one of MLflow's."""
        if came is None:
            self._late(request, reply)
            return
        if isinstance(came, Unfit):
            reply(self._named(problem(400, str(came))))
            return
        asked, body = came

        def done(answer: Answer) -> None:
            reply(self._named(inferred(answer, asked, self._takes, self.model, self.version)))

        self.invoke(replace(request, body=body, content_type=JSON), done)

    def describe(self) -> Answer:
        """The model's metadata as the Open Inference Protocol v2 gives it."""
        return self._named(Answer(200, description(self._takes, self.model, self.version, self._platform)))

    def close(self) -> None:
        """Let go of the model's threads. What is under way still gets its answer."""
        self._threads.close()
        self._stalls.close()

    def _named(self, answer: Answer) -> Answer:
        answer.identity = self.identity
        return answer


def _give_up() -> None:
    _log.error("a prediction on the loop's own thread does not end, giving up")
    os._exit(EXIT_STUCK)


def _platform(metadata: Any) -> str:
    """What the model was made with, as the Open Inference Protocol asks for it."""
    loader = str(metadata.flavors.get("python_function", {}).get("loader_module", ""))
    return loader.replace(".", "_") or "mlflow"


def _loaded(config: WorkerConfig) -> Loaded:
    folder = Path(config.artifacts)
    try:
        if not folder.is_dir():
            raise NotLoaded(f"The artifacts are not there: {folder} does not exist.")
        if manifest_of(folder).digest != config.digest:
            raise NotLoaded("The artifacts have changed since they were pinned: their digest is another one.")
        scorer = Scorer.load(folder)
        scorer.warm_up(folder)
        engine = choose(scorer.model, folder, EngineKind(config.engine), _converted(config))
        return Loaded(scorer, None if engine is None else Fast.prepare(scorer, engine, folder))
    except NotLoaded:
        raise
    except BaseException as error:  # a model's code can raise anything, SystemExit too, and each is a reason
        _log.exception("the model did not load")
        raise NotLoaded(why_it_did_not_load(error, folder)) from error


def _converted(config: WorkerConfig) -> Path | None:
    """The converted model of the release, if it has one: the very file that was measured. Raises NotLoaded."""
    if not config.converted:
        return None
    file, again = Path(config.converted), f"Measure again where it is served: lockgate engines {config.model}"
    try:
        with file.open("rb") as opened:
            found = f"sha256:{hashlib.file_digest(opened, 'sha256').hexdigest()}"
    except OSError as error:
        raise NotLoaded(f"The converted model {file} cannot be read: {error.strerror or error}. {again}") from None
    if found != config.converted_digest:
        raise NotLoaded(f"The converted model {file} is not the one that was measured: its digest differs. {again}")
    return file


def _full(limit: int) -> Answer:
    told = f"{limit} predictions are waiting already."
    return failure(503, "TEMPORARILY_UNAVAILABLE", told, (b"retry-after", b"1"))
