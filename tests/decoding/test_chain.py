"""Fronts of stages 1 to 6 one after the other, with networks of a few thousand weights trained for two steps."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from soundstorm.bin import (
    extract_acoustic_tokens,
    extract_semantic_tokens,
    generate_audiolm,
    merge_tokens,
    synthesize,
    synthesize_dialogue,
    train_audiolm,
    train_codec,
    train_kmeans,
    train_mask_diffusion,
    train_masked_text_to_semantic,
    train_soundstorm,
    train_text_to_semantic,
)
from soundstorm.data.archive import TokenArchive
from soundstorm.data.audio import read_audio, write_audio
from soundstorm.data.data_dir import read_table, write_table
from soundstorm.tokens.acoustic import load_acoustic_tokenizer
from soundstorm.tokens.semantic import SemanticTokenizer
from soundstorm.training.checkpoint import load_tensors, save_tensors

STEPS = "--training.max-steps 2 --training.batch-size 2 --training.save-every 2 --training.valid-every 2".split()
DURATIONS = {"a-1": 1.6, "a-2": 2.3, "b-1": 0.9, "b-2": 1.9}

IN_CONTEXT = ("--prompt-encoding", "in-context")


@pytest.fixture(scope="module")
def chain(build_once):
    """The same for all modules that ask for it; nobody changes it."""
    return build_once("chain", build_chain)


def build_chain(root):
    data, rng = root / "data", np.random.default_rng(0)
    data.mkdir()
    for utt, seconds in DURATIONS.items():
        time = np.arange(int(seconds * 16000)) / 16000
        wav = 0.3 * np.sin(2 * np.pi * 300 * time * (1 + time)) + 0.05 * rng.normal(size=len(time))
        write_audio(root / "wav" / f"{utt}.wav", wav.astype(np.float32), 16000)
    write_table(data / "wav.scp", {utt: str(root / "wav" / f"{utt}.wav") for utt in DURATIONS})
    write_table(data / "utt2spk", {utt: utt[0] for utt in DURATIONS})
    write_table(data / "utt2dur", {utt: str(seconds) for utt, seconds in DURATIONS.items()})
    write_table(data / "text", {"a-1": "red one", "a-2": "blue two | red", "b-1": "one", "b-2": "two blue"})

    def run(front, *arguments):
        front.main([str(argument) for argument in arguments])

    both = ("--train-data", data, "--valid-data", data)
    run(train_kmeans, "--data-dir", data, "--features", "mfcc", "--clusters", 8, "--output", root / "kmeans")
    small = "--model.width 16 --model.encoder-blocks 1 --model.decoder-blocks 1 --model.num-levels 3".split()
    small += ["--model.codebook-size", 16, "--data.crop-seconds", 0.5, "--loss.wave-discriminators", 0]
    run(train_codec, *both, *small, *STEPS, "--expdir", root / "codec")
    keys = ("--data-dir", data, "--keys", data / "utt2spk")
    run(extract_semantic_tokens, *keys, "--kmeans", root / "kmeans", "--output", root / "dump/semantic.1")
    run(extract_acoustic_tokens, *keys, "--codec", root / "codec", "--output", root / "dump/acoustic.1")
    for kind in ("semantic", "acoustic"):
        scp = root / f"dump/{kind}.1.scp"
        run(merge_tokens, "--data-dir", data, "--output", data / f"{kind}.scp", scp)
    small = "--model.layers 1 --model.width 16 --model.heads 2 --model.inner 16 --model.kernel 3".split()
    run(train_soundstorm, *both, *small, *STEPS, "--expdir", root / "soundstorm")
    small = "--model.layers 1 --model.width 16 --model.heads 2 --model.head-dim 8 --model.inner 16".split()
    small += "--data.coarse-seconds 0.8 --data.fine-seconds 0.5 --init.codebooks true".split()
    for stage in ("coarse", "fine", "semantic"):
        options = ("--stage", stage, "--codec", root / "codec", "--expdir", root / f"audiolm/{stage}")
        run(train_audiolm, *both, *small, *STEPS, *options)
    whole = ("--data.coarse-levels", 3, "--data.semantic-repeats", "true")  # no fine stage
    for stage in ("semantic", "coarse", "acoustic"):
        options = ("--stage", stage, "--codec", root / "codec", "--expdir", root / f"music/{stage}")
        run(train_audiolm, *both, *small, *STEPS, *whole, *options)
    free = ("--stage", "coarse", "--data.deduplicate", "true", "--codec", root / "codec")
    run(train_audiolm, *both, *small, *STEPS, *free, "--expdir", root / "audiolm/free")
    small = "--model.encoder-layers 1 --model.encoder-dim 16 --model.encoder-heads 2 --model.decoder-layers 1".split()
    small += "--model.decoder-dim 16 --model.decoder-heads 2 --model.head-dim 8 --model.decoder-ffn-dim 16".split()
    run(train_text_to_semantic, *both, *small, *STEPS, "--expdir", root / "text_to_semantic")
    small = "--model.encoder-layers 1 --model.encoder-dim 16 --model.encoder-heads 2 --model.head-dim 8".split()
    small += "--model.layers 1 --model.width 16 --model.heads 2 --model.inner 16 --model.duration-layers 1".split()
    run(train_masked_text_to_semantic, *both, *small, *STEPS, "--expdir", root / "masked_text_to_semantic")


@pytest.fixture
def other_codec(chain, tmp_path):
    """Other weights, as many levels and codes: its tokens fit wherever those of the chain's do."""
    other = tmp_path / "other"
    shutil.copytree(chain / "codec", other)
    weights = load_tensors(other / "model.safetensors")
    save_tensors(other / "model.safetensors", {name: value + 1 for name, value in weights.items()})
    return other


