"""Every model that is trained, small, with data of the kind it learns from, for tests of all of them."""

from dataclasses import asdict
from functools import partial

import numpy as np
import torch
from transformers import HubertConfig, HubertModel

from soundstorm.data.audio import Utterances, write_audio
from soundstorm.data.audiolm_layout import stage_layout
from soundstorm.data.audiolm_stages import COARSE, FINE, SEMANTIC
from soundstorm.data.characters import build_vocabulary
from soundstorm.data.datasets.aligned_tokens_dataset import AlignedTokens
from soundstorm.data.datasets.audio_crop_dataset import AudioCropDataset
from soundstorm.data.datasets.audiolm_dataset import AcousticRows, SemanticRows
from soundstorm.data.datasets.consistency_dataset import ConsistencyDataset
from soundstorm.data.datasets.dataset_configs import (
    AudioLMDataConfig,
    AugmentConfig,
    CropConfig,
    MaskedTextDataConfig,
)
from soundstorm.data.datasets.denoising_dataset import DenoisingDataset, token_text_size
from soundstorm.data.datasets.detector_dataset import DetectorDataset
from soundstorm.data.datasets.diffusion_dataset import DiffusionTokens
from soundstorm.data.datasets.masked_text_dataset import MaskedTextDataset
from soundstorm.data.datasets.recognizer_dataset import RecognizerDataset
from soundstorm.data.datasets.spoken_texts_dataset import SpokenTexts
from soundstorm.data.datasets.text_semantic_dataset import TextSemanticDataset
from soundstorm.data.datasets.waves_with_features_dataset import WavesWithFeatures
from soundstorm.data.log_mel import LogMel
from soundstorm.data.mel_features import MelConfig, mel_features
from soundstorm.data.text import ByteTokenizer
from soundstorm.models.audiolm import AudioLM
from soundstorm.models.audiolm_config import AudioLMConfig
from soundstorm.models.codec.codec import build_codec
from soundstorm.models.codec.codec_config import CodecLossConfig
from soundstorm.models.codec.discriminators import build_discriminators
from soundstorm.models.codec.istft_config import IstftConfig
from soundstorm.models.consistency import ConsistencyNetwork, EarlyLayers
from soundstorm.models.detector import Detector
from soundstorm.models.detector_config import DetectorConfig
from soundstorm.models.feature_network import FeatureNetwork
from soundstorm.models.hubert_config import HubertPretrainingConfig
from soundstorm.models.hubert_pretraining import build_hubert_pretraining
from soundstorm.models.mask_diffusion import MaskDiffusion
from soundstorm.models.mask_diffusion_config import DiffusionConfig, MaskDiffusionConfig
from soundstorm.models.masked_text_to_semantic import build_masked_text_to_semantic
from soundstorm.models.recognizer import CtcNetwork
from soundstorm.models.recognizer_config import RecognizerConfig
from soundstorm.models.semantic_to_text import SemanticToText
from soundstorm.models.semantic_to_text_config import SemanticToTextConfig
from soundstorm.models.soundstorm import SoundStorm
from soundstorm.models.soundstorm_config import SoundStormConfig
from soundstorm.models.tacotron2_config import Tacotron2Config, Tacotron2LossConfig, WaveNetConfig
from soundstorm.models.text_to_semantic import build_text_to_semantic
from soundstorm.models.text_to_semantic_config import (
    MaskedTextLossConfig,
    MaskedTextToSemanticConfig,
    TextLossConfig,
    TextToSemanticConfig,
)
from soundstorm.models.wavenet import CONTEXT, WaveNet
from soundstorm.training.audiolm_step import AudioLMStep
from soundstorm.training.codec_step import CodecStep
from soundstorm.training.consistency_step import ConsistencyStep
from soundstorm.training.detector_step import DetectorStep
from soundstorm.training.hubert_step import HubertStep, make_dataset
from soundstorm.training.mask_diffusion_step import MaskDiffusionStep
from soundstorm.training.masked_text_to_semantic_step import MaskedTextToSemanticStep
from soundstorm.training.recognizer_step import RecognizerStep
from soundstorm.training.semantic_to_text_training import SemanticToTextStep
from soundstorm.training.soundstorm_step import SoundStormStep
from soundstorm.training.tacotron2_step import Tacotron2Step
from soundstorm.training.text_to_semantic_step import TextToSemanticStep
from soundstorm.training.wavenet_step import WaveNetStep
from tests.text_to_semantic_toy import INFO, write_corpus
from tests.training import ddp_worker


def write_data(folder):
    """Tokens, texts and eight recordings."""
    rng = np.random.default_rng(0)
    ddp_worker.write_data(folder)
    write_corpus(folder / "text", utterances=8)
    (folder / "audio").mkdir()
    lines = []
    for number in range(8):
        wav = np.cumsum(rng.standard_normal(3200 + 320 * number)) * 0.002
        write_audio(folder / f"audio/u{number}.wav", (wav - wav.mean()).astype(np.float32), 16000)
        lines.append(f"u{number} {folder}/audio/u{number}.wav\n")
    (folder / "audio/wav.scp").write_text("".join(lines))
    (folder / "audio/text").write_text("".join(f"u{number} {'ab ' * (number + 1)}\n" for number in range(8)))
    (folder / "audio/utt2spk").write_text("".join(f"u{number} s{number % 2}\n" for number in range(8)))


