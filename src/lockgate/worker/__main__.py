"""`python -m lockgate.worker`: reads its configuration from standard input and serves one model. Agents start it."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys

from lockgate.wire.workers import WorkerConfig


def main() -> int:
    """Run one worker to its end. Exit code 2: the configuration is missing or broken."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    raw = sys.stdin.buffer.read()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    try:
        config = WorkerConfig.decode(raw)
        listener = socket.socket(fileno=config.listener_fd)
    except (ValueError, TypeError, OSError) as error:
        sys.stderr.write(f"This program is started by `lockgate agent`, which tells it what to serve. {error}\n")
        return 2
    os.set_inheritable(config.listener_fd, False)
    import uvloop

    from lockgate.worker.program import Worker

    async def live() -> int:
        return await Worker(config, listener).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(live())
        sys.stdout.flush()
        sys.stderr.flush()
        # a prediction that never ends would hold a normal exit for ever
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
