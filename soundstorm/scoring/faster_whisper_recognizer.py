"""Whisper (Radford et al., 2022) by faster-whisper: 8-bit integers on a CPU, about half of the time of transformers.

Its figures are not those of the same model in transformers: weights are rounded, and short recordings are filled up
with zeros in the spectrum, not in the sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from soundstorm.data.errors import InputError
from soundstorm.scoring.intelligibility import Transcript
from soundstorm.scoring.seq2seq_recognizer import LONGEST, is_loop, most_tokens, timed_transcript
from soundstorm.scoring.text_normalization import scored_text

PREFIX = "faster-whisper:"  # before the name


class FasterWhisper:
    """Greedy decoding, one recording after the other, with the times of words."""

    def __init__(self, source: str, *, device: str = "cpu", language: str | None = None):
        """
        Args:
            source: directory of a Whisper that CTranslate2 has converted, or its name on the hub.
            device: cpu or cuda.
            language: code of the speech's language, for a model of many; None: it guesses for each recording.

        Raises:
            FileNotFoundError: no such model, or an incomplete one.
            InputError: faster-whisper is not installed, or reads no such language.
        """
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise InputError(
                f"{PREFIX}{source} needs faster-whisper ({error}); add it by: pip install faster-whisper"
            ) from error
        from soundstorm.models.hub import CTRANSLATE2, model_directory

        directory = model_directory(source, weights=CTRANSLATE2)
        _check_complete(directory)
        self.name, self._language = f"{PREFIX}{source}", language
        self._model = WhisperModel(str(directory), device=device, compute_type="int8" if device == "cpu" else "float16")
        self.sample_rate = self._model.feature_extractor.sampling_rate
        known = self._model.supported_languages
        if language and language not in known:
            some = ", ".join(known[:5]) + (", ..." if len(known) > 5 else "")
            raise InputError(f"{self.name} knows no language {language!r}, expected one of {some}")

    def __call__(self, wavs: Sequence[np.ndarray]) -> list[Transcript]:
        """Transcribe recordings one by one; those of more than 30 s window by window."""
        return [self._transcribe(wav, word_times=True) for wav in wavs]

    def without_times(self, wavs: Sequence[np.ndarray]) -> list[Transcript]:
        """The same without the times of words, which also tell where the next window of a long recording begins."""
        return [self._transcribe(wav, word_times=False) for wav in wavs]

    def _transcribe(self, wav: np.ndarray, word_times: bool) -> Transcript:
        transcript = self._generate(wav, word_times)
        return self._generate(wav, word_times, no_repeat_ngram_size=3) if is_loop(transcript.written) else transcript

    def _generate(self, wav: np.ndarray, word_times: bool, **options) -> Transcript:
        seconds = len(wav) / self.sample_rate
        long = seconds > LONGEST
        segments, _ = self._model.transcribe(
            np.asarray(wav, np.float32),
            language=self._language,
            beam_size=1,
            temperature=0.0,
            # What it doubts is an error too, and no silence.
            no_speech_threshold=None,
            log_prob_threshold=None,
            compression_ratio_threshold=None,
            condition_on_previous_text=False,
            without_timestamps=not long,
            word_timestamps=word_times,
            max_new_tokens=most_tokens(seconds),
            **options,
        )
        # The first is all of a short recording. With times of words it would read on from where the last word ends.
        segments = list(segments if long else islice(segments, 1))
        written = "".join(segment.text for segment in segments).strip()
        if not word_times:
            return Transcript(scored_text(written), written=written)
        words: list[tuple[str, float]] = []
        for piece in (word for segment in segments for word in segment.words or ()):
            if words and not piece.word.startswith(" "):  # a mark that it took for a word
                words[-1] = (words[-1][0] + piece.word, words[-1][1])
            else:
                words.append((piece.word, float(piece.start)))
        return timed_transcript(written, words)


def _check_complete(directory: Path) -> None:
    """All files are there: for some it would go to the network by itself."""
    missing = [name for name in ("model.bin", "config.json", "tokenizer.json") if not (directory / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{directory}: no Whisper of CTranslate2, {' and '.join(missing)} missing; make one by: "
            "ct2-transformers-converter --model openai/whisper-base --quantization int8 "
            "--copy_files tokenizer.json preprocessor_config.json --output_dir <new directory>"
        )