def soundstorm(data, dropout):
    config = SoundStormConfig(layers=1, width=16, heads=2, inner=32, kernel=3, dropout=dropout)
    model = SoundStorm(config, num_levels=3, codebook_size=11, semantic_size=7)
    return SoundStormStep(model), ddp_worker.read_data(data)


def mask_diffusion(data, dropout):
    sizes = {"layers": 1, "width": 16, "heads": 2, "inner": 32, "dropout": dropout, "conditioning": "cross"}
    vocabulary = {"num_levels": 3, "codebook_size": 11, "semantic_size": 7}
    model = MaskDiffusion(MaskDiffusionConfig(**sizes), DiffusionConfig(steps=2), **vocabulary)
    step = MaskDiffusionStep(model, auxiliary_weight=0.01)
    step.times.drawn += 8  # so that importance counts after a few steps
    return step, DiffusionTokens(ddp_worker.read_data(data).tokens, unprompted=0.3)


def text_to_semantic(data, dropout):
    config = TextToSemanticConfig(
        encoder_layers=1, encoder_dim=16, encoder_heads=2, encoder_ffn_dim=16, decoder_layers=1,
        decoder_dim=16, decoder_heads=2, head_dim=8, decoder_ffn_dim=16, dropout=dropout, pointer=True,
    )  # fmt: skip
    model = build_text_to_semantic(config, text_vocab_size=384, num_tokens=INFO.codebook_size)
    noise = {"token_dropout": 0.3, "token_noise": 0.2, "join_probability": 0.5}
    return TextToSemanticStep(model, TextLossConfig(alignment_weight=0.5)), TextSemanticDataset(
        data / "text", ByteTokenizer(), **noise
    )


def masked_text(data, dropout):
    config = MaskedTextToSemanticConfig(
        encoder_layers=1, encoder_dim=16, encoder_heads=2, encoder_ffn_dim=16, head_dim=8, layers=1, width=16, heads=2,
        inner=16, kernel=3, duration_layers=1, dropout=dropout,
    )  # fmt: skip
    model = build_masked_text_to_semantic(config, text_vocab_size=384, num_tokens=INFO.codebook_size)
    settings = MaskedTextDataConfig(join_probability=0.5)
    return MaskedTextToSemanticStep(model, MaskedTextLossConfig()), MaskedTextDataset(
        data / "text", ByteTokenizer(), settings
    )


def audiolm(data, dropout, stage):
    settings = AudioLMDataConfig(semantic_seconds=1.0, coarse_seconds=0.6, fine_seconds=0.4, min_seconds=0.2)
    layout = stage_layout(stage, semantic_size=7, num_levels=3, coarse_levels=1, codebook_size=11)
    if stage == "semantic":
        rows = SemanticRows.from_data_dir(data, layout, settings.window(stage))
    else:
        rows = AcousticRows(
            AlignedTokens.from_data_dir(data, settings.window(stage)), stage, layout, coarse_levels=1
        )
    config = AudioLMConfig(layers=1, width=16, heads=2, head_dim=8, inner=32, dropout=dropout)
    return AudioLMStep(AudioLM(config, **asdict(layout))), rows


def denoising(data, dropout):
    config = TextToSemanticConfig(
        encoder_layers=1, encoder_dim=16, encoder_heads=2, encoder_ffn_dim=16, decoder_layers=1,
        decoder_dim=16, decoder_heads=2, head_dim=8, decoder_ffn_dim=16, dropout=dropout, pointer=True,
    )  # fmt: skip
    size = INFO.codebook_size
    model = build_text_to_semantic(config, text_vocab_size=token_text_size(size), num_tokens=size)
    dataset = DenoisingDataset(data / "text", token_dropout=0.3, token_noise=0.2)
    return TextToSemanticStep(model, TextLossConfig(alignment_weight=0.5)), dataset


def semantic_to_text(data, dropout):
    config = SemanticToTextConfig(
        layers=1, dim=16, heads=2, head_dim=8, ffn_dim=16, convolutions=1, dropout=dropout
    )
    model = SemanticToText(config, num_tokens=INFO.codebook_size, text_vocab_size=384)
    return SemanticToTextStep(model), TextSemanticDataset(data / "text", ByteTokenizer())


def codec(data, dropout):
    config = IstftConfig(
        num_levels=3,
        codebook_size=8,
        hop=80,
        n_fft=320,
        width=16,
        expansion=2,
        encoder_blocks=1,
        decoder_blocks=1,
    )
    loss = CodecLossConfig(
        wave_discriminators=1, wave_channels=4, wave_max_channels=8, stft_discriminator=False,
        mel_windows=(64, 256), discriminator_start=3, health_every=2, min_usage=0.0,
    )  # fmt: skip
    step = CodecStep(
        build_codec(config), build_discriminators(loss), loss, sample_rate=16000, quantizer_dropout=0.5
    )
    return step, AudioCropDataset(Utterances(data / "audio", 16000), 0.1)


