"""What stands behind commands: options and their checks, and the package's own ``python -m`` commands."""
