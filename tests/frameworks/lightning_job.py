"""Training with Lightning: dropout, augmentation, a schedule, validation after each epoch; DDP on several ranks."""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import sys
import time

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from support import Diary, write_result
from torch import nn

from spotkeeper_training.adapters.lightning import SpotkeeperCallback
from spotkeeper_training.adapters.torch_data import StepLoader
from spotkeeper_training.sampler import GlobalBatchSampler

SIZE, BATCH, EPOCHS = 90, 12, 4
RANKS, RANKS_HERE = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


class Points(torch.utils.data.Dataset[tuple[torch.Tensor, torch.Tensor, int]]):
    """Random points, moved a little each time they are looked at."""

    def __init__(self) -> None:
        self.points = torch.randn(SIZE, 8, generator=torch.Generator().manual_seed(5))
        self.labels = (self.points.sum(dim=1) > 0).long()

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, int]:
        return self.points[index] + 0.1 * torch.randn(8) * random.random(), self.labels[index], index

    def __len__(self) -> int:
        return SIZE


class Model(LightningModule):
    def __init__(self, pace: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2))
        self.pace = pace
        self.diary = Diary()

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> torch.Tensor:
        points, labels, indices = batch
        time.sleep(self.pace)
        epoch = self.trainer.current_epoch
        self.diary.add(step=self.trainer.global_step, epoch=epoch, ids=indices.tolist(), weight=1 / RANKS)
        return nn.functional.cross_entropy(self.layers(points), labels)

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
        self.log("loss", nn.functional.cross_entropy(self.layers(batch[0]), batch[1]))

    def configure_optimizers(self) -> object:
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pace", type=float, default=0.0)
    parser.add_argument("--save-every", type=float, default=600.0)
    parser.add_argument("--validate-every", type=int, help="steps; default: after each epoch")
    options = parser.parse_args()

    seed_everything(1)
    model = Model(options.pace)
    torch.manual_seed(100 + int(os.environ.get("RANK", "0")))
    spot = SpotkeeperCallback(save_interval_seconds=options.save_every)
    trainer = Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        devices=RANKS_HERE,
        num_nodes=RANKS // RANKS_HERE,
        strategy="ddp" if RANKS > 1 else "auto",
        val_check_interval=options.validate_every,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[spot],
    )
    loader = StepLoader(Points(), GlobalBatchSampler(SIZE, BATCH, seed=2))
    validation = torch.utils.data.DataLoader(Points(), batch_size=30)
    trainer.fit(model, loader, validation, ckpt_path=spot.ckpt_path())
    hashed = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        hashed.update(name.encode() + value.numpy().tobytes())
    if trainer.is_global_zero:
        write_result(digest=hashed.hexdigest(), step=trainer.global_step)
    return 0


if __name__ == "__main__":
    sys.exit(main())
