"""The parts of the PyTorch adapters, one by one."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from spotkeeper_training import CheckpointStore
from spotkeeper_training.adapters import dcp, random_states
from spotkeeper_training.adapters.dcp_document import dtype_of
from spotkeeper_training.adapters.torch import Training
from spotkeeper_training.adapters.torch_data import StepLoader
from spotkeeper_training.sampler import GlobalBatchSampler, Position
from spotkeeper_training.state import from_parts, to_parts


class Noise(torch.utils.data.Dataset[tuple[int, float]]):
    """Twenty samples that are another thing each time they are looked at."""

    def __getitem__(self, index: int) -> tuple[int, float]:
        return index, float(torch.rand(())) + random.random() + float(np.random.rand())

    def __len__(self) -> int:
        return 20


def loader(workers: int = 0, **options: object) -> StepLoader:
    return StepLoader(Noise(), GlobalBatchSampler(20, 6, micro_batch=2, seed=3), num_workers=workers, **options)


def seen(steps: StepLoader) -> list[list[tuple[list[int], list[float], float]]]:
    return [[(ids.tolist(), noise.tolist(), weight) for (ids, noise), weight in step] for step in steps.steps()]


def noise_of(steps: StepLoader) -> dict[int, float]:
    micros = [micro for step in seen(steps) for micro in step]
    return {sample: value for ids, noise, _ in micros for sample, value in zip(ids, noise, strict=True)}


def test_workers_read_the_same_as_the_process_itself() -> None:
    assert seen(loader(workers=2)) == seen(loader())


def test_noise_belongs_to_sample_and_epoch() -> None:
    first = loader()
    again = noise_of(first)
    for _ in range(first.sampler.steps_per_epoch):
        first.advance()
    assert first.sampler.position.epoch == 1
    later = noise_of(first)
    assert set(again) == set(later) == set(range(20))
    assert not set(again.values()) & set(later.values())


def test_weights_of_a_step_add_up_to_one() -> None:
    for step in seen(loader()):
        assert sum(weight for _, _, weight in step) == pytest.approx(1)


def test_reading_ahead_does_not_move_what_is_saved() -> None:
    steps = loader(workers=2, prefetch_factor=4)
    source = steps.steps()
    next(source)
    steps.advance()
    next(source)
    assert steps.state_dict() == {**steps.state_dict(), "epoch": 0, "offset": 6, "step": 1}
    resumed = loader()
    resumed.load_state_dict(steps.state_dict())
    assert seen(resumed) == seen(loader())[1:]


def test_a_step_that_is_left_early_does_not_shift_the_next() -> None:
    steps = loader()
    expected = [ids for ids, _, _ in seen(loader())[1]]
    source = steps.steps()
    next(next(source))
    assert [ids.tolist() for (ids, _), _ in next(source)] == expected


def test_loading_leaves_the_generators_of_training_alone() -> None:
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    expected = torch.rand(()).item(), random.random(), np.random.rand()
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    seen(loader())
    assert (torch.rand(()).item(), random.random(), np.random.rand()) == expected


def test_random_states_come_back() -> None:
    random.gauss(0, 1)
    np.random.randn()
    parts = to_parts({"random": random_states.capture()})
    bodies = {name: body if isinstance(body, bytes) else b"".join(body) for name, body in parts.items()}
    states = from_parts(bodies)["random"]
    expected = torch.rand(3).tolist(), random.gauss(0, 1), np.random.randn()
    torch.rand(9)
    random.random()
    np.random.rand(5)
    random_states.restore(states)
    assert (torch.rand(3).tolist(), random.gauss(0, 1), np.random.randn()) == expected


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("RANK", "WORLD_SIZE", "SPOTKEEPER_RUN_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path.as_uri()


def test_what_is_not_in_the_checkpoint_is_named(uri: str) -> None:
    model = torch.nn.Linear(2, 2)
    first = Training(store=CheckpointStore(uri), total=1, model=model)
    assert (first.step, first.resumed) == (0, False)
    first.step_done()
    first.finish()
    again = Training(store=CheckpointStore(uri), model=torch.nn.Linear(2, 2))
    assert (again.step, again.resumed) == (1, True)
    with pytest.raises(ValueError, match="optimizer: not in the checkpoint, which has model, random, training"):
        Training(store=CheckpointStore(uri), model=model, optimizer=torch.optim.SGD(model.parameters()))
    with pytest.raises(ValueError, match="objects: had random"):
        Training(store=CheckpointStore(uri), random=model)
    with pytest.raises(ValueError, match="loader: is not saved"):
        next(again.steps(loader()))


def test_a_rank_that_takes_itself_for_another_is_refused(
    uri: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting = tmp_path_factory.mktemp("meeting") / "file"
    torch.distributed.init_process_group("gloo", init_method=meeting.as_uri(), rank=0, world_size=1)
    try:
        Training(store=CheckpointStore(uri), model=torch.nn.Linear(2, 2))
        monkeypatch.setenv("WORLD_SIZE", "2")
        with pytest.raises(ValueError, match="rank: was 0 of 2, expected 0 of 1 as training has it: start every rank"):
            Training(store=CheckpointStore(uri), model=torch.nn.Linear(2, 2))
    finally:
        torch.distributed.destroy_process_group()


def test_ranks_without_an_agent_save_by_steps(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="save_interval_steps: was not given, expected with 2 ranks and no agent"):
        Training(store=CheckpointStore(uri), model=torch.nn.Linear(2, 2))
    Training(store=CheckpointStore(uri), model=torch.nn.Linear(2, 2), save_interval_steps=5)


def test_a_finished_job_is_not_trained_any_further(uri: str) -> None:
    steps = loader()
    first = Training(store=CheckpointStore(uri), total=5, loader=steps)
    assert sum(1 for _ in first.steps(steps)) == 5
    assert steps.sampler.position == Position(epoch=1, offset=6, step=5)
    more = loader()
    again = Training(store=CheckpointStore(uri), total=5, loader=more)
    assert list(again.steps(more)) == []
    assert more.sampler.position == steps.sampler.position


def test_sharded_state_keeps_types_and_what_is_no_tensor(uri: str) -> None:
    def state(fill: float) -> dict[str, object]:
        tensors = {"half": torch.full((2, 3), fill).bfloat16(), "one": torch.tensor(fill), "none": torch.empty(0)}
        return {"model": tensors, "step": int(fill), "nested": [fill, {"name": f"n{fill}"}]}

    store = CheckpointStore(uri)
    store.begin()
    published = store.publish(1, dcp.parts(state(7.0)))
    loaded = state(0.0)
    dcp.restore(loaded, store, store.load(published))
    expected = state(7.0)
    assert str(loaded) == str(expected)


def test_a_document_cannot_name_what_is_no_dtype() -> None:
    assert dtype_of("float8_e4m3fn") == torch.float8_e4m3fn
    with pytest.raises(ValueError, match="dtype: was 'load'"):
        dtype_of("load")
