"""States of torch: what safetensors' own library reads of them, and training that goes on bit by bit."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from safetensors.torch import load
from torch import nn

from spotkeeper_training import CheckpointStore, Saver, from_parts, to_parts
from spotkeeper_training.leaves import NotExpressible
from spotkeeper_training.staging import Staging
from spotkeeper_training.state import plan

DTYPES = [
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.uint16,
    torch.int32,
    torch.uint32,
    torch.int64,
    torch.uint64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.complex64,
    torch.complex128,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.float8_e4m3fnuz,
]


def joined(state: dict[str, Any]) -> dict[str, bytes]:
    return {name: body if isinstance(body, bytes) else b"".join(body) for name, body in to_parts(state).items()}


def staged(state: dict[str, Any]) -> dict[str, bytes]:
    planned = plan(state)
    return {**{name: bytes(body) for name, body in Staging().take(planned).items()}, **planned.text()}


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    assert (one.dtype, one.shape) == (other.dtype, other.shape)
    rows = [value.detach().resolve_conj().contiguous().reshape(-1).view(torch.uint8) for value in (one, other)]
    return torch.equal(*rows)


@pytest.mark.parametrize("ways", [joined, staged])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_type_and_layout_comes_back_bit_by_bit(dtype: torch.dtype, ways: Any) -> None:
    whole = torch.randint(0, 2, (6, 4)).to(dtype)
    tensors = {
        "whole": whole,
        "turned": whole.t(),
        "every other": whole[::2],
        "scalar": whole[0, 0],
        "empty": whole[:0],
        "again": whole,
        "parameter": nn.Parameter(whole) if dtype.is_floating_point else whole,
    }
    parts = ways({"x": tensors, "n": 1})
    found = from_parts(parts)["x"]
    assert all(same(tensors[name], found[name]) for name in tensors)
    assert found["again"] is found["whole"]
    assert not found["parameter"].requires_grad


def test_what_is_written_is_read_by_the_library_and_the_other_way_round() -> None:
    model = nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3))
    for ways in (joined, staged):
        found = load(ways({"model": model.state_dict(), "n": 1})["model.safetensors"])
        assert found.keys() == model.state_dict().keys()
        assert all(same(found[name], value) for name, value in model.state_dict().items())


def test_the_library_reads_every_type_that_the_format_has() -> None:
    for dtype in DTYPES:
        value = torch.ones(3, 2).to(dtype)
        (name,) = load(joined({"x": {"v": value}, "n": 1})["x.safetensors"]).values()
        named = dtype not in (torch.complex128, torch.float8_e4m3fnuz)
        assert same(name, value) if named else name.dtype == torch.uint8


def test_weights_that_are_tied_are_saved_once_and_stay_tied() -> None:
    embedding = nn.Embedding(1000, 8)
    head = nn.Linear(8, 1000, bias=False)
    head.weight = embedding.weight
    parts = joined({"model": nn.ModuleList([embedding, head]).state_dict(), "n": 1})
    assert len(parts["model.safetensors"]) < 33_000
    found = from_parts(parts)["model"]
    assert found["0.weight"] is found["1.weight"]


def test_tensors_lie_over_the_memory_that_was_loaded() -> None:
    memory = {name: bytearray(body) for name, body in joined({"x": {"w": torch.zeros(4)}, "n": 1}).items()}
    from_parts(memory)["x"]["w"].fill_(1)
    assert memory["x.safetensors"][-16:] == torch.ones(4).numpy().tobytes()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.eye(2).to_sparse(), "w: was a tensor of layout"),
        (torch.empty(2, device="meta"), "w: was a tensor of layout torch.strided on meta"),
        (nn.Linear(1, 1), r"w: was a torch\.nn\.modules\.linear\.Linear"),
    ],
)
def test_what_is_no_plain_tensor_is_refused_by_name(value: Any, words: str) -> None:
    with pytest.raises(NotExpressible, match=words):
        plan({"x": {"w": value}, "n": 1})


class Run:
    """A training run with everything that has a state."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.5), nn.Linear(16, 2))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.01, amsgrad=True)
        self.scheduler = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, max_lr=0.1, total_steps=100)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
        self.step = 0

    def train(self, steps: int) -> list[float]:
        losses = []
        for _ in range(steps):
            batch = torch.randn(4, 8) + random.random() + numpy.random.rand()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = self.model(batch).square().mean()
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer.zero_grad()
            self.scheduler.step()
            self.step += 1
            losses.append(loss.item())
        return losses

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": {
                "python": random.getstate(),
                "numpy": numpy.random.get_state(),
                "torch": torch.get_rng_state(),
            },
            "step": self.step,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.scaler.load_state_dict(state["scaler"])
        random.setstate(state["random"]["python"])
        numpy.random.set_state(state["random"]["numpy"])
        torch.set_rng_state(state["random"]["torch"])
        self.step = state["step"]


def test_training_goes_on_bit_by_bit_as_if_it_had_not_been_interrupted(tmp_path: Path) -> None:
    store = CheckpointStore(f"file://{tmp_path}", generation=1)
    store.begin()
    saver, run = Saver(store), Run()
    run.train(3)
    saver.save(run.step, run.state())
    expected = run.train(5)  # while it is published
    saver.flush()

    again = CheckpointStore(f"file://{tmp_path}", generation=2)
    again.begin()
    latest = again.latest()
    assert latest is not None
    resumed = Run()
    resumed.restore(from_parts(again.load(latest).parts))
    assert resumed.step == 3
    assert resumed.train(5) == expected
    for name, value in run.model.state_dict().items():
        assert same(resumed.model.state_dict()[name], value)


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_a_state_on_a_gpu_is_saved(tmp_path: Path, mode: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    store = CheckpointStore(f"file://{tmp_path}", generation=1)
    store.begin()
    value = torch.arange(10_000_000, device="cuda", dtype=torch.float32)
    saver = Saver(store, mode=mode)
    for step in (1, 2):
        saver.save(step, {"x": {"w": value, "turned": value.view(1000, -1).t()}, "n": 1})
        value += 1
    saver.flush()
    latest = store.latest()
    assert latest is not None
    found = from_parts(store.load(latest).parts)["x"]
    assert torch.equal(found["w"], (value - 1).cpu())
    assert torch.equal(found["turned"], found["w"].view(1000, -1).t())
    saver.close()
