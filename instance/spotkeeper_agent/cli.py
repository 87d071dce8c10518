"""The command line: ``run``, ``notice``, ``status``, ``logs``, ``doctor``."""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import sys
from typing import Any, Dict, List, Optional, Sequence

from spotkeeper_agent.config import BadConfig, load_config
from spotkeeper_agent.server import NoAgent, ask
from spotkeeper_ledger import NOTICE_KINDS
from spotkeeper_ledger.run_dir import RUN_DIR

OK, FAILED, USAGE = 0, 1, 2

_EPILOG = """\
exit codes:
  0  done; for `run`: stopped in order after SIGTERM or SIGINT
  1  no agent answers, it refused, or another one already runs; for `doctor`: something will not work
  2  the command line or the configuration cannot be used

what the training command should exit with:
  0   its work is done: it is never started again, on any node
  75  it saved for a notice and stopped: another node goes on from there
  76  it found a later generation at the checkpoints and published nothing
  other codes and signals are crashes: it is started again, `max_restarts` times
  after `notice_signal`, and after SIGTERM from the agent, 0 means that it stopped, not that its work is done

how the training command may be told that the node will go (agent.json, or options of `run`):
  by notice.json, which the guard of spotkeeper_training looks at: nothing to set
  notice_signal            sent to those of its processes that catch it; others, and what they forked, are left alone
  notice_command           run for every notice, with SPOTKEEPER_NOTICE_ID, _KIND, _LEAVING (1, 0), _DEADLINE (Unix
                           seconds, or empty), _SECONDS (how long it may take), _DRILL (1, 0), SPOTKEEPER_JOB_PID and
                           all that the training command is told. Exit code 0 is success; any other is logged with its
                           last lines. It is stopped after `notice_command_seconds`, and before the training command
                           is; what it leaves running ends with it. What it prints is read, and only its end is kept;
                           what it writes to files is not limited.
  notice_command_confirms  its success means that a whole checkpoint is saved: for jobs without a guard

files in the run directory ($SPOTKEEPER_RUN_DIR, else /run/spotkeeper):
  notice.json    the present notice, for the training process; gone when it is over
  confirm.json   written by the training process when a whole checkpoint is published
  progress.json  written by the training process: how far it is
  stacks/        where the ranks were, once the job was found hanging
  agent.sock     what `notice` and `status` talk to

try it:
  spotkeeper-agent notice --kind interruption --drill   save, stop, and let another node go on
  spotkeeper-agent status --json
  spotkeeper-agent doctor --config /etc/spotkeeper/agent.json
"""


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run one command; returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    given, command = _split(given)
    options = _parser().parse_args(given)
    if command and options.do is not _run:
        _complain(f"{shlex.join(command)!r}: only `run` takes a command after --")
        return USAGE
    options.training_command = shlex.join(command) if command else None
    code: int = options.do(options)
    return code


def _split(arguments: List[str]) -> tuple[List[str], List[str]]:
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="spotkeeper-agent",
        description="Hears on a node that it will go, and runs the training command so that nothing is lost by that.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    running = commands.add_parser("run", help="be this node's agent", usage="%(prog)s --config FILE [-- COMMAND …]")
    running.add_argument("--config", required=True, metavar="FILE", help="agent.json, as user data writes it")
    running.add_argument("--notice-signal", metavar="NAME", help="instead of the file's notice_signal: USR1, say")
    running.add_argument("--notice-command", metavar="COMMAND", help="instead of the file's notice_command")
    running.add_argument(
        "--notice-command-confirms", action="store_true", default=None, help="its success is a whole checkpoint"
    )
    running.set_defaults(do=_run)

    notice = commands.add_parser("notice", help="tell the agent that this node will go")
    notice.add_argument("--kind", required=True, choices=NOTICE_KINDS, help="all but rebalance make the job stop")
    notice.add_argument(
        "--deadline",
        type=_deadline,
        metavar="UNIX|none",
        help="when the node goes, in Unix seconds; none: as long after now as that kind usually takes (default)",
    )
    notice.add_argument("--fleet", metavar="FLEET", help="nothing happens on a node of another fleet")
    notice.add_argument(
        "--nodes", type=_nodes, metavar="ID,ID,…|all", help="nothing happens on a node that is not named (default: all)"
    )
    notice.add_argument("--drill", action="store_true", help="an exercise: the same, but over at the deadline")
    notice.set_defaults(do=_notice)

    status = commands.add_parser("status", help="show what the agent knows and does")
    status.add_argument("--json", action="store_true", help="for programs")
    status.set_defaults(do=_status)

    logs = commands.add_parser("logs", help="show what the training command has said last")
    logs.add_argument("--lines", type=int, default=50, metavar="N", help="how many lines (default %(default)s)")
    logs.add_argument("--ledger", metavar="URI", help="read what another node, also one that is gone, has put there")
    logs.add_argument("--fleet", metavar="FLEET", help="with --ledger: of which fleet")
    logs.add_argument("--node", metavar="ID", help="with --ledger: of which node")
    logs.set_defaults(do=_logs)

    doctor = commands.add_parser("doctor", help="look whether this node can do what it will have to")
    doctor.add_argument("--config", required=True, metavar="FILE", help="agent.json, as user data writes it")
    doctor.add_argument("--json", action="store_true", help="for programs")
    doctor.set_defaults(do=_doctor)

    for command in (notice, status, logs):
        command.add_argument(
            "--run-dir", metavar="DIR", help="of the agent (default: $SPOTKEEPER_RUN_DIR, /run/spotkeeper)"
        )
    return parser


