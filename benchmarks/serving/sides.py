"""Everybody who is measured: what they are, how they are started at their best, and what they are asked."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.registry.sides import free_port
from benchmarks.serving import content, environments, ours, processes
from benchmarks.serving.asking import PROTOCOLS
from benchmarks.serving.environments import ROOT, interpreter
from lockgate import __version__
from lockgate.wire.workers import Command

START_LIMIT, MAKE_LIMIT = 240.0, 600.0
NATIVE, ONNX, STOCK = "Lockgate, native", "Lockgate, ONNX", "mlflow models serve"
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class DidNotStart(Exception):
    """A server ended, or stayed silent, before it answered. The end of its log is the message."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One other server. `name` is its environment's, `package` the one whose release is told.

    `each`: it is a process for each model. `several`: it is several processes even for one. `learns`: from the clock,
    so it is left running at rest while others are measured; held still, it would take the pause for its own slowness.
    """

    title: str
    name: str
    package: str
    protocol: str
    settings: str
    health: str = "/health"
    each: bool = False
    several: bool = False
    learns: bool = False
    module: str = ""


PEERS = (
    Peer(
        STOCK, "mlflow", "mlflow", "mlflow", "one uvicorn worker, `--env-manager local`, one OpenMP thread",
        health="/ping", each=True,
    ),
    Peer(
        "MLServer", "mlserver", "mlserver", "v2",
        "`parallel_workers: 0` (no second process), no access log, its scikit-learn and LightGBM runtimes, "
        "adaptive batching (64 requests, 1 ms) for the forest",
        health="/v2/health/ready",
    ),
    Peer(
        "BentoML", "bentoml", "bentoml", "bare",
        "one worker, no access log, no traces, no metrics, adaptive batching for forest and LightGBM",
        health="/readyz", learns=True,
    ),
    Peer(
        "LitServe", "litserve", "litserve", "plain",
        "fast queue, batches of up to 64 requests within 1 ms for forest and LightGBM (with no wait at all its worker "
        "spins)",
        each=True, several=True, module="litserve_server",
    ),
    Peer(
        "FastAPI + uvicorn", "fastapi", "fastapi", "plain",
        "uvloop, httptools, no access log, orjson, prediction on the loop", module="fastapi_server",
    ),
    Peer(
        "KServe", "kserve", "kserve", "kserve",
        "its Python server with sklearnserver's model class written again (sklearnserver is not on the package index), "
        "uvloop, no gRPC, no logs",
        health="/v2/health/ready", module="kserve_server",
    ),
    Peer(
        "Ray Serve", "ray", "ray", "plain",
        "one replica for each model, `RAY_SERVE_THROUGHPUT_OPTIMIZED=1`, orjson, batches of up to 64 requests without "
        "waiting",
        health="/-/healthz", several=True, module="ray_server",
    ),
)  # fmt: skip


@dataclass(slots=True)
class Side:
    """Somebody who serves: for each model the port and the process; and what each request must be answered."""

    title: str
    protocol: str
    expected: dict[str, dict[str, list[Any]]]
    ports: dict[str, int] = field(default_factory=dict)
    roots: dict[str, int] = field(default_factory=dict)
    ready: float = 0.0  # seconds from its start until its first model answers
    mib: int = 0
    release: str = ""
    settings: str = ""
    learns: bool = False

    def hold(self) -> None:
        for root in () if self.learns else set(self.roots.values()):
            processes.hold(root)

    def let_go(self, model: str) -> None:
        processes.let_go(self.roots[model])


Kept = contextlib.ExitStack


def start_peer(peer: Peer, folder: Path, stack: Kept, *, both_cores: bool = False) -> Side:
    """Start a peer with all models, on one core, or on both if it is several processes and may.

    Raises NotInstalled, or DidNotStart.
    """
    python = interpreter(peer.name)
    folder.mkdir(parents=True)
    how = ("--mlflow",) if peer.protocol == "mlflow" else ()
    _made(python, folder, *how)
    expected = json.loads((folder / "expected.json").read_text())
    if peer.name == "mlserver":
        expected[content.BOOSTER] = expected["booster"]
    side = Side(peer.title, peer.protocol, expected, settings=peer.settings, learns=peer.learns)
    side.release = f"{peer.package} {environments.installed(peer.name, peer.package)}"
    for models in [[model] for model in content.MODELS] if peer.each else [list(content.MODELS)]:
        port = free_port()
        command, told = _command(peer, python, folder, port, models[0])
        log = folder / f"{models[0]}.log"
        began = time.monotonic()
        with processes.on(set().union(*processes.cores()) if peer.several and both_cores else processes.cores()[0]):
            process = processes.start(command, ROOT, log, _ONE_THREAD | told)
        stack.callback(processes.end, process)
        _until(peer.title, process, port, "GET", peer.health, b"", log)
        for model in models:
            side.ports[model], side.roots[model] = port, process.pid
            # a server may be healthy before its models are there
            path, body = _asked(peer.protocol, model)
            _until(peer.title, process, port, "POST", path, body, log)
            side.ready = side.ready or time.monotonic() - began
    return side


def start_ours(engine: str, models: Path, converted: dict[str, tuple[str, str]], folder: Path, stack: Kept) -> Side:
    """Start our worker for each model. `converted` holds the ONNX file of each model and its digest."""
    expected = json.loads((models / "expected.json").read_text())
    side = Side(ONNX if engine == "onnx" else NATIVE, "mlflow", expected)
    side.release, side.settings = f"lockgate {__version__}", f"one worker, `engine: {engine}`, metrics and request ids"
    for model in content.MODELS:
        log = folder / f"{model}-{engine}.log"
        began = time.monotonic()
        with processes.on(processes.cores()[0]):
            pinned, home = models / model, folder / f"{model}-{engine}"
            port, worker = stack.enter_context(ours.worker(pinned, home, engine, log, converted.get(model, ("", ""))))
        if worker.wait_until("ready", START_LIMIT) != "ready" or not worker.ask(Command.GO).get("ok"):
            raise DidNotStart(f"our worker does not start:\n{log.read_text()[-3000:]}")
        if (found := _engine(port)) != engine:
            side.settings += f"; {model} is answered by {found}"
        side.ready = side.ready or time.monotonic() - began
        side.ports[model], side.roots[model] = port, worker.process.pid
    return side


def _engine(port: int) -> str:
    """What the worker at a port says that it answers with."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/metrics")
    told = re.search(r'engine="(\w+)"', connection.getresponse().read().decode())
    connection.close()
    return told[1] if told else "?"


