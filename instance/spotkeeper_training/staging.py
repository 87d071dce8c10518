"""Memory that a state is copied into before training goes on: taken and touched once, used again by every save.

Memory that was never touched costs a page fault per 4 KiB at the first copy, several times the copy itself. It comes in
huge pages where the kernel gives them, and is pinned where the state lies on a GPU.
"""

from __future__ import annotations

import logging
import mmap
from typing import Any, Dict, List, Optional, Tuple

from spotkeeper_training.copying import Span, copy_spans
from spotkeeper_training.leaves import Leaf, fill, imported
from spotkeeper_training.state import Packed, Plan

_ALIGNMENT = 64
_PAGE = 4096
_log = logging.getLogger("spotkeeper.training")
_Shape = Tuple[Tuple[int, str, Tuple[int, ...]], ...]


def room_for(plan: Plan) -> int:
    """Return the bytes of staging memory that a plan needs."""
    return sum(_aligned(part.bytes) for part in plan.packed)


class Staging:
    """One region of memory for one state.

    Args:
        size: bytes to begin with. What does not fit later makes it grow, at the price of a slow save.
    """

    def __init__(self, size: int = 0) -> None:
        self._region: Optional[mmap.mmap] = None
        self._pinned: Optional[int] = None
        self._address = 0
        self._bytes: Any = None
        self._targets: Dict[str, Tuple[_Shape, List[Any]]] = {}
        self.size = 0
        self.reserve(size)

    def reserve(self, size: int) -> None:
        """Hold at least ``size`` bytes, touched. Smaller memory is given back first, so that there is never both."""
        if size <= self.size:
            return
        self.release()
        size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        region = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            _advise(region, mmap.MADV_HUGEPAGE)
        if hasattr(
            mmap, "MADV_DONTFORK"
        ):  # a forked loader of data has no use for it, and would copy what we overwrite
            _advise(region, mmap.MADV_DONTFORK)
        touch(memoryview(region))
        self._region, self.size = region, size
        import ctypes  # noqa: PLC0415 - who saves bytes alone does without

        self._address = ctypes.addressof(ctypes.c_char.from_buffer(region))

    def release(self) -> None:
        """Give the memory back. Views of it that are still held keep it, and are never written again."""
        self._unpin()
        self._targets.clear()
        self._bytes, self._region, self.size = None, None, 0

    def take(self, plan: Plan) -> Dict[str, memoryview]:
        """Copy what a plan has to copy, and return it by name: views that stay as they are until the next call."""
        self.reserve(room_for(plan))
        if self._region is None:
            return {part.name: memoryview(b"") for part in plan.packed}
        self.pin()
        region, taken, start = memoryview(self._region), {}, 0
        spans: List[Span] = []
        for part in plan.packed:
            spans += self._copy(part, region, start)
            taken[part.name] = region[start : start + part.bytes].toreadonly()
            start += _aligned(part.bytes)
        copy_spans(spans)
        _wait_for_devices(plan)
        return taken

    def pin(self) -> None:
        """Lock the memory for copies from a GPU, if this process uses one: they are several times slower otherwise."""
        torch = imported("torch")
        if self._pinned is not None or torch is None or self._region is None or not torch.cuda.is_initialized():
            return
        failure = int(torch.cuda.cudart().cudaHostRegister(self._address, self.size, 0))
        if failure:
            _log.warning("staging memory cannot be pinned (CUDA error %d): copies from the GPU will be slow", failure)
        self._pinned = 0 if failure else self._address

    def _unpin(self) -> None:
        torch = imported("torch")
        if self._pinned and torch is not None:
            torch.cuda.cudart().cudaHostUnregister(self._pinned)
        self._pinned = None

    def _copy(self, part: Packed, region: memoryview, start: int) -> List[Span]:
        """Copy what needs a library for it, or the interpreter; return what is plain memory here."""
        region[start : start + len(part.head)] = part.head
        spans: List[Span] = []
        others: List[Tuple[int, Leaf]] = []
        base = self._address + start
        for at, leaf in part.leaves:
            if leaf.address is not None:
                spans.append((base + at, leaf.address, leaf.size))
            elif leaf.kind == "tensor":
                others.append((start + at, leaf))
            else:
                fill(leaf, region, start + at)
        torch = imported("torch")
        if others and torch is not None:
            with torch.no_grad():
                for target, (_, leaf) in zip(self._targets_of(part.name, others), others):
                    target.copy_(leaf.value, non_blocking=_on_gpu(leaf))
        return spans

    def _targets_of(self, name: str, tensors: List[Tuple[int, Leaf]]) -> List[Any]:
        """Return the tensors over this memory that others are copied into; they are the same as long as shapes are."""
        shape = tuple((at, leaf.dtype, leaf.shape) for at, leaf in tensors)
        known = self._targets.get(name)
        if known is not None and known[0] == shape:
            return known[1]
        everything = self._torch_bytes()
        targets = [everything[at : at + leaf.size].view(leaf.value.dtype).view(leaf.shape) for at, leaf in tensors]
        self._targets[name] = (shape, targets)
        return targets

    def _torch_bytes(self) -> Any:
        if self._bytes is None:
            torch = imported("torch")
            assert torch is not None  # noqa: S101 - there are tensors
            self._bytes = torch.frombuffer(self._region, dtype=torch.uint8)
        return self._bytes


def touch(region: memoryview) -> None:
    """Write to every page, so that the kernel has given all of them."""
    pages = region[::_PAGE]
    pages[:] = memoryview(bytes(len(pages)))


def _advise(region: mmap.mmap, advice: int) -> None:
    try:
        region.madvise(advice)
    except OSError as error:
        _log.debug("staging memory: advice %d was refused (%s)", advice, error)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _on_gpu(leaf: Leaf) -> bool:
    return leaf.kind == "tensor" and bool(leaf.value.is_cuda)


def _wait_for_devices(plan: Plan) -> None:
    torch = imported("torch")
    if torch is None or not torch.cuda.is_initialized():
        return
    for device in {leaf.value.device for part in plan.packed for _, leaf in part.leaves if _on_gpu(leaf)}:
        torch.cuda.current_stream(device).synchronize()
