"""Tacotron 2's feature network: teacher forcing and step by step, padding, what the paper sets, alignments."""

import pytest
import torch

from soundstorm.data.errors import InputError
from soundstorm.models.attention_figures import attention_figures
from soundstorm.models.feature_network import FeatureNetwork
from soundstorm.models.masked_batch_norm import MaskedBatchNorm
from soundstorm.models.tacotron2_config import Tacotron2Config

pytest.importorskip("espnet2", reason="ESPnet is not installed")
MELS, TEXT = 5, 12
SIZES = {
    "embedding": 6, "encoder_convolutions": 2, "encoder_width": 8, "attention": 7, "location_filters": 3,
    "location_kernel": 5, "decoder_width": 9, "prenet": 6, "postnet_layers": 2, "postnet_width": 6,
}  # fmt: skip


def build(reduction=2, speaker_size=0, dropout=0.0, seed=0):
    torch.manual_seed(seed)
    config = Tacotron2Config(**SIZES, reduction=reduction, dropout=dropout, prenet_dropout=dropout)
    network = FeatureNetwork(config, text_size=TEXT, num_mels=MELS, speaker_size=speaker_size)
    for norm in network.modules():  # as after some training
        if isinstance(norm, MaskedBatchNorm):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
            torch.nn.init.normal_(norm.bias)
    return network.eval()


def example(seed=0, speaker_size=0):
    torch.manual_seed(seed)
    text, lengths = torch.randint(1, TEXT, (3, 7)), torch.tensor([5, 7, 3])
    frames, frame_lengths = torch.randn(3, 12, MELS), torch.tensor([12, 8, 6])
    text[torch.arange(7) >= lengths[:, None]] = 0
    speakers = torch.randn(3, speaker_size) if speaker_size else None
    return text, lengths, frames, frame_lengths, speakers


@pytest.mark.parametrize("reduction", [1, 2])
@pytest.mark.parametrize("speaker_size", [0, 4])
def test_teacher_forcing_equals_step_by_step(reduction, speaker_size):
    network = build(reduction, speaker_size)
    text, lengths, frames, frame_lengths, speakers = example(speaker_size=speaker_size)
    with torch.no_grad():
        out = network(text, lengths, frames, frame_lengths, speakers)
    decode = network.tacotron2.dec
    for row in range(3):
        length, steps = int(lengths[row]), int(frame_lengths[row]) // reduction
        speaker = None if speakers is None else speakers[row]
        # Told all true frames but the last step's, which it then makes itself.
        told = frames[row, : (steps - 1) * reduction]
        spoken = network.generate(
            text[row, :length], speaker, prompt=told, max_frames=steps * reduction, threshold=2.0
        )
        torch.testing.assert_close(spoken.attention, out.attention[row, :steps, :length])
        last = slice((steps - 1) * reduction, steps * reduction)
        torch.testing.assert_close(spoken.frames[last], out.after[row, last])
        assert torch.equal(spoken.frames[: len(told)], told) and not spoken.stopped
    assert decode.att.enc_h is None  # keeps nothing


def test_free_running_equals_espnets_own_loop():
    network = build()
    text = example()[0][1]
    ours = network.generate(text, max_frames=20, threshold=2.0)
    with torch.no_grad():
        # its inference adds the end mark that our texts have
        theirs = network.tacotron2.dec.inference(
            network.encode(text[None], torch.tensor([7]))[0], threshold=2.0, maxlenratio=20 / 7
        )
    torch.testing.assert_close(ours.frames, theirs[0])
    torch.testing.assert_close(ours.attention, theirs[2])