def make_ours(folder: Path) -> Path:
    """The models as our worker and `floor` load them, made by the libraries of this environment."""
    folder.mkdir(parents=True)
    _made(Path(sys.executable), folder, "--mlflow")
    return folder


def _made(python: Path, folder: Path, *how: str) -> None:
    done = subprocess.run(
        [str(python), "-m", "benchmarks.serving.content", *how, str(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=MAKE_LIMIT, check=False,
    )  # fmt: skip
    if done.returncode:
        raise DidNotStart(f"its models could not be made: {done.stderr[-1000:]}")


def _command(peer: Peer, python: Path, folder: Path, port: int, model: str) -> tuple[Sequence[str], dict[str, str]]:
    """The words of the command, and the environment variables."""
    if peer.module:
        told = {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_USAGE_STATS_ENABLED": "0"} if peer.name == "ray" else {}
        return [str(python), "-m", f"benchmarks.serving.peers.{peer.module}", str(folder), str(port), model], told
    scripts = python.parent
    if peer.name == "mlflow":
        command = [
            *(str(scripts / "mlflow"), "models", "serve", "--model-uri", str(folder / model), "--port", str(port)),
            *("--env-manager", "local", "--workers", "1"),
        ]
        return command, {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{scripts}:/usr/bin:/bin"}
    if peer.name == "bentoml":
        command = [
            *(str(scripts / "bentoml"), "serve", "benchmarks.serving.peers.bentoml_service:Models"),
            *("--port", str(port), "--host", "127.0.0.1", "--working-dir", str(ROOT), "-q"),
        ]
        return command, {"MODELS": str(folder), "BENTOML_HOME": str(folder / "home"), "BENTOML_DO_NOT_TRACK": "true"}
    _for_mlserver(folder, port)
    return [str(scripts / "mlserver"), "start", str(folder)], {"MLSERVER_MODEL_PARALLEL_WORKERS": "0"}


def _for_mlserver(folder: Path, port: int) -> None:
    settings = {
        "host": "127.0.0.1", "http_port": port, "grpc_port": free_port(), "metrics_port": free_port(),
        "parallel_workers": 0, "debug": False, "metrics_dir": str(folder),
    }  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(settings))
    for model in content.MODELS:
        booster = model == content.BOOSTER
        told: dict[str, Any] = {
            "name": model,
            "implementation": "mlserver_lightgbm.LightGBMModel" if booster else "mlserver_sklearn.SKLearnModel",
            "parameters": {"uri": str(folder / (f"{model}.txt" if booster else f"{model}.joblib")), "version": "1"},
        }
        if model == content.FOREST:
            told |= {"max_batch_size": 64, "max_batch_time": 0.001}
        (folder / model).mkdir()
        (folder / model / "model-settings.json").write_text(json.dumps(told))


def _asked(protocol: str, model: str) -> tuple[str, bytes]:
    told = PROTOCOLS[protocol]
    return told.path.format(model=model), json.dumps(told.body(content.asked(1)[0])).encode()


def _until(
    title: str, process: subprocess.Popen[bytes], port: int, method: str, path: str, body: bytes, log: Path
) -> None:
    give_up = time.monotonic() + START_LIMIT
    while time.monotonic() < give_up and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request(method, path, body or None, {"Content-Type": "application/json"} if body else {})
            if connection.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.05)
    raise DidNotStart(f"{title} does not answer {path}: {log.read_text()[-2000:]}")
