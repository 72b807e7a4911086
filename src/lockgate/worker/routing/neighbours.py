"""The other models of the environment: where requests for them go, and connections that came by their ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lockgate.wire.routes import Place


class Neighbours:
    """What one worker knows of the other endpoints of its environment, by model and by endpoint."""

    def __init__(self, own: str) -> None:
        self._own = own
        self._turns: dict[str, int] = {}
        self.models: dict[str, Place] = {}
        self.endpoints: dict[str, Place] = {}

    def tell(self, told: Mapping[str, Any]) -> None:
        """Take what the agent says: `places`, each a `Place`.

        Raises KeyError, TypeError or ValueError when it is something else, and has then changed nothing.
        """
        others = [place for place in map(Place.of, told["places"]) if place.endpoint != self._own]
        self.models = {place.model: place for place in others}
        self.endpoints = {place.endpoint: place for place in others}
        self._turns = {place.endpoint: self._turns.get(place.endpoint, 0) for place in others}

    def turn(self, place: Place) -> Sequence[Path]:
        """The folders of its workers, another one first each time."""
        if not place.folders:
            return ()
        self._turns[place.endpoint] = at = (self._turns.get(place.endpoint, 0) + 1) % len(place.folders)
        return tuple(map(Path, place.folders[at:] + place.folders[:at]))
