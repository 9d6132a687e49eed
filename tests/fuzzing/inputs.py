"""A small valid recipe directory to mutate: data, tokens, experiments, scores; networks of a few weights.

All paths in it are relative, so that a copy of it works wherever it lies.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

DURATIONS = {"a-1": 1.6, "a-2": 2.3, "b-1": 1.1, "b-2": 1.9}
SHORT = "training:\n  max_steps: 2\n  batch_size: 2\n  save_every: 1\n  valid_every: 1\n  log_every: 1\n"
CONFIGS = {
    "codec": "model:\n  width: 8\n  encoder_blocks: 1\n  decoder_blocks: 1\n  num_levels: 2\n  codebook_size: 8\n"
    "loss:\n  wave_discriminators: 0\n  stft_discriminator: false\n  mel_windows: [128, 256]\n"
    "data:\n  crop_seconds: 0.5\n",
    "soundstorm": "model:\n  layers: 1\n  width: 8\n  heads: 2\n  inner: 8\n  kernel: 3\n  dropout: 0.1\n"
    "data:\n  min_seconds: 0.5\n  max_seconds: 2\n",
    "mask_diffusion": "model:\n  layers: 1\n  width: 8\n  heads: 2\n  inner: 8\ndiffusion:\n  steps: 3\n"
    "data:\n  min_seconds: 0.5\n  max_seconds: 2\n",
    "audiolm": "model:\n  layers: 1\n  width: 8\n  heads: 2\n  head_dim: 4\n  inner: 8\n  dropout: 0.1\n"
    "data:\n  semantic_seconds: 2\n  coarse_seconds: 0.8\n  fine_seconds: 0.4\n  min_seconds: 0.3\n",
    "text_to_semantic": "model:\n  encoder_layers: 1\n  encoder_dim: 8\n  encoder_heads: 2\n  decoder_layers: 1\n"
    "  decoder_dim: 8\n  decoder_heads: 2\n  head_dim: 4\n  decoder_ffn_dim: 8\n  encoder_ffn_dim: 8\n"
    "data:\n  min_seconds: 0.1\n",
    "masked_text_to_semantic": "model:\n  encoder_layers: 1\n  encoder_dim: 8\n  encoder_heads: 2\n"
    "  encoder_ffn_dim: 8\n  head_dim: 4\n  layers: 1\n  width: 8\n  heads: 2\n  inner: 8\n"
    "  kernel: 3\n  duration_layers: 1\ndata:\n  min_seconds: 0.1\n",
    "semantic_to_text": "model:\n  layers: 1\n  dim: 8\n  heads: 2\n  head_dim: 4\n  ffn_dim: 8\n  convolutions: 1\n"
    "data:\n  min_seconds: 0.1\n",
    "tacotron2": "mel:\n  sample_rate: 16000\n  hop: 200\n  window: 400\n  num_mels: 20\n"
    "model:\n  embedding: 4\n  encoder_convolutions: 1\n  encoder_width: 4\n  attention: 4\n  location_filters: 2\n"
    "  decoder_width: 4\n  prenet: 4\n  postnet_layers: 2\n  postnet_width: 4\n  reduction: 4\n"
    "wavenet:\n  layers: 2\n  cycles: 1\n  residual: 4\n  gate: 4\n  skip: 4\n  mixtures: 2\n  upsampling: [10, 20]\n"
    "  crop_frames: 4\nwavenet_training:\n  max_steps: 2\n  batch_size: 2\n",
    "hubert": "model:\n  width: 8\n  num_layers: 1\n  num_heads: 2\n  feed_forward_width: 8\n  conv_widths: [8, 8]\n"
    "  conv_kernels: [40, 12]\n  conv_strides: [32, 10]\n  conv_norm: layer\n  position_kernel: 4\n"
    "  position_groups: 2\n  label_width: 4\ndata:\n  crop_seconds: 0.5\n",
    "recognizer": "model:\n  num_mels: 8\n  width: 8\n  blocks: 1\n  kernel: 3\n",
    "consistency": "model:\n  layer: 1\n  width: 8\n  heads: 2\n  embedding_dim: 8\n"
    "crops:\n  min_seconds: 0.3\n  max_seconds: 0.5\n",
}  # each trains for two steps; see SHORT


def build_inputs(root: Path) -> None:
    """Write the directory, working in it; half a minute of a slow core, most of it imports."""
    before = Path.cwd()
    root.mkdir(parents=True, exist_ok=True)
    os.chdir(root)
    try:
        _write_data()
        _write_configs()
        _write_tokenizers()
        _write_tokens()
        _train()
        _score()
        _write_requests()
    finally:
        os.chdir(before)


def _write_data() -> None:
    import soundfile

    from soundstorm.data.data_dir import invert, write_table

    rng = np.random.default_rng(0)
    Path("wav").mkdir()
    Path("data").mkdir()
    paths = {}
    for place, (utt, seconds) in enumerate(DURATIONS.items()):
        paths[utt] = f"wav/{utt}.{'flac' if place % 2 else 'wav'}"
        wav = rng.normal(size=round(seconds * 16000)).clip(-3, 3) * 0.1
        soundfile.write(paths[utt], wav, 16000, subtype="PCM_16")
    speakers = {utt: utt[0] for utt in DURATIONS}
    seconds = {utt: str(value) for utt, value in DURATIONS.items()}
    phones = {utt: "1 0.00 0.50 m\n1 0.50 0.50 s" for utt in DURATIONS}
    tables = {"spk2utt": invert(speakers), "wav.scp": paths, "utt2spk": speakers, "utt2dur": seconds}
    tables["phones.ctm"] = phones
    tables["text"] = {"a-1": "red one", "a-2": "blue two | red", "b-1": "one", "b-2": "two blue"}
    for name, table in tables.items():
        write_table(f"data/{name}", table)
    # The same recordings once more, as stretches of them.
    Path("segmented").mkdir()
    for name in ("utt2spk", "text", "wav.scp", "spk2utt"):
        Path("segmented", name).write_bytes(Path("data", name).read_bytes())
    write_table("segmented/segments", {utt: f"{utt} 0.1 {DURATIONS[utt] - 0.1:.2f}" for utt in DURATIONS})
    Path("pairs.csv").write_text("id,filename,voice,type,correct\n1,wav/a-1,a,order,1\n1,wav/b-1,a,order,0\n")
    Path("script.txt").write_text("# two voices\nA: red one\nB: blue two\n")


def _write_configs() -> None:
    Path("conf").mkdir()
    for name, text in CONFIGS.items():
        Path("conf", f"{name}.yaml").write_text(f"# {name}\n{text}{SHORT}")
    Path("conf/decode.yaml").write_text("decode:\n  iterations: [2, 1]\n  seed: 3\ntext:\n  max_seconds: 1\n")


def _write_tokenizers() -> None:
    """A k-means on MFCC, a codec and a HuBERT, none of them trained."""
    import torch

    from soundstorm.data.experiment import MODEL_FILE, start_experiment
    from soundstorm.models.codec.codec import build_codec
    from soundstorm.models.codec.istft_config import IstftConfig
    from soundstorm.models.hubert_config import HubertPretrainingConfig
    from soundstorm.models.hubert_pretraining import build_hubert_pretraining
    from soundstorm.tokens.kmeans import KMeans, KMeansInfo
    from soundstorm.tokens.mfcc import MfccFeatures
    from soundstorm.training.checkpoint import save_tensors
    from soundstorm.training.hubert_step import export_hubert

    features = MfccFeatures()
    info = KMeansInfo("mfcc", None, features.fingerprint, 50.0, 16000, 8, "none", "sklearn", 0, 1.0, 100, 1.0)
    centroids = np.random.default_rng(0).normal(size=(8, 39)).astype(np.float32)
    KMeans(info, centroids, np.zeros(39, np.float32), np.ones(39, np.float32)).save("kmeans")
    torch.manual_seed(0)
    config = IstftConfig(width=8, encoder_blocks=1, decoder_blocks=1, num_levels=2, codebook_size=8)
    start_experiment("codec", {"model": config}, ["made for the fuzzer"])
    save_tensors(Path("codec") / MODEL_FILE, build_codec(config).state_dict())
    sizes = HubertPretrainingConfig(
        width=8, num_layers=1, num_heads=2, feed_forward_width=8, conv_widths=(8, 8), conv_kernels=(40, 12),
        conv_strides=(32, 10), conv_norm="layer", position_kernel=4, position_groups=2, label_width=4,
    )  # fmt: skip
    hubert = build_hubert_pretraining(sizes, 5, sample_rate=16000).hubert
    export_hubert(hubert, Path("hubert"), normalize=True, sample_rate=16000)


def _write_tokens() -> None:
    from soundstorm.data.archive import write_tokens
    from soundstorm.sharing.token_formats import export_tokens
    from soundstorm.tokens.acoustic import load_acoustic_tokenizer
    from soundstorm.tokens.semantic import SemanticTokenizer

    rng = np.random.default_rng(1)
    infos = {"semantic": SemanticTokenizer.load("kmeans").info, "acoustic": load_acoustic_tokenizer("codec").info}
    for kind, info in infos.items():
        shape = (info.num_levels,) if kind == "acoustic" else ()
        tokens = {utt: rng.integers(0, 8, (round(seconds * 50), *shape)) for utt, seconds in DURATIONS.items()}
        write_tokens(f"data/{kind}", tokens.items(), info)
        write_tokens(f"dump/{kind}.1", tokens.items(), info)
        write_tokens(f"foreign/{kind}", tokens.items(), replace(info, fingerprint="0" * 64))
    for form in ("espnet", "webdataset"):
        export_tokens("data", f"exported/{form}", form)
    # Part of it is transcribed.
    write_tokens("transcribed/semantic", ((utt, rng.integers(0, 8, 80)) for utt in ("a-1", "b-2")), infos["semantic"])
    Path("transcribed/text").write_text("a-1 red one\nb-2 two blue\n")


def _train() -> None:
    """Two steps of everything that later commands load, by the fronts, so that checkpoints are there too."""
    from soundstorm.bin import (
        pack_model,
        train_audiolm,
        train_consistency,
        train_mask_diffusion,
        train_masked_text_to_semantic,
        train_recognizer,
        train_semantic_to_text,
        train_soundstorm,
        train_tacotron2,
        train_text_to_semantic,
    )

    both = ["--train-data", "data", "--valid-data", "data"]
    train_soundstorm.main([*both, "--config", "conf/soundstorm.yaml", "--expdir", "soundstorm"])
    train_mask_diffusion.main([*both, "--config", "conf/mask_diffusion.yaml", "--expdir", "mask_diffusion"])
    for stage in ("semantic", "coarse", "fine"):
        options = ["--stage", stage, "--config", "conf/audiolm.yaml", "--expdir", f"audiolm_{stage}"]
        train_audiolm.main([*both, *options])
    free = ["--stage", "coarse", "--config", "conf/audiolm.yaml", "--data.deduplicate", "true"]
    train_audiolm.main([*both, *free, "--expdir", "audiolm_free"])
    for stage in ("features", "wavenet"):
        options = ["--stage", stage, "--config", "conf/tacotron2.yaml", "--expdir", f"tacotron2/{stage}"]
        train_tacotron2.main([*both, *options])
    Path("alignments").mkdir()
    figures = {"focus_rate": 1, "coverage": 1, "diagonal": 1, "jumps_back": 0, "stopped": 1}
    figures["attention"] = [[1, 0], [0, 1]]
    Path("alignments/alignments.json").write_text(json.dumps({"a-1": figures}))
    record = {"from": "text", "title": "x", "prompt_seconds": 0}
    Path("alignments/decode.json").write_text(json.dumps(record))
    reading = ["--read-utterances", "0", "--config"]
    train_text_to_semantic.main([*both, *reading, "conf/text_to_semantic.yaml", "--expdir", "text_to_semantic"])
    masked = [*reading, "conf/masked_text_to_semantic.yaml", "--expdir", "masked_text_to_semantic"]
    train_masked_text_to_semantic.main([*both, *masked])
    train_semantic_to_text.main([*both, "--config", "conf/semantic_to_text.yaml", "--expdir", "semantic_to_text"])
    train_recognizer.main([*both, "--config", "conf/recognizer.yaml", "--expdir", "recognizer"])
    hubert = ["--ssl-model", "hubert", "--config", "conf/consistency.yaml"]
    train_consistency.main([*both, *hubert, "--expdir", "consistency"])
    pack_model.main(["--recognizer", "recognizer", "--output", "carried"])


def _score() -> None:
    from soundstorm.bin import score, synthesize
    from soundstorm.data.pack import FORMAT
    from soundstorm.scoring.extras import extra, write_extra

    synthesize.main(["--data-dir", "data", "--from", "codec", "--codec", "codec", "--output", "decode"])
    for name, more in {"original": [], "codec": ["--decode-dir", "decode"]}.items():
        options = ["--speaker", "none", "--score.quality_utterances", "0", "--score.num_resamples", "20"]
        options += ["--recognizer", "recognizer", "--consistency", "consistency"]
        files = ["--data-dir", "data", "--system", name, "--output", f"score/{name}.json"]
        score.main([*files, *options, *more])
    parts = {name: name for name in ("soundstorm", "codec", "kmeans", "text_to_semantic")}  # the folder is a pack, too
    Path("pack.json").write_text(json.dumps({"format": FORMAT, "parts": parts}))
    Path("decode.yaml").write_text("decode:\n  iterations: [2, 1]\ntext:\n  max_seconds: 1.0\n")
    Path("timing.tsv").write_text("0\t12.5\n1\t3\n")
    estimate = {"value": 50.0, "low": 40.0, "high": 60.0, "count": 2}
    content = {"system": "x", "accuracy": estimate, "crop_seconds": 1.0, "train_crops": 4, "test_crops": 4}
    write_extra("score/extra.json", extra("detector", content, command="x"))


def _write_requests() -> None:
    """What users ask the page and the command that speaks."""
    import base64

    from soundstorm.decoding.speech_generator import SpeechGenerator

    Path("requests").mkdir()
    voices = {name: {"audio": base64.b64encode(Path(path).read_bytes()).decode()}
              for name, path in (("A", "wav/a-1.wav"), ("B", "wav/a-2.flac"))}  # fmt: skip
    settings = {"seed": 1, "iterations": 1, "temperature": 0.5, "consent": True}
    text = {"text": "red one", **settings, "prompts": {"A": {**voices["A"], "text": "blue"}}}
    script = {"text": "A: red\nB: one", "script": True, **settings, "prompts": voices}
    for name, request in (("text", text), ("script", script)):
        Path(f"requests/{name}.json").write_text(json.dumps(request))
    body = json.dumps({"text": "red one", **settings})
    head = f"POST /jobs HTTP/1.1\nHost: 127.0.0.1\nContent-Type: application/json\nContent-Length: {len(body)}\n\n"
    Path("requests/post.http").write_text(head + body)
    Path("requests/get.http").write_text("GET / HTTP/1.1\nHost: 127.0.0.1\nOrigin: http://127.0.0.1\n\n")
    words = ["--model", ".", "--device", "cpu", "--text", "red one", "--prompt", "wav/a-1.wav", "--prompt-text", "blue"]
    words += ["--consent", "--seed", "3", "--iterations", "1", "--temperature", "0.5", "--output", "new.wav"]
    Path("requests/speak.args").write_text("\n".join(words) + "\n")
    Path("requests/words.txt").write_text("Red one.\nTwo blue!\n")
    lines = [{"id": "a", "text": "red"}, {"id": "b", "text": "one", "prompt": "wav/a-1.wav", "prompt_text": "two"}]
    Path("requests/list.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    speaker = SpeechGenerator.from_pretrained(".", device="cpu")
    speaker.prompt("wav/b-1.wav", text="one").save("requests/voice.safetensors")


def describe(root: Path) -> dict[str, int]:
    """Sizes of the files, for people who look for one to mutate."""
    return {str(path.relative_to(root)): path.stat().st_size for path in sorted(root.rglob("*")) if path.is_file()}


if __name__ == "__main__":
    import sys

    build_inputs(Path(sys.argv[1]))
    print(json.dumps(describe(Path(sys.argv[1])), indent=1))
