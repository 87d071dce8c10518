"""Training with sharded parameters (FSDP on CPU), saved through torch's distributed checkpoints."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time

import torch
from support import MEETING, Diary, write_result
from torch import distributed, nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.fsdp import fully_shard

from spotkeeper_training import EXIT_STOPPED_FOR_NOTICE, CheckpointGuard, CheckpointStore
from spotkeeper_training.adapters import dcp
from spotkeeper_training.adapters.torch_data import StepLoader
from spotkeeper_training.sampler import GlobalBatchSampler

SIZE, BATCH, TOTAL = 90, 12, 24


def data() -> torch.utils.data.TensorDataset:
    made = torch.Generator().manual_seed(5)
    points = torch.randn(SIZE, 8, generator=made)
    return torch.utils.data.TensorDataset(points, (points.sum(dim=1) > 0).long(), torch.arange(SIZE))


def digest(state: dict[str, torch.Tensor]) -> str:
    hashed = hashlib.sha256()
    for name, value in sorted(state.items()):
        hashed.update(name.encode() + value.full_tensor().numpy().tobytes())  # type: ignore[attr-defined]
    return hashed.hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--stop-at", type=int, help="save after this step, and leave")
    parser.add_argument("--pace", type=float, default=0.0)
    options = parser.parse_args()
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    distributed.init_process_group("gloo", init_method=os.environ[MEETING], rank=rank, world_size=world_size)

    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(8, 33), nn.ReLU(), nn.Dropout(0.2), nn.Linear(33, 2))
    fully_shard(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    torch.manual_seed(100 + rank)
    loader = StepLoader(data(), GlobalBatchSampler(SIZE, BATCH, micro_batch=4, seed=2))
    store = CheckpointStore()
    store.begin()
    step = 0

    def state() -> dict[str, object]:
        of_model, of_optimizer = get_state_dict(model, optimizer)
        return {"model": of_model, "optimizer": of_optimizer, "loader": loader.state_dict(), "step": step}

    latest = store.latest()
    if latest is not None:
        loaded = state()
        dcp.restore(loaded, store, store.load(latest))
        set_state_dict(model, optimizer, model_state_dict=loaded["model"], optim_state_dict=loaded["optimizer"])
        loader.load_state_dict(loaded["loader"])  # type: ignore[arg-type]
        step = int(loaded["step"])  # type: ignore[call-overload]
    guard = CheckpointGuard(store)
    diary = Diary()
    while step < TOTAL:
        for batches in loader.steps():
            weights, ids = 0.0, []
            epoch = loader.sampler.position.epoch
            for (points, labels, indices), weight in batches:
                loss = nn.functional.cross_entropy(model(points), labels)
                (loss * weight * world_size).backward()  # FSDP averages over the ranks
                weights += weight
                ids += indices.tolist() if weight else []
            optimizer.step()
            optimizer.zero_grad()
            loader.advance()
            diary.add(step=step, epoch=epoch, ids=ids, weight=weights)
            step += 1
            guard.report(step, TOTAL)
            if step == options.stop_at or guard.should_save(step):
                guard.save(step, dcp.parts(state()))
            if step == options.stop_at or (guard.should_stop and step < TOTAL):
                return EXIT_STOPPED_FOR_NOTICE
            if step == TOTAL:
                break
            time.sleep(options.pace)
    full = get_state_dict(model, optimizer)[0]
    found = digest(full)
    if rank == 0:
        write_result(digest=found)
    distributed.barrier()
    return 0


if __name__ == "__main__":
    sys.exit(main())
