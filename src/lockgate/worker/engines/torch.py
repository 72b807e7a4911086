"""A PyTorch module asked for a matrix, on one thread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lockgate.worker.engines.proof import Candidate


def candidates(module: Any, *, frames: bool) -> Iterator[Candidate]:
    """Ways to ask a module. MLflow makes float32 of a data frame, and leaves an array as it is."""
    import torch

    torch.set_num_threads(1)

    def predict(rows: Any) -> Any:
        with torch.inference_mode():
            told = module(torch.from_numpy(rows.astype("float32") if frames else rows))
        return told.numpy()

    yield Candidate("PyTorch on one thread", predict)
