"""Several workers on one host: each has its GPU, its port for metrics, and says what is wrong with its setting."""

from __future__ import annotations

import pytest

from worker.errors import SettingsError
from worker.settings import WorkerSettings


@pytest.mark.parametrize(
    ("gpu", "address", "at"),
    [
        ("", "127.0.0.1:9100", "127.0.0.1:9100"),
        ("0", "127.0.0.1:9100", "127.0.0.1:9100"),
        ("3", "[::1]:9100", "[::1]:9103"),
        ("2,3", "127.0.0.1:9100", "127.0.0.1:9102"),
        ("GPU-5f1a", "127.0.0.1:9100", "127.0.0.1:9100"),
        ("1", "", ""),
    ],
)
def test_metrics_of_each_gpu_have_a_port_of_their_own(gpu: str, address: str, at: str) -> None:
    assert WorkerSettings(gpu=gpu, metrics_address=address).metrics_at == at


@pytest.mark.parametrize("gpu", ["zero", "-1", "0;1", "1234"])
def test_what_is_no_gpu_is_refused_in_a_line(gpu: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARENA_GPU", gpu)
    with pytest.raises(SettingsError, match=r"^ARENA_GPU: .*write the GPU's number, such as 0"):
        WorkerSettings.from_env()
