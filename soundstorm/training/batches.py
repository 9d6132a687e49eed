"""Batches for the trainer, on its device; an item that cannot be read is named."""

from __future__ import annotations

import logging
import math
import signal
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Generator, Tensor, device
from torch.utils.data import DataLoader

from soundstorm.data.errors import InputError
from soundstorm.data.sampler import BatchSampler, SeededIndex
from soundstorm.training.training_config import TrainerConfig

logger = logging.getLogger(__name__)

VALIDATION_SEED = 0  # of crops and masks
SECONDS_TO_SAVE = 300  # from a signal on: to the end of the step and of its checkpoint


def make_sampler(
    dataset, config: TrainerConfig, *, rank: int, world_size: int, shuffle: bool
) -> BatchSampler:
    """The batches of a run's settings; items of validation (not shuffled) are always the same, whatever its seed."""
    return BatchSampler(
        getattr(dataset, "batch_lengths", dataset.durations),  # not all work is in the seconds
        batch_size=config.batch_size,
        batch_seconds=config.batch_seconds,
        seed=config.seed if shuffle else VALIDATION_SEED,
        rank=rank,
        world_size=world_size,
        shuffle=shuffle,
        drawn_seconds=getattr(dataset, "drawn_seconds", None),
    )


def warn_of_larger_batches(sampler: BatchSampler) -> None:
    """Each process gets an item of every batch, which many processes make larger than was asked for."""
    most, processes = sampler.most_processes(), sampler.world_size
    if processes <= most:
        return
    if sampler.batch_size is not None:
        logger.warning(
            "batch_size is %d, but batches have an item for each of %d processes; train in %d processes at "
            "most, or say that larger batches are meant: batch_size %d",
            most, processes, most, processes,
        )  # fmt: skip
        return
    longest = sampler.longest()
    logger.warning(
        "batch_seconds is %g, but batches have an item for each of %d processes, up to %.0f s where items "
        "have %.1f s; train in %d processes at most, or say that larger batches are meant: batch_seconds %d",
        sampler.batch_seconds, processes, processes * longest, longest, most, math.ceil(processes * longest),
    )  # fmt: skip


def read_batches(
    dataset, sampler: BatchSampler, device: device, *, num_workers: int
) -> Iterator[tuple[list[SeededIndex], dict]]:
    """The batches of one epoch from ``sampler.first_batch`` on, each with what was drawn for it.

    Raises:
        ValueError: an item cannot be read; the message names it.
    """
    loader = DataLoader(
        _Named(dataset),
        batch_sampler=sampler,
        collate_fn=_Collate(dataset),
        num_workers=num_workers,
        pin_memory=device.type == "cuda",  # else the copies below wait
        worker_init_fn=_leave_signals_to_the_trainer,
        generator=Generator(),  # else every new loader draws from the generator that dropout uses
    )
    for draws, batch in zip(sampler, loader):
        if isinstance(batch, _Fault):
            raise InputError(batch.message)
        on_device = {
            k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()
        }
        yield draws, on_device


def _leave_signals_to_the_trainer(worker: int) -> None:
    """A launcher signals all processes at once; a loading one that ended then would take the checkpoint with it.

    Nobody but the trainer ends it, by saying so, unless that takes very long.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(SECONDS_TO_SAVE))


def item_name(dataset, index: int) -> str:
    """What people call an item: its utterance, where the dataset knows it by ``name``."""
    return dataset.name(index) if hasattr(dataset, "name") else f"item {index} of the dataset"


@dataclass
class _Fault:
    """In place of an item: an error that crosses from a loading process is a page of traceback."""

    message: str


class _Named:
    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: SeededIndex):
        try:
            return self.dataset[draw]
        except (ValueError, OSError, RuntimeError) as error:
            name, reason = item_name(self.dataset, draw.index), " ".join(str(error).split())
            return _Fault(reason if name in reason else f"{name}: {reason}")


class _Collate:
    def __init__(self, dataset):
        self.dataset = dataset

    def __call__(self, items: list):
        return next((item for item in items if isinstance(item, _Fault)), None) or self.dataset.collate(items)
