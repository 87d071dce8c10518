"""Training jobs that a rehearsal runs: real ones, small enough for one machine."""

import os

# Sums in a fixed order, and one core for each job. Libraries read it when they are first imported, which is after this.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