def test_an_example_alone_equals_itself_in_a_batch_whatever_stands_in_the_padding():
    network = build(speaker_size=4)
    text, lengths, frames, frame_lengths, speakers = example(speaker_size=4)
    frames[torch.arange(12) >= frame_lengths[:, None]] = 100.0
    with torch.no_grad():
        together = network(text, lengths, frames, frame_lengths, speakers)
        for row in range(3):
            length, count = int(lengths[row]), int(frame_lengths[row])
            alone = network(
                text[row : row + 1, :length], lengths[row : row + 1], frames[row : row + 1, :count],
                frame_lengths[row : row + 1], speakers[row : row + 1],
            )  # fmt: skip
            torch.testing.assert_close(together.before[row, :count], alone.before[0])
            torch.testing.assert_close(together.after[row, :count], alone.after[0])
            torch.testing.assert_close(together.attention[row, : count // 2, :length], alone.attention[0])


def test_masked_normalisation_is_batch_normalisation_without_padding():
    torch.manual_seed(0)
    ours, theirs = MaskedBatchNorm(3), torch.nn.BatchNorm1d(3)
    x, lengths = torch.randn(2, 3, 6), torch.tensor([6, 4])
    ours.mask = (torch.arange(6) < lengths[:, None])[:, None].float()
    flat = torch.cat([x[0], x[1, :, :4]], dim=1).T
    wanted = theirs(flat)
    made = ours(x)
    torch.testing.assert_close(torch.cat([made[0], made[1, :, :4]], dim=1).T, wanted)
    assert torch.equal(made[1, :, 4:], torch.zeros(3, 2))
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    torch.testing.assert_close(ours.eval()(x)[0], theirs.eval()(x)[0])


def test_the_papers_sizes_are_set():
    network = FeatureNetwork(Tacotron2Config(), text_size=384, num_mels=80).tacotron2
    att, dec = network.dec.att, network.dec
    assert att.mlp_enc.out_features == 128 and tuple(att.loc_conv.weight.shape) == (32, 1, 1, 31)
    assert dec.lstm[0].zoneout_rate == 0.1 and dec.lstm[0].hidden_size == 1024 and len(dec.lstm) == 2
    assert network.enc.blstm.hidden_size == 256 and network.enc.blstm.bidirectional
    assert len(dec.postnet.postnet) == 5 and len(network.enc.convs) == 3
    dec.eval()
    x = torch.ones(1, 80)
    assert not torch.equal(dec.prenet(x), dec.prenet(x))  # dropout in inference too


def test_the_prenet_has_a_dropout_of_its_own():
    config = Tacotron2Config(**SIZES, dropout=0.0, prenet_dropout=0.5)
    network = FeatureNetwork(config, text_size=TEXT, num_mels=MELS).tacotron2
    rates = {module.p for module in network.modules() if isinstance(module, torch.nn.Dropout)}
    x = torch.ones(1, MELS)
    assert rates <= {0.0} and not torch.equal(network.dec.prenet(x), network.dec.prenet(x))


def test_a_window_keeps_attention_where_it_was():
    network = build()
    text = torch.randint(1, TEXT, (30,), generator=torch.Generator().manual_seed(1))
    spoken = network.generate(text, max_frames=40, threshold=2.0, window=(0, 2))
    where = spoken.attention.argmax(1)
    steps = where.diff()
    assert steps.min() >= 0 and steps.max() <= 1 and where[0] <= 1
    assert (spoken.attention > 0).sum(1).max() <= 2


def test_speech_ends_with_the_stop_token_or_the_longest_length():
    network = build()
    text = torch.tensor([1, 2, 3])
    torch.nn.init.constant_(network.tacotron2.dec.prob_out.bias, 100.0)
    assert len(network.generate(text, max_frames=20).frames) == 2
    torch.nn.init.constant_(network.tacotron2.dec.prob_out.bias, -100.0)
    endless = network.generate(text, max_frames=21)
    assert len(endless.frames) == 20 and not endless.stopped


def test_figures_of_alignments():
    good = attention_figures(torch.eye(10))
    assert good == {"focus_rate": 1.0, "coverage": 1.0, "diagonal": 1.0, "jumps_back": 0.0}
    vague = attention_figures(torch.full((20, 10), 0.1))
    assert vague["focus_rate"] == pytest.approx(0.1) and vague["coverage"] == 1.0
    assert vague["diagonal"] == pytest.approx(0.2, abs=0.05)
    stuck = torch.zeros(10, 10)
    stuck[:, 0] = 1
    assert attention_figures(stuck)["coverage"] == pytest.approx(0.1)
    assert attention_figures(torch.eye(10).flip(0))["jumps_back"] == 1.0


@pytest.mark.parametrize(
    "wrong, words",
    [({"location_kernel": 30}, "odd"), ({"reduction": 0}, "at least 1"), ({"zoneout": 1.0}, "less than 1")],
)
def test_settings_that_make_no_network_are_refused(wrong, words):
    with pytest.raises(InputError, match=words):
        Tacotron2Config(**wrong)
