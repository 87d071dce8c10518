"""Lifecycle actions: instances that wait on their way out until somebody says that they may go, or time is up."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace

from moto.autoscaling.exceptions import ValidationError

TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"

_GLOBAL_LIMIT_SECONDS = 48 * 3600
_GLOBAL_LIMIT_TIMEOUTS = 100


@dataclass(frozen=True)
class LifecycleAction:
    """One instance that waits for one hook. Times are on the monotonic clock."""

    group: str
    hook: str
    instance: str
    timeout_seconds: float
    began_at: float
    expires_at: float
    token: str = field(default_factory=lambda: str(uuid.uuid4()))


class LifecycleActions:
    """The actions that wait now. Touched under the world's lock only."""

    def __init__(self) -> None:
        self._waiting: dict[str, LifecycleAction] = {}

    def begin(self, group: str, hook: str, instance: str, timeout_seconds: float, now: float) -> LifecycleAction:
        """Let an instance wait for a hook."""
        action = LifecycleAction(group, hook, instance, timeout_seconds, now, now + timeout_seconds)
        self._waiting[action.token] = action
        return action

    def find(self, group: str, hook: str, *, instance: str | None, token: str | None) -> LifecycleAction:
        """Return the action that waits for a hook, by its token or its instance.

        Raises:
            ValidationError: Neither is given, or nothing of the kind waits (any more).
        """
        if not (instance or token):
            raise ValidationError("Either LifecycleActionToken or InstanceId must be specified")
        for action in self._waiting.values():
            named = action.token == token if token else action.instance == instance
            if named and (action.group, action.hook) == (group, hook):
                return action
        sought = f"token {token}" if token else f"instance ID {instance}"
        raise ValidationError(f"No active Lifecycle Action found with {sought}")

    def heartbeat(self, action: LifecycleAction, now: float) -> None:
        """Start the timeout of an action again; never beyond 100 timeouts, or 48 hours, after its beginning."""
        limit = min(_GLOBAL_LIMIT_SECONDS, _GLOBAL_LIMIT_TIMEOUTS * action.timeout_seconds)
        expires = min(now + action.timeout_seconds, action.began_at + limit)
        self._waiting[action.token] = replace(action, expires_at=expires)

    def seconds_left(self, token: str, now: float) -> float | None:
        """Return how long an action will wait yet without another heartbeat; ``None`` where it waits no more."""
        action = self._waiting.get(token)
        return None if action is None else max(0.0, action.expires_at - now)

    def end(self, action: LifecycleAction) -> bool:
        """End an action; return whether its instance waits for no other hook."""
        self._waiting.pop(action.token, None)
        return not any(other.instance == action.instance for other in self._waiting.values())

    def forget(self, instance: str) -> None:
        """End all actions of an instance that is gone."""
        self._waiting = {token: action for token, action in self._waiting.items() if action.instance != instance}
