"""The components for AWS. Import them from :mod:`spotkeeper`; this package loads no provider by itself."""
