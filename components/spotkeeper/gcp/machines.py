"""Which machine types there are: their accelerators, their processors, and the disks that they start from.

Source: Compute Engine documentation, "Machine families resource and comparison guide", "GPU machine types", "Choose a
disk type".
"""

import re

# fmt: off
ACCELERATORS = {
    "a2-highgpu": "A100 40 GB", "a2-megagpu": "A100 40 GB", "a2-ultragpu": "A100 80 GB", "a3-edgegpu": "H100",
    "a3-highgpu": "H100", "a3-megagpu": "H100", "a3-ultragpu": "H200", "a4-highgpu": "B200", "a4x-highgpu": "GB200",
    "a4x-maxgpu": "GB300", "g2-standard": "L4", "g4-standard": "RTX PRO 6000",
}
# fmt: on
"""Accelerator of each machine type that comes with one, by the type's first two words."""
_ACCELERATED = re.compile(r"[ag]\d+x?-")
_TPU = re.compile(r"(ct\d|tpu)")
_ARM = frozenset({"t2a", "c4a", "n4a", "a4x"})
_HYPERDISK_ONLY = frozenset({"a4", "a4x", "c4", "c4a", "c4d", "g4", "h4d", "m4", "n4", "n4a", "n4d", "x4"})
_STAYS_WITH_ITS_HOST = frozenset({"h3", "h4d"})


def family(machine_type: str) -> str:
    """Return the series of a machine type, such as ``n2``."""
    return machine_type.split("-", maxsplit=1)[0]


def accelerator(machine_type: str) -> str:
    """Return the accelerator that a type comes with: ``""`` for none, its own name where the table does not know it."""
    words = "-".join(machine_type.split("-")[:2])
    return ACCELERATORS.get(words) or (words if _ACCELERATED.match(machine_type) else "")


def is_tpu(name: str) -> bool:
    """Return whether a machine type or an accelerator is a TPU."""
    return bool(_TPU.match(name)) or "tpu" in name


def is_arm(machine_type: str) -> bool:
    """Return whether a type has Arm processors, which start from other images."""
    return family(machine_type) in _ARM


def takes_hyperdisk_only(machine_type: str) -> bool:
    """Return whether a type starts from no persistent disk."""
    return family(machine_type) in _HYPERDISK_ONLY


def can_migrate(machine_type: str) -> bool:
    """Return whether a type can be moved to another host while it runs."""
    fixed = family(machine_type) in _STAYS_WITH_ITS_HOST or machine_type.endswith("-metal")
    return not (fixed or accelerator(machine_type))
