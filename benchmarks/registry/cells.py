"""What is measured, and what was hoped for: the ratios of the design."""

from __future__ import annotations

from dataclasses import dataclass

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of request. `goals` are ratios to stock on SQLite and PostgreSQL.

    `scales`: measured on more workers too. `adopted`: measured on a file of stock's too, which keeps its journal.
    """

    name: str
    goals: tuple[float, float]
    writes: bool = False
    scales: bool = False
    adopted: bool = False

    def goal(self, database: str) -> float:
        """How many times stock's requests per second it should answer."""
        return self.goals[database == POSTGRESQL]


READ, WIDE, SEARCH, WRITE = (20.0, 12.0), (60.0, 60.0), (15.0, 15.0), (3.0, 3.0)
CELLS = (
    Cell("get version", READ, scales=True),
    Cell("get by alias", READ),
    Cell("latest versions", READ, scales=True),
    Cell("get model", READ),
    Cell("search models, 100 a page", SEARCH, scales=True),
    Cell("search versions by name", READ),
    Cell("download URI", READ),
    Cell("latest versions, 1 x 10,000", WIDE),
    Cell("set model tag, 1 x 10,000", WIDE, writes=True),
    Cell("set version tag, 1 x 10,000", WIDE, writes=True),
    Cell("transition to Production, Staging", WRITE, writes=True, adopted=True),
    Cell("transition to None, Archived", WRITE, writes=True),
    Cell("create version", WRITE, writes=True, adopted=True),
    Cell("create model", WRITE, writes=True),
    Cell("set model tag", WRITE, writes=True, scales=True, adopted=True),
    Cell("set version tag", WRITE, writes=True),
)
HEALTHY_SECONDS, IDLE_MIB = 1.5, 400