def test_the_tokens_of_another_codec_are_refused_before_anything_is_trained(chain, other_codec, tmp_path):
    data, own = chain / "data", tmp_path / "own"
    shutil.copytree(data, own)
    info = asdict(load_acoustic_tokenizer(str(other_codec)).info)
    (own / "acoustic.json").write_text(json.dumps(info))
    for front in (train_soundstorm, train_mask_diffusion, train_audiolm):
        for codebooks in ("true", "false"):
            for train_data in (data, own):
                words = [*STEPS, "--train-data", train_data, "--valid-data", data, "--codec", other_codec]
                words += ["--expdir", tmp_path / "exp", "--init.codebooks", codebooks]
                words += ["--stage", "coarse"] if front is train_audiolm else []
                with pytest.raises(ValueError, match="do not belong together: .*other has those of istft codec"):
                    front.main([str(word) for word in words])
    assert not (tmp_path / "exp").exists()


def decode(chain, output, *arguments):
    options = ["--data-dir", chain / "data", "--codec", chain / "codec", "--acoustic-model", chain / "soundstorm"]
    options += ["--text-to-semantic", chain / "text_to_semantic", "--device", "cpu", "--output", output]
    synthesize.main([str(option) for option in (*options, *arguments)])
    return output


def test_the_codec_round_trip_keeps_every_utterance_and_its_length(chain, tmp_path):
    out = decode(chain, tmp_path / "codec", "--from", "codec")
    for utt, seconds in DURATIONS.items():
        wav = read_audio(out / "wav" / f"{utt}.wav", 16000)
        assert abs(len(wav) - seconds * 16000) <= 640
    assert list(TokenArchive(out / "acoustic.scp").ids) == sorted(DURATIONS)
    assert json.loads((out / "decode.json").read_text())["passes"] == 0


@pytest.mark.parametrize("model, title", [("soundstorm", "SoundStorm"), ("music", "AudioLM")])
def test_a_continuation_follows_the_tokens_that_audiolm_writes(chain, tmp_path, model, title):
    options = ("--from", "continuation", "--continuation", chain / "music/semantic", "--prompt-seconds", "0.5")
    options += ("--kmeans", chain / "kmeans", "--acoustic-model", chain / model, "--audiolm.overlap-seconds", "0.3")
    out = decode(chain, tmp_path / "out", *options)
    record = json.loads((out / "decode.json").read_text())
    assert record["title"] == f"{title}, continuation (0.5 s prompt)" and record["from"] == "continuation"
    written, true = TokenArchive(out / "semantic.scp"), TokenArchive(chain / "data/semantic.scp")
    assert set(written.ids) == {"a-1", "a-2", "b-2"}  # b-1 leaves less than a second
    for utt in written.ids:
        assert len(written[utt]) == len(true[utt]) and (written[utt] != true[utt])[25:].any()
        assert len(read_audio(out / "wav" / f"{utt}.wav", 16000)) == len(TokenArchive(out / "acoustic.scp")[utt]) * 320
    timing = json.loads((out / "timing.json").read_text())
    seconds = sum(DURATIONS[utt] - 0.5 for utt in written.ids)
    assert timing["audiolm_semantic"]["audio_seconds"] == pytest.approx(seconds, abs=0.1)


def test_the_acoustic_only_model_is_an_acoustic_generator_too(chain, tmp_path):
    options = ("--from", "semantic", "--prompt-seconds", "0.5", *IN_CONTEXT, "--audiolm.overlap-seconds", "0.3")
    out = decode(chain, tmp_path / "out", *options, "--acoustic-model", chain / "music/acoustic")
    record = json.loads((out / "decode.json").read_text())
    assert record["kind"] == "audiolm_acoustic" and record["title"].startswith("Acoustic-only AudioLM (0.5 s prompt")
    assert record["from"] == "continuation"  # it was not told what to play


def test_a_continuation_by_a_stage_without_repeats_or_without_any_is_refused(chain, tmp_path):
    options = ("--from", "continuation", "--prompt-seconds", "0.5", *IN_CONTEXT)
    with pytest.raises(ValueError, match="--from continuation needs --continuation"):
        decode(chain, tmp_path / "out", *options)
    with pytest.raises(ValueError, match="audiolm/semantic: AudioLM's semantic stage was trained without repeats"):
        decode(chain, tmp_path / "out", *options, "--continuation", chain / "audiolm/semantic")
    fine = ["--train-data", chain / "data", "--valid-data", chain / "data", "--stage", "fine"]
    fine += ["--data.coarse-levels", 3, *STEPS]
    with pytest.raises(ValueError, match="which leaves none to the fine stage"):
        train_audiolm.main([*map(str, fine), "--expdir", str(tmp_path / "fine")])


