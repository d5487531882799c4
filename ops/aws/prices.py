"""What it costs, from the one annotated file beside this."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.setup.console import SetupError

FILE = Path(__file__).with_name("prices.toml")


@dataclass(frozen=True, slots=True)
class Shape:
    """A type of instance. Sizes as the worker's planner reads them."""

    hour: float
    gpus: int
    gpu: str
    gpu_memory: str
    vcpus: int
    memory: str
    catalog: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Bill:
    """Dollars: an hour while it runs, a month of 12 hours a day, a whole month."""

    hour: float
    half: float
    month: float


@dataclass(frozen=True, slots=True)
class Prices:
    """The file."""

    data: dict[str, Any]

    @classmethod
    def load(cls) -> Prices:
        return cls(tomllib.loads(FILE.read_text()))

    @property
    def regions(self) -> list[str]:
        return list(self.data["regions"])

    @property
    def types(self) -> list[str]:
        return list(self.data["types"])

    def knows(self, instance_type: str) -> bool:
        """Whether its shape and price are here."""
        return instance_type in self.data["types"]

    def shape(self, instance_type: str) -> Shape:
        """Raises SetupError for a type that is not in the file."""
        if not self.knows(instance_type):
            raise SetupError(f"{instance_type} is not in ops/aws/prices.toml",
                             f"One of {', '.join(self.types)}; or add its table there")  # fmt: skip
        return Shape(**self.data["types"][instance_type])

    def instead_of(self, instance_type: str) -> list[str]:
        """Others with as many GPUs, the cheapest first."""
        gpus = self.shape(instance_type).gpus if self.knows(instance_type) else 1
        others = [t for t in self.types if t != instance_type and self.shape(t).gpus == gpus]
        return sorted(others, key=lambda t: self.shape(t).hour)[:4]

    def bill(self, instance_type: str, disk_gb: int, balanced: bool) -> Bill:
        """Disk, address and balancer cost their whole month, whether the host runs or not."""
        month: float = self.data["hours_a_month"]
        addresses = 3 if balanced else 1  # the balancer has one in each of two zones at least
        always = disk_gb * self.data["gp3_gb_month"] / month + addresses * self.data["ipv4_hour"]
        if balanced:
            always += self.data["balancer_hour"] + self.data["balancer_unit_hour"]
        running = self.shape(instance_type).hour
        return Bill(running + always, running * month / 2 + always * month, (running + always) * month)

    def spoken(self, instance_type: str, disk_gb: int, balanced: bool, region: str) -> str:
        """One or two lines for the terminal."""
        bill = self.bill(instance_type, disk_gb, balanced)
        parts = f"{instance_type}, {disk_gb} GB gp3, public address{', balancer' if balanced else ''}"
        text = (f"Cost: ${bill.hour:.3f} an hour, ${bill.half:.0f} a month of 12-hour days, ${bill.month:.0f} a month "
                f"({parts}; {self.data['region']}, list of {self.data['read']})")  # fmt: skip
        if region not in self.data["same_in"]:
            text += f"\n      {region} is usually dearer: https://aws.amazon.com/ec2/pricing/on-demand"
        return text
