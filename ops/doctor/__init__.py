"""``python -m ops.doctor``: looks a host over and says what to fix; see :mod:`ops.doctor.checks`."""
