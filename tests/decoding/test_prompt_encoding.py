"""Prompts that are encoded alone, where frames of the codec and semantic tokens do not end together."""

import numpy as np
import pytest
import torch

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.audio import write_audio
from soundstorm.data.data_dir import write_table
from soundstorm.data.frame_ratio import FrameRatio
from soundstorm.decoding.prompt_encoding import encode_alone
from soundstorm.tokens.semantic import SemanticTokenizer
from tests.decoding.test_chain import chain  # noqa: F401


class Counter:
    """A codec whose codes are the loudest sample of each frame."""

    def __init__(self, rate, hop):
        self.hop, self.info = hop, TokenizerInfo("acoustic", "counter", "f", rate / hop, 1, 1024, rate)

    def encode(self, wav):
        whole = torch.nn.functional.pad(wav, (0, -wav.shape[1] % self.hop))
        return (whole.reshape(len(wav), -1, self.hop).abs().amax(2) * 1000).long()[..., None]


@pytest.mark.parametrize("rate, hop", [(44100, 512), (24000, 320), (24000, 1920), (16000, 320)])
def test_prompts_of_any_two_rates_have_all_their_tokens(chain, tmp_path, rate, hop):  # noqa: F811
    tokenizer, codec = SemanticTokenizer.load(chain / "kmeans"), Counter(rate, hop)
    rng = np.random.default_rng(0)
    wavs = {utt: 0.3 * rng.standard_normal(4 * rate).astype(np.float32) for utt in "ab"}
    wavs["b"][: 3 * rate] = wavs["a"][: 3 * rate]
    for utt, wav in wavs.items():
        write_audio(tmp_path / f"{utt}.wav", wav, rate)
    write_table(tmp_path / "wav.scp", {utt: str(tmp_path / f"{utt}.wav") for utt in wavs})
    tokens = round(3 * tokenizer.info.frame_rate)
    size = tokens, FrameRatio.of(tokenizer.info, codec.info).num_frames(tokens)
    first, second = encode_alone(tmp_path, "ab", size, codec, chain / "kmeans", tokenizer.info).values()
    assert tuple(map(len, first)) == size
    assert abs(size[1] * hop / rate - 3) < hop / rate
    # What comes after a prompt does not change it; the codec's last frame may end after the last token.
    np.testing.assert_array_equal(first[0], second[0])
    whole = int(3 * rate / hop)
    np.testing.assert_array_equal(first[1][:whole], second[1][:whole])
