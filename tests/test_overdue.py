"""A deadline that comes too soon: a new fleet is refused, one that is there is deployed: only time has passed."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pulumi.runtime.proto import callback_pb2, callback_pb2_grpc, resource_pb2

import spotkeeper
from gcp_declared import gcp_fleet_args
from pulumi_support import PROJECT, STACK, RecordingMonitor, fleet_args
from spotkeeper.fleet import plan_fleet
from spotkeeper.overdue import HOUR, too_soon
from spotkeeper_lab.pulumi_program import run_program
from spotkeeper_ledger.documents import DeadlineSpec

NOW = 1_800_000_000.0
BY = "2027-03-01T08:00:00+01:00"


class Engine(RecordingMonitor):
    """Runs what is to run before a resource is created, as Pulumi's engine does, unless it is there already.

    It goes on after a refusal, and tells of it.
    """

    def __init__(self, *, deployed: bool, preview: bool) -> None:
        super().__init__(preview)
        self._deployed, self._preview = deployed, preview
        self._hooks: dict[str, Any] = {}
        self.refusals: list[tuple[str, int]] = []
        """Each with the number of resources that had been registered before."""

    def RegisterResourceHook(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        self._hooks[request.name] = request
        return super().RegisterResourceHook(request)  # type: ignore[no-untyped-call]

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        for hook in (self._hooks[name] for name in request.hooks.before_create):
            if not self._deployed and (hook.on_dry_run or not self._preview):
                self._run(hook.callback)
        return super().RegisterResource(request)

    def _run(self, callback: Any) -> None:
        asked = callback_pb2.CallbackInvokeRequest(
            token=callback.token, request=resource_pb2.ResourceHookRequest().SerializeToString()
        )
        with grpc.insecure_channel(callback.target) as channel:
            answer = callback_pb2_grpc.CallbacksStub(channel).Invoke(asked, timeout=60)
        error = resource_pb2.ResourceHookResponse.FromString(answer.response).error
        if error:
            self.refusals.append((error, len(self.notes.seen)))


def deploy(cloud: str, left: float, *, deployed: bool, preview: bool = False) -> Engine:
    """Declare a fleet that has 40 hours of work and ``left`` hours for it."""
    by = datetime.fromtimestamp(time.time() + left * HOUR, UTC).isoformat()
    inputs = {"policy": "deadline", "deadline": {"by": by, "work_hours": 40, "on_demand_price": 3.06}}

    def program() -> None:
        if cloud == "aws":
            spotkeeper.AwsTrainingFleet("train", fleet_args(**inputs))
        else:
            spotkeeper.GcpTrainingFleet("train", gcp_fleet_args(**inputs))

    monitor = Engine(deployed=deployed, preview=preview)
    run_program(program, monitor, project=PROJECT, stack=STACK, preview=preview)
    return monitor


def spec(left: float, work_hours: float | None = None) -> DeadlineSpec:
    return DeadlineSpec(on_demand_price=3.06, at=NOW + left * HOUR, work_hours=work_hours, restart_seconds=720)


@pytest.mark.parametrize("work_hours", [None, 40.0])
@pytest.mark.parametrize("left", [-9.0, 0.0])
def test_no_new_fleet_has_a_deadline_that_has_passed(left: float, work_hours: float | None) -> None:
    error = too_soon(BY, spec(left, work_hours), NOW)
    assert str(error) == f"deadline.by: was {BY!r}, expected a moment that is still to come"


def test_nor_one_that_on_demand_alone_could_not_keep() -> None:
    error = too_soon(BY, spec(40, 40), NOW)
    assert str(error) == (
        f"deadline.by: was {BY!r}, expected 2027-01-17T00:12+00:00 or later: work_hours and one restart are "
        "40.2 hours, which on-demand alone takes from now on"
    )


def test_of_work_that_nobody_has_told_nobody_says_that_it_takes_too_long() -> None:
    assert too_soon(BY, spec(0.1), NOW) is None


@given(st.floats(0.1, 1000), st.floats(0.01, 1000))
def test_it_is_what_hours_are_held_to(left: float, work_hours: float) -> None:
    """A fleet with ``hours`` has as many from its first tick on."""
    asked = {"hours": left, "work_hours": work_hours, "on_demand_price": 3.06}
    try:
        plan_fleet({"nodes": 4, "policy": "deadline", "deadline": asked})
        possible = True
    except spotkeeper.InputError:
        possible = False
    assume(abs(left - work_hours - 0.2) > 1e-6)  # one side has been through Unix seconds
    assert (too_soon(BY, spec(left, work_hours), NOW) is None) is possible


@pytest.mark.parametrize("cloud", ["aws", pytest.param("gcp", marks=pytest.mark.xdist_group("pulumi_gcp"))])
class TestDeploying:
    @pytest.mark.parametrize("preview", [True, False])
    @pytest.mark.parametrize(
        ("left", "why"), [(-1, "a moment that is still to come"), (40, "or later: work_hours and")]
    )
    def test_a_new_fleet_is_refused_before_anything_is_made(
        self, cloud: str, preview: bool, left: float, why: str
    ) -> None:
        ((error, made_before),) = deploy(cloud, left, deployed=False, preview=preview).refusals
        assert error.startswith("deadline.by: was '20")
        assert why in error
        assert made_before == 0

    @pytest.mark.parametrize(
        ("left", "told"), [(-1, "has passed; deadline.by takes a later one"), (40, "40.0 hours to its deadline")]
    )
    def test_one_that_is_there_is_deployed_however_little_time_is_left(
        self, cloud: str, left: float, told: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level("INFO"):
            assert deploy(cloud, left, deployed=True).refusals == []
        assert told in caplog.text

    def test_a_new_fleet_with_time_enough_is_made_and_nothing_is_said(
        self, cloud: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level("INFO"):
            assert deploy(cloud, 41, deployed=False).refusals == []
        assert "deadline" not in caplog.text
