"""Running the controller as a process: it takes no port, and TERM or Ctrl-C end it after the step it is at."""

from __future__ import annotations

import signal
import threading
from datetime import timedelta
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lockgate.config import Settings


def run(settings: Settings) -> None:
    """Advance promotions and validations until TERM or INT. What it was at is taken over by the next controller."""
    from lockgate.controller.anchoring import Anchoring
    from lockgate.controller.deliveries import Deliverer
    from lockgate.controller.keeping import Keeping
    from lockgate.controller.loop import Controller
    from lockgate.controller.numbering import Numberer
    from lockgate.controller.sequencing import Sequencer
    from lockgate.wiring import Node, check_signature

    stop = threading.Event()

    def told(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    node = Node(settings, "controller")
    deliverer = Deliverer(
        node.deliveries,
        node.ports.owner,
        # made at the first delivery: what it needs to sign and send is not for an idle controller to hold
        lambda outgoing: node.post.carry(outgoing),
        timeout=timedelta(seconds=settings.webhook_timeout),
        keep=timedelta(days=settings.webhook_log_days),
    )
    sequencer = Sequencer(node.ports, node.sequencing, node.signer, check_signature)
    placing = threading.Thread(target=sequencer.run, args=(stop,), name="sequencing", daemon=True)
    placing.start()
    threading.Thread(target=Keeping(node.ports).run, args=(stop,), name="keeping", daemon=True).start()
    anchoring = Anchoring(node.ports, node.anchors(), timedelta(minutes=settings.anchor_minutes))
    threading.Thread(target=anchoring.run, args=(stop,), name="anchoring", daemon=True).start()
    numberer = Numberer(node.ports, node.numbering)
    Controller(node.ports, node.sandbox, deliverer, numberer, node.bench).run(stop)
    placing.join(timeout=5)
    sequencer.finish()
