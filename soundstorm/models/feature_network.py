"""Tacotron 2's first network, characters to mel spectra, by ESPnet's modules."""

from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundstorm.data.errors import InputError
from soundstorm.data.experiment import config_section, load_weights
from soundstorm.data.mel_features import MelConfig
from soundstorm.models.masked_batch_norm import mask_norms
from soundstorm.models.tacotron2_config import SPEAKERS_FILE, FeatureSizes, Tacotron2Config


class Predicted(NamedTuple):
    """Of a batch with L characters and T frames, in steps of r frames; frames are normalised."""

    before: Tensor  # (B, T, M) by the decoder
    after: Tensor  # (B, T, M) mended by the post-net
    stops: Tensor  # (B, T / r) logits: is it the last step?
    attention: Tensor  # (B, T / r, L)


class Spoken(NamedTuple):
    """One text."""

    frames: Tensor  # (T, M), normalised
    attention: Tensor  # (T / r, L)
    stopped: bool  # by the stop token, rather than by the longest length


class FeatureNetwork(nn.Module):
    """ESPnet's Tacotron 2 with the paper's sizes, for batches in any order whose padding changes nothing.

    From ESPnet are layers, attention and zoneout. The attention is theirs in what the paper leaves open: one
    channel of cumulated weights, uniform at first, energies times 2. Not from it: the loops over steps
    (several losses, prompts), and what padding does in convolutions (:class:`MaskedBatchNorm`).
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: Tacotron2Config, *, text_size: int, num_mels: int, speaker_size: int = 0):
        """
        Args:
            config: sizes.
            text_size: ids of texts, 0 being padding.
            num_mels: bands, M.
            speaker_size: width of speaker embeddings; 0 for one speaker.
        """
        super().__init__()
        try:
            from espnet2.tts.tacotron2 import Tacotron2
        except ImportError as error:
            raise InputError(
                f"Tacotron 2 is ESPnet's, which cannot be imported ({error}); run: make -C tools install, or pip "
                'install "soundstorm[espnet]"'
            ) from error
        self.config, self.num_mels = config, num_mels
        self.tacotron2 = Tacotron2(
            idim=text_size, odim=num_mels, embed_dim=config.embedding, elayers=1, eunits=config.encoder_width,
            econv_layers=config.encoder_convolutions, econv_chans=config.encoder_width,
            econv_filts=config.encoder_kernel, adim=config.attention, aconv_chans=config.location_filters,
            aconv_filts=(config.location_kernel - 1) // 2, dlayers=2, dunits=config.decoder_width, prenet_layers=2,
            prenet_units=config.prenet, postnet_layers=config.postnet_layers, postnet_chans=config.postnet_width,
            postnet_filts=config.postnet_kernel, reduction_factor=config.reduction,
            spk_embed_dim=speaker_size or None,
            spk_embed_integration_type="add", dropout_rate=config.dropout, zoneout_rate=config.zoneout,
            use_guided_attn_loss=False,
        )  # fmt: skip
        self.tacotron2.dec.prenet.dropout_rate = config.prenet_dropout  # ESPnet has one rate for all
        self._text_norms = mask_norms(self.tacotron2.enc)
        self._frame_norms = mask_norms(self.tacotron2.dec)
        self.register_buffer("mean", torch.zeros(num_mels))
        self.register_buffer("deviation", torch.ones(num_mels))

    def normalize(self, features: Tensor) -> Tensor:
        """Log magnitudes ``(..., M)`` to those of zero mean and unit variance over the training set."""
        return (features - self.mean) / self.deviation

    def denormalize(self, frames: Tensor) -> Tensor:
        """The reverse."""
        return frames * self.deviation + self.mean

    def encode(self, text: Tensor, lengths: Tensor, speakers: Tensor | None = None) -> Tensor:
        """Texts ``(B, L)``, padded with 0, to what attention sees ``(B, L, D)``."""
        order = lengths.argsort(descending=True, stable=True)  # as packing wants it
        self._set_masks(self._text_norms, lengths[order], text.shape[1])
        encoded, _ = self.tacotron2.enc(text[order], lengths[order])
        self._set_masks(self._text_norms)
        encoded = encoded[order.argsort()]
        if (speakers is None) != (self.tacotron2.spk_embed_dim is None):
            raise ValueError("speaker embeddings belong to a network of several speakers, and to no other")
        return encoded if speakers is None else self.tacotron2._integrate_with_spk_embed(encoded, speakers)

    def forward(
        self,
        text: Tensor,
        text_lengths: Tensor,
        frames: Tensor,
        lengths: Tensor,
        speakers: Tensor | None = None,
    ) -> Predicted:
        """Teacher forcing.

        Args:
            text: ``(B, L)`` ids, padded with 0.
            text_lengths: ``(B,)``, end mark included.
            frames: ``(B, T, M)`` normalised, T a multiple of ``reduction``.
            lengths: ``(B,)`` of the frames, multiples too.
            speakers: ``(B, D)``.
        """
        encoded = self.encode(text, text_lengths, speakers)
        step, decoder = self.config.reduction, self.tacotron2.dec
        state = _Decoding(decoder, encoded, text_lengths.tolist())
        shown = F.pad(frames[:, step - 1 :: step], (0, 0, 1, 0))[:, :-1]
        parts = [state.step(previous) for previous in shown.unbind(1)]
        outs, stops, attention = zip(*parts)
        decoder.att.reset()  # it would keep the graph
        before = torch.cat(outs, dim=1)
        after = before + self._mend(before, lengths)
        return Predicted(before, after, torch.stack(stops, dim=1), torch.stack(attention, dim=1))

    @torch.inference_mode()
    def generate(
        self,
        text: Tensor,
        speaker: Tensor | None = None,
        *,
        prompt: Tensor | None = None,
        max_frames: int,
        threshold: float = 0.5,
        window: tuple[int, int] | None = None,
    ) -> Spoken:
        """Speak one text, step by step.

        Args:
            text: ``(L,)``.
            speaker: ``(D,)``.
            prompt: ``(P, M)`` normalised frames that it begins with, in the result too.
            max_frames: longest result.
            threshold: probability of the stop token that ends it.
            window: attention is on characters from (last - back) to before (last + on), last being that attended
                most at the step before; None: anywhere.
        """
        length, step = torch.tensor([len(text)]), self.config.reduction
        encoded = self.encode(text[None], length, None if speaker is None else speaker[None])
        state = _Decoding(self.tacotron2.dec, encoded, length.tolist(), window)
        forced = 0 if prompt is None else len(prompt) // step
        previous, outs, attention, stopped = encoded.new_zeros(1, self.num_mels), [], [], False
        while len(outs) < forced or (not stopped and (len(outs) + 1) * step <= max_frames):
            out, stop, weights = state.step(previous)
            outs.append(out)
            attention.append(weights)
            if len(outs) <= forced:
                previous = prompt[None, len(outs) * step - 1]
            else:
                previous = out[:, -1]
                stopped = bool((stop.sigmoid() > threshold).any())
        self.tacotron2.dec.att.reset()
        before = torch.cat(outs, dim=1) if outs else encoded.new_zeros(1, 0, self.num_mels)
        frames = (before + self._mend(before, torch.tensor([before.shape[1]])))[0]
        if forced:
            frames[: forced * step] = prompt[: forced * step]
        return Spoken(frames, torch.cat(attention), stopped)

    def _mend(self, before: Tensor, lengths: Tensor) -> Tensor:
        """The post-net on ``(B, T, M)``."""
        mask = self._set_masks(self._frame_norms, lengths, before.shape[1])
        mended = self.tacotron2.dec.postnet(before.transpose(1, 2) * mask)
        self._set_masks(self._frame_norms)
        return mended.transpose(1, 2)

    def _set_masks(self, norms: list, lengths: Tensor | None = None, longest: int = 0) -> Tensor | None:
        mask = None
        if lengths is not None:
            lengths = lengths.to(self.mean.device)
            mask = (torch.arange(longest, device=lengths.device) < lengths[:, None])[:, None].float()
        for norm in norms:
            norm.mask = mask
        return mask


def load_feature_network(expdir: str | Path, device: str | torch.device = "cpu") -> tuple[FeatureNetwork, MelConfig]:
    """The network of an experiment, in evaluation mode, and its spectra."""
    mel, sizes = config_section(expdir, "mel", MelConfig), config_section(expdir, "sizes", FeatureSizes)
    model = config_section(expdir, "model", Tacotron2Config)
    network = FeatureNetwork(
        model, text_size=sizes.text_size, num_mels=mel.num_mels, speaker_size=sizes.speaker_size
    )
    load_weights(expdir, network)
    return network.to(device).eval(), mel


def load_speakers(expdir: str | Path, device: str = "cpu") -> dict[str, Tensor] | None:
    """Embeddings ``(D,)`` of the speakers an experiment was trained on, by name; None of one voice.

    Raises:
        ValueError: they cannot be read, or are not of its size.
    """
    size, path = config_section(expdir, "sizes", FeatureSizes).speaker_size, Path(expdir) / SPEAKERS_FILE
    if not size:
        return None
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        speakers = load_file(path, device=device)
    except SafetensorError as error:
        raise InputError(f"{path}: cannot be loaded ({error}); train the experiment again") from error
    strange = [n for n, vector in speakers.items() if vector.shape != (size,) or not vector.isfinite().all()]
    if strange or not speakers:
        raise InputError(
            f"{path}: expected embeddings of {size} numbers, of {strange[:1] or 'none'} there are others; train the "
            "experiment again"
        )
    return {name: vector.float() for name, vector in speakers.items()}


class _Decoding:
    """ESPnet's decoder between two steps: states of its LSTM layers and attention."""

    def __init__(self, decoder, encoded: Tensor, lengths: list[int], window: tuple[int, int] | None = None):
        self.decoder, self.encoded, self.lengths, self.window = decoder, encoded, lengths, window
        zeros = encoded.new_zeros(len(encoded), decoder.lstm[0].hidden_size)
        self.hidden = [(zeros, zeros) for _ in decoder.lstm]
        self.cumulated: Tensor | None = None
        self.last = 0 if window else None  # character attended most
        decoder.att.reset()
        # ESPnet would make these itself, with a warning and a copy from the host.
        there = torch.arange(encoded.shape[1], device=encoded.device) < torch.tensor(lengths)[:, None].to(
            encoded.device
        )
        decoder.att.mask, self.first = ~there, there.to(encoded.dtype) / there.sum(1, keepdim=True)

    def step(self, previous: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The frame before, (B, M), to frames (B, r, M), stop logit (B,) and attention (B, L)."""
        decoder = self.decoder
        backward, forward = self.window or (1, 3)
        context, weights = decoder.att(
            self.encoded, self.lengths, self.hidden[0][0], self.first if self.cumulated is None else self.cumulated,
            last_attended_idx=self.last, backward_window=backward, forward_window=forward,
        )  # fmt: skip
        x = torch.cat([context, decoder.prenet(previous)], dim=1)
        for layer, cell in enumerate(decoder.lstm):
            self.hidden[layer] = cell(x, self.hidden[layer])
            x = self.hidden[layer][0]
        joined = torch.cat([x, context], dim=1)
        out = decoder.feat_out(joined).view(len(joined), decoder.odim, -1).transpose(1, 2)
        # ESPnet has a stop token for every frame of a step; the last one says it.
        stop = decoder.prob_out(joined)[:, -1]
        self.cumulated = weights if self.cumulated is None else self.cumulated + weights
        if self.window:
            self.last = int(weights.argmax())
        return out, stop, weights
