"""The order of samples in an epoch: a permutation that is computed sample by sample, the same on every machine.

A keyed Feistel network over the least power of two that holds all samples; what falls beyond them is sent through it
again until it does not. So the order of 10^8 samples needs no memory, and any rank finds its own ids alone.
"""

from __future__ import annotations

import hashlib

_ROUNDS = 8
_MASK64 = (1 << 64) - 1
_ODD = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio: spreads neighbouring values over all bits."""


class Order:
    """A permutation of ``range(size)``.

    Args:
        size: how many samples there are, at least 1.
        seed: any whole number; another seed is another order.
        epoch: every epoch has an order of its own.
    """

    def __init__(self, size: int, seed: int, epoch: int) -> None:
        bits = max(6, (size - 1).bit_length())  # fewer leave some orders of few samples likelier than others
        self._size = size
        self._shift = bits - bits // 2
        self._left, self._right = (1 << bits // 2) - 1, (1 << self._shift) - 1
        self._keys = [_key(seed, epoch, number) for number in range(_ROUNDS)]

    def __getitem__(self, place: int) -> int:
        """Return the sample at ``place``, 0 to ``size - 1``."""
        if not 0 <= place < self._size:
            raise IndexError(f"place: was {place}, expected 0 to {self._size - 1}")
        sample = self._mixed(place)
        while sample >= self._size:
            sample = self._mixed(sample)
        return sample

    def _mixed(self, value: int) -> int:
        left, right = value >> self._shift, value & self._right
        keys = self._keys
        for number in range(0, _ROUNDS, 2):
            mixed = (right ^ keys[number]) * _ODD & _MASK64
            left ^= (mixed ^ mixed >> 29) * _ODD >> 37 & self._left
            mixed = (left ^ keys[number + 1]) * _ODD & _MASK64
            right ^= (mixed ^ mixed >> 29) * _ODD >> 37 & self._right
        return left << self._shift | right


def _key(seed: int, epoch: int, number: int) -> int:
    digest = hashlib.blake2b(f"{seed}/{epoch}/{number}".encode(), digest_size=8, person=b"spotkeeper-order").digest()
    return int.from_bytes(digest, "big")
