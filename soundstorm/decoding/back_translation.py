"""Back-translation (SPEAR-TTS): a model transcribes semantic tokens without text, for more training pairs.

The result is a data directory like any other. SPEAR-TTS trains on the synthetic pairs first and fine-tunes on
the true ones; here both are in one directory and one training.
"""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from soundstorm.data.archive import TokenArchive, TokenizerInfo
from soundstorm.data.data_dir import read_table, write_table, write_text
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import config_section, load_weights
from soundstorm.data.text import ByteTokenizer, normalize_text
from soundstorm.decoding.sampling import choose
from soundstorm.decoding.waveform import utterance_seed
from soundstorm.models.devices import ready_for_single_steps
from soundstorm.models.semantic_to_text import BLANK, SemanticToText
from soundstorm.models.semantic_to_text_config import SemanticToTextConfig, TranscriptionConfig

logger = logging.getLogger(__name__)
RECORD_FILE = "back_translation.json"


class Transcriber:
    """A trained semantic-to-text model: semantic tokens in, texts out."""

    def __init__(self, model: SemanticToText, info: TokenizerInfo):
        self.model, self.info = model.eval(), info
        self.tokenizer = ByteTokenizer()
        self.device = next(model.parameters()).device

    @classmethod
    def load(cls, expdir: str | Path, device: str = "cpu") -> "Transcriber":
        """Read an experiment directory of ``train_semantic_to_text``."""
        info = config_section(expdir, "semantic", TokenizerInfo)
        config = config_section(expdir, "semantic_to_text", SemanticToTextConfig)
        model = SemanticToText(
            config, num_tokens=info.codebook_size, text_vocab_size=ByteTokenizer.vocab_size
        )
        load_weights(expdir, model)
        return cls(ready_for_single_steps(model, device), info)

    @torch.inference_mode()
    def transcribe(self, tokens: np.ndarray, *, temperature: float, seed: int = 0) -> str:
        """The text of tokens ``(T,)``, normalised and possibly empty.

        Args:
            tokens: of one utterance.
            temperature: of the letter (or blank) sampled for each frame; 0 takes the most likely.
            seed: of the sampling.
        """
        given = torch.from_numpy(tokens.astype(np.int64))[None].to(self.device)
        logits = self.model(given, torch.tensor([len(tokens)], device=self.device))[0].float().cpu()
        numbers = torch.rand(len(tokens), generator=torch.Generator().manual_seed(seed))
        ids = choose(logits, numbers, temperature=temperature, top_k=0)
        kept = ids[torch.cat([torch.tensor([True]), ids[1:] != ids[:-1]])]
        # Invalid UTF-8 is dropped.
        return normalize_text(self.tokenizer.decode(kept[kept != BLANK].tolist()).replace("\ufffd", ""))


@dataclass(frozen=True)
class Counts:
    """Utterances of the resulting directory."""

    transcribed: int  # with true text
    back_translated: int
    left_out: int  # with an empty transcription


def back_translate(
    data_dir: str | Path,
    transcribed: str | Path,
    output: str | Path,
    *,
    expdir: str | Path,
    config: TranscriptionConfig,
    device: str = "cpu",
) -> Counts:
    """Write a data directory of true pairs and back-translated ones.

    It has ``text``, ``utt2spk`` and ``semantic.scp``, no recordings. ``semantic.scp`` is written last: a
    directory that has it is complete.

    Args:
        data_dir: with ``semantic.scp``; a ``text`` there is ignored.
        transcribed: with ``text`` and ``semantic.scp``; its utterances are copied unchanged.
        output: directory to write.
        expdir: of ``train_semantic_to_text``.
        config: sampling options.
        device: where the network runs.

    Raises:
        ValueError: tokens of other tokenizers, or no utterance got a text.
    """
    output = Path(output)
    transcriber = Transcriber.load(expdir, device)
    true, untold = (TokenArchive(Path(folder) / "semantic.scp") for folder in (transcribed, data_dir))
    for archive in (true, untold):
        transcriber.info.check_same(archive.info, str(expdir), str(archive.scp))
    texts = {utt: text for utt, text in read_table(Path(transcribed) / "text").items() if utt in true}
    written, empty = {}, 0
    for utt in untold.ids:
        if utt in texts:
            continue
        seed = utterance_seed(config.seed, utt)
        text = transcriber.transcribe(untold[utt], temperature=config.temperature, seed=seed)
        if any(character.isalnum() for character in text):
            written[utt] = text
        else:
            empty += 1
    if not written:
        raise InputError(
            f"{untold.scp}: no text could be written for any utterance that {transcribed} lacks ({empty} "
            "transcriptions are empty); name the whole training set as data, a part of it as transcribed, "
            f"and train {expdir} for longer"
        )
    counts = Counts(len(texts), len(written), empty)
    if empty:
        logger.warning("%d of %d transcriptions are empty and left out", empty, empty + len(written))
    all_texts = dict(sorted({**texts, **written}.items()))
    where = {**read_table(untold.scp), **read_table(true.scp)}
    speakers: dict[str, str] = {}
    for folder in (data_dir, transcribed):
        path = Path(folder) / "utt2spk"
        speakers.update(read_table(path) if path.is_file() else {})
    output.mkdir(parents=True, exist_ok=True)
    write_table(output / "text", all_texts)
    write_table(output / "utt2spk", {utt: speakers.get(utt, utt) for utt in all_texts})
    write_text(output / "semantic.json", json.dumps(asdict(true.info), indent=2) + "\n")
    record = {**asdict(counts), "semantic_to_text": str(expdir), **asdict(config)}
    write_text(output / RECORD_FILE, json.dumps(record, indent=2) + "\n")
    write_table(output / "semantic.scp", {utt: where[utt] for utt in all_texts})
    logger.info(
        "%s: %d true texts, %d written by %s", output, counts.transcribed, counts.back_translated, expdir
    )
    return counts
