"""What holds the bytes of a training state: torch tensors, numpy arrays, plain buffers. Neither library is imported.

An object can only be a tensor if torch was imported already, and so it is enough to look there.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, Dict, Hashable, NamedTuple, Optional, Tuple

if TYPE_CHECKING:
    from types import ModuleType

Path = Tuple[str, ...]
"""How to get to a value in a state."""
_TORCH: Dict[str, str] = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "int16": "I16",
    "uint16": "U16",
    "float16": "F16",
    "bfloat16": "BF16",
    "int32": "I32",
    "uint32": "U32",
    "float32": "F32",
    "int64": "I64",
    "uint64": "U64",
    "float64": "F64",
    "complex64": "C64",
}
_NUMPY = {name: code for name, code in _TORCH.items() if "float8" not in name and name != "bfloat16"}
_torch_codes: Dict[Any, str] = {}
"""The same by torch's own objects, filled when torch is there: looked up once per tensor and save."""


class NotExpressible(TypeError):
    """A value that cannot be saved without pickling it. The message says where it is, and what it was."""


class Leaf(NamedTuple):
    """One tensor, array or buffer of a state. A tuple: there are thousands, made while training stands still."""

    kind: str
    """``tensor``, ``array`` or ``bytes``: what it becomes again."""
    value: Any
    """Itself, detached from gradients; plain buffers as a view of bytes."""
    dtype: str
    """As the safetensors format calls it; ``U8`` for what the format has no name for."""
    shape: Tuple[int, ...]
    size: int
    """In bytes."""
    address: Optional[int]
    """Where its bytes lie, ``None`` if not in this process's memory, or not one after the other."""
    identity: Hashable
    """Equal for two views of the same memory, of which one is saved."""
    given: Optional[Tuple[str, Tuple[int, ...]]] = None
    """The type's own name and the shape, where the format has none: the bytes are then saved as a row of ``U8``."""


def where(path: Path) -> str:
    """Return a path as errors say it."""
    return ".".join(path) or "state"


def imported(name: str) -> Optional[ModuleType]:
    """Return a module if it has been imported, and imported wholly."""
    return sys.modules.get(name)


def needed(name: str) -> Any:
    """Return a library that a saved state needs.

    Raises ``ImportError`` with what to install.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        how = "pip install 'spotkeeper[training]'" if name == "numpy" else f"install {name}"
        raise ImportError(f"{name}: this state holds its objects, and it is not installed ({how})", name=name) from None


def torch_type(name: str) -> Any:
    """Return a type of torch's elements by its name. Raises ``ValueError`` for any other name."""
    torch = needed("torch")
    found = getattr(torch, name, None)
    if found is None or not isinstance(found, torch.dtype):
        raise ValueError(f"state: {name!r} is no type of torch")
    return found


