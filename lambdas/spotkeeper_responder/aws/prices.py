"""Spot prices as EC2 tells them: one reading of a type serves all fleets of the function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from spotkeeper_ledger import PriceRecord
from spotkeeper_responder.ports import PRICE_SECONDS

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import SpotPriceTypeDef

NEVER = float("-inf")
REST_SECONDS = 30.0
"""For so long nobody asks again once it has failed: other fleets have to be looked after."""


class SpotPrices:
    """The price of each type in each zone, as last read. A process keeps them between batches."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[float, dict[str, float]]] = {}
        self._failed_at = NEVER

    def of(
        self, types: Sequence[str], now: float, ask: Callable[[Sequence[str], float], Iterable[SpotPriceTypeDef]]
    ) -> dict[tuple[str, str], PriceRecord]:
        """Return the price of each of ``types`` in each zone, read less than :data:`PRICE_SECONDS` ago.

        Args:
            types: instance types.
            now: Unix seconds.
            ask: returns the prices of types at a moment.

        Raises:
            LookupError: It failed a moment ago.
            Exception: Whatever ``ask`` raises.
        """
        old = [kind for kind in types if now - self._read.get(kind, (NEVER,))[0] >= PRICE_SECONDS]
        if old:
            if now - self._failed_at < REST_SECONDS:
                raise LookupError("it could not be read a moment ago")
            self._failed_at, read = now, {kind: (now, dict[str, float]()) for kind in old}
            for each in ask(old, now):
                read[each["InstanceType"]][1].setdefault(each["AvailabilityZone"], float(each["SpotPrice"]))
            self._failed_at = NEVER
            self._read |= read
        known = ((kind, *self._read[kind]) for kind in types)
        return {(kind, zone): PriceRecord(price, at) for kind, at, zones in known for zone, price in zones.items()}
