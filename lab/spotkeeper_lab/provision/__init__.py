"""The real stack program, created, changed and deleted in the local cloud.

The program runs under Pulumi's mock monitor. Each resource that it registers is created by boto3, so that ids and
ARNs flow on to the next ones and a wrong argument is refused by botocore or by the cloud. A type, an input or an
invoke that the table does not know is an error. What was declared is kept, so that the next run of the program does
what Pulumi's engine would: nothing where nothing has changed, else the update, or the deletion, of that resource.

Not done: replacing a resource, aliases, transforms, hooks, refreshing what somebody else has changed.
"""

from spotkeeper_lab.provision.provisioner import Provisioner, Registrar
from spotkeeper_lab.provision.table import Aws, ProvisionError, known

__all__ = ("Aws", "ProvisionError", "Provisioner", "Registrar", "known")