def hubert(data, dropout):
    config = HubertPretrainingConfig(
        width=16, num_layers=2, num_heads=2, feed_forward_width=16, conv_widths=(8, 8), conv_kernels=(64, 10),
        conv_strides=(32, 10), conv_norm="layer", position_kernel=8, position_groups=2, label_width=8,
        dropout=dropout, layer_drop=2.5 * dropout, unmasked_weight=0.5,
        mask_probability=0.15, mask_span=3,  # other numbers of masked frames in other examples
    )  # fmt: skip
    model = build_hubert_pretraining(config, 5, sample_rate=16000)
    utterances = Utterances(data / "audio", 16000)
    labels = {utt: np.arange(10 + number) % 5 for number, utt in enumerate(utterances.ids)}
    dataset = make_dataset(utterances, labels, model, crop_seconds=0.2, normalize=True)
    return HubertStep(model, unmasked_weight=0.5), dataset


def consistency(data, dropout):
    generator = torch.get_rng_state()
    torch.manual_seed(0)
    frozen = HubertModel(
        HubertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                     conv_dim=(8, 8), conv_kernel=(20, 16), conv_stride=(20, 16), feat_extract_norm="layer",
                     num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2)
    )  # fmt: skip
    torch.set_rng_state(generator)
    network = ConsistencyNetwork(16, width=16, heads=2, embedding_dim=8, dropout=dropout)
    dataset = ConsistencyDataset(Utterances(data / "audio", 16000), CropConfig(0.05, 0.1), do_normalize=True)
    return ConsistencyStep(network, EarlyLayers(frozen, 1)), dataset


def recognizer(data, dropout):
    utterances, config = (
        Utterances(data / "audio", 16000),
        RecognizerConfig(num_mels=8, stack=2, width=16, blocks=1),
    )
    texts = {utt: f"a {utt[1]}" for utt in utterances.ids}
    vocabulary = build_vocabulary(texts.values())
    dataset = RecognizerDataset(
        utterances, texts, vocabulary, num_mels=8, stack=2, augmentation=AugmentConfig()
    )
    return RecognizerStep(CtcNetwork(config, len(vocabulary)), vocabulary), dataset


def detector(data, dropout):
    utterances, log_mel = Utterances(data / "audio", 16000), LogMel(8)
    spectra = [log_mel(torch.from_numpy(utterances.read(utt))) for utt in utterances.ids]
    model = Detector(DetectorConfig(crop_seconds=0.1, num_mels=8, width=16, blocks=1))
    return DetectorStep(model), DetectorDataset(spectra[:4], spectra[4:], model.crop)


MEL = MelConfig(sample_rate=16000, hop=160, window=400, num_mels=5)


def tacotron2_features(data, dropout):
    sizes = {"embedding": 6, "encoder_convolutions": 1, "encoder_width": 8, "attention": 7, "location_filters": 3}
    sizes |= {"location_kernel": 5, "decoder_width": 8, "prenet": 6, "postnet_layers": 2, "postnet_width": 6}
    config = Tacotron2Config(**sizes, reduction=2, dropout=dropout, prenet_dropout=dropout, zoneout=0.2 * dropout)
    model = FeatureNetwork(config, text_size=384, num_mels=MEL.num_mels, speaker_size=3)
    speakers = {f"s{number}": np.eye(3, dtype=np.float32)[number] for number in range(2)}
    dataset = SpokenTexts(data / "audio", ByteTokenizer(), MEL, reduction=2, speakers=speakers)
    return Tacotron2Step(model, Tacotron2LossConfig(guided_attention=0.5)), dataset


def tacotron2_wavenet(data, dropout):
    config = WaveNetConfig(
        layers=3, cycles=1, kernel=2, residual=6, gate=8, skip=6, mixtures=2, upsampling=(10, 16), dropout=dropout
    )
    utterances = Utterances(data / "audio", 16000)
    dataset = WavesWithFeatures(
        utterances, lambda utt: mel_features(utterances.read(utt), MEL), list(utterances.ids),
        hop=MEL.hop, crop_frames=4, context=CONTEXT,
    )  # fmt: skip
    return WaveNetStep(WaveNet(config, MEL.num_mels)), dataset


MODELS = {
    "soundstorm": soundstorm, "mask_diffusion": mask_diffusion, "text_to_semantic": text_to_semantic,
    "masked_text": masked_text,
    "denoising": denoising, "codec": codec,
    "hubert": hubert, "consistency": consistency, "recognizer": recognizer, "detector": detector,
    "semantic_to_text": semantic_to_text,
    # The acoustic stage is the coarse one with shorter rows.
    **{f"audiolm_{stage}": partial(audiolm, stage=stage) for stage in (SEMANTIC, COARSE, FINE)},
}  # fmt: skip
