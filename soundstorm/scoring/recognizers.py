"""Recognisers by name: the recipe's own, transformers (hub or local), ESPnet's model zoo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from soundstorm.data.characters import BLANK, WORD_BOUNDARY
from soundstorm.data.data_dir import read_table
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import is_finished
from soundstorm.data.pack import part_of
from soundstorm.scoring.faster_whisper_recognizer import PREFIX as FASTER_WHISPER
from soundstorm.scoring.faster_whisper_recognizer import FasterWhisper
from soundstorm.scoring.intelligibility import Recognizer, Transcript
from soundstorm.scoring.lexicon import Lexicon
from soundstorm.scoring.measures import Remembered
from soundstorm.scoring.seq2seq_recognizer import Seq2SeqModel
from soundstorm.scoring.text_normalization import scored_text

if TYPE_CHECKING:  # torch is loaded where a model needs it
    from soundstorm.models.recognizer import TrainedRecognizer

CLOSED = "closed:"  # before a CTC model's name: decoded with the words of a text only


def model_of(name: str) -> str:
    """The directory or hub name in a recogniser's name, without what says how it is to be used."""
    return name.removeprefix(CLOSED).removeprefix(FASTER_WHISPER)


def load_recognizer(
    name: str,
    *,
    device: str = "cpu",
    vocabulary_text: str | None = None,
    language: str | None = None,
    load: Callable[[str], Recognizer] | None = None,
) -> Recognizer:
    """Load what `name` says.

    Args:
        name: `espnet:<model>` for ESPnet's model zoo; `faster-whisper:<model>` for a Whisper that CTranslate2
            has converted, a directory or on the hub; an experiment directory of train_recognizer; anything else
            is a transformers model in a local directory or on the hub, CTC or encoder-decoder. `closed:` before
            a CTC model decodes it with a closed vocabulary, the words of `vocabulary_text`, all sequences of
            them being equally likely.
        device: For torch models.
        vocabulary_text: Kaldi `text` file whose words are the closed vocabulary.
        language: Code of the speech's language, for a model of many; None: it guesses.
        load: Where the CTC model behind a closed vocabulary comes from by its name, which may be in use already;
            None: loaded here.
    """
    if name.startswith("espnet:"):
        return EspnetRecognizer(name.removeprefix("espnet:"), device)
    if name.startswith(FASTER_WHISPER):
        return FasterWhisper(name.removeprefix(FASTER_WHISPER), device=device, language=language)
    if name.startswith(CLOSED):
        if not vocabulary_text:
            raise InputError(
                f"{name}: a closed vocabulary needs a text file to take the words from: --vocabulary-text"
            )
        load = load or partial(load_recognizer, device=device, language=language)
        return ClosedVocabulary(name, load(name.removeprefix(CLOSED)), vocabulary_text)
    plain = part_of(name, "recognizer")
    if is_finished(plain) and (Path(plain) / "config.yaml").is_file():
        from soundstorm.models.recognizer import load_trained_recognizer

        return TrainedCtc(plain, load_trained_recognizer(plain, device=device))
    return _load_transformers(plain, device, language)


def _load_transformers(name: str, device: str, language: str | None) -> Recognizer:
    from transformers import AutoConfig, AutoModelForCTC, AutoModelForSpeechSeq2Seq, AutoProcessor

    from soundstorm.models.hub import model_directory

    if name.startswith((".", "/")) or Path(name).is_dir() or name.count("/") > 1:
        if not (Path(name) / "config.json").is_file():
            raise FileNotFoundError(
                f"{name}: no transformers model there (config.json is missing); train it first"
            )
    directory = model_directory(name)
    config = AutoConfig.from_pretrained(directory)
    processor = AutoProcessor.from_pretrained(directory)
    is_ctc = any(architecture.endswith("ForCTC") for architecture in config.architectures or ())
    kind = AutoModelForCTC if is_ctc else AutoModelForSpeechSeq2Seq
    model = kind.from_pretrained(directory, use_safetensors=True).to(device).eval()
    if is_ctc:
        return CtcModel(name, model, processor)
    return Seq2SeqModel(name, model, processor, language=language)


