"""What webhooks cost a controller while there are none."""

from __future__ import annotations

import subprocess
import sys

from tests.databases.backends import Database

_LOOKS = """
import sys, threading
from datetime import timedelta
from lockgate.config import load
from lockgate.controller.deliveries import Deliverer
from lockgate.wiring import Node
node = Node(load({"home": sys.argv[1], "database": sys.argv[2], "policy": None}), "controller")
post = lambda outgoing: node.post.carry(outgoing)
deliverer = Deliverer(node.deliveries, "tests", post, timeout=timedelta(seconds=5), keep=timedelta(days=1))
stop = threading.Event()
thread = threading.Thread(target=deliverer.run, args=(stop,))
thread.start()
stop.wait(0.5)
assert threading.active_count() == 2, threading.enumerate()
stop.set()
thread.join()
heavy = {"mlflow", "httpx2", "httpcore2", "cryptography", "requests"} & {name.partition(".")[0] for name in sys.modules}
assert not heavy, heavy
"""


def test_a_controller_that_delivers_nothing_holds_nothing_of_what_sends(database: Database, tmp_path: object) -> None:
    told = [sys.executable, "-c", _LOOKS, str(tmp_path), database.uri]
    done = subprocess.run(told, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
