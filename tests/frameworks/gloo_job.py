"""Data-parallel training on the all-reduce of a process group: ranks in lock step, saved through a guard."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

from spotkeeper_training import EXIT_STOPPED_FOR_NOTICE, CheckpointGuard, CheckpointStore


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--pace", type=float, default=0.01)
    parser.add_argument("--late", type=int, default=-1, help="a rank that looks up from its step later than the others")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, world_size = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(0)
    model = torch.nn.Linear(8, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    store = CheckpointStore()
    store.begin()
    step = 0
    latest = store.latest()
    if latest is not None:
        restored = store.load(latest)
        step = restored.step
        with torch.no_grad():
            for name, tensor in tensors(model, optimizer).items():
                tensor.copy_(torch.frombuffer(bytearray(restored.parts[name]), dtype=torch.float32).view_as(tensor))
    guard = CheckpointGuard(store)
    note(options.folder, rank, "start", step)
    while step < options.steps:
        random = torch.Generator().manual_seed(step * world_size + rank)
        inputs = torch.randn(16, 8, generator=random)
        optimizer.zero_grad(set_to_none=False)
        model(inputs).square().mean().backward()
        for parameter in model.parameters():
            assert parameter.grad is not None
            dist.all_reduce(parameter.grad)
            parameter.grad /= world_size
        optimizer.step()
        step += 1
        time.sleep(options.pace * (4 if rank == options.late else 1))
        guard.report(step, options.steps)
        if guard.should_save(step):
            parts = {name: tensor.numpy().tobytes() for name, tensor in tensors(model, optimizer).items()}
            note(options.folder, rank, "saved" if guard.save(step, parts) else "unsaved", step)
        if guard.should_stop:
            note(options.folder, rank, "stop", step)
            dist.destroy_process_group()
            return EXIT_STOPPED_FOR_NOTICE
    body = b"".join(tensor.numpy().tobytes() for tensor in tensors(model, optimizer).values())
    note(options.folder, rank, "end", step, digest=hashlib.sha256(body).hexdigest())
    dist.destroy_process_group()
    return 0


def tensors(model: torch.nn.Module, optimizer: torch.optim.SGD) -> dict[str, torch.Tensor]:
    """Weights and momentum; the latter are made if the optimizer has not made a step yet."""
    found = {}
    for name, parameter in model.named_parameters():
        state = optimizer.state[parameter]
        if state.get("momentum_buffer") is None:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        found[name], found[f"{name}.momentum"] = parameter.detach(), state["momentum_buffer"]
    return found


def note(folder: Path, rank: int, event: str, step: int, **facts: object) -> None:
    with (folder / f"rank-{rank}.jsonl").open("a") as file:
        file.write(json.dumps({"event": event, "step": step, "pid": os.getpid(), **facts}) + "\n")


if __name__ == "__main__":
    sys.exit(main())