def _run(options: argparse.Namespace) -> int:
    from spotkeeper_agent.run import AlreadyRuns, run  # noqa: PLC0415 - `notice` has to be quick, and needs none of it

    try:
        config = load_config(
            options.config,
            options.training_command,
            notice_signal=options.notice_signal,
            notice_command=options.notice_command,
            notice_command_confirms=options.notice_command_confirms,
        )
    except BadConfig as error:
        _complain(str(error))
        return USAGE
    try:
        run(config)
    except (AlreadyRuns, OSError) as error:
        _complain(str(error))
        return FAILED
    return OK


def _notice(options: argparse.Namespace) -> int:
    request = {
        "request": "notice",
        "kind": options.kind,
        "deadline": options.deadline,
        "fleet": options.fleet,
        "nodes": options.nodes,
        "drill": options.drill,
        "source": "command",
    }
    reply = _ask(options, request)
    if reply is None:
        return FAILED
    _say(f"{reply['node']}: {'heard' if reply['accepted'] else 'not meant, nothing done'}")
    return OK


def _status(options: argparse.Namespace) -> int:
    reply = _ask(options, {"request": "status"})
    if reply is None:
        return FAILED
    del reply["ok"]
    if options.json:
        _say(json.dumps(reply, sort_keys=True))
    else:
        for name, value in reply.items():
            _say(f"{name.replace('_', ' '):<16}{'-' if value is None else value}")
    return OK


def _logs(options: argparse.Namespace) -> int:
    if options.ledger is None:
        reply = _ask(options, {"request": "logs"})
        text = None if reply is None else str(reply["text"])
    elif options.fleet and options.node:
        text = _shipped(options.ledger, options.fleet, options.node)
    else:
        _complain("logs: --ledger needs --fleet and --node")
        return USAGE
    if text is None:
        return FAILED
    for line in text.splitlines()[-options.lines :] if options.lines > 0 else []:
        _say(line)
    return OK


def _shipped(ledger: str, fleet: str, node: str) -> Optional[str]:
    """Return the last lines that a node has put into the ledger; its folder may have the fleet's prefix to its name."""
    from spotkeeper_ledger import BoardError, keys, open_board  # noqa: PLC0415 - as in _run

    try:
        board = open_board(ledger)
        folders = board.list_folders(keys.nodes(fleet))
        folder = next((name for name in folders if name == node or name.endswith(f":{node}")), None)
        found = board.read(keys.log(fleet, folder)) if folder else None
    except (BoardError, ValueError) as error:
        _complain(f"logs: {error}")
        return None
    if found is None:
        _complain(f"logs: {node} has put none into {ledger} (fleet {fleet})")
        return None
    return found.body.decode("utf-8", "replace")


def _doctor(options: argparse.Namespace) -> int:
    from spotkeeper_agent import doctor  # noqa: PLC0415 - as in _run

    try:
        config = load_config(options.config)
    except BadConfig as error:
        _complain(str(error))
        return USAGE
    findings = doctor.examine(config)
    if options.json:
        _say(json.dumps([vars(each) for each in findings]))
    else:
        for line in doctor.as_lines(findings):
            _say(line)
    return FAILED if doctor.worst(findings) == doctor.FAILED else OK


def _ask(options: argparse.Namespace, request: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    try:
        reply = ask(options.run_dir or os.environ.get(RUN_DIR) or "/run/spotkeeper", request)
    except NoAgent as error:
        _complain(str(error))
        return None
    if not reply.get("ok"):
        _complain(str(reply.get("error")))
        return None
    return reply


def _deadline(text: str) -> Optional[float]:
    if text == "none":
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise argparse.ArgumentTypeError(f"was {text!r}, expected Unix seconds or none")
    return seconds


def _nodes(text: str) -> Optional[List[str]]:
    return None if text == "all" else [name for name in text.split(",") if name]


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _complain(text: str) -> None:
    sys.stderr.write(f"spotkeeper-agent: {text}\n")