def test_from_semantic_tokens_all_passes_are_counted_and_timed(chain, tmp_path):
    options = ["--decode.iterations", "4,1", "--variant", "unet"]
    out = decode(chain, tmp_path / "semantic", "--from", "semantic", *options)
    record = json.loads((out / "decode.json").read_text())
    assert record["title"] == "SoundStorm, unet" and record["from"] == "semantic"
    assert record["sampling"]["iterations"] == [4, 1] and record["passes"] == 6
    # Whatever is committed at once within a bound without end is committed in the first pass.
    out = decode(chain, tmp_path / "early", "--from", "semantic", "--decode.iterations", "4,1",
                 "--decode.entropy-bound", "1e9")  # fmt: skip
    assert json.loads((out / "decode.json").read_text())["passes"] == 3
    timing = json.loads((out / "timing.json").read_text())
    assert timing["soundstorm"]["audio_seconds"] == pytest.approx(sum(DURATIONS.values()), abs=0.1)
    assert timing["soundstorm"]["seconds"] > 0 and timing["codec"]["seconds"] > 0


def test_a_prompt_is_kept_and_short_utterances_are_left_out(chain, tmp_path, caplog):
    out = decode(chain, tmp_path / "prompted", "--from", "semantic", "--prompt-seconds", "0.5", *IN_CONTEXT)
    made, true = TokenArchive(out / "acoustic.scp"), TokenArchive(chain / "data/acoustic.scp")
    assert made.ids == ["a-1", "a-2", "b-2"]  # b-1 has less than a second after the prompt
    assert "1 of 4 utterances have less than 1 s after a prompt" in caplog.text
    frames = round(0.5 * made.info.frame_rate)
    for utt in made.ids:
        np.testing.assert_array_equal(made[utt][:frames], true[utt][:frames])
        assert (made[utt][frames : len(true[utt])] != true[utt][frames : len(made[utt])]).any()


def test_prompts_are_encoded_alone_from_their_seconds_only(chain, tmp_path):
    """Whatever a recording goes on with, a prompt that is encoded alone is the same."""
    data, changed = chain / "data", tmp_path / "changed"
    shutil.copytree(data, changed)
    cut, rng = 8000, np.random.default_rng(1)
    for utt in DURATIONS:
        wav = read_audio(chain / "wav" / f"{utt}.wav", 16000)
        wav[cut:] = 0.3 * rng.standard_normal(len(wav) - cut)
        write_audio(tmp_path / "wav" / f"{utt}.wav", wav, 16000)
    write_table(changed / "wav.scp", {utt: str(tmp_path / "wav" / f"{utt}.wav") for utt in DURATIONS})
    options = ["--from", "semantic", "--prompt-seconds", "0.5", "--kmeans", chain / "kmeans"]
    outs = {}
    for name, folder in (("first", data), ("second", changed)):
        out = decode(chain, tmp_path / name, *options, "--data-dir", folder)
        outs[name] = [TokenArchive(out / f"{kind}.scp") for kind in ("semantic", "acoustic")]
        record = json.loads((out / "decode.json").read_text())
        assert record["prompt_encoding"] == "alone"
        assert record["title"] == "SoundStorm (0.5 s prompt)"
    codec, tokenizer = load_acoustic_tokenizer(str(chain / "codec")), SemanticTokenizer.load(chain / "kmeans")
    for utt in outs["first"][0].ids:
        wav = read_audio(chain / "wav" / f"{utt}.wav", 16000, end=0.5)
        expected = tokenizer.encode([wav])[0], codec.encode(torch.from_numpy(wav)[None])[0].numpy()
        for first, second, own in zip(outs["first"], outs["second"], expected):
            for archive in (first, second):
                assert np.array_equal(archive[utt][: len(own)], own)
        stored = TokenArchive(data / "semantic.scp")[utt]
        made = outs["first"][0][utt]
        assert np.array_equal(made[len(expected[0]) :], stored[len(expected[0]) : len(made)])


def test_prompts_in_context_are_those_of_the_whole_recording(chain, tmp_path):
    out = decode(chain, tmp_path / "out", "--from", "semantic", "--prompt-seconds", "0.5", *IN_CONTEXT)
    record = json.loads((out / "decode.json").read_text())
    assert record["prompt_encoding"] == "in-context"
    assert record["title"] == "SoundStorm (0.5 s prompt encoded in-context)"


