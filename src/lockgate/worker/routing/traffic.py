"""What a worker does with a request at this moment: answer it, pass it on to who took over, or turn it away."""

from __future__ import annotations

from enum import Enum


class Traffic(Enum):
    """`ANSWER` serves; `FORWARD` means a newer group accepts on the same address; `REFUSE` means nobody took over."""

    ANSWER = "answer"
    FORWARD = "forward"
    REFUSE = "refuse"
