"""The random generators of a training process: what dropout and augmentation draw from."""

from __future__ import annotations

import random
import sys
from typing import Any, Callable, Dict, Mapping

from spotkeeper_training.adapters.extras import missing

try:
    import torch
except ModuleNotFoundError:
    raise missing("torch", "torch") from None

__all__ = ["capture", "remember", "restore", "torch"]  # torch: so that the modules beside this one need no try either


def capture() -> Dict[str, Any]:
    """Return the states of Python's, torch's and, where it is in use, numpy's generator, and of this rank's GPU.

    Made of tensors and plain values only, so that loading it runs no code.
    """
    version, words, gauss = random.getstate()
    states: Dict[str, Any] = {
        "python": {"version": version, "words": torch.tensor(words, dtype=torch.int64), "gauss": gauss},
        "torch": torch.get_rng_state(),
    }
    if "numpy" in sys.modules:
        kind, keys, place, has_gauss, cached = sys.modules["numpy"].random.get_state()
        keys = torch.tensor([int(word) for word in keys], dtype=torch.int64)
        states["numpy"] = {"kind": kind, "keys": keys, "place": place, "has_gauss": has_gauss, "cached": cached}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore(states: Mapping[str, Any]) -> None:
    """Put all generators where they were."""
    python = states["python"]
    random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))
    torch.set_rng_state(states["torch"])
    if "numpy" in states:
        import numpy as np  # noqa: PLC0415 - it is there, because it was used

        saved = states["numpy"]
        keys = np.array(saved["keys"].tolist(), dtype=np.uint32)
        np.random.set_state((saved["kind"], keys, saved["place"], saved["has_gauss"], saved["cached"]))
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def remember() -> Callable[[], None]:
    """Return a function that puts the generators of this process's memory back where they are now. Quick."""
    python, of_torch = random.getstate(), torch.get_rng_state()
    numpy_random = sys.modules["numpy"].random if "numpy" in sys.modules else None
    of_numpy = numpy_random.get_state() if numpy_random else None

    def put_back() -> None:
        random.setstate(python)
        torch.set_rng_state(of_torch)
        if numpy_random:
            numpy_random.set_state(of_numpy)

    return put_back
