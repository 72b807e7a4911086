"""The ways in which one loaded version can be asked for predictions."""

from lockgate.worker.engines.choosing import choose
from lockgate.worker.engines.engine import Accepts, Engine, Undecided

__all__ = ["Accepts", "Engine", "Undecided", "choose"]
