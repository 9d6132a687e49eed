"""The HuBERT and the noises of the tests of tokens, for measures of tokens."""

import pytest
import torch

from tests.tokens.conftest import data_dir, hubert_dir  # noqa: F401

SENTENCES = ["Good morning, Mr. Smith.", "the well-known blue tree", "it is 20 past two", "one cup of tea"]
SPECIAL = [
    "<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|translate|>", "<|notimestamps|>",
    "<|startofprev|>",
]  # fmt: skip


@pytest.fixture(scope="session")
def whisper_dir(tmp_path_factory):
    """A Whisper that hears nothing: its weights are random, its tokenizer and files are real."""
    return make_whisper(tmp_path_factory.mktemp("whisper") / "tiny")


def make_whisper(folder, *, as_published=False):
    """See :func:`whisper_dir`; `as_published` has all special tokens, after the letters, and hears no time stamps."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
        WhisperTokenizerFast,
    )

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    first = [] if as_published else SPECIAL[:1]
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=first, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(SENTENCES * 5, trainer)
    fast = WhisperTokenizerFast(tokenizer_object=tokenizer, **dict.fromkeys(
        ("bos_token", "eos_token", "unk_token", "pad_token"), SPECIAL[0]
    ))  # fmt: skip
    special = [*SPECIAL[len(first) :], *(["<|startoflm|>", "<|nospeech|>"] if as_published else [])]
    fast.add_tokens([AddedToken(token, special=True) for token in special], special_tokens=True)
    fast.add_tokens([f"<|{step * 0.02:.2f}|>" for step in range(1501)])
    end, start, english, transcribe, translate, plain, _ = fast.convert_tokens_to_ids(SPECIAL)
    sizes = {f"{side}_{kind}": size for side in ("encoder", "decoder")
             for kind, size in (("layers", 2), ("attention_heads", 2), ("ffn_dim", 32))}  # fmt: skip
    ids = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end, "decoder_start_token_id": start}
    torch.manual_seed(3)
    model = WhisperForConditionalGeneration(WhisperConfig(vocab_size=len(fast), d_model=16, **sizes, **ids))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    if as_published:
        model.get_input_embeddings().weight.data[fast.convert_tokens_to_ids("<|0.00|>") :] = 0
    model.generation_config = GenerationConfig(
        max_length=30, return_timestamps=False, is_multilingual=True, no_timestamps_token_id=plain,
        lang_to_id={"<|en|>": english}, language="<|en|>", task="transcribe",
        task_to_id={"transcribe": transcribe, "translate": translate}, **ids,
        suppress_tokens=list(range(start, len(fast))), begin_suppress_tokens=[end],
    )  # fmt: skip
    model.save_pretrained(folder)
    WhisperProcessor(WhisperFeatureExtractor(feature_size=80), fast).save_pretrained(folder)
    return str(folder)
