"""What every training function is told, and what all of them do with it."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.experiment import is_finished
from soundstorm.training.step import TrainingStep
from soundstorm.training.trainer import train

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingRun:
    """Data, settings and place of a training, which is begun, gone on with, or left alone where it is finished."""

    train_data: str | Path  # data directory
    valid_data: str | Path  # another, to watch the training
    expdir: Path  # experiment directory to write
    config: dict[str, Any]  # section name -> dataclass, as ``SECTIONS`` of its front; ``training`` is one of them
    command: list[str]  # the command line, for the record

    @property
    def data_dirs(self) -> tuple[str | Path, str | Path]:
        """Both data directories."""
        return self.train_data, self.valid_data

    def is_finished(self) -> bool:
        """Whether there is nothing left to do, which is then said."""
        finished = is_finished(self.expdir)
        if finished:
            logger.info("%s: training is finished; nothing to do", self.expdir)
        return finished

    def check_same(self, train_info: TokenizerInfo, valid_info: TokenizerInfo) -> None:
        """Refuse directories whose tokens are those of two tokenizers."""
        train_info.check_same(valid_info, str(self.train_data), str(self.valid_data))

    def train(self, step: TrainingStep, train_set, valid_set) -> None:
        """See :func:`soundstorm.training.trainer.train`."""
        train(step, train_set, valid_set, self.config["training"], self.expdir)
