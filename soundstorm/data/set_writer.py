"""Data directories written line by line, for corpora whose tables should not be held in memory."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from soundstorm.data.data_dir import SPEAKER_FIRST, PathLike, check_ids, naming
from soundstorm.data.data_dir_replace import staged
from soundstorm.data.errors import InputError

logger = logging.getLogger(__name__)
FILES = ("wav.scp", "segments", "utt2spk", "spk2utt", "utt2dur", "text")


class Utterance(NamedTuple):
    """One utterance to be written.

    Attributes:
        name: Its id, which begins with the speaker's.
        recording: The recording it lies in.
        start, end: Where, in seconds.
        text: Its transcript, where the set has them.
    """

    name: str
    recording: str
    start: float
    end: float
    text: str = ""


class SetWriter:
    """Writes one data directory, speaker by speaker, in the place of an old one, see `staged`.

    What is in memory is one speaker's. The files get their names only when all went well, so an interrupted
    run leaves the old ones, if any. A set without utterances is not made.

    Args:
        directory: Where the set goes.
        segments: Whether utterances are parts of recordings; otherwise each has a file of its own, of its
            name.
        text: Whether there are transcripts.
        more: Names of further files, for `write`.
    """

    def __init__(
        self, directory: PathLike, *, segments: bool = True, text: bool = False, more: Sequence[str] = ()
    ) -> None:
        self.directory = Path(directory)
        absent = {"segments": not segments, "text": not text}
        self._names = [name for name in (*FILES, *more) if not absent.get(name)]
        self._last_utterance = self._last_speaker = self._last_recording = ""
        self.num_utterances = self.num_speakers = 0
        self.seconds = 0.0

    def __enter__(self) -> SetWriter:
        with ExitStack() as stack:
            self._new = stack.enter_context(staged(self.directory))
            names = self._names
            self._files = {n: stack.enter_context(open(self._new / n, "w", encoding="utf-8")) for n in names}
            self._stack = stack.pop_all()
        return self

    def add(self, speaker: str, recordings: Mapping[str, PathLike], utterances: Sequence[Utterance]) -> None:
        """Write all utterances of one speaker; speakers come in the order of their utterances' names.

        Args:
            speaker: Id.
            recordings: Id of a recording to its file, of this speaker's utterances.
            utterances: In any order.

        Raises:
            ValueError: Ids that cannot be, or that come out of order.
        """
        if not utterances:
            return
        check_ids([speaker, *recordings, *(u.name for u in utterances)], self.directory)
        utterances = sorted(utterances)
        self._check_order(speaker, min(recordings), utterances)
        with naming(self.directory):
            for name in sorted(recordings):
                self.write("wav.scp", name, str(recordings[name]))
            for name, recording, start, end, words in utterances:
                self.write("segments", name, f"{recording} {start:.3f} {end:.3f}")
                self.write("utt2spk", name, speaker)
                self.write("utt2dur", name, f"{end - start:.3f}")
                self.write("text", name, words)
            self.write("spk2utt", speaker, " ".join(u.name for u in utterances))
        self._last_utterance, self._last_speaker = utterances[-1].name, speaker
        self._last_recording = max(recordings)
        self.num_utterances += len(utterances)
        self.num_speakers += 1
        self.seconds += sum(u.end - u.start for u in utterances)

    def _check_order(self, speaker: str, recording: str, utterances: Sequence[Utterance]) -> None:
        names = [self._last_utterance, *(u.name for u in utterances)]
        for before, name in zip(names, names[1:]):
            if name <= before:
                raise InputError(f"{self.directory}: utterance {name} comes after {before}; names must rise")
        if speaker <= self._last_speaker or recording <= self._last_recording:
            raise InputError(
                f"{self.directory}: speaker {speaker} and recording {recording} come after "
                f"{self._last_speaker} and "
                f"{self._last_recording}; both must rise; {SPEAKER_FIRST}"
            )

    def write(self, name: str, key: str, value: str) -> None:
        """Add a line to a file, unless this set is without it."""
        if name in self._files:
            self._files[name].write(f"{key} {value}\n")

    def become(self, other: SetWriter) -> None:
        """Be what another writer has written, which then makes nothing."""
        for writer in (self, other):
            for name, file in writer._files.items():
                with naming(writer.directory / name):
                    file.close()
        for name in other._names:
            shutil.move(other._new / name, self._new / name)
        other._names = []

    def __exit__(self, kind, error, trace) -> None:
        if error is None and self._names and not self.num_utterances:
            logger.warning("%s: no utterances, not made", self.directory)
            for name in self._names:
                (self._new / name).unlink()
        with naming(self.directory):
            self._stack.__exit__(kind, error, trace)
        if error is None and self._names and self.num_utterances:
            logger.info("%s: %s", self.directory, self.summary())

    def summary(self) -> str:
        """For people: utterances, speakers, hours."""
        return f"{self.num_utterances} utterances, {self.num_speakers} speakers, {self.seconds / 3600:.2f} h"
