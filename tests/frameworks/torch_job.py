"""A training loop in plain PyTorch: dropout, augmentation in workers, AdamW, a schedule and a scaler."""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import sys
import time

import torch
from support import MEETING, Diary, write_result
from torch import distributed, nn

from spotkeeper_training.adapters.torch import Training
from spotkeeper_training.adapters.torch_data import StepLoader
from spotkeeper_training.sampler import GlobalBatchSampler

SIZE, BATCH, TOTAL = 150, 16, 40


class Points(torch.utils.data.Dataset[tuple[torch.Tensor, torch.Tensor, int]]):
    """Random points, moved a little each time they are looked at."""

    def __init__(self) -> None:
        made = torch.Generator().manual_seed(5)
        self.points = torch.randn(SIZE, 8, generator=made)
        self.labels = (self.points.sum(dim=1) > 0).long()

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, int]:
        return self.points[index] + 0.1 * torch.randn(8) * random.random(), self.labels[index], index

    def __len__(self) -> int:
        return SIZE


def digest(model: nn.Module) -> str:
    hashed = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        hashed.update(name.encode() + value.numpy().tobytes())
    return hashed.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pace", type=float, default=0.0)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--save-every", type=float, default=600.0)
    parser.add_argument("--stop-at", type=int, help="save after this step, and leave")
    options = parser.parse_args()
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])

    torch.manual_seed(1)
    random.seed(1)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 2))
    if world_size > 1:
        distributed.init_process_group("gloo", init_method=os.environ.get(MEETING), rank=rank, world_size=world_size)
        model = nn.parallel.DistributedDataParallel(model)  # type: ignore[assignment]
        torch.manual_seed(100 + rank)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=TOTAL)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=7)
    sampler = GlobalBatchSampler(SIZE, BATCH, micro_batch=6, seed=2)
    loader = StepLoader(Points(), sampler, num_workers=options.workers)
    training = Training(
        total=TOTAL,
        save_interval_seconds=options.save_every,
        model=model,
        optimizer=optimizer,
        scheduler=scheduler,
        scaler=scaler,
        loader=loader,
    )
    diary = Diary()
    for step in training.steps(loader):
        ids: list[int] = []
        weights = 0.0
        for (points, labels, indices), weight in step:
            loss = nn.functional.cross_entropy(model(points), labels) * weight * world_size
            scaler.scale(loss).backward()
            weights += weight
            ids += indices.tolist() if weight else []
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        scheduler.step()
        diary.add(step=training.step, epoch=sampler.position.epoch, ids=ids, weight=weights)
        time.sleep(options.pace)
        if training.step + 1 == options.stop_at:
            break
    if options.stop_at:
        training.step_done()
        training.save()
        sys.exit(75)
    if rank == 0:
        write_result(digest=digest(model), step=training.step)


if __name__ == "__main__":
    sys.exit(main())
