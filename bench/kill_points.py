"""Kills a process in the middle of a save, again and again, and looks at what the next one can resume from.

The process saves checkpoints of several parts, of which one has several pieces, to a folder or to a bucket on this
machine, and deletes old ones. At each boundary between two of its steps (system calls on files, requests to the
bucket) it is killed at least five times, before or after the step takes effect; then at moments drawn at random. Each
time a new generation begins, and must find the last checkpoint that was said to be published, or the one after it, with
every byte as it was. The process has nothing loaded but the store.

Exits with 1 where a resume was broken, or fewer than 80 % of the random kills were inside a save.
"""

from __future__ import annotations

import argparse
import collections
import random
import sys
import tempfile
from pathlib import Path

import support

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import kill_support