class TrainedCtc:
    """Greedy decoding of a recogniser that the recipe trained, without lexicon and language model."""

    def __init__(self, name: str, trained: TrainedRecognizer):
        self.name = name
        self.sample_rate = trained.sample_rate
        self.log_probabilities = Remembered(trained.log_probabilities)
        self.vocabulary = trained.vocabulary
        self.blank = trained.vocabulary[BLANK]
        self.boundary = trained.vocabulary[WORD_BOUNDARY]

    def __call__(self, wavs: Sequence[np.ndarray]) -> list[Transcript]:
        """Transcribe recordings one by one."""
        return [self._transcribe(wav) for wav in wavs]

    def _transcribe(self, wav: np.ndarray) -> Transcript:
        best = self.log_probabilities(wav).argmax(axis=-1)
        seconds = len(wav) / self.sample_rate / len(best)
        letters = {column: letter for letter, column in self.vocabulary.items()}
        words: list[tuple[str, int]] = []  # and the frame at which each begins
        inside = False
        for frame, (column, before) in enumerate(zip(best, [self.blank, *best[:-1]])):
            if column in (self.blank, before):
                continue
            if column == self.boundary or len(letters[column]) > 1:  # <unk> is no letter of a word
                inside = False
                continue
            word, start = words.pop() if inside else ("", frame)
            words.append((word + letters[column], start))
            inside = True
        return Transcript(" ".join(word for word, _ in words), tuple(start * seconds for _, start in words))


class CtcModel:
    """Greedy decoding of a transformers CTC model, without lexicon and language model."""

    def __init__(self, name: str, model, processor):
        self.name = name
        self.sample_rate = processor.feature_extractor.sampling_rate
        self._model, self._processor = model, processor

    @property
    def vocabulary(self) -> dict[str, int]:
        """Letter to column of the scores."""
        return self._processor.tokenizer.get_vocab()

    @property
    def boundary(self) -> int:
        """Column of the letter that stands between words."""
        return self.vocabulary[self._processor.tokenizer.word_delimiter_token]

    @property
    def blank(self) -> int:
        """Column of the CTC blank."""
        return self._processor.tokenizer.pad_token_id

    def __call__(self, wavs: Sequence[np.ndarray]) -> list[Transcript]:
        """One recording at a time: padding would change the result of models without attention mask."""
        return [self._transcribe(wav) for wav in wavs]

    def log_probabilities(self, wav: np.ndarray) -> np.ndarray:
        """Scores (T, V) of a recording."""
        return self._logits(wav).float().log_softmax(-1).cpu().numpy()

    def _logits(self, wav: np.ndarray):
        import torch

        # Convolutions need 25 ms or more: a shorter recording is silence to the recogniser, not an error.
        wav = np.pad(wav, (0, max(0, self.sample_rate // 10 - len(wav))))
        inputs = self._processor(wav, sampling_rate=self.sample_rate, return_tensors="pt")
        with torch.inference_mode():
            return self._model(**inputs.to(self._model.device)).logits[0]

    def _transcribe(self, wav: np.ndarray) -> Transcript:
        logits = self._logits(wav)
        unknown = self._processor.tokenizer.unk_token or "<unk>"
        decoded = self._processor.tokenizer.decode(logits.argmax(dim=-1).cpu(), output_word_offsets=True)
        seconds = len(wav) / self.sample_rate / len(logits)
        # Keep text and times together: what is no word for scoring must not leave a time behind.
        words = [(word, entry["start_offset"] * seconds) for entry in decoded.word_offsets
                 for word in scored_text(entry["word"].replace(unknown, " ")).split()]  # fmt: skip
        return Transcript(" ".join(word for word, _ in words), tuple(start for _, start in words))


class ClosedVocabulary:
    """A CTC model decoded with a lexicon, the words of a text, and without language model."""

    def __init__(self, name: str, model: Recognizer, text_file: str):
        if not isinstance(model, (CtcModel, TrainedCtc)):
            raise InputError(f"{name}: a closed vocabulary needs a CTC model, this one is none")
        words = {word for text in read_table(text_file).values() for word in scored_text(text).split()}
        self._lexicon = Lexicon(words, model.vocabulary, blank=model.blank, boundary=model.boundary)
        self.name = name
        self.sample_rate = model.sample_rate
        self._model = model

    def __call__(self, wavs: Sequence[np.ndarray]) -> list[Transcript]:
        """Transcribe recordings one at a time."""
        transcripts = []
        for wav in wavs:
            scores = self._model.log_probabilities(wav)
            seconds = len(wav) / self.sample_rate / len(scores)
            words = self._lexicon.decode(scores)
            text = " ".join(word for word, _ in words)
            transcripts.append(Transcript(text, tuple(frame * seconds for _, frame in words)))
        return transcripts


class EspnetRecognizer:
    """A model of ESPnet's zoo."""

    sample_rate = 16000

    def __init__(self, name: str, device: str):
        try:
            from espnet2.bin.asr_inference import Speech2Text

            self._recognizer = Speech2Text.from_pretrained(name, device=device)
        except ImportError as error:
            raise InputError(
                f"espnet:{name} needs espnet and its model zoo ({error}); "
                f"run tools/install.sh, then: pip install espnet_model_zoo"
            ) from error
        self.name = f"espnet:{name}"

    def __call__(self, wavs: Sequence[np.ndarray]) -> list[Transcript]:
        """Transcribe recordings one by one."""
        texts = [self._recognizer(wav)[0][0] or "" for wav in wavs]
        return [Transcript(scored_text(text), written=text) for text in texts]
