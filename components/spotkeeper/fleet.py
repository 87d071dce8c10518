"""What a fleet is on any cloud: its size, its policy, its timings. Checked here, with no resource in sight."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NotRequired, TypedDict

from spotkeeper.deadline import POLICY as DEADLINE
from spotkeeper.deadline import Waits, plan_deadline
from spotkeeper.errors import InputError
from spotkeeper.inputs import choice, flag, known_only, positive, seconds, text, whole_number
from spotkeeper_ledger.documents import DeadlineSpec, PolicySpec

POLICIES = {"never": "", "mirror": "", "patient": "", DEADLINE: ""}
GANGS = {"none": "", "single_zone": "", "region": ""}
JOINS = {"checkpoint": "", "now": ""}
REBALANCES = {"checkpoint": "", "replace": "", "ignore": ""}
UPDATES = {"next-run": "", "checkpoint-restart": ""}
DESTROYS = {"checkpoint": "", "force": ""}
WORKLOADS = {
    "training": "",
    "serving": "a fleet drains and restarts whole jobs from checkpoints; requests that are being served would be lost",
}
MAX_HOOK_SECONDS = 48 * 3600
"""EC2 Auto Scaling keeps a lifecycle action open no longer, whatever heartbeats it gets."""


class FleetTimingsArgs(TypedDict):
    """How long a fleet waits for what. All in seconds; the defaults suit real clouds, a rehearsal sets them short."""

    notice_seconds: NotRequired[float]
    """From an interruption warning to the reclaim. Default 120."""
    boot_grace_seconds: NotRequired[float]
    """How long a node that has never reported is taken for serving. Default 600."""
    report_seconds: NotRequired[float]
    """How often an agent reports; three missed reports and the node no longer counts. Default 30."""
    launch_grace_seconds: NotRequired[float]
    """How long spot instances that were asked for may take to appear before on-demand is bought. Default 60."""
    hysteresis_seconds: NotRequired[float]
    """How long spot must have been back at strength before on-demand nodes are drained. Default 300."""
    linger_seconds: NotRequired[float]
    """How long nodes are kept after the job finished or failed. Default 300; 0 releases them at the next tick."""
    save_gap_seconds: NotRequired[float]
    """A notice that arrives within this time of a whole checkpoint joins it. Default 60; 0 never joins."""
    rebalance_expiry_seconds: NotRequired[float]
    """A rebalance recommendation that no interruption follows is forgotten after this time. Default 1200."""
    hook_seconds: NotRequired[float]
    """The longest that a node which is scaled in or drained waits for its checkpoint. Default 600, at most 172800."""
    save_seconds: NotRequired[float]
    """The longest save that is expected; ``hook_seconds`` has to leave room for it. Default 90."""
    lease_seconds: NotRequired[float]
    """A holder of the job that has not been heard for this time is taken for dead. Default 30."""
    signal_poll_seconds: NotRequired[float]
    """How often a node asks the ledger for signals, and its metadata service for what leaves more time than an
    interruption: rebalance recommendations, and whether its group lets it go. Default 5."""
    imds_poll_seconds: NotRequired[float]
    """How often a node asks its metadata service for interruptions. Default 1."""
    log_seconds: NotRequired[float]
    """How often a node puts the last lines of its job's output into the ledger, besides at a notice and at the job's
    end. Default 60; 0 never does."""
    hang_seconds: NotRequired[float]
    """A job that has reported steps and then makes none for this time, and for five times its usual step, is taken for
    hanging and is started again, which counts as a crash. Default 600; 0 never does."""


class FleetElasticArgs(TypedDict):
    """That all nodes of a fleet run the job together, as many as there are."""

    min_nodes: NotRequired[int]
    """With fewer nodes the job waits, which costs no restart. Default 1, at most ``nodes``."""
    processes_per_node: NotRequired[int]
    """How many processes each node runs, such as its number of GPUs: the command finds it in ``PET_NPROC_PER_NODE``,
    which ``torchrun`` reads. Default 1."""
    join: NotRequired[str]
    """When nodes that have come join the job: at its next ``checkpoint`` (default), or ``now``, after one that it is
    told to save for them. Either way it stops after that and starts again on all nodes."""


@dataclass(frozen=True)
class FleetElastic:
    """:class:`FleetElasticArgs` with every default filled in."""

    min_nodes: int
    processes_per_node: int
    join: str
    single_zone: bool
    """Whether all nodes that run the job together are of one zone."""


@dataclass(frozen=True)
class FleetTimings:
    """:class:`FleetTimingsArgs` with every default filled in."""

    notice_seconds: float = 120.0
    boot_grace_seconds: float = 600.0
    report_seconds: float = 30.0
    launch_grace_seconds: float = 60.0
    hysteresis_seconds: float = 300.0
    linger_seconds: float = 300.0
    save_gap_seconds: float = 60.0
    rebalance_expiry_seconds: float = 1200.0
    hook_seconds: float = 600.0
    save_seconds: float = 90.0
    lease_seconds: float = 30.0
    signal_poll_seconds: float = 5.0
    imds_poll_seconds: float = 1.0
    log_seconds: float = 60.0
    hang_seconds: float = 600.0


MAY_BE_ZERO = frozenset(
    {
        "launch_grace_seconds",
        "hysteresis_seconds",
        "linger_seconds",
        "save_gap_seconds",
        "log_seconds",
        "hang_seconds",
    }
)
SIGNALS = {"none": "", "USR1": "", "USR2": "", "HUP": "", "INT": "", "TERM": ""}


@dataclass(frozen=True)
class FleetPlan:
    """A fleet's cloud-neutral inputs, checked."""

    nodes: int
    base: int
    maximum: int
    max_on_demand_hours: float | None
    policy: PolicySpec
    gang: str
    on_rebalance: str
    on_update: str
    on_destroy: str
    max_restarts: int
    notice_signal: str
    """Empty for none."""
    notice_command: str
    notice_command_confirms: bool
    timings: FleetTimings
    elastic: FleetElastic | None = None
    deadline: DeadlineSpec | None = None