def test_a_prompt_that_cannot_be_encoded_is_named_left_out_and_counted(chain, tmp_path, caplog, monkeypatch):
    """Its recording went away after the tokens were made."""
    data = tmp_path / "data"
    shutil.copytree(chain / "data", data)
    write_table(data / "wav.scp", {**read_table(data / "wav.scp"), "a-2": str(tmp_path / "gone.wav")})
    options = ["--prompt-seconds", "0.5", "--kmeans", chain / "kmeans", "--data-dir", data]
    with pytest.raises(ValueError, match=r"1 of 3 utterances have no tokens .a-2.; at least 95%"):
        decode(chain, tmp_path / "whole", *options)
    assert "a-2 is left out: " in caplog.text and "gone.wav: no such recording" in caplog.text
    for number in (1, 2):  # a share is too small to judge
        decode(chain, tmp_path / "shared", *options, "--share", f"{number}/2")
    with pytest.raises(ValueError, match=r"shared: 1 of 3 utterances have no tokens .a-2.; at least 95%"):
        decode(chain, tmp_path / "shared", *options, "--merge", 2)
    monkeypatch.setattr("soundstorm.tokens.merge.LEAST_SHARE", 0.5)
    out = decode(chain, tmp_path / "shared", *options, "--merge", 2)
    assert list(read_table(out / "wav.scp")) == ["a-1", "b-2"]


def test_transcripts_without_words_are_named_and_left_out(chain, tmp_path, caplog):
    data = tmp_path / "data"
    shutil.copytree(chain / "data", data)
    write_table(data / "text", {**read_table(data / "text"), "b-1": "...!?"})
    out = decode(chain, tmp_path / "out", "--from", "text", "--text.max-seconds", "1", "--data-dir", data)
    assert list(read_table(out / "wav.scp")) == ["a-1", "a-2", "b-2"]
    assert "1 of 4 transcripts have nothing to pronounce and are left out (b-1)" in caplog.text


@pytest.mark.parametrize("prompt", ["0", "0.5"])
def test_from_text_the_semantic_tokens_are_kept_too(chain, tmp_path, prompt):
    prompted = ["--prompt-seconds", prompt, *IN_CONTEXT]
    out = decode(chain, tmp_path / "text", "--from", "text", *prompted, "--text.max-seconds", "2")
    semantic, acoustic = TokenArchive(out / "semantic.scp"), TokenArchive(out / "acoustic.scp")
    repeat = round(acoustic.info.frame_rate / semantic.info.frame_rate)
    for utt in semantic.ids:
        assert len(semantic[utt]) * repeat == len(acoustic[utt])
    if prompt != "0":
        true, given = TokenArchive(chain / "data/semantic.scp"), round(0.5 * semantic.info.frame_rate)
        np.testing.assert_array_equal(semantic["a-2"][:given], true["a-2"][:given])


@pytest.mark.parametrize("prompt", ["0", "0.5"])
def test_from_text_in_parallel_as_long_as_each_recording(chain, tmp_path, prompt):
    masked = ["--text-to-semantic", chain / "masked_text_to_semantic", "--masked-text.iterations", 2]
    masked += ["--from", "text", "--prompt-seconds", prompt, *IN_CONTEXT]
    out = decode(chain, tmp_path / "met", *masked, "--as-recorded")
    semantic, true = TokenArchive(out / "semantic.scp"), TokenArchive(chain / "data/semantic.scp")
    given = round(float(prompt) * semantic.info.frame_rate)
    for utt in semantic.ids:
        assert abs(len(semantic[utt]) - len(true[utt])) <= 1  # what the codec has frames for
        np.testing.assert_array_equal(semantic[utt][:given], true[utt][:given])
    record = json.loads((out / "decode.json").read_text())
    assert record["title"].startswith("SoundStorm from text in parallel") and record["text"]["iterations"] == 2
    out = decode(chain, tmp_path / "free", *masked, "--masked-text.max-seconds", 1)
    lengths = [len(tokens) - given for tokens in map(TokenArchive(out / "semantic.scp").__getitem__, semantic.ids)]
    assert max(lengths) <= semantic.info.frame_rate
    with pytest.raises(ValueError, match="a given duration cannot be met by an autoregressive"):
        decode(chain, tmp_path / "no", "--from", "text", "--as-recorded")


def test_decoding_repeats_and_a_second_run_changes_nothing(chain, tmp_path):
    first = decode(chain, tmp_path / "one", "--from", "text", "--text.max-seconds", "2")
    second = decode(chain, tmp_path / "two", "--from", "text", "--text.max-seconds", "2")
    for utt in DURATIONS:
        name = f"wav/{utt}.wav"
        assert (first / name).read_bytes() == (second / name).read_bytes()
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*")}
    decode(chain, tmp_path / "one", "--from", "text")
    assert before == {path: path.stat().st_mtime_ns for path in first.rglob("*")}


def test_an_utterance_is_the_same_alone_and_in_company(chain, tmp_path):
    whole = decode(chain, tmp_path / "all", "--from", "semantic")
    (tmp_path / "keys").write_text("b-1 b\n")
    alone = decode(chain, tmp_path / "alone", "--from", "semantic", "--keys", tmp_path / "keys")
    np.testing.assert_array_equal(*(TokenArchive(path / "acoustic.scp")["b-1"] for path in (whole, alone)))


def audiolm_of(folder, chain, stages):
    """An experiment directory whose coarse and fine stages are these."""
    for name, stage in zip(("coarse", "fine"), stages, strict=True):
        link = folder / "audiolm" / name
        link.parent.mkdir(exist_ok=True)
        if not link.exists():
            link.symlink_to(chain / "audiolm" / stage)
    return folder / "audiolm"


