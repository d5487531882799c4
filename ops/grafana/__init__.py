"""The dashboard, made from :mod:`ops.grafana.dashboard`; ``python -m ops.grafana`` writes ``arena.json`` beside it."""
