"""How many entries a caller who is refused again and again gets: the first of a kind at once, the rest as a count.

A client in a loop must not fill the record. What is counted lives in the memory of one process, so that a denial costs
no write: a process that is killed loses the counts of its last minute, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock

from lockgate.domain.identity import LOCKGATE, Who

WINDOW = timedelta(minutes=1)
# so many kinds of one caller's are told apart in a minute, and so many of all callers' together
MOST_OF_ONE, MOST_OF_ALL = 20, 500
SEVERAL = "several things"


@dataclass(frozen=True, slots=True)
class Denial:
    """Somebody was refused: what they asked for (an act or a route), of which model if any, when and why.

    `times` is how often, from `since` to `at`.
    """

    who: Who
    asked: str
    model: str
    why: str
    at: datetime
    workspace: str = "default"
    times: int = 1
    since: datetime | None = None

    @property
    def actor(self) -> tuple[str, bool, str]:
        """Whom it is counted to."""
        return self.who.name, self.who.verified, self.who.address


_Kind = tuple[tuple[str, bool, str], str, str, str]


@dataclass(slots=True)
class _Minute:
    """When it began, and what was counted in it."""

    began: datetime
    counted: Denial | None = None


class Tally:
    """What one process refused within the last minute. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._minutes: dict[_Kind, _Minute] = {}

    def seen(self, denial: Denial) -> bool:
        """Count it to its minute; False where it is the first of its kind there, and has to be told at once."""
        with self._lock:
            kind = _kind(denial)
            minute = self._minutes.get(kind)
            if minute is None:
                if not self._is_too_much(denial):
                    self._minutes[kind] = _Minute(denial.at)
                    return False
                denial, minute = self._gathered(denial)
            before = minute.counted
            times = before.times + 1 if before else 1
            minute.counted = replace(denial, times=times, since=before.since if before else denial.at)
            return True

    def forget(self, denial: Denial) -> None:
        """It could not be told: the next one of its kind is to be told at once."""
        with self._lock:
            self._minutes.pop(_kind(denial), None)

    def over(self, now: datetime, *, all: bool = False) -> list[Denial]:  # noqa: A002 - the word that says it
        """What was counted in minutes that are over, or in all of them; it is forgotten here."""
        with self._lock:
            # a clock that went back ends a minute as well
            ended = [
                kind for kind, each in self._minutes.items() if all or not timedelta() <= now - each.began < WINDOW
            ]
            minutes = [self._minutes.pop(kind) for kind in ended]
        return [each.counted for each in minutes if each.counted is not None]

    def _is_too_much(self, denial: Denial) -> bool:
        of_one = sum(1 for actor, *_ in self._minutes if actor == denial.actor)
        return of_one >= MOST_OF_ONE or len(self._minutes) >= MOST_OF_ALL

    def _gathered(self, denial: Denial) -> tuple[Denial, _Minute]:
        """As one of several things that this caller was refused, or where there are too many callers, that all were."""
        several = replace(denial, asked=SEVERAL, model="")
        if _kind(several) not in self._minutes and len(self._minutes) >= MOST_OF_ALL:
            several = replace(several, who=LOCKGATE, why="Very many callers were refused.")
        return several, self._minutes.setdefault(_kind(several), _Minute(denial.at))


def _kind(denial: Denial) -> _Kind:
    return denial.actor, denial.asked, denial.model, denial.workspace
