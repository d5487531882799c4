"""Measurements of ourselves against a named other, paired in one run: ``python -m ops.bench NAME [--json]``."""
