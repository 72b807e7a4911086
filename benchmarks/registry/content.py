"""What lies in the registries that are measured: all follows from numbers, so that every answer can be checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

BORN = 1_700_000_000_000  # milliseconds: when the first model was registered
MODEL_TAGS, VERSION_TAGS = ("team", "domain"), ("framework", "git_commit", "dataset")
TEAMS = ("risk", "growth", "logistics", "search")


@dataclass(frozen=True, slots=True)
class Content:
    """`models` of `versions` each, and `wide` models of as many versions as stand there."""

    models: int
    versions: int
    wide: tuple[int, ...] = ()

    @property
    def key(self) -> str:
        """A name for what is in it."""
        return "-".join(map(str, ("registry", "a", self.models, self.versions, *self.wide)))

    def all(self) -> Iterator[tuple[str, int]]:
        """Every model's name and its number of versions."""
        for number in range(self.models):
            yield model_name(number), self.versions
        for count in self.wide:
            yield wide_name(count), count


# what the comparison with stock runs on, and which of its models are only read
SIDE_BY_SIDE = Content(1_000, 10, (10_000,))
READ_ONLY = 800


def model_name(number: int) -> str:
    return f"model-{number:05d}"


def wide_name(versions: int) -> str:
    # sorts behind the other models, so that it is on none of the pages that are asked for
    return f"wide-{versions}"


def stage(version: int, versions: int) -> str:
    """The newest version is new, the one before it in Staging, the one before that in Production."""
    return {versions: "None", versions - 1: "Staging", versions - 2: "Production"}.get(version, "Archived")


def aliases(versions: int) -> dict[str, int]:
    return {"champion": max(1, versions - 2), "candidate": versions}


def model_tags(name: str) -> dict[str, str]:
    return {"team": TEAMS[len(name) % len(TEAMS)], "domain": f"domain of {name}"}


def version_tags(name: str, version: int) -> dict[str, str]:
    return {"framework": "sklearn", "git_commit": f"{abs(version * 7919):08x}", "dataset": f"{name}/{version % 5}"}


def run_id(name: str) -> str:
    """The run that trained every version of a model."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def run_artifacts(name: str) -> str:
    return f"mlflow-artifacts:/0/{run_id(name)}/artifacts"


def source(name: str, version: int) -> str:
    return f"{run_artifacts(name)}/model-{version}"


def description(name: str) -> str:
    return f"What {name} is for, in a sentence that somebody wrote."