def plan_fleet(args: Mapping[str, Any]) -> FleetPlan:
    """Check the inputs that mean the same on every cloud.

    Raises:
        InputError: an input is out of range or not one of its choices.
    """
    choice(args, "workload", "training", WORKLOADS)
    signal = choice(args, "notice_signal", "none", SIGNALS)
    notice_command = text(args, "notice_command")
    confirms = flag(args, "notice_command_confirms")
    if confirms and not notice_command:
        raise InputError("notice_command_confirms", True, "a notice_command, whose success it is about")
    gang = choice(args, "gang", "none", GANGS)
    nodes = whole_number(args, "nodes", None, 1)
    base = whole_number(args, "on_demand_base", 0, 0, nodes)
    timings = plan_timings(args.get("timings") or {})
    return FleetPlan(
        nodes=nodes,
        base=base,
        maximum=whole_number(args, "on_demand_max", nodes, base, nodes),
        max_on_demand_hours=positive(args, "max_on_demand_hours"),
        policy=PolicySpec(choice(args, "policy", "mirror", POLICIES), seconds(args, "policy_wait_seconds", 600.0)),
        gang=gang,
        on_rebalance=choice(args, "on_rebalance", "checkpoint", REBALANCES),
        on_update=choice(args, "on_update", "next-run", UPDATES),
        on_destroy=choice(args, "on_destroy", "checkpoint", DESTROYS),
        max_restarts=whole_number(args, "max_restarts", 3, 0),
        notice_signal="" if signal == "none" else signal,
        notice_command=notice_command,
        notice_command_confirms=confirms,
        timings=timings,
        elastic=plan_elastic(args["elastic"], nodes, gang) if args.get("elastic") is not None else None,
        deadline=plan_deadline(args, Waits(timings.signal_poll_seconds, timings.save_seconds)),
    )


def check_command(command: str) -> str:
    """Return the training command, if there is anything in it."""
    if not command.strip():
        raise InputError("command", command, "the training command")
    return command


def plan_elastic(args: Mapping[str, Any], nodes: int, gang: str) -> FleetElastic:
    """Check how nodes are to run the job together.

    Raises:
        InputError: an input is out of range or does not exist, or the nodes form no gang.
    """
    known_only(args, FleetElasticArgs.__annotations__, {}, "elastic.")
    if gang == "none":
        raise InputError("gang", gang, "'single_zone' or 'region', because nodes of an elastic fleet train together")
    return FleetElastic(
        min_nodes=whole_number(args, "min_nodes", 1, 1, nodes, path="elastic."),
        processes_per_node=whole_number(args, "processes_per_node", 1, 1, 1024, path="elastic."),
        join=choice(args, "join", "checkpoint", JOINS, path="elastic."),
        single_zone=gang == "single_zone",
    )


def plan_timings(args: Mapping[str, Any]) -> FleetTimings:
    """Check the timings, each alone and the hook against the save.

    Raises:
        InputError: a timing is not positive, or the terminate hook would end before a save can.
    """
    known_only(args, FleetTimingsArgs.__annotations__, {}, "timings.")
    timings = FleetTimings(
        **{
            field.name: seconds(args, field.name, field.default, path="timings.", zero=field.name in MAY_BE_ZERO)
            for field in fields(FleetTimings)
            if isinstance(field.default, float)
        }
    )
    # Word may reach the node by the slowest way, its poll of the ledger, and only then does the save begin.
    least = timings.signal_poll_seconds + timings.save_seconds
    if not least <= timings.hook_seconds <= MAX_HOOK_SECONDS:
        raise InputError(
            "timings.hook_seconds",
            timings.hook_seconds,
            f"from {least:g} (signal_poll_seconds + save_seconds: the hook must not end before the save can) "
            f"to {MAX_HOOK_SECONDS}",
        )
    return timings