def decode_audiolm(chain, output, *arguments, stages=("coarse", "fine")):
    options = ["--data-dir", chain / "data", "--codec", chain / "codec", "--device", "cpu", "--output", output]
    options += ["--acoustic-model", audiolm_of(output.parent, chain, stages), "--audiolm.overlap-seconds", 0.3]
    synthesize.main([str(option) for option in (*options, *arguments)])
    return output


def test_audiolm_speaks_every_utterance_at_its_length_and_keeps_a_prompt(chain, tmp_path):
    prompted = ["--prompt-seconds", 0.5, *IN_CONTEXT]
    out = decode_audiolm(chain, tmp_path / "audiolm", "--from", "semantic", *prompted)
    made, true = TokenArchive(out / "acoustic.scp"), TokenArchive(chain / "data/acoustic.scp")
    assert made.ids == ["a-1", "a-2", "b-2"]
    frames = round(0.5 * made.info.frame_rate)
    for utt in made.ids:
        assert abs(len(made[utt]) - len(true[utt])) <= 2
        np.testing.assert_array_equal(made[utt][:frames], true[utt][:frames])
    record = json.loads((out / "decode.json").read_text())
    assert record["kind"] == "audiolm" and record["acoustic_model"] == str(tmp_path / "audiolm")
    assert record["title"] == "AudioLM (0.5 s prompt encoded in-context)"
    assert record["sampling"]["coarse_temperature"] == 0.8
    timing = json.loads((out / "timing.json").read_text())
    new = sum(len(made[utt]) - frames for utt in made.ids)
    assert record["passes"] == pytest.approx(new * made.info.num_levels / len(made.ids), abs=0.01)  # one for each token
    new /= made.info.frame_rate
    for part in ("audiolm_coarse", "audiolm_fine"):
        assert timing[part]["audio_seconds"] == pytest.approx(new)


def test_audiolm_repeats_itself_with_one_seed_only(chain, tmp_path):
    seeds = {"one": 0, "two": 0, "three": 1}
    first, second, third = (
        TokenArchive(decode_audiolm(chain, tmp_path / name, "--decode.seed", seed) / "acoustic.scp")
        for name, seed in seeds.items()
    )
    for utt in DURATIONS:
        np.testing.assert_array_equal(first[utt], second[utt])
    assert any((first[utt] != third[utt]).any() for utt in DURATIONS)


def test_an_audiolm_experiment_says_which_stage_it_is_and_of_which_levels(chain, tmp_path):
    with pytest.raises(ValueError, match="config.yaml: this is AudioLM's fine stage, expected the coarse one"):
        decode_audiolm(chain, tmp_path / "out", stages=("fine", "coarse"))
    assert not (tmp_path / "out" / "wav.scp").exists()


def speak_freely(chain, output, *arguments, coarse="free"):
    options = ["--semantic", chain / "audiolm/semantic", "--coarse", chain / f"audiolm/{coarse}"]
    options += ["--fine", chain / "audiolm/fine", "--codec", chain / "codec", "--device", "cpu", "--output", output]
    generate_audiolm.main([str(option) for option in (*options, "--max-seconds", 0.8, *arguments)])
    return output


def test_audiolm_goes_on_from_the_beginning_of_an_utterance(chain, tmp_path):
    prompts = ["--data-dir", chain / "data", "--prompt-seconds", 0.5]
    with pytest.raises(ValueError, match="--prompt-encoding alone needs --kmeans"):
        speak_freely(chain, tmp_path / "out", *prompts)
    out = speak_freely(chain, tmp_path / "out", *prompts, *IN_CONTEXT)
    made, true = TokenArchive(out / "acoustic.scp"), TokenArchive(chain / "data/acoustic.scp")
    assert made.ids == sorted(DURATIONS)
    frames, most = (round(seconds * made.info.frame_rate) for seconds in (0.5, 0.8))
    for utt in made.ids:
        assert frames < len(made[utt]) <= most
        np.testing.assert_array_equal(made[utt][:frames], true[utt][:frames])
        assert len(read_audio(out / "wav" / f"{utt}.wav", 16000)) > 8000
    assert set(json.loads((out / "timing.json").read_text())) == {
        "audiolm_semantic", "audiolm_coarse", "audiolm_fine", "codec"
    }  # fmt: skip


def test_utterances_that_extraction_has_left_out_are_counted_and_skipped(chain, tmp_path, caplog):
    shutil.copytree(chain / "data", tmp_path / "data")
    lines = (chain / "data/semantic.scp").read_text().splitlines(keepends=True)
    (tmp_path / "data/semantic.scp").write_text("".join(lines[1:]))
    options = ["--data-dir", tmp_path / "data", "--prompt-seconds", 0.5, *IN_CONTEXT]
    for out in (
        decode(chain, tmp_path / "semantic", "--from", "semantic", *options),
        speak_freely(chain, tmp_path / "free", *options),
    ):
        assert "a-1" not in read_table(out / "wav.scp") and "a-2" in read_table(out / "wav.scp")
    assert caplog.text.count("data/semantic.scp: no tokens of 1 of 4 utterances") == 2


