"""Recognisers of transformers with encoder and decoder, above all Whisper (Radford et al., 2022)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from soundstorm.scoring.intelligibility import Transcript
from soundstorm.scoring.text_normalization import scored_text

LONGEST = 30.0  # seconds that Whisper reads in one go
MOST_COMPRESSION = 2.4  # characters to bytes of zlib; above it Whisper's own code takes a text for a loop, too
MOST_TOKENS = 400  # of a window; Whisper has 448 positions, some for its prompt
TOKENS_A_SECOND = 60  # more than anybody speaks, also where a word has 23 as in Telugu; only loops are cut


class Seq2SeqModel:
    """Greedy decoding, several recordings at a time; Whisper also says when each word begins."""

    batch_size = 8

    def __init__(self, name: str, model, processor, *, language: str | None = None):
        """
        Args:
            name: in tables.
            model: with its weights.
            processor: features and tokenizer.
            language: code of the speech's language, for a model of many; None: it guesses for each recording.
        """
        self.name = name
        self.sample_rate = processor.feature_extractor.sampling_rate
        self._model, self._processor = model, processor
        self._is_whisper = model.config.model_type == "whisper"
        self._language = {}
        if self._is_whisper and language and getattr(model.generation_config, "is_multilingual", False):
            self._language = {"language": language, "task": "transcribe"}
        if self._is_whisper and not getattr(model.generation_config, "alignment_heads", None):
            # Which heads of the cross-attention follow the words is known of the published sizes; without
            # that, those of the later half of the layers are taken, as Whisper's own code does.
            layers, heads = model.config.decoder_layers, model.config.decoder_attention_heads
            later = [[layer, head] for layer in range(layers // 2, layers) for head in range(heads)]
            model.generation_config.alignment_heads = later

    def __call__(self, wavs: Sequence[np.ndarray]) -> list[Transcript]:
        """Transcribe recordings, in batches of those of up to 30 s; longer ones by themselves."""
        return self._in_batches(wavs, word_times=self._is_whisper)

    def without_times(self, wavs: Sequence[np.ndarray]) -> list[Transcript]:
        """The same without the times of words, which take half of the work."""
        return self._in_batches(wavs, word_times=False)

    def _in_batches(self, wavs: Sequence[np.ndarray], word_times: bool) -> list[Transcript]:
        transcripts: dict[int, Transcript] = {}
        short = [place for place, wav in enumerate(wavs) if len(wav) <= LONGEST * self.sample_rate]
        for start in range(0, len(short), self.batch_size):
            places = short[start : start + self.batch_size]
            transcripts.update(zip(places, self._transcribe([wavs[place] for place in places], word_times)))
        for place in set(range(len(wavs))) - set(short):
            transcripts[place] = self._transcribe([wavs[place]], word_times)[0]
        return [transcripts[place] for place in range(len(wavs))]

    def _transcribe(self, wavs: list[np.ndarray], word_times: bool) -> list[Transcript]:
        transcripts = self._generate(wavs, word_times)
        for place, transcript in enumerate(transcripts):
            if is_loop(transcript.written):
                transcripts[place] = self._generate([wavs[place]], word_times, no_repeat_ngram_size=3)[0]
        return transcripts

    def _generate(self, wavs: list[np.ndarray], word_times: bool, **options) -> list[Transcript]:
        import torch

        limits = [most_tokens(len(wav) / self.sample_rate) for wav in wavs]
        options |= {**self._language, **({"return_token_timestamps": True} if word_times else {})}
        long = self._is_whisper and len(wavs[0]) > LONGEST * self.sample_rate  # alone, window by window
        options |= {"return_timestamps": True} if long else {}
        # Not max_new_tokens: transformers would warn of two limits. Whisper does not count its first tokens in it.
        options["max_length"] = (MOST_TOKENS if long else max(limits)) + (not self._is_whisper)
        inputs = self._processor(
            wavs,
            sampling_rate=self.sample_rate,
            return_tensors="pt",
            return_attention_mask=True,
            **({"truncation": False, "padding": "longest"} if long else {}),
            **({} if self._is_whisper else {"padding": True}),
        )
        with torch.inference_mode():
            output = self._model.generate(**inputs.to(self._model.device), **options)
        sequences = (output["sequences"] if isinstance(output, dict) else output).tolist()
        if not long:  # the limit was that of the longest
            sequences = [tokens[:limit] for tokens, limit in zip(sequences, limits)]
        if not word_times:
            texts = self._processor.batch_decode(sequences, skip_special_tokens=True)
            return [Transcript(scored_text(text), written=text.strip()) for text in texts]
        return list(map(self._with_times, sequences, output["token_timestamps"].tolist()))

    def _with_times(self, tokens: list[int], times: list[float]) -> Transcript:
        """Words with the times of their first tokens. A token that begins a word begins with a blank."""
        tokenizer = self._processor.tokenizer
        special = set(tokenizer.all_special_ids)
        words: list[tuple[list[int], float]] = []
        for token, time in zip(tokens, times):
            if token in special or tokenizer.decode([token]).startswith("<|"):  # a time stamp of segments
                continue
            if not words or tokenizer.decode([token]).startswith(" "):
                words.append(([], time))
            words[-1][0].append(token)
        written = tokenizer.decode(tokens, skip_special_tokens=True).strip()
        return timed_transcript(written, [(tokenizer.decode(pieces), time) for pieces, time in words])


def most_tokens(seconds: float) -> int:
    """That a recording so long is given."""
    return min(MOST_TOKENS, 20 + round(TOKENS_A_SECOND * seconds))


def is_loop(written: str | None) -> bool:
    """Is a text one of a greedy reader that goes round in circles, as on odd sounds? Read again without repeats."""
    text = written or ""
    # Characters, not bytes: of three bytes in each of most Indian letters, two are always the same.
    return len(text) > MOST_COMPRESSION * len(zlib.compress(text.encode()))


def timed_transcript(written: str, words: Sequence[tuple[str, float]]) -> Transcript:
    """A transcript with the times of its words, in seconds; without where `words` are not those of the text."""
    spoken = [(word.strip(), time) for word, time in words if word.strip()]
    if [word for word, _ in spoken] != written.split():  # a script without blanks between words
        return Transcript(scored_text(written), written=written)
    scored = [(part, time) for word, time in spoken for part in scored_text(word).split()]
    if " ".join(word for word, _ in scored) != scored_text(written):
        return Transcript(scored_text(written), written=written)
    return Transcript(
        scored_text(written),
        tuple(time for _, time in scored),
        written=written,
        written_starts=tuple(time for _, time in spoken),
    )
