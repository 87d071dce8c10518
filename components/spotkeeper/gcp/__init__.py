"""The components for Google Cloud. Import them from :mod:`spotkeeper`; this package loads no provider by itself."""
