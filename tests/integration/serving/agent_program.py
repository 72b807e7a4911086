"""An agent as a process of its own, on a ledger in a file: `python -m … RUN LEDGER FORKS DIGEST=FOLDER…`."""

from __future__ import annotations

import sys
from pathlib import Path

from lockgate.adapters.processes.groups import ProcessGroups
from lockgate.adapters.programs.forking import ForkedPrograms
from lockgate.agent.loop import Agent
from lockgate.agent.process import run_until_told
from lockgate.testing.agent_ledger import FakeAgentLedger


def main() -> None:
    run, ledger, forks, *cache = sys.argv[1:]
    folders = dict(entry.split("=", 1) for entry in cache)
    groups = ProcessGroups(Path(run), ForkedPrograms(Path(forks)))
    agent = Agent(FakeAgentLedger(Path(ledger)), groups, lambda digest: Path(folders[digest]))
    run_until_told(agent, watch_parent=True)


if __name__ == "__main__":
    main()
