"""What the demo's story is told with: a temporary home, a real `lockgate up`, commands with their real output."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import click

READY_LIMIT = 120.0
COMMAND_LIMIT = 240.0
STOP_LIMIT = 60.0
MODEL = "iris"

POLICY = """\
level: enforce
stages:
  Staging:
    alias: staging
    requires:
      min_accuracy: 0.85
      validation_tests: [schema_test, inference_test]
      required_tags: [team, validation_status]
  Production:
    alias: production
    requires:
      min_accuracy: 0.90
      required_tags: [team]
      previous_stage: Staging
      staging_duration_hours: 5s
      validation_tests: [load_test, integration_test]
      approval_required: {{approvals: 1, not_the_requester: true}}
governance:
  max_production_versions: 1
validation:
  # the demo shows the way, not the speed: a busy machine must not change its story
  latency_limit: 500ms
environments:
  staging: {{stage: Staging, port: {staging}}}
  production: {{stage: Production, port: {production}}}
"""


class StoryFailed(Exception):
    """Something did not come out as promised; the text says what."""


@dataclass(slots=True)
class Scene:
    """One home with its free ports. Every command runs in its folder, under the name it is told."""

    folder: Path
    server: int
    staging: int
    production: int
    step_number: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server}"

    def step(self, title: str) -> None:
        """Begin the next part of the story."""
        self.step_number += 1
        click.echo(f"{'─' * 100}\n{self.step_number}. {title}\n")

    def say(self, text: str) -> None:
        """Tell something between the commands."""
        click.echo(text)

    def lockgate(self, line: str, *, expect: int = 0, user: str = "ana") -> str:
        """Run a `lockgate` command as it would be typed, show it with its output, and check its exit code."""
        words = shlex.split(line)
        shown = f"lockgate {line}" if user == "ana" else f"lockgate {line} --as {user}"
        told = words if user == "ana" else [*words, "--as", user]
        return self._run(shown, [sys.executable, "-P", "-m", "lockgate.cli", *told], expect)

    def python(self, script: str, *arguments: str) -> str:
        """Run one of the demo's scripts, which know MLflow and nothing of Lockgate."""
        path = self.folder / f"{script}.py"
        if not path.exists():
            path.write_text(resources.files("lockgate.cli").joinpath(f"demo_{script}.txt").read_text())
        shown = f"python {path.name} {' '.join(arguments)}"
        # a warning of a library is no part of the story; what fails is shown in full
        return self._run(shown, [sys.executable, "-P", "-W", "ignore", str(path), *arguments], 0, errors=False)

    def _run(self, shown: str, command: Sequence[str], expect: int, *, errors: bool = True) -> str:
        click.echo(f"$ {shown}")
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if errors else subprocess.PIPE, text=True, timeout=COMMAND_LIMIT, check=False,
        )  # fmt: skip
        output = done.stdout.rstrip()
        if output:
            click.echo(output)
        click.echo(f"(exit {done.returncode})\n" if done.returncode else "")
        if done.returncode != expect:
            raise StoryFailed(
                f"`{shown}` ended with exit {done.returncode}, expected {expect}.\n{done.stderr or ''}".rstrip()
            )
        return output

    def environment(self) -> dict[str, str]:
        """The caller's environment without its own Lockgate and MLflow settings, pointed at this scene."""
        told = {k: v for k, v in os.environ.items() if not k.startswith(("LOCKGATE_", "MLFLOW_"))}
        return {
            **told, "LOCKGATE_HOME": str(self.folder / ".lockgate"), "LOCKGATE_URL": self.url, "LOCKGATE_USER": "ana",
            "MLFLOW_TRACKING_URI": self.url, "COLUMNS": "100", "PYTHONUNBUFFERED": "1", "GIT_PYTHON_REFRESH": "quiet",
            "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "ERROR",
            "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        }  # fmt: skip


@contextlib.contextmanager
def scene(*, keep: bool) -> Iterator[Scene]:
    """A fresh folder with a policy file and three free ports; it is removed at the end unless it is to be kept."""
    folder = Path(tempfile.mkdtemp(prefix="lockgate-demo-"))
    server, staging, production = _free_ports(3)
    (folder / "lockgate.yaml").write_text(POLICY.format(staging=staging, production=production))
    try:
        yield Scene(folder, server, staging, production)
    finally:
        if keep:
            click.echo(f"Kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running(place: Scene) -> Iterator[None]:
    """A real `lockgate up` around the block. Raises StoryFailed when it does not get ready or stop."""
    click.echo(f"$ lockgate up --port {place.server}")
    log = place.folder / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lockgate.cli", "up", "--port", str(place.server)],
            cwd=place.folder, env=place.environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        _until_ready(process, log)
        click.echo(log.read_text().rstrip())
        yield
    finally:
        stopped = _stop(process)
    if stopped != 0:
        raise StoryFailed(f"`lockgate up` ended with exit {stopped}:\n{log.read_text()}")


def _until_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + READY_LIMIT
    while "\nReady after" not in log.read_text():
        if process.poll() is not None or time.monotonic() > end:
            raise StoryFailed(f"`lockgate up` did not get ready:\n{log.read_text()}")
        time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> int:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        return process.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(each.getsockname()[1]) for each in held]
    finally:
        for each in held:
            each.close()
