"""The real stack program, created, changed and deleted in a local cloud.

The program runs under Pulumi's mock monitor. Each resource that it registers is created through the cloud's own API
(``aws``: by boto3; ``gcp``: over HTTP), so that ids and links flow on to the next ones and a wrong argument is refused
by botocore, by Google's discovery document, or by the cloud. A type, an input or an invoke that the cloud's table does
not know is an error. What was declared is kept, so that the next run of the program does what Pulumi's engine would:
nothing where nothing has changed, else the update, or the deletion, of that resource.

Not done: replacing a resource by deleting it first, aliases, transforms, hooks, refreshing what others have changed.
"""

from spotkeeper_lab.provision.provisioner import Provisioner, Registrar
from spotkeeper_lab.provision.table import Provider, ProvisionError

__all__ = ("Provider", "ProvisionError", "Provisioner", "Registrar")
