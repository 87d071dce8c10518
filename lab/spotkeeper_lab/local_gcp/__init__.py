"""A local Google Cloud for rehearsals: its services behind one real HTTP server, and real processes for its instances.

Whatever runs in a rehearsal calls it over HTTP with Google's own protocols. Methods, parameters and fields are checked
by Google's own discovery documents (``discovery``, ``validation``), fields that depend on each other by hand. What is
stood in for Google, and what of that is not done, is told by each module:

- Compute Engine (``api``): regional and global instance templates; regional managed instance groups (insert, get, list,
  patch, resize, delete, listManagedInstances, deleteInstances, recreateInstances); operations; instances (get, list,
  delete, simulateMaintenanceEvent); zones; firewalls, which are kept. A spot market (``market``), preemptions
  (``instances``), nodes with real processes (``machines``) and a metadata server each (``metadata``);
- Cloud Storage by both of its APIs (``storage_json``, ``storage_xml``), with generations, conditions on them, older
  versions, and permissions of nodes and the function (``permissions``);
- Pub/Sub (``pubsub``), the audit log and its sinks (``logs``), Cloud Scheduler (``scheduler``), alert policies on
  entries of the log (``monitoring``), service accounts and roles (``iam``);
- Cloud Functions (``functions``), of which one runs, under Google's own functions framework (``function``).

What the documents have beside these is answered with status 501, so that nobody takes it for done. Of Compute Engine
that is also said of rolling updates (``updatePolicy.type`` PROACTIVE with a new template), groups with several
versions, stateful and standby instances, ``defaultActionOnFailure`` DO_NOTHING, numbered base names, ``filter`` and
``orderBy``.
Accepted without effect: health checks of ``autoHealingPolicies``, ``allInstancesConfig``, named ports, target pools,
proactive redistribution, ``maxRunDuration``, ``noGracefulShutdown``, ``fields`` and ``alt``. Groups do not mind zones
when they shrink. With the termination action STOP a preempted instance goes as with DELETE: its group recreates it
either way. Not there at all: prices, rate limits, disks, networks, reservations, resize requests, and more projects
than one. Codes of errors that Google does not document are guesses; the field that they name is not.

Linux only: nodes get addresses of 127.0.0.0/8 and are found in ``/proc``.
"""

from spotkeeper_lab.local_gcp.callers import token_of
from spotkeeper_lab.local_gcp.function import Function, FunctionFailed
from spotkeeper_lab.local_gcp.local_gcp import LocalGcp
from spotkeeper_lab.local_gcp.market import CAPACITY, CONFIGURATION, QUOTA, SPOT, STANDARD, Market
from spotkeeper_lab.local_gcp.pubsub import MessageFaults
from spotkeeper_lab.local_gcp.timing import Timing

__all__ = [
    "CAPACITY",
    "CONFIGURATION",
    "QUOTA",
    "SPOT",
    "STANDARD",
    "Function",
    "FunctionFailed",
    "LocalGcp",
    "Market",
    "MessageFaults",
    "Timing",
    "token_of",
]
