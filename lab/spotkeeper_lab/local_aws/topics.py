"""What is published to topics, written down. moto keeps it, and mails nobody."""

from __future__ import annotations

from moto.sns.models import sns_backends

from spotkeeper_lab.local_aws.world import World


class Topics:
    """Watches moto's topics.

    Args:
        world: whose topics, and where ``announced`` is written down.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._told: set[str] = set()

    def published(self) -> None:
        """Write down what has been published since the last call. Under the world's lock."""
        for topic in sns_backends[self._world.account][self._world.region].topics.values():
            for message, text, subject, *_ in topic.sent_notifications:
                if message not in self._told:
                    self._told.add(message)
                    self._world.events.add("announced", subject=subject or "", text=text)
