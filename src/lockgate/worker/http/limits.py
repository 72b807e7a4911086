"""How much and how long one client may ask of the edge."""

from __future__ import annotations

import resource
from dataclasses import dataclass

from lockgate.wire.workers import WorkerConfig

MOST_HEADERS = 100
LINGER_SECONDS = 2.0
_OTHER_DESCRIPTORS = 512  # of logs, sockets of the worker's own, and what the model opens


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes and seconds. `read` is from the first byte of a request to its last, `idle` from an answer to the next.

    `write` is how long a client may leave an answer unread. `held` is how many bytes of later requests are read ahead
    while one is being answered, `reading_bytes` is for the bodies of all connections that are on their way.
    """

    connections: int = 4096
    head_bytes: int = 64 * 1024
    body_bytes: int = 64 * 1024 * 1024
    held_bytes: int = 64 * 1024
    read_seconds: float = 30.0
    idle_seconds: float = 75.0
    write_seconds: float = 30.0
    reading_bytes: int = 512 * 1024 * 1024

    @classmethod
    def of(cls, config: WorkerConfig) -> Limits:
        """As the worker was told."""
        return cls(
            connections=config.connection_limit,
            head_bytes=config.head_limit,
            body_bytes=config.body_limit,
            reading_bytes=8 * config.body_limit,
            read_seconds=config.read_seconds,
            idle_seconds=config.keep_alive_seconds,
            write_seconds=config.read_seconds,
        )


def make_room(limits: Limits) -> None:
    """Let this process have as many descriptors as the limits need, as far as it may say so itself.

    Many systems start a process with 1,024. Where less is allowed than needed, connections wait in the kernel's queue.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # twice: those that are told to come again are connections too
    wanted = 2 * limits.connections + _OTHER_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
