"""Systems Manager's Run Command: the deployed document, run on the nodes that a command aims at.

moto keeps documents and commands. Stood in here: the document has to exist, its parameters are checked as it says, and
its shell scripts run on every running node that matches, with the parameters in place. Not done: documents other than
``aws:runShellScript`` ones, preconditions, concurrency and error limits, the state of invocations.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from moto.core.responses import ActionResult
from moto.ssm.exceptions import InvalidDocument, SSMException
from moto.ssm.responses import SimpleSystemManagerResponse

from spotkeeper_lab.local.machine import Node
from spotkeeper_lab.local_aws.node import NodeProcesses
from spotkeeper_lab.local_aws.world import World

_SHELL = "aws:runShellScript"
_EXECUTION_SECONDS = 3600.0
_TAG = "tag:"


class InvalidParameters(SSMException):
    """A command's parameters are not what its document allows."""

    def __init__(self, message: str) -> None:
        super().__init__("InvalidParameters", message)


def fill_in(document: Mapping[str, Any], given: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the value of every parameter of a document, checked.

    Raises:
        InvalidParameters: One is missing, unknown, or not what the document allows.
    """
    declared: Mapping[str, Mapping[str, Any]] = document.get("parameters") or {}
    for name in given.keys() - declared.keys():
        raise InvalidParameters(f"{name}: is no parameter of the document, expected one of {', '.join(declared)}")
    values = {}
    for name, rules in declared.items():
        value = given[name][0] if given.get(name) else rules.get("default")
        if value is None:
            raise InvalidParameters(f"{name}: was not given, and has no default")
        pattern, choices = rules.get("allowedPattern"), rules.get("allowedValues")
        if pattern is not None and not re.search(pattern, str(value)):
            raise InvalidParameters(f"{name}: was {value!r}, expected a match of {pattern}")
        if choices is not None and value not in choices:
            raise InvalidParameters(f"{name}: was {value!r}, expected one of {', '.join(choices)}")
        values[name] = str(value)
    return values


def scripts(document: Mapping[str, Any], values: Mapping[str, str]) -> list[tuple[str, float]]:
    """Return the scripts of a document with ``{{ Parameter }}`` filled in, each with the seconds that it may run.

    Raises:
        NotImplementedError: It has a step that is no shell script.
    """

    def fill(text: str) -> str:
        return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: values.get(match[1], match[0]), text)

    found = []
    for step in document["mainSteps"]:
        if step["action"] != _SHELL:
            raise NotImplementedError(f"step {step.get('name')}: was {step['action']}, expected {_SHELL}")
        inputs = step["inputs"]
        script = "\n".join(fill(line) for line in inputs["runCommand"])
        found.append((script, float(fill(str(inputs.get("timeoutSeconds", _EXECUTION_SECONDS))))))
    return found


class RunCommand:
    """Delivers commands to nodes, to all at once."""

    def __init__(self, world: World, nodes: NodeProcesses) -> None:
        self._world = world
        self._nodes = nodes
        self._pool = ThreadPoolExecutor(max_workers=32, thread_name_prefix="local-aws-ssm")

    def aimed_at(self, instances: Sequence[str], targets: Sequence[Mapping[str, Any]]) -> list[Node]:
        """Return the running nodes that a command aims at: those named, and those that match every target.

        Raises:
            NotImplementedError: A target that is no tag.
        """
        matching = {node.id: node for node in self._nodes.running()}
        for target in targets:
            if not str(target["Key"]).startswith(_TAG):
                raise NotImplementedError(f"target: was {target['Key']}, expected {_TAG}…")
            tagged = {node.id for node in self._nodes.tagged(str(target["Key"])[len(_TAG) :], target["Values"])}
            matching = {key: node for key, node in matching.items() if key in tagged}
        named = [node for node in self._nodes.running() if node.id in instances]
        return named + [node for node in matching.values() if targets and node not in named]

    def deliver(self, nodes: Sequence[Node], document: Mapping[str, Any], values: Mapping[str, str]) -> None:
        """Run a document on nodes; returns at once."""
        steps = scripts(document, values)
        for node in nodes:
            self._pool.submit(self._run, node, steps, values)

    def close(self) -> None:
        """Start nothing more, and wait for what runs. Ends at once when the nodes' processes are killed."""
        self._pool.shutdown(cancel_futures=True)

    def _run(self, node: Node, steps: Sequence[tuple[str, float]], values: Mapping[str, str]) -> None:
        labels = {name.lower(): value for name, value in values.items()}
        for script, timeout in steps:
            try:
                ended = self._nodes.run(node.id, script, timeout)
            except ProcessLookupError:
                return  # it was taken away before the command came
            output = ended.stdout.decode(errors="replace")
            self._world.events.add("ssm-delivered", node.id, **labels, exit_code=ended.returncode, output=output)


class SystemsManagerApi(SimpleSystemManagerResponse):
    """Answers one request; moto answers what is not here."""

    def __init__(self, command: RunCommand) -> None:
        super().__init__()
        self._run_command = command

    def send_command(self) -> ActionResult:
        """Check a command, keep it as moto does, and deliver it."""
        name = self._get_param("DocumentName")
        try:
            document = self.ssm_backend._get_documents(name).get_default_version().content_json
        except SSMException:
            raise InvalidDocument(f"Document with name {name} does not exist.") from None
        values = fill_in(document, self._get_param("Parameters", {}))
        nodes = self._run_command.aimed_at(self._get_param("InstanceIds", []), self._get_param("Targets", []))
        answer = super().send_command()
        self._run_command.deliver(nodes, document, values)
        return answer