def test_audiolm_goes_on_from_a_beginning_that_is_encoded_alone(chain, tmp_path):
    prompts = ["--data-dir", chain / "data", "--prompt-seconds", 0.5, "--kmeans", chain / "kmeans"]
    out = speak_freely(chain, tmp_path / "out", *prompts)
    made, codec = TokenArchive(out / "acoustic.scp"), load_acoustic_tokenizer(str(chain / "codec"))
    for utt in made.ids:
        wav = read_audio(chain / "wav" / f"{utt}.wav", 16000, end=0.5)
        own = codec.encode(torch.from_numpy(wav)[None])[0].numpy()
        np.testing.assert_array_equal(made[utt][: len(own)], own)
    assert json.loads((out / "generate.json").read_text())["prompt_encoding"] == "alone"


def test_audiolm_speaks_from_nothing(chain, tmp_path):
    out = speak_freely(chain, tmp_path / "out", "--count", 3)
    made = TokenArchive(out / "acoustic.scp")
    assert made.ids == ["unprompted-0001", "unprompted-0002", "unprompted-0003"]
    assert any(len(made[made.ids[0]]) != len(made[utt]) or (made[made.ids[0]] != made[utt]).any() for utt in made.ids)


@pytest.mark.parametrize(
    "arguments, coarse, message",
    [
        (["--count", 1], "coarse", "trained with repeats of semantic tokens, which its semantic stage does not write"),
        (["--count", 1, "--max-seconds", 5], "free", "--max-seconds is 5.0, expected more than 0 and at most the 0.8"),
        ([], "free", "give one of --data-dir, .* and --count"),
    ],
)
def test_free_speech_that_cannot_be_is_refused(chain, tmp_path, arguments, coarse, message):
    with pytest.raises(ValueError, match=message):
        speak_freely(chain, tmp_path / "out", *arguments, coarse=coarse)


def test_a_stage_without_repeats_does_not_follow_given_semantic_tokens(chain, tmp_path):
    with pytest.raises(ValueError, match="trained without repeats of semantic tokens, so it cannot follow"):
        decode_audiolm(chain, tmp_path / "out", stages=("free", "fine"))


def test_times_and_deduplication_are_refused_together(chain, tmp_path):
    data = str(chain / "data")
    options = "--stage coarse --data.deduplicate true --model.positions time --training.batch-size 2".split()
    with pytest.raises(ValueError, match="data.deduplicate takes away the times"):
        train_audiolm.main(["--train-data", data, "--valid-data", data, *options, "--expdir", str(tmp_path / "exp")])


