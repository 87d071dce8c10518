"""A local Google Cloud for rehearsals: Compute Engine's managed instance groups behind a real HTTP server.

Methods, parameters and fields are checked by Google's own discovery document (``discovery``, ``validation``), fields
that depend on each other by hand (``template_rules``, ``group_rules``). Done are

- regional and global instance templates: insert, get, delete;
- regional managed instance groups: insert, get, list, patch, resize, delete, listManagedInstances, deleteInstances,
  recreateInstances;
- operations: get, wait; instances: get, list, delete, simulateMaintenanceEvent; zones: get, list.

What the document has beside these is answered with status 501, so that nobody takes it for done. So are rolling updates
(``updatePolicy.type`` PROACTIVE with a new template), groups with several versions, stateful and standby instances,
``defaultActionOnFailure`` DO_NOTHING, numbered base names, ``filter`` and ``orderBy``.

Accepted without effect: health checks of ``autoHealingPolicies``, ``allInstancesConfig``, named ports, target pools,
proactive redistribution, ``maxRunDuration``, ``noGracefulShutdown``, ``fields`` and ``alt``. Groups do not mind zones
when they shrink. With the termination action STOP a preempted instance goes as with DELETE: its group recreates it
either way. Not there at all: permissions, prices, rate limits, disks, networks, reservations, resize requests, and more
projects than one. Codes of errors that Google does not document are guesses; the field that they name is not.

Nothing here runs processes: what happens is told to a callback, so that something else can.
"""

from spotkeeper_lab.local_gcp.local_gcp import LocalGcp
from spotkeeper_lab.local_gcp.market import CAPACITY, CONFIGURATION, QUOTA, SPOT, STANDARD, Market
from spotkeeper_lab.local_gcp.timing import Timing

__all__ = ["CAPACITY", "CONFIGURATION", "QUOTA", "SPOT", "STANDARD", "LocalGcp", "Market", "Timing"]
