"""The agent as a process: its parts, put together."""

from __future__ import annotations

from lockgate.agent.loop import Agent
from lockgate.agent.process import run_until_told
from lockgate.config import Settings
from lockgate.wiring import Node, environment_ports


def run(settings: Settings, *, watch_parent: bool = False) -> None:
    """Run until TERM or INT. Raises Unavailable when another agent runs on the same home."""
    node = Node(settings, "agent")
    ports = [port for port in environment_ports(settings).values() if port]
    agent = Agent(node.ledger, node.groups, node.artifacts.folder, reserved_ports=ports)
    run_until_told(agent, watch_parent=watch_parent)
