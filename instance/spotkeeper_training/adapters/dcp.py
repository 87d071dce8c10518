"""Sharded state (FSDP, tensor parallel, DTensor) through torch's distributed checkpoints, into parts of a checkpoint.

Every rank saves what it holds, and another number of ranks can load it.

    state = {"model": model_state, "optimizer": optimizer_state, "loader": loader.state_dict()}
    guard.save(step, dcp.parts(state))                    # every rank
    ...
    latest = store.latest()
    if latest:
        dcp.restore(state, store, store.load(latest))     # every rank; tensors in place, the rest into the dictionaries
"""

from __future__ import annotations

import io
from typing import Any, Dict, List, Mapping, Optional

from spotkeeper_training import CheckpointStore, NoWholeCheckpoint, Restored
from spotkeeper_training.adapters import random_states
from spotkeeper_training.adapters.dcp_document import Place, decode, dtype_name, dtype_of, encode
from spotkeeper_training.adapters.extras import missing
from spotkeeper_training.adapters.random_states import torch
from spotkeeper_training.pieces import Loaded

try:
    from torch.distributed import checkpoint as _dcp
except ModuleNotFoundError:
    raise missing("torch", "torch") from None

DATA, DOCUMENT, RANDOM = "dcp.data", "dcp.json", "random.pt"


def parts(state: Mapping[str, Any]) -> Dict[str, Any]:
    """Return this rank's parts of ``state``, with its random states. All ranks call it together.

    Tensors in the memory of the CPU are not copied: the parts change when they change.
    """
    collector = _Collector(_rank())
    _dcp.save(dict(state), storage_writer=collector, no_dist=not torch.distributed.is_initialized())
    buffer = io.BytesIO()
    torch.save(random_states.capture(), buffer)
    return {**collector.parts(), RANDOM: buffer.getvalue()}


def restore(state: Dict[str, Any], store: CheckpointStore, restored: Restored) -> None:
    """Load ``state`` in place, and this rank's random states where it was there before. All ranks call it together.

    Args:
        state: of the same structure as what was saved; its tensors are overwritten, everything else is replaced.
        store: where ``restored`` comes from; other ranks' parts are read from there as far as they are needed.
        restored: what :meth:`~spotkeeper_training.CheckpointStore.load` returned.

    Raises :class:`~spotkeeper_training.NoWholeCheckpoint` if another rank's parts cannot be read.
    """
    reader = _Reader(_Shards(store, restored))
    no_dist = not torch.distributed.is_initialized()
    _dcp.load(state, storage_reader=reader, planner=_SafePlanner(), no_dist=no_dist)
    own = restored.shards.get(store.rank, {})
    if RANDOM in own:
        random_states.restore(torch.load(io.BytesIO(own[RANDOM]), weights_only=True))


def _rank() -> int:
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


class _Collector(_dcp.StorageWriter):
    """Takes what torch wants to write, and keeps it as views."""

    def __init__(self, rank: int) -> None:
        self._rank = rank
        self._views: List[memoryview] = []
        self._end = 0
        self._document: Optional[bytes] = None

    def parts(self) -> Dict[str, Any]:
        found: Dict[str, Any] = {DATA: self._views or b""}
        return found if self._document is None else {**found, DOCUMENT: self._document}

    def reset(self, *_: Any, **__: Any) -> None:
        self._views, self._end = [], 0

    def set_up_storage_writer(self, *_: Any, **__: Any) -> None:
        pass

    def prepare_local_plan(self, plan: Any) -> Any:
        return plan

    def prepare_global_plan(self, plans: List[Any]) -> List[Any]:
        return plans

    def write_data(self, plan: Any, planner: Any) -> Any:
        done = torch.futures.Future()
        done.set_result([self._keep(item, planner.resolve_data(item)) for item in plan.items])
        return done

    def finish(self, metadata: Any, results: List[List[Any]]) -> None:
        metadata.storage_data = {result.index: result.storage_data for of_rank in results for result in of_rank}
        self._document = encode(metadata)

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        return checkpoint_id is None

    def _keep(self, item: Any, value: Any) -> Any:
        if item.type == _dcp.planner.WriteItemType.BYTE_IO:
            view = memoryview(value.getbuffer())
            kept = Place(self._rank, self._end, view.nbytes)
        else:
            tensor = value.detach().cpu().contiguous()
            view = memoryview(tensor.reshape(-1).view(torch.uint8).numpy())
            kept = Place(self._rank, self._end, view.nbytes, dtype_name(tensor.dtype), tuple(tensor.shape))
        if view.nbytes:
            self._views.append(view)
        self._end += view.nbytes
        return _dcp.storage.WriteResult(index=item.index, size_in_bytes=view.nbytes, storage_data=kept)


class _Shards:
    """The parts of all ranks: those at hand, others when they are asked for."""

    def __init__(self, store: CheckpointStore, restored: Restored) -> None:
        self._store, self._restored = store, restored
        self._found: Dict[int, Mapping[str, Loaded]] = dict(restored.shards)

    def of(self, rank: int) -> Mapping[str, Loaded]:
        if rank not in self._found:
            read = self._store.load(self._restored.checkpoint, ranks=[rank])
            if read.checkpoint != self._restored.checkpoint:
                raise NoWholeCheckpoint(f"{self._restored.checkpoint.manifest}: the parts of rank {rank} are not whole")
            self._found[rank] = read.shards[rank]
        return self._found[rank]


class _Reader(_dcp.StorageReader):
    """Gives torch what it asks for."""

    def __init__(self, shards: _Shards) -> None:
        self._shards = shards
        self._places: Mapping[Any, Place] = {}

    def reset(self, *_: Any, **__: Any) -> None:
        pass

    def read_metadata(self, *_: Any, **__: Any) -> Any:
        return decode(self._shards.of(0)[DOCUMENT])

    def set_up_storage_reader(self, metadata: Any, *_: Any, **__: Any) -> None:
        self._places = metadata.storage_data

    def prepare_local_plan(self, plan: Any) -> Any:
        return plan

    def prepare_global_plan(self, plans: List[Any]) -> List[Any]:
        return plans

    def read_data(self, plan: Any, planner: Any) -> Any:
        for item in plan.items:
            place = self._places[item.storage_index]
            data = memoryview(self._shards.of(place.rank)[DATA])[place.start : place.start + place.bytes]
            if item.type == _dcp.planner.LoadItemType.BYTE_IO:
                planner.load_bytes(item, io.BytesIO(data))
            else:
                self._copy(item, place, data, planner)
        done = torch.futures.Future()
        done.set_result(None)
        return done

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        return checkpoint_id is None

    @staticmethod
    def _copy(item: Any, place: Place, data: memoryview, planner: Any) -> None:
        saved = torch.empty(place.shape, dtype=dtype_of(str(place.dtype)))
        if data.nbytes:
            saved.reshape(-1).view(torch.uint8).numpy()[:] = data
        for axis, (start, length) in enumerate(zip(item.storage_offsets, item.lengths)):
            saved = saved.narrow(axis, start, length)
        target = planner.resolve_tensor(item).detach()
        target.copy_(saved)
        planner.commit_tensor(item, target)


class _SafePlanner(_dcp.DefaultLoadPlanner):
    """Loads what is no tensor without running code from the checkpoint, which torch's own planner would."""

    def load_bytes(self, read_item: Any, value: io.BytesIO) -> None:
        loaded = torch.load(value, weights_only=True)
        safe = io.BytesIO()
        torch.save(loaded, safe)
        safe.seek(0)
        super().load_bytes(read_item, safe)
