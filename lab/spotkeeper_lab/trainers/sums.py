"""Sums over all ranks of a job, over plain sockets: rank 0 adds up what the others send, and answers all of them.

Whoever waits here waits for all ranks; when one of them is gone, all fail.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, Self, cast

import numpy as np
from numpy.typing import NDArray

from spotkeeper_ledger import run_dir

MEET_SECONDS = 60.0
"""How long ranks wait for each other to come."""
_PAUSE_SECONDS = 0.02
_HELLO, _LENGTHS = struct.Struct("!QI"), struct.Struct("!II")


@dataclass(frozen=True)
class Place:
    """One rank's place in its generation, as the agent tells it."""

    rank: int = 0
    ranks: int = 1
    generation: int = 0
    address: str = ""
    """Where rank 0 is met."""
    port: int = 0

    @classmethod
    def told(cls) -> Self:
        """Return the place of this process; one that nobody has told of any is alone."""
        told = os.environ.get
        rank, ranks, port = (int(told(name) or 0) for name in ("PET_NODE_RANK", "PET_NNODES", "PET_MASTER_PORT"))
        generation = int(told(run_dir.GENERATION) or 0)
        return cls(rank, max(1, ranks), generation, told("PET_MASTER_ADDR") or "", port)


class Sums:
    """This rank's connections: to rank 0, or, on rank 0, to all others. A context manager that closes them."""

    def __init__(self, place: Place) -> None:
        """Meet the others; raises ``OSError`` where not all of them come within a minute."""
        self._place = place
        self._ends: Sequence[BinaryIO] = ()
        if place.ranks > 1:
            self._ends = [_stream(_call(place))] if place.rank else _gather(place)

    def __enter__(self) -> Self:
        """Return these connections."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close them."""
        for end in self._ends:
            end.close()

    def add(
        self, values: NDArray[np.float64], marks: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the sum of all ranks' values, and all their marks one after the other, in the order of the ranks.

        Raises ``ConnectionError`` when a rank is gone.
        """
        if self._place.rank:
            _send(self._ends[0], values, marks)
            return _receive(self._ends[0])
        said = [(values, marks), *(_receive(end) for end in self._ends)]
        total = np.sum([each for each, _ in said], axis=0)
        everything = np.concatenate([each for _, each in said])
        for end in self._ends:
            _send(end, total, everything)
        return total, everything


def _call(place: Place) -> socket.socket:
    give_up_at = time.monotonic() + MEET_SECONDS
    while True:
        try:
            connection = socket.create_connection((place.address, place.port), timeout=MEET_SECONDS)
        except OSError:  # rank 0 is not there yet
            if time.monotonic() > give_up_at:
                raise
            time.sleep(_PAUSE_SECONDS)
            continue
        connection.sendall(_HELLO.pack(place.generation, place.rank))
        return connection


def _gather(place: Place) -> list[BinaryIO]:
    """Return the connections of ranks 1, 2, …, whoever came first."""
    found: dict[int, BinaryIO] = {}
    with socket.create_server((place.address, place.port)) as server:
        server.settimeout(MEET_SECONDS)
        while len(found) < place.ranks - 1:
            end = _stream(server.accept()[0])
            generation, rank = _HELLO.unpack(_read(end, _HELLO.size))
            if generation == place.generation:
                found[rank] = end
            else:
                end.close()  # a rank of a generation that is over
    return [found[rank] for rank in sorted(found)]


def _stream(connection: socket.socket) -> BinaryIO:
    connection.settimeout(None)  # a rank may save, and others wait for it
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return cast(BinaryIO, connection.makefile("rwb"))


def _send(end: BinaryIO, values: NDArray[np.float64], marks: NDArray[np.int64]) -> None:
    end.write(_LENGTHS.pack(len(values), len(marks)) + values.tobytes() + marks.tobytes())
    end.flush()


def _receive(end: BinaryIO) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    values, marks = _LENGTHS.unpack(_read(end, _LENGTHS.size))
    return np.frombuffer(_read(end, 8 * values), np.float64), np.frombuffer(_read(end, 8 * marks), np.int64)


def _read(end: BinaryIO, size: int) -> bytes:
    body = end.read(size)
    if len(body) < size:
        raise ConnectionError("a rank of this job is gone")
    return body
