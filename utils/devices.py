"""GPUs that several calls on one machine share: a job holds its devices by locks that end with the process."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from pathlib import Path


def visible_devices() -> list[str]:
    """Name the devices that jobs may use; empty where that cannot be told."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [device for device in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if device]
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    gpus = [line for line in listing.stdout.splitlines() if line.startswith("GPU ")]
    return [str(index) for index in range(len(gpus))]


class Slot:
    """A place for one job at a time, without devices of its own."""

    def claim(self) -> dict[str, str] | None:
        """The variables of a job that starts now; None where it has to wait."""
        return {}

    def release(self) -> None:
        """The job has ended."""


class DeviceSlot(Slot):
    """A place for a job with devices that no other job on this machine holds, whatever call it belongs to.

    Args:
        devices: What there is.
        count: Devices of a job.
        jobs_per_device: Jobs that may share one.
    """

    def __init__(self, devices: list[str], count: int, jobs_per_device: int = 1) -> None:
        self.devices, self.count, self.jobs_per_device = devices, count, jobs_per_device
        self.locks: list[int] = []
        # A name that only this user can have made, as others' locks are not ours to open.
        self.folder = Path(tempfile.gettempdir()) / f"soundstorm-devices-{os.getuid()}"
        self.folder.mkdir(mode=0o700, exist_ok=True)

    def claim(self) -> dict[str, str] | None:
        """The devices as ``CUDA_VISIBLE_DEVICES``; all of them or none, so that no two jobs wait for each other."""
        held = []
        for device in self.devices:
            if self._hold(device):
                held.append(device)
            if len(held) == self.count:
                return {"CUDA_VISIBLE_DEVICES": ",".join(held)}
        self.release()
        return None

    def _hold(self, device: str) -> bool:
        """The whole device; or one of its places, if nobody has the whole of it."""
        whole = self._lock(device, fcntl.LOCK_SH if self.jobs_per_device > 1 else fcntl.LOCK_EX)
        if not whole or self.jobs_per_device == 1:
            return whole
        if any(self._lock(f"{device}.{place}", fcntl.LOCK_EX) for place in range(self.jobs_per_device)):
            return True
        os.close(self.locks.pop())
        return False

    def _lock(self, name: str, kind: int) -> bool:
        lock = os.open(self.folder / name.replace("/", "_"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return False
        self.locks.append(lock)
        return True

    def release(self) -> None:
        """Let go of the devices."""
        for lock in self.locks:
            os.close(lock)
        self.locks = []