@pytest.mark.parametrize("stage, names", [("coarse", {"0"}), ("fine", {"1", "2"}), ("semantic", {"0"})])
def test_audiolm_s_metrics_name_the_codec_s_levels(chain, stage, names):
    lines = [json.loads(line) for line in (chain / f"audiolm/{stage}/metrics.jsonl").read_text().splitlines()]
    assert {line["set"] for line in lines} >= {"valid"}
    assert {name[len("loss/level") :] for name in lines[-1] if name.startswith("loss/level")} == names


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--from", "wishes"], "--from is 'wishes', expected codec, semantic, text or continuation"),
        (["--prompt-seconds", "60", *IN_CONTEXT], "no utterance is long enough for a prompt of 60 s"),
        (["--acoustic-model", "nowhere"], "nowhere/config.yaml: no such file"),
        (["--prompt-encoding", "twice"], "--prompt-encoding is 'twice', expected alone or in-context"),
        (["--prompt-encoding", "alone", "--prompt-seconds", "0.5"], "--prompt-encoding alone needs --kmeans"),
        (
            ["--from", "continuation", "--continuation", "nowhere", "--prompt-seconds", "0.5"],
            "--prompt-encoding alone needs --kmeans",
        ),
        (["--device", "cuda:7"], "torch sees no GPU here"),
    ],
)
def test_wrong_requests_are_refused(chain, tmp_path, arguments, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        decode(chain, tmp_path / "out", *arguments)
    assert not (tmp_path / "out" / "wav.scp").exists()


def test_tokens_of_another_codec_are_refused(chain, other_codec, tmp_path):
    with pytest.raises(ValueError, match="acoustic tokens do not belong together"):
        decode(chain, tmp_path / "out", "--codec", other_codec)


def speak(chain, tmp_path, script, *arguments):
    (tmp_path / "script.txt").write_text(script)
    options = ["--script", tmp_path / "script.txt", "--codec", chain / "codec"]
    options += ["--acoustic-model", chain / "soundstorm"]
    options += ["--text-to-semantic", chain / "text_to_semantic", "--kmeans", chain / "kmeans", "--device", "cpu"]
    options += ["--output", tmp_path / "out", "--text.max-seconds", 2]
    synthesize_dialogue.main([str(option) for option in (*options, *arguments)])
    return tmp_path / "out"


@pytest.mark.parametrize("known", [False, True])
def test_a_script_is_spoken_with_a_recording_of_each_voice(chain, tmp_path, known):
    voices = ["--prompt", f"A={chain}/wav/a-1.wav", "--prompt", f"B={chain}/wav/b-2.wav"]
    if known:
        voices += ["--prompt-text", "A=red one", "--prompt-text", "B=two blue"]
    out = speak(chain, tmp_path, "# a script\nA: red two\nB: blue\n\nA: one\n", *voices)
    record = json.loads((out / "dialogue.json").read_text())
    assert [turn["voice"] for turn in record["turns"]] == ["A", "B", "A"]
    assert len(read_audio(out / "dialogue.wav", 16000)) == round(record["seconds"] * 16000) > 0
    assert abs(len(read_audio(out / "prompt.wav", 16000)) / 16000 - 3.5) < 0.1


def test_an_exchange_serves_as_prompt_and_a_long_script_takes_several_passes(chain, tmp_path):
    exchange = ["--exchange", chain / "wav/a-2.wav", "--exchange-text", "blue two | red"]
    out = speak(chain, tmp_path, "A: red two\nB: blue\nA: one\n", *exchange, "--max-characters", 8)
    record = json.loads((out / "dialogue.json").read_text())
    assert record["prompts"][0]["text"] == "blue two | red"
    assert [part["text"] for part in record["passes"]] == ["red two", "blue", "one"]
    assert sum(part["seconds"] for part in record["passes"]) == pytest.approx(record["seconds"])


def test_a_script_is_spoken_in_parallel_after_its_voices(chain, tmp_path):
    masked = ["--text-to-semantic", chain / "masked_text_to_semantic", "--masked-text.max-seconds", 2]
    voices = ["--prompt", f"A={chain}/wav/a-1.wav", "--prompt", f"B={chain}/wav/b-2.wav"]
    voices += ["--prompt-text", "A=red one", "--prompt-text", "B=two blue"]
    out = speak(chain, tmp_path, "A: red two\nB: blue\n", *voices, *masked)
    record = json.loads((out / "dialogue.json").read_text())
    assert 0 < record["seconds"] <= 2 and [part["text"] for part in record["passes"]] == [
        "red two | blue [cut after 2 s]",  # by an untrained model
    ]


def test_an_utterance_serves_as_prompt_with_its_words(chain, tmp_path):
    given = speak(chain, tmp_path, "A: red\n", "--exchange", chain / "wav/a-2.wav", "--exchange-text", "blue two | red")
    expected = (given / "dialogue.wav").read_bytes()
    (given / "dialogue.json").unlink()
    named = speak(chain, tmp_path, "A: red\n", "--exchange-utterance", chain / "data/a-2")
    assert (named / "dialogue.wav").read_bytes() == expected


def test_a_dialogue_does_not_write_over_its_prompt(chain, tmp_path):
    (tmp_path / "out").mkdir()
    shutil.copy(chain / "wav/a-2.wav", tmp_path / "out/prompt.wav")
    with pytest.raises(ValueError, match="--output would write over .*prompt.wav, which --prompt/--exchange reads"):
        speak(chain, tmp_path, "A: red\n", "--prompt", f"A={tmp_path}/out/prompt.wav")
    assert (tmp_path / "out/prompt.wav").read_bytes() == (chain / "wav/a-2.wav").read_bytes()


def test_decoded_speech_does_not_take_the_place_of_recordings(chain, tmp_path):
    with pytest.raises(ValueError, match="--output would write over recordings of --data-dir, in .*/wav; give another"):
        decode(chain, chain, "--from", "codec")
    decode(chain, tmp_path / "out", "--from", "codec")


def test_a_later_pass_goes_on_from_what_was_made_before(chain, tmp_path):
    from soundstorm.decoding.autoregressive import load_text_to_semantic
    from soundstorm.decoding.decoding_config import ParallelConfig, TextSamplingConfig
    from soundstorm.decoding.dialogue import DialogueSynthesizer, Prompt, choose_prompts
    from soundstorm.decoding.script import Turn
    from soundstorm.decoding.soundstorm_generator import SoundStormGenerator
    from soundstorm.tokens.acoustic import load_acoustic_tokenizer
    from soundstorm.tokens.semantic import SemanticTokenizer

    class Listening:
        """A reader that keeps what it was asked."""

        def __init__(self, reader):
            self.reader, self.info, self.asked, self.recorded = reader, reader.info, [], []

        def semantic_tokens(self, texts, config, *, prompts=None, **options):
            made = self.reader.semantic_tokens(texts, config, prompts=prompts, **options)
            self.asked.append((texts[0], None if prompts is None else prompts[0], made[0]))
            self.recorded.append(options["recorded"])
            return made

    reader = Listening(load_text_to_semantic(chain / "text_to_semantic"))
    codec = load_acoustic_tokenizer(str(chain / "codec"))
    generator = SoundStormGenerator.load(chain / "soundstorm", codec)
    synthesizer = DialogueSynthesizer(reader, generator, codec, SemanticTokenizer.load(chain / "kmeans"))
    turns = [Turn("A", "red two"), Turn("B", "blue"), Turn("B", "one")]
    options = {"max_characters": 8, "context_seconds": 60.0}
    prompt = Prompt(str(chain / "wav/a-2.wav"), "blue two | red")
    given = synthesizer.read_prompts([prompt])
    wav, _, made = synthesizer.speak(turns, given, ParallelConfig(), TextSamplingConfig(max_seconds=1.0), **options)
    assert [text for text, _, _ in reader.asked] == [
        "blue two | red | red two", "blue two | red | red two | blue", "blue two | red | red two | blue one",
    ]  # fmt: skip
    assert reader.recorded == [[len(given.semantic)]] * 3  # the rest of each prompt was made
    for (_, before, tokens), (_, given, _) in zip(reader.asked, reader.asked[1:]):
        np.testing.assert_array_equal(given, np.concatenate([before, tokens]))
    assert len(wav) == sum(len(passage.codes) for passage in made) * codec.hop
    reader.asked.clear()
    given, short = synthesizer.read_prompts([prompt]), TextSamplingConfig(max_seconds=0.02)
    _, _, made = synthesizer.speak(turns, given, ParallelConfig(), short, **options)
    assert [passage.said for passage in made] == [f"{turn.text} [cut after 0.02 s]" for turn in turns]
    # Nothing goes on from words of which nobody knows whether they were said.
    assert [text for text, _, _ in reader.asked] == [f"blue two | red | {turn.text}" for turn in turns]
    reader.asked.clear()
    (alone,) = choose_prompts(turns[:1], [f"A={prompt.path}"], ["A=one"])
    synthesizer.speak(turns[:1], synthesizer.read_prompts([alone]), ParallelConfig(), short, max_characters=20)
    assert reader.asked[0][0] == "one red two"  # the voice of the prompt goes on: no speaker changes


@pytest.mark.parametrize(
    "script, arguments, message",
    [
        ("A: hello\nwho says this\n", [], "script.txt, line 2: expected 'A: some words', got 'who says this'"),
        ("A: hello | there\n", [], "line 1: '|' marks turns"),
        ("# nothing\n", [], "no turns"),
        ("A: hello\nB: you\n", ["--prompt", "A=a.wav"], "--prompt is missing for voice B"),
        ("A: hello\n", ["--prompt", "C=a.wav"], "the script has no voice C; it has A"),
        ("A: hello\n", ["--prompt", "a.wav"], "expected VOICE=..."),
        ("A: hello\n", ["--prompt", "A=nowhere.wav"], "nowhere.wav: no such recording"),
    ],
)
def test_wrong_scripts_and_prompts_are_refused(chain, tmp_path, script, arguments, message):
    import re

    with pytest.raises((ValueError, FileNotFoundError), match=re.escape(message)):
        speak(chain, tmp_path, script, *arguments)


@pytest.mark.parametrize("source", ["semantic", "codec"])
def test_shares_that_are_joined_are_what_one_job_makes(chain, tmp_path, source):
    more = ["--prompt-seconds", "0.5", "--kmeans", chain / "kmeans"] if source == "semantic" else []
    whole = decode(chain, tmp_path / "whole", "--from", source, *more)
    for number in range(1, 6):  # of four utterances some shares have none
        decode(chain, tmp_path / "shared", "--from", source, *more, "--share", f"{number}/5")
    assert not (tmp_path / "shared/wav.scp").exists()
    shared = decode(chain, tmp_path / "shared", "--from", source, *more, "--merge", 5)
    for kind in ("acoustic", "semantic") if source == "semantic" else ("acoustic",):
        one, two = (TokenArchive(path / f"{kind}.scp") for path in (whole, shared))
        assert one.ids == two.ids and one.info == two.info
        for utt in one.ids:
            np.testing.assert_array_equal(one[utt], two[utt])
    places = [read_table(path / "wav.scp") for path in (whole, shared)]
    assert list(places[0]) == list(places[1])
    assert all(Path(places[0][utt]).read_bytes() == Path(places[1][utt]).read_bytes() for utt in places[0])
    assert json.loads((whole / "decode.json").read_text()) == json.loads((shared / "decode.json").read_text())
    times = [json.loads((path / "timing.json").read_text()) for path in (whole, shared)]
    for part in times[0]:
        assert times[1][part]["audio_seconds"] == pytest.approx(times[0][part]["audio_seconds"])


def test_shares_go_on_after_those_that_are_done(chain, tmp_path):
    for number in (1, 2):
        decode(chain, tmp_path / "out", "--from", "codec", "--share", f"{number}/2")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/share.1").rglob("*")}
    shutil.rmtree(tmp_path / "out/share.2")
    with pytest.raises(FileNotFoundError, match="share.2/wav.scp"):
        decode(chain, tmp_path / "out", "--from", "codec", "--merge", 2)
    for number in (1, 2):
        decode(chain, tmp_path / "out", "--from", "codec", "--share", f"{number}/2")
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out/share.1").rglob("*")}
    decode(chain, tmp_path / "out", "--from", "codec", "--merge", 2)
    with pytest.raises(ValueError, match="--share is '3/2', expected <number>/<of>"):
        decode(chain, tmp_path / "other", "--share", "3/2")


def test_shares_of_different_settings_are_not_joined(chain, tmp_path):
    decode(chain, tmp_path / "out", "--share", "1/2", "--decode.iterations", "2,1")
    decode(chain, tmp_path / "out", "--share", "2/2", "--decode.iterations", "4,1")
    with pytest.raises(ValueError, match="share.2/decode.json: other settings than .*share.1/decode.json"):
        decode(chain, tmp_path / "out", "--merge", 2)
