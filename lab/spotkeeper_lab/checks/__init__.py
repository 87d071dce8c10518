"""What has to hold in scenarios that break more than a node, one topic a file; see :mod:`spotkeeper_lab.proof`."""