def leaf_of(value: Any, path: Path) -> Optional[Leaf]:
    """Return ``value`` as a leaf, ``None`` if it is none.

    Raises :class:`NotExpressible` for a tensor whose bytes do not say all about it: sparse, quantized, distributed.
    """
    torch = imported("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return _tensor(torch, value, path)
    if isinstance(value, (bytes, bytearray, memoryview)):
        view = _view(value, path)
        return Leaf("bytes", view, "U8", (len(view),), len(view), None, id(value))
    numpy = imported("numpy")
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        array = numpy.asarray(value)
        return _array(array, path, id(value) if array is not value else None)
    return None


def _view(value: Any, path: Path) -> memoryview:
    view = memoryview(value)
    if not view.c_contiguous:
        raise NotExpressible(f"{where(path)}: was a view with gaps, expected bytes that follow each other")
    return view.cast("B") if view.nbytes else memoryview(b"")


def _tensor(torch: Any, value: Any, path: Path) -> Leaf:
    if not _torch_codes:
        _torch_codes.update({getattr(torch, name): code for name, code in _TORCH.items() if hasattr(torch, name)})
    kind = type(value)
    if kind is not torch.Tensor:
        if not isinstance(value, torch.nn.Parameter) and hasattr(kind, "__torch_dispatch__") and _is_wrapper(value):
            raise NotExpressible(
                f"{where(path)}: was a {kind.__name__}, expected a plain tensor: its local part, or torch DCP for all"
            )
        value = value.detach()
    if value.requires_grad:
        value = value.detach()
    dtype = value.dtype
    code = _torch_codes.get(dtype)
    if value.layout is not torch.strided or value.is_meta or (code is None and value.is_quantized):
        raise NotExpressible(
            f"{where(path)}: was a tensor of layout {value.layout} on {value.device}, expected a dense one"
        )
    address, shape, on_host = value.data_ptr(), tuple(value.shape), value.is_cpu
    identity = (address or id(value), shape, value.stride(), dtype, None if on_host else value.device)
    if code is None or value.is_neg() or (code == "C64" and value.is_conj()):
        return _resolved(torch, value, code, identity)
    there = address if on_host and value.is_contiguous() else None
    return Leaf("tensor", value, code, shape, value.nbytes, there, identity)


def _resolved(torch: Any, value: Any, code: Optional[str], identity: Hashable) -> Leaf:
    """Return the leaf of a tensor whose bytes do not say what it is, because of its type or of what is still to do."""
    shape, given = tuple(value.shape), None
    value = value.resolve_conj().resolve_neg()
    if code is None:
        given = (str(value.dtype).split(".")[-1], shape)
        value = value.contiguous().reshape(-1).view(torch.uint8)
        code, shape = "U8", tuple(value.shape)
    there = value.data_ptr() if value.is_cpu and value.is_contiguous() else None
    return Leaf("tensor", value, code, shape, value.nbytes, there, identity, given)


def _is_wrapper(value: Any) -> bool:
    """Whether a subclass of tensor keeps its values elsewhere: DTensor, quantized weights, fake tensors."""
    return "__torch_dispatch__" in type(value).__dict__ or hasattr(value, "__tensor_flatten__")


def _array(value: Any, path: Path, scalar: Optional[int]) -> Leaf:
    if value.dtype.hasobject or value.dtype.names is not None:
        raise NotExpressible(f"{where(path)}: was an array of {value.dtype}, expected numbers")
    shape = tuple(value.shape)
    identity = (scalar or value.__array_interface__["data"][0] or id(value), shape, value.strides, str(value.dtype))
    code = _NUMPY.get(value.dtype.name) if value.dtype.isnative else None
    if code is None:
        rows = value.reshape(-1).copy().view("uint8")
        return _array_leaf(rows, "U8", identity, (value.dtype.str, shape))
    return _array_leaf(value, code, identity)


def _array_leaf(value: Any, code: str, identity: Hashable, given: Optional[Tuple[str, Tuple[int, ...]]] = None) -> Leaf:
    there = int(value.__array_interface__["data"][0]) if value.flags.c_contiguous else None
    return Leaf("array", value, code, tuple(value.shape), value.nbytes, there, identity, given)


def fill(leaf: Leaf, region: memoryview, start: int) -> None:
    """Copy the bytes of a leaf into ``region``, from ``start`` on."""
    end = start + leaf.size
    if leaf.kind == "bytes":
        region[start:end] = leaf.value
    elif leaf.size:
        region[start:end] = view_of(leaf)


def view_of(leaf: Leaf) -> memoryview:
    """Return the bytes of a leaf where they lie, a copy only where they have gaps or lie on a device."""
    if leaf.kind == "bytes" or not leaf.size:
        return memoryview(leaf.value if leaf.kind == "bytes" else b"")
    if leaf.kind == "tensor":
        torch = imported("torch")
        assert torch is not None  # noqa: S101 - there is a tensor
        array = leaf.value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    else:
        numpy = imported("numpy")
        assert numpy is not None  # noqa: S101 - there is an array
        array = numpy.ascontiguousarray(leaf.value).reshape(-1).view("uint8")
    return memoryview(array)


def restored(kind: str, dtype: str, shape: Tuple[int, ...], data: memoryview) -> Any:
    """Return a leaf's value again: over ``data`` itself where that can be written, over a copy of it otherwise.

    ``dtype`` is the format's name of a type, or the type's own as in :attr:`Leaf.given`.
    """
    if kind == "bytes":
        return bytes(data)
    if data.readonly:
        data = memoryview(bytearray(data))
    if kind == "array":
        numpy = needed("numpy")
        code = next((name for name, known in _NUMPY.items() if known == dtype), dtype)
        return numpy.frombuffer(data, dtype=code).reshape(shape)
    if kind != "tensor":
        raise ValueError(f"state: {kind!r} is unknown, expected tensor, array or bytes")
    torch = needed("torch")
    found = torch_type(next((name for name, known in _TORCH.items() if known == dtype), dtype))
    if not data.nbytes:
        return torch.empty(shape, dtype=found)
    return torch.frombuffer(data, dtype=torch.uint8).view(found).reshape(shape)
