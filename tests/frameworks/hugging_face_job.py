"""Training with the Trainer of transformers: a tiny model made from its configuration, with dropout; also on ranks."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from support import Diary, write_result
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from spotkeeper_training.adapters.hugging_face import SpotkeeperCallback

SIZE, BATCH, STEPS = 60, 6, 30
RANKS = int(os.environ.get("WORLD_SIZE", "1"))


class Sentences(torch.utils.data.Dataset[dict[str, Any]]):
    """Random words; the label is whether the first is one of the lower half."""

    def __init__(self) -> None:
        self.words = torch.randint(0, 50, (SIZE, 8), generator=torch.Generator().manual_seed(5))

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": self.words[index], "labels": int(self.words[index][0] < 25), "index": index}

    def __len__(self) -> int:
        return SIZE


class DiaryTrainer(Trainer):
    """Writes down which samples each step has seen."""

    pace = 0.0

    def training_step(self, model: Any, inputs: dict[str, Any], *arguments: Any, **options: Any) -> torch.Tensor:
        time.sleep(self.pace)
        step = self.state.global_step
        DIARY.add(step=step, epoch=step * BATCH // SIZE, ids=inputs.pop("index").tolist(), weight=1 / RANKS)
        loss: torch.Tensor = super().training_step(model, inputs, *arguments, **options)
        return loss


class StopAtSave(TrainerCallback):
    """Ends training as somebody does who has no Spotkeeper yet."""

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_training_stop = True


DIARY = Diary()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pace", type=float, default=0.0)
    parser.add_argument("--save-every", type=float, default=600.0)
    parser.add_argument(
        "--steps", type=int, help="end early, with checkpoints of the Trainer's own, without Spotkeeper"
    )
    options = parser.parse_args()

    set_seed(1)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = BertForSequenceClassification(BertConfig(vocab_size=50, max_position_embeddings=8, **shape))
    output_dir = Path("output")
    arguments = TrainingArguments(
        output_dir=str(output_dir),
        max_steps=STEPS,
        per_device_train_batch_size=BATCH // RANKS,
        learning_rate=0.01,
        save_strategy="steps" if options.steps else "no",
        save_steps=options.steps or 500,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        remove_unused_columns=False,
        seed=1,
    )
    trainer = DiaryTrainer(model=model, args=arguments, train_dataset=Sentences())
    trainer.pace = options.pace
    if options.steps:
        trainer.add_callback(StopAtSave())
        trainer.train()
        return 0
    spot = SpotkeeperCallback(output_dir, save_interval_seconds=options.save_every)
    trainer.add_callback(spot)
    trainer.train(resume_from_checkpoint=spot.resume_from())
    hashed = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        hashed.update(name.encode() + value.numpy().tobytes())
    if trainer.is_world_process_zero():
        write_result(digest=hashed.hexdigest(), step=trainer.state.global_step)
    return 0


if __name__ == "__main__":
    sys.exit(main())
