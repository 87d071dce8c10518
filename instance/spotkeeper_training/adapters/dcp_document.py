"""What torch's distributed checkpoints know about themselves, as JSON: torch writes it as a pickle, which runs code."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Optional, Tuple, Union

from spotkeeper_training.adapters.extras import missing
from spotkeeper_training.adapters.random_states import torch

try:
    from torch.distributed.checkpoint import metadata as _metadata
except ModuleNotFoundError:
    raise missing("torch", "torch") from None

FORMAT = 1


@dataclass(frozen=True)
class Place:
    """Where one item of the state lies."""

    rank: int
    start: int
    """First byte in the data of that rank."""
    bytes: int
    dtype: Optional[str] = None
    """``None`` for what is no tensor."""
    shape: Tuple[int, ...] = ()


def dtype_name(dtype: Any) -> str:
    """Return the name of a dtype: ``float32``."""
    return str(dtype).rpartition(".")[2]


def dtype_of(name: str) -> Any:
    """Return the dtype of a name. Raises ``ValueError`` for what is none."""
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise ValueError(f"dtype: was {name!r}, expected one that torch {torch.__version__} has")  # noqa: TRY004 - it is the document that is wrong
    return found


def encode(metadata: Any) -> bytes:
    """Return a torch ``Metadata`` whose storage data are :class:`Place` as a document."""
    tensors = {
        name: {
            "dtype": dtype_name(found.properties.dtype),
            "size": list(found.size),
            "chunks": [[list(chunk.offsets), list(chunk.sizes)] for chunk in found.chunks],
        }
        for name, found in metadata.state_dict_metadata.items()
        if isinstance(found, _metadata.TensorStorageMetadata)
    }
    document = {
        "format": FORMAT,
        "tensors": tensors,
        "others": [name for name in metadata.state_dict_metadata if name not in tensors],
        "paths": {name: list(path) for name, path in (metadata.planner_data or {}).items()},
        "places": [
            [index.fqn, None if index.offset is None else list(index.offset), index.index, asdict(place)]
            for index, place in metadata.storage_data.items()
        ],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def decode(body: Union[bytes, bytearray, memoryview]) -> Any:
    """Return the torch ``Metadata`` of a document. Raises ``ValueError`` for one of another format."""
    document: Dict[str, Any] = json.loads(bytes(body))
    if document.get("format") != FORMAT:
        raise ValueError(f"format: was {document.get('format')!r}, expected {FORMAT}")
    state: Dict[str, Any] = {name: _tensor(found) for name, found in document["tensors"].items()}
    state.update({name: _metadata.BytesStorageMetadata() for name in document["others"]})
    places = {
        _metadata.MetadataIndex(name, offset, index): Place(**{**place, "shape": tuple(place["shape"])})
        for name, offset, index, place in document["places"]
    }
    paths = {name: tuple(path) for name, path in document["paths"].items()}
    return _metadata.Metadata(state, planner_data=paths, storage_data=places)


def _tensor(found: Dict[str, Any]) -> Any:
    chunks: List[Any] = [
        _metadata.ChunkStorageMetadata(torch.Size(offsets), torch.Size(sizes)) for offsets, sizes in found["chunks"]
    ]
    properties = _metadata.TensorProperties(dtype=dtype_of(found["dtype"]))
    return _metadata.TensorStorageMetadata(properties, torch.Size(found["size"]), chunks)
