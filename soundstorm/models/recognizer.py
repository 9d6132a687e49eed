"""A character CTC recogniser on HuBERT, in a class of transformers, so that any tool loads the result."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from transformers import HubertModel, Wav2Vec2Config, Wav2Vec2ForCTC

BLANK = "<pad>"  # Wav2Vec2's tokenizer takes the padding token for the CTC blank
UNKNOWN = "<unk>"
WORD_BOUNDARY = "|"  # in the recogniser's alphabet; no relation to a dialogue's turn marker


def build_vocabulary(texts: Iterable[str]) -> dict[str, int]:
    """Number the blank, the word boundary and every character of normalised texts."""
    characters = sorted({character for text in texts for character in text} - {" "})
    if not characters:
        raise ValueError("the training texts have no characters; a recogniser needs a transcribed data directory")
    if WORD_BOUNDARY in characters:
        raise ValueError(f"texts still have {WORD_BOUNDARY!r}: normalise them before making an alphabet")
    return {token: i for i, token in enumerate([BLANK, WORD_BOUNDARY, *characters, UNKNOWN])}


def encode_text(text: str, vocabulary: dict[str, int]) -> list[int]:
    """Numbers of a normalised text's characters."""
    unknown = vocabulary[UNKNOWN]
    return [vocabulary.get(WORD_BOUNDARY if c == " " else c, unknown) for c in text]


class CtcRecognizer(nn.Module):
    """HuBERT and a linear layer over characters.

    CTC begins on a plateau where the output is the same for every frame. A new character layer on a trained HuBERT
    leaves it the sooner the faster it learns, while the HuBERT must not forget. `head_scale` multiplies the layer's
    input: with Adam, whose steps have the size of the learning rate, its outputs then move so many times faster.
    """

    def __init__(self, ctc: Wav2Vec2ForCTC, head_scale: float = 1.0):
        super().__init__()
        self.ctc = ctc
        self.head_scale = head_scale

    def num_frames(self, num_samples: int) -> int:
        """Frames that the convolutions make of so many samples."""
        return int(self.ctc.wav2vec2._get_feat_extract_output_lengths(num_samples))

    def forward(self, wavs: Tensor, lengths: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits over characters.

        Args:
            wavs: (B, S) padded with zeros.
            lengths: (B,) samples of each.
            mask: (B, T) True where a frame is hidden; training only.

        Returns:
            (B, T, number of characters)
        """
        attention_mask = torch.arange(wavs.shape[1], device=wavs.device) < lengths[:, None]
        hidden = self.ctc.wav2vec2(wavs, attention_mask=attention_mask.long(), mask_time_indices=mask)
        return self.ctc.lm_head(self.ctc.dropout(hidden.last_hidden_state) * self.head_scale)

    def fold_scale(self) -> Wav2Vec2ForCTC:
        """Move the scale into the character layer, after which transformers' own forward pass gives the same."""
        with torch.no_grad():
            self.ctc.lm_head.weight.mul_(self.head_scale)
        self.head_scale = 1.0
        return self.ctc


def build_recognizer(
    hubert: HubertModel,
    vocabulary: dict[str, int],
    *,
    init: str = "hubert",
    freeze: str = "none",
    num_layers: int | None = None,
    adapter_layers: int = 0,
    adapter_width: int = 256,
    head_scale: float = 1.0,
    dropout: float = 0.1,
) -> CtcRecognizer:
    """Put a character layer, and gated convolutions before it if wanted, on a HuBERT.

    A HuBERT is a wav2vec 2.0 network trained otherwise, so `Wav2Vec2ForCTC` holds it weight by weight; that class
    has the convolutions ("adapter") too. They learn to read from frozen features in a tenth of the time that it
    takes to retrain the Transformer.

    Args:
        hubert: Gives the architecture and, with `init="hubert"`, the weights.
        vocabulary: Of `build_vocabulary`.
        init: "hubert" or "random".
        freeze: What of the HuBERT stays as it is: "none", "conv" or "all".
        num_layers: Use the first so many Transformer layers; all by default.
        adapter_layers: Convolutions over three frames with gated linear units; 0 for none.
        adapter_width: Their channels.
        head_scale: How many times faster the character layer learns.
        dropout: In the Transformer and before the character layer.
    """
    theirs = hubert.config
    if num_layers is not None and not 0 < num_layers <= theirs.num_hidden_layers:
        raise ValueError(
            f"model.num_layers is {num_layers}, but the HuBERT has {theirs.num_hidden_layers} layers; "
            f"choose 1 to {theirs.num_hidden_layers} or none"
        )
    if not theirs.feat_proj_layer_norm or theirs.conv_pos_batch_norm:
        raise ValueError(
            "this HuBERT has no norm before its projection, or a batch norm: wav2vec 2.0 has no such thing"
        )
    known = set(Wav2Vec2Config().to_dict()) - {"model_type", "architectures", "transformers_version"}
    config = Wav2Vec2Config(**{name: value for name, value in theirs.to_dict().items() if name in known})
    config.num_hidden_layers = num_layers or theirs.num_hidden_layers
    config.vocab_size = len(vocabulary)
    config.pad_token_id = vocabulary[BLANK]
    config.bos_token_id = config.eos_token_id = None
    config.hidden_dropout = config.attention_dropout = config.final_dropout = dropout
    config.layerdrop = 0.0
    config.add_adapter = adapter_layers > 0
    config.num_adapter_layers, config.adapter_kernel_size, config.adapter_stride = adapter_layers, 3, 1
    config.output_hidden_size = adapter_width if adapter_layers else config.hidden_size
    # Masks come with the batch; transformers draws none, but makes a mask embedding only for a probability.
    config.apply_spec_augment = True
    config.mask_time_prob, config.mask_feature_prob = 0.05, 0.0
    ctc = Wav2Vec2ForCTC(config)
    if init == "hubert":
        new = ctc.wav2vec2.state_dict()  # the adapter, and a mask embedding that was not saved, keep the new ones
        weights = hubert.state_dict()
        ctc.wav2vec2.load_state_dict({name: weights.get(name, value) for name, value in new.items()})
    with torch.no_grad():
        ctc.lm_head.weight.div_(head_scale)
    if freeze == "conv":
        ctc.freeze_feature_encoder()
    if freeze == "all":
        for name, parameter in ctc.wav2vec2.named_parameters():
            parameter.requires_grad_(name.startswith("adapter."))
    return CtcRecognizer(ctc, head_scale)
