"""Advice that can be followed: options, scripts and settings in messages exist, and remedies were tried."""

import ast
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from transformers import T5Config, T5EncoderModel

from soundstorm.bin import (
    detect,
    generate_audiolm,
    measure_abx,
    measure_token_quality,
    score,
    synthesize,
    synthesize_dialogue,
    train_audiolm,
    train_kmeans,
    train_soundstorm,
    train_text_to_semantic,
)
from soundstorm.data.audio import Utterances
from soundstorm.data.data_dir import read_table, write_table
from soundstorm.data.data_dir_check import validate_data_dir
from soundstorm.data.datasets.consistency_dataset import ConsistencyDataset
from soundstorm.data.datasets.dataset_configs import CropConfig
from soundstorm.scoring.token_quality import measure_sources
from soundstorm.tokens.acoustic import load_acoustic_tokenizer
from soundstorm.training.checkpoint import load_tensors, save_tensors
from tests.decoding.test_chain import STEPS, chain  # noqa: F401
from tests.messages import ADVICE, OPTION, ROOT, SCRIPT, SETTING, messages
from tests.scoring.conftest import whisper_dir  # noqa: F401
from tests.tokens.conftest import hubert_dir  # noqa: F401

MESSAGES = list(messages())
# Of programs that are not ours: the program; or of the engine without a value.
FOREIGN = {
    "--no-deps": "pip", "--export": "sbatch", "--revision": "hf download", "--help": "everything",
    "--copy": "ct2-transformers-converter", "--quantization": "ct2-transformers-converter",
    "--install": "xcode-select",
}  # fmt: skip
FOREIGN["--status"] = "run.sh"
# Written by the user or by a command of the same message, or of a recipe as the message says.
ELSEWHERE = {"egs/foo", "local/data.sh", "local/turn_voices.py", "local/voices.py"}


@cache
def parsers():
    """Front to its parser's options, as one writes them."""
    found = {}
    for path in sorted((ROOT / "soundstorm/bin").glob("*.py")):
        front = importlib.import_module(f"soundstorm.bin.{path.stem}")
        if path.stem not in ("__init__", "common"):
            found[path.stem] = {word.replace("_", "-") for word in front.get_parser()._option_string_actions}
    return found


@cache
def options_of_programs():
    """Folder to the options of what lies there: words of argparse, of the tools' own parsers, variables of shell."""
    found = defaultdict(set)
    for part in ("utils", "egs"):
        for path in (ROOT / part).rglob("*"):
            if path.is_symlink() or path.suffix not in (".py", ".sh"):
                continue
            folder = "/".join(path.relative_to(ROOT).parts[: 1 if part == "utils" else 2])
            text = path.read_text(encoding="utf-8")
            if path.suffix == ".sh":
                found[folder] |= {f"--{name.replace('_', '-')}" for name in re.findall(r"(?m)^(\w+)=", text)}
                continue
            words = {n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant)}
            words = {word for word in words if isinstance(word, str) and re.fullmatch(r"(--)?[a-z][a-z0-9-]*", word)}
            found[folder] |= {f"--{word.removeprefix('--')}" for word in words}
    return found


def known_options(path):
    """What a message of this file may name."""
    programs, folder = options_of_programs(), "/".join(path.split("/")[: 2 if path.startswith("egs/") else 1])
    return set().union(*parsers().values(), programs["utils"], programs["egs/TEMPLATE"], programs[folder])


def named(kind):
    found = [(message, word) for message in MESSAGES for word in kind.findall(message.text)]
    return sorted({(message.path, word) for message, word in found})


def test_every_option_in_a_message_is_one_of_a_parser():
    found = named(OPTION)
    assert len(found) > 100
    unknown = [(path, word) for path, word in found if word not in known_options(path) | set(FOREIGN)]
    assert not unknown


def test_every_script_in_a_message_is_there():
    found = [(path, word) for path, word in named(SCRIPT) if word not in ELSEWHERE]
    assert len(found) > 10
    assert [(path, word) for path, word in found if not (ROOT / word).exists()] == []


def test_every_setting_in_a_message_is_one_of_a_front():
    dotted = {word.lstrip("-") for words in parsers().values() for word in words if "." in word}
    sections = {word.split(".")[0] for word in dotted}
    found = [(path, word) for path, word in named(SETTING) if word.split(".")[0] in sections]
    assert len(found) > 50
    assert [(path, word) for path, word in found if word.replace("_", "-") not in dotted] == []


@pytest.mark.parametrize("text, kind", [("give --no-such-option", OPTION), ("run utils/no_such.sh", SCRIPT)])
def test_what_does_not_exist_would_be_found(text, kind):
    (word,) = kind.findall(text)
    assert word not in known_options("soundstorm/x.py") and not (ROOT / word).exists()


SPEAK = "--data-dir {chain}/data --codec {chain}/codec --acoustic-model {chain}/soundstorm --device cpu --output {out}"
FREE = (
    "--semantic {chain}/audiolm/semantic --coarse {chain}/audiolm/free --fine {chain}/audiolm/fine "
    "--codec {chain}/codec --device cpu --output {out}"
)
SETS = "--train-data {chain}/data --valid-data {chain}/data --expdir {out} " + " ".join(STEPS)
SMALL = "--model.layers 1 --model.width 16 --model.heads 2 --model.inner 16 --model.kernel 3"
READER = (
    "--model.encoder-layers 1 --model.encoder-dim 16 --model.encoder-heads 2 --model.decoder-layers 1 "
    "--model.decoder-dim 16 --model.decoder-heads 2 --model.head-dim 8 --model.decoder-ffn-dim 16"
)
SCORE = "--data-dir {chain}/data --decode-dir {decoded} --speaker none --score.quality-utterances 0 --output {out}.json"
DETECT = (
    "--data-dir {chain}/data --real {decoded} --generated {decoded} --system mine --expdir {out} --device cpu "
    "--output {out}.json --model.width 8 --model.blocks 1 --model.num-mels 8 " + " ".join(STEPS)
)
DIALOGUE = (
    "--script {script} --codec {chain}/codec --acoustic-model {chain}/soundstorm --kmeans {chain}/kmeans "
    "--text-to-semantic {chain}/text_to_semantic --device cpu --output {out} --text.max-seconds 1"
)


class Case(NamedTuple):
    """A command that fails, and what its message says would mend it.

    Attributes:
        front: The command.
        words: Its options.
        advice: Pattern of the message; what group 1 says is added to the command.
        value: What the user then writes behind it.
        without: Option of the command that the advice replaces, with its value.
    """

    front: object
    words: str
    advice: str
    value: str = ""
    without: str = ""


CASES = {
    "prompt in context": Case(
        synthesize, f"{SPEAK} --prompt-seconds 0.5", "without it give (--prompt-encoding in-context)"
    ),
    "prompt alone": Case(
        synthesize, f"{SPEAK} --prompt-seconds 0.5",
        "--prompt-encoding alone needs (--kmeans), the k-means directory of stage 1", "{chain}/kmeans",
    ),
    "reader": Case(
        synthesize, f"{SPEAK} --from text --text.max-seconds 1",
        "--from text needs (--text-to-semantic), the experiment directory of stage 5", "{chain}/text_to_semantic",
    ),
    "acoustic model": Case(
        synthesize, SPEAK.replace("--acoustic-model {chain}/soundstorm ", ""),
        "needs (--acoustic-model), an experiment directory of stage 4 or a pack", "{chain}/soundstorm",
    ),
    "count": Case(
        generate_audiolm, f"{FREE} --max-seconds 0.8", "give one of --data-dir, .*, and (--count), 1 or more", "1"
    ),
    "room": Case(
        generate_audiolm,
        f"{FREE} --data-dir {{chain}}/data --prompt-seconds 0.5 --kmeans {{chain}}/kmeans --max-seconds 0.4",
        "frames leaves nothing to generate of .*; see (--max-seconds)", "0.8", "--max-seconds",
    ),
    "exchange": Case(
        synthesize_dialogue,
        f"{DIALOGUE} --exchange {{chain}}/wav/a-2.wav --exchange-utterance {{chain}}/data/a-2",
        "give --exchange or (--exchange-utterance), not both", "{chain}/data/a-2", "--exchange",
    ),
    "prompts": Case(
        synthesize_dialogue,
        f"{DIALOGUE} --prompt A={{chain}}/wav/a-2.wav --prompt-utterance A={{chain}}/data/a-2",
        "by --prompt and --prompt-text or by (--prompt-utterance), not both", "A={chain}/data/a-2", "--prompt",
    ),
    "codec of the start": Case(
        train_soundstorm, f"{SETS} {SMALL} --init.codebooks true",
        "init.codebooks needs (--codec), an experiment directory of train_codec", "{chain}/codec",
    ),
    "alignment": Case(
        train_text_to_semantic, f"{SETS} {READER} --loss.alignment-weight 1",
        "set (model.pointer), or the weight to 0", "true",
    ),
    "no alignment": Case(
        train_text_to_semantic, f"{SETS} {READER} --loss.alignment-weight 1",
        "(loss.alignment_weight) is .* or the weight to 0", "0",
    ),
    "few frames": Case(
        train_kmeans, "--data-dir {chain}/data --features mfcc --portion 0.01 --clusters 100 --output {out}",
        "or take more data: raise (--portion)", "1",
    ),
    "layer of none": Case(
        train_kmeans, "--data-dir {chain}/data --features mfcc --layer 3 --clusters 4 --output {out}",
        "leave --layer out()", without="--layer",
    ),
    "abx of something": Case(
        measure_abx, "--data-dir {phones} --output {out}.json", "give (--features), --kmeans or --acoustic", "mfcc"
    ),
    "quality of something": Case(
        measure_token_quality, "--data-dir {phones} --output {out}.json", "give --tokens or (--kmeans)",
        "{chain}/kmeans",
    ),
    "name of the row": Case(score, SCORE, "name it by (--system), or decode again", "mine"),
    "longest text": Case(
        synthesize, f"{SPEAK} --from text --text-to-semantic {{chain}}/text_to_semantic --text.max-seconds 0",
        "(text.max_seconds) is 0.0, expected more than 0", "1",
    ),
    "no start from a collapsed codec": Case(
        train_soundstorm,
        f"{SETS.replace('chain}/data', 'collapsed}/data')} {SMALL} --init.codebooks true --codec {{collapsed}}",
        "it has collapsed.* or set (init.codebooks) to false", "false",
    ),
    "frozen encoder": Case(
        train_text_to_semantic, f"{SETS} {READER} --model.freeze-encoder true",
        "needs a published encoder in (model.encoder), got 'scratch'", "{t5}",
    ),
    "letters of an encoder": Case(
        train_text_to_semantic, f"{SETS} {READER} --model.encoder {{t5}} --text.tokenizer sentencepiece",
        "pieces learned from .*/data are not those that the encoder .* use (text.tokenizer) bytes with ByT5", "bytes",
    ),
    "layer": Case(
        train_kmeans, "--data-dir {chain}/data --features {hubert} --layer 9 --clusters 4 --output {out}",
        "it has layers 0 to 2; see (--layer)", "2",
    ),
    "prefix": Case(
        train_kmeans, "--data-dir {chain}/data --features {whisper} --layer 1 --clusters 4 --output {out}",
        "give the prefix of such models before the name, if train_kmeans --help has one()",
        "--features whisper:{whisper}",
    ),
    "phones in any context": Case(
        measure_abx, "--data-dir {phones} --features mfcc --abx.context triphone --output {out}.json",
        "or (--abx.context) none", "none",
    ),
    "crops of a detector": Case(
        detect, f"{DETECT} --model.crop-seconds 2.2", "lower (model.crop_seconds)", "0.3"
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def places(chain, hubert_dir, whisper_dir, tmp_path_factory):  # noqa: F811
    """What the commands are given."""
    root = tmp_path_factory.mktemp("places")
    (root / "script.txt").write_text("A: red\n")
    shutil.copytree(chain / "data", root / "phones")
    phones = ["m", "s"] * 4
    (root / "phones/phones.ctm").write_text(
        "".join(f"{utt} 1 {at * 0.1:.1f} 0.1 {phone}\n"
                for utt in ("a-1", "a-2", "b-1", "b-2") for at, phone in enumerate(phones))
    )  # fmt: skip
    for name in ("a-1", "a-2"):
        shutil.copy(chain / f"wav/{name}.wav", root)
    synthesize.main(
        f"--data-dir {chain}/data --codec {chain}/codec --from codec --device cpu --output {root}/decoded".split()
    )
    record = json.loads((root / "decoded/decode.json").read_text())
    del record["title"]
    (root / "decoded/decode.json").write_text(json.dumps(record))
    shutil.copytree(chain / "codec", root / "collapsed")
    weights = load_tensors(root / "collapsed/model.safetensors")
    (codebooks,) = (value for name, value in weights.items() if name.endswith("codebooks"))
    codebooks[0] = codebooks[0, 0]
    save_tensors(root / "collapsed/model.safetensors", weights)
    shutil.copytree(chain / "data", root / "collapsed/data")
    made_by = asdict(load_acoustic_tokenizer(str(root / "collapsed")).info)
    (root / "collapsed/data/acoustic.json").write_text(json.dumps(made_by))
    sizes = {"vocab_size": 384, "d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
    T5EncoderModel(T5Config(**sizes, feed_forward_proj="gated-gelu")).save_pretrained(root / "t5")
    names = {"script": "script.txt"}
    names |= {name: name for name in ("phones", "decoded", "collapsed", "t5")}
    models = {"chain": chain, "hubert": hubert_dir, "whisper": whisper_dir}
    return models | {name: root / path for name, path in names.items()}


@pytest.mark.parametrize("name", CASES)
def test_the_advice_of_a_message_works(places, tmp_path, name):
    case = CASES[name]
    words = case.words.format(out=tmp_path / "out", **places).split()
    with pytest.raises((ValueError, FileNotFoundError), match=case.advice) as refused:
        case.front.main(words)
    advice = re.search(case.advice, str(refused.value))[1]
    if case.without:
        at = words.index(case.without)
        del words[at : at + 2]
    option = advice if advice.startswith("--") or not advice else f"--{advice.replace('_', '-')}"
    added = f"{option} {case.value}".format(**places).split()
    if added[:1] != [] and added[0] in words:  # given already, in the last case of two
        at = words.index(added[0])
        del words[at : at + 2]
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    case.front.main([*words, *added])


DATA_TOOLS = "tests/utils/test_remedies.py::test_the_remedy_of_a_message_works"
FIXED = "tests/test_advice.py::test_the_tool_that_a_message_names_mends_the_directory"
ELSEWHERE_SCORED = "tests/scoring/test_speech_from_elsewhere.py::test_a_table_of_recordings_and_a_text_are_enough"
ADDED = "tests/test_advice.py::test_the_advice_of_a_message_works"
HELP = "tests/test_advice.py::test_where_a_help_is_named_there_is_one"
# A part of a message -> the tests that meet its fault and do what it says.
TRIED = {
    "which every system has by itself; see --decode-config, --prompt-seconds, --systems": (
        "tests/egs/test_decoding.py::test_what_every_system_has_by_itself_is_refused_before_all_work"
    ),
    "the last line does not end with a newline": DATA_TOOLS,
    "not sorted, {} comes after {}": DATA_TOOLS,
    "run utils/fix_data_dir.sh {}, or make {} again": FIXED,
    "is not in order, the message above says why; mend that, or have local/data.sh make": (
        "tests/egs/test_stage0.py::test_a_set_that_is_not_in_order_is_not_made_again_unless_asked_for"
    ),
    "no segment uses {}": FIXED,
    "not in wav.scp; run utils/fix_data_dir.sh": FIXED,
    "expected more than 0; run utils/fix_data_dir.sh": FIXED,
    "no speaker of {}": FIXED,
    "nor utt2dur to make them of": FIXED,
    "utils/utt2spk_to_spk2utt.py": DATA_TOOLS,
    "specify --no-text": DATA_TOOLS,
    "specify --no-wav": DATA_TOOLS,
    "specify --non-print": DATA_TOOLS,
    "is a command; a pipe runs again": DATA_TOOLS,
    "is a place in an archive": DATA_TOOLS,
    "no such file {}/utt2dur": DATA_TOOLS,
    "specify --no-spk-sort": "tests/utils/test_validate_data_dir.py::test_options_permit_what_they_say",
    "is both in {} and in {}":
        "tests/utils/test_remedies.py::test_a_set_that_is_in_two_sources_is_renamed_as_the_message_says",
    "sample rate is {} Hz but":
        "tests/utils/test_format_wav_scp.py::test_what_stages_refuse_is_mended_as_their_message_says",
    "channels but 1 is needed":
        "tests/utils/test_format_wav_scp.py::test_what_stages_refuse_is_mended_as_their_message_says",
    "recordings are commands, which would be run":
        "tests/utils/test_format_wav_scp.py::test_commands_are_run_only_where_they_are_allowed",
    "is no link into {}":
        "tests/sharing/test_pack.py::test_links_into_a_pack_make_an_experiment_whose_results_stay_out_of_it",
    "is there already; remove it or choose another --output":
        "tests/sharing/test_pack.py::test_an_output_that_exists_and_an_unfinished_experiment_are_refused",
    "train it with data.deduplicate true": "tests/decoding/test_chain.py::test_audiolm_speaks_from_nothing",
    "train it with data.deduplicate false":
        "tests/decoding/test_chain.py::test_audiolm_repeats_itself_with_one_seed_only",
    "which leaves none to the fine stage":
        "tests/decoding/test_chain.py::test_the_acoustic_only_model_is_an_acoustic_generator_too",
    "train it with data.coarse_levels {}":
        "tests/decoding/test_chain.py::test_the_acoustic_only_model_is_an_acoustic_generator_too",
    "train it with data.semantic_repeats false": "tests/decoding/test_chain.py::test_audiolm_speaks_from_nothing",
    "train it with data.semantic_repeats true":
        "tests/decoding/test_chain.py::test_a_continuation_follows_the_tokens_that_audiolm_writes",
    "--from continuation needs --continuation":
        "tests/decoding/test_chain.py::test_a_continuation_follows_the_tokens_that_audiolm_writes",
    "(data.semantic_repeats), which likelihoods":
        "tests/decoding/test_audiolm_likelihood.py::test_other_stages_and_empty_utterances_are_refused",
    "--features needs --reference":
        "tests/scoring/test_music_systems.py::test_the_front_measures_with_an_encoder_and_without_a_transcriber",
    "see --chunk-seconds":
        "tests/egs/test_piano.py::test_maestros_recordings_are_cut_into_whole_chunks_of_its_own_sets",
    "give another --soundfont": "tests/egs/test_piano.py::test_midi_files_are_played_and_whole_works_held_out",
    "works with training.precision no or bf16":
        "tests/training/test_layout.py::test_settings_that_cannot_be_are_refused",
    "two score files are called":
        "tests/scoring/test_publish.py::test_examples_are_utterances_that_every_system_has",
    "the features of {} need a layer":
        "tests/bin/test_semantic_fronts.py::test_the_stage_runs_and_a_second_run_changes_nothing",
    "works in a job of Slurm only":
        "tests/utils/test_torchrun.py::test_several_machines_are_those_of_a_job_of_slurm",
    "needs two:":
        "tests/egs/test_stage0.py"
        "::test_a_validation_set_of_one_utterance_is_refused_before_the_trainings_it_would_spoil",
    "name transcribed sets by":
        "tests/egs/test_stage0.py::test_sets_without_text_are_refused_before_the_trainings_that_need_none",
    "no conversations; pass --manifest":
        "tests/egs/test_dialogue.py::test_recordings_of_the_codec_s_rate_are_cut_where_they_are",
    "give --rttm with --ctm": "tests/egs/test_dialogue.py::test_turns_and_words_are_brought_together",
    "train stage 5 on those":
        "tests/egs/test_dialogue.py::test_what_is_not_transcribed_trains_all_but_stage_5",
    "cannot be fetched; the same command goes on":
        "tests/egs/test_mini_librispeech.py::test_an_interrupted_download_goes_on_and_a_damaged_one_is_refused",
    "call again or name another --url":
        "tests/egs/test_mini_librispeech.py::test_an_interrupted_download_goes_on_and_a_damaged_one_is_refused",
    "pass a checkout (git clone": "tests/egs/test_barista.py::test_a_folder_of_data_directories_will_do",
    "see --test-voices, --dev-utterances":
        "tests/egs/test_barista.py"
        "::test_a_checkout_becomes_sets_of_voices_and_sentences_that_are_not_mixed",
    "pass --corpus <dir>, --extra-data <dir>":
        "tests/egs/test_speechocean762.py::test_extra_data_are_taken_from_every_repetition",
    "has another MD5 sum than OpenSLR's":
        "tests/egs/test_mini_librispeech.py::test_an_interrupted_download_goes_on_and_a_damaged_one_is_refused",
    "or train a codec of theirs: set model.sample_rate":
        "tests/tokens/test_acoustic.py"
        "::test_recordings_of_another_rate_than_the_codec_to_be_trained_are_found_before_all_trainings",
    "one rate and one channel for all are made by":
        "tests/utils/test_format_wav_scp.py"
        "::test_stage_0_s_message_on_mixed_rates_and_channels_names_what_mends_them",
    "here or in the file that local/data.sh made it from":
        "tests/egs/test_setup.py::test_the_walk_s_data_script_takes_a_table_of_windows_and_one_voice",
    "would write over {}":
        "tests/bin/test_common.py::test_the_output_of_no_command_is_what_another_option_reads",
    "would write over recordings of --data-dir":
        "tests/decoding/test_chain.py::test_decoded_speech_does_not_take_the_place_of_recordings",
    "leave --prompt, --prompt-text and --speed out": "tests/bin/test_speak.py::test_speech_goes_on",
    "leave --prompt-text, --seconds and --speed out": "tests/bin/test_speak.py::test_speech_is_converted",
    "several voices need --script": "tests/bin/test_speak.py::test_a_script_is_said_by_its_voices",
    "say so by --consent": "tests/bin/test_speak.py::test_a_voice_needs_its_owners_consent",
    "give the directory that utils/pack_model.sh made":
        "tests/decoding/test_speech_generator.py::test_words_are_said_and_the_same_seed_says_them_alike",
    "lower crops.min_seconds": "tests/test_advice.py::test_crops_are_lowered_as_the_message_says",
    "whose utterances are continued, and --count": ADDED,
    "its header has no length":
        "tests/utils/test_format_wav_scp.py"
        "::test_flac_that_an_encoder_wrote_to_a_pipe_has_no_length_and_is_read_to_its_end",
    "shorter training fewer steps of warm-up":
        "tests/training/test_trainer.py::test_a_training_that_is_all_warm_up_says_so",
    "nothing to measure; give": ADDED,
    "give another --target-layer":
        "tests/bin/test_semantic_fronts.py::test_the_stage_runs_and_a_second_run_changes_nothing",
    "give --exchange or --exchange-utterance": ADDED,
    "without it give --prompt-encoding {}": ADDED,
    "see --max-seconds": ADDED,
    "needs --acoustic-model": ADDED,
    "needs --text-to-semantic": ADDED,
    "give prompts by --prompt": ADDED,
    "name it by --system": ADDED,
    "--wav-scp needs --system": ELSEWHERE_SCORED,
    "--data-dir (or --wav-scp and --text)": ELSEWHERE_SCORED,
    "--decode-dir (or --wav-scp) and --output need": ELSEWHERE_SCORED,
    "leave --layer out": ADDED,
    "take more data: raise --portion": ADDED,
    "init.codebooks needs --codec": ADDED,
    "set model.pointer, or the weight to 0": ADDED,
    "are alike{}: it has collapsed": ADDED,
    "lower wavenet.crop_frames": "tests/decoding/test_tacotron2.py::test_what_cannot_work_is_refused",
    "reads text; use --from text": "tests/decoding/test_tacotron2.py::test_what_cannot_work_is_refused",
    "use it by synthesize --from text": "tests/decoding/test_tacotron2.py::test_what_cannot_work_is_refused",
    "needs a published encoder": ADDED,
    "use text.tokenizer bytes with ByT5": ADDED,
    "it has layers 0 to {}; see --layer": ADDED,
    "give the prefix of such models": ADDED,
    "or --abx.context none": ADDED,
    "lower model.crop_seconds": ADDED,
    "see --help": HELP,
    "{} (see local/data.sh --help)": HELP,
    "train both with the same data.coarse_levels":
        "tests/test_advice.py::test_stages_of_audiolm_are_trained_alike_as_the_message_says",
    "set score.quality_utterances to 0": "tests/test_advice.py::test_scores_do_without_dnsmos_as_the_message_says",
    "rename it in local/data.sh": "tests/test_advice.py::test_ids_are_renamed_as_the_message_says",
    "by --consistency-ssl-model": "tests/egs/test_environment.py::test_the_option_that_a_message_names_is_enough",
    "which leaves no text to write":
        "tests/egs/test_text_to_semantic.py::test_where_there_is_nothing_to_write_no_writer_is_trained",
    "of which dialogues and packs are made": "tests/egs/test_tacotron2.py::test_alone_it_needs_no_tokens",
    "it should, or --train-set": "tests/egs/test_environment.py::test_the_sets_that_a_recipe_makes_are_named",
    "see --dev-list": "tests/egs/test_dialogue.py::test_lists_leave_some_for_training_as_the_message_says",
    "--rttm and --stm need --audio": "tests/egs/test_dialogue.py::test_turns_and_words_are_brought_together",
    "give more --dev-speakers":
        "tests/egs/test_librilight.py::test_where_no_speech_is_left_the_options_of_the_message_help",
    "see --subsets and --min-seconds":
        "tests/egs/test_librilight.py::test_where_no_speech_is_left_the_options_of_the_message_help",
    "--really-push goes with --push":
        "tests/sharing/test_pack.py::test_a_push_says_what_would_go_and_sends_nothing_unless_told_to",
    "choose another --format":
        "tests/sharing/test_token_formats.py::test_tokens_without_recordings_go_out_in_another_format",
    "set the names and sizes in run.sh":
        "tests/egs/test_setup.py::test_the_readme_takes_a_corpus_through_stage_0",
}
# Or why nothing can be tried here.
UNTRIED = {
    "needs masking.unprompted in training": "no fault: what an option is for",
    "resample the corpus in local/data.sh": "what the user writes; --audio-format is tried in test_format_audio.py",
    "is left out: its prompt has": "a codec of another number of frames than its rate says; the option is tried above",
    "run tools/install.sh, then: pip": "pip needs an index",
    "which needs espnet 202511 and torchaudio": "an installation",
    "pip install --no-deps": "pip needs an index",
    "one at a time is measured by `--figures runtime`": "no fault: tests/bin/test_figure_fronts.py",
    "give one of these as --codec": "names of the hub; directories in test_pack.py",
    "codebook collapse": "another training",
    "the gradient of {} is": "another training",
    "give it the names of your partitions": "a cluster",
    "set cmd_backend=slurm (cmd.sh)": "a cluster; tests/utils/test_slurm.py::test_cmd_sh_switches_all_commands",
    "add codec to --systems": "a recipe with a detector: tests/egs/test_readers_integration.py",
    "add semantic to --audiolm-stages": "a recipe with AudioLM: tests/egs/test_readers_integration.py",
    "add audiolm to --acoustic-models": "a recipe with both: tests/egs/test_piano_integration.py",
}


def test_every_advice_was_tried_or_it_is_said_why_not():
    advice = [message for message in MESSAGES if ADVICE.search(message.text)]
    advice = [m for m in advice if not m.text.lstrip().startswith("usage") and "model_card" not in m.path]
    assert len(advice) > 80
    known = [*TRIED, *UNTRIED]
    new = [(m.path, m.line, m.text) for m in advice if not any(part in m.text for part in known)]
    assert not new, "say in TRIED which test follows it, or in UNTRIED why none can"
    gone = [part for part in known if not any(part in message.text for message in advice)]
    assert not gone, "no message says that any more"


@pytest.mark.parametrize("test", sorted(set(TRIED.values())))
def test_the_test_that_tried_it_is_there(test):
    path, _, name = test.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def run_in_bash(command):
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(["bash", "-ec", command], cwd=ROOT, env=environment, capture_output=True, text=True)


def length_0(data):
    write_table(data / "utt2dur", {**read_table(data / "utt2dur"), "b-1": "0"})
    return lambda: Utterances(data, 16000).durations


def unknown_recording(data):
    write_table(data / "segments", {utt: f"{utt} 0 0.5" for utt in read_table(data / "wav.scp")} | {"b-1": "x 0 1"})
    return lambda: Utterances(data, 16000)


def unused_recording(data):
    write_table(data / "segments", {utt: f"{utt} 0 0.5" for utt in ("a-1", "a-2", "b-2")})
    for name in ("utt2spk", "utt2dur", "text"):
        write_table(data / name, {utt: v for utt, v in read_table(data / name).items() if utt != "b-1"})
    (data / "spk2utt").write_text("a a-1 a-2\nb b-2\n")
    return lambda: validate_data_dir(data)


def no_speaker(data):
    write_table(data / "utt2spk", {utt: spk for utt, spk in read_table(data / "utt2spk").items() if utt != "b-1"})
    return lambda: measure_sources(data, tokens=[str(data / "semantic.scp")])


@pytest.mark.parametrize("break_it", [length_0, unknown_recording, unused_recording, no_speaker])
def test_the_tool_that_a_message_names_mends_the_directory(places, tmp_path, break_it):
    data = tmp_path / "data"
    shutil.copytree(places["phones"], data)
    use = break_it(data)
    with pytest.raises(ValueError, match=r"utils/fix_data_dir\.sh") as refused:
        use()
    command = re.search(r"utils/fix_data_dir\.sh( [^ )]*/data)?", str(refused.value))[0]
    done = run_in_bash(command if command.endswith("data") else f"{command} {data}")
    assert done.returncode == 0, done.stderr
    use()


def test_durations_are_made_as_the_message_of_combining_says(places, tmp_path):
    for name in ("one", "two"):
        shutil.copytree(places["phones"], tmp_path / name)
        for other in ("phones.ctm", "semantic.scp", "acoustic.scp", "utt2num_frames", "utt2num_tokens"):
            (tmp_path / name / other).unlink(missing_ok=True)
    (tmp_path / "two/utt2dur").unlink()
    write_table(tmp_path / "one/segments", {utt: f"{utt} 0 0.5" for utt in read_table(tmp_path / "one/wav.scp")})
    run_in_bash(f"utils/copy_data_dir.sh --utt-prefix x- --spk-prefix x- {tmp_path}/two {tmp_path}/three")
    combine = f"utils/combine_data.sh {tmp_path}/new {tmp_path}/one {tmp_path}/three"
    refused = run_in_bash(combine)
    command = re.search(r"run (utils/get_utt2dur\.sh \S+)", refused.stderr)
    assert refused.returncode == 1 and command, refused.stderr
    done = run_in_bash(f"{command[1]} && {combine}")
    assert done.returncode == 0, done.stderr


def test_crops_are_lowered_as_the_message_says(places):
    utterances = Utterances(places["chain"] / "data", 16000)
    with pytest.raises(ValueError, match="lower crops.min_seconds to .* or less") as refused:
        ConsistencyDataset(utterances, CropConfig(min_seconds=3.0, max_seconds=4.0), do_normalize=False)
    least = float(re.search(r"crops.min_seconds to (\S+) or less", str(refused.value))[1])
    crops = CropConfig(min_seconds=least, max_seconds=4.0)
    assert len(ConsistencyDataset(utterances, crops, do_normalize=False)) == 2


def test_stages_of_audiolm_are_trained_alike_as_the_message_says(places, tmp_path):
    sets = SETS.format(out=tmp_path / "fine", **places).split()
    small = "--model.layers 1 --model.width 16 --model.heads 2 --model.head-dim 8 --model.inner 16".split()
    train = [*sets, *small, "--stage", "fine", "--codec", f"{places['chain']}/codec", "--data.fine-seconds", "0.5"]
    words = FREE.replace("{chain}/audiolm/fine", str(tmp_path / "fine")).format(out=tmp_path / "out", **places)
    speak = [*words.split(), "--count", "1", "--max-seconds", "0.8"]
    train_audiolm.main([*train, "--data.coarse-levels", "2"])
    with pytest.raises(ValueError, match="its fine stage with 2; train both with the same") as refused:
        generate_audiolm.main(speak)
    coarse = re.search(r"was trained with (\d) coarse levels", str(refused.value))[1]
    shutil.rmtree(tmp_path / "fine")
    train_audiolm.main([*train, "--data.coarse-levels", coarse])
    generate_audiolm.main(speak)


def test_scores_do_without_dnsmos_as_the_message_says(places, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "speechmos", None)  # as if it was not installed
    words = SCORE.replace("--score.quality-utterances 0", "--system mine")
    words = words.format(out=tmp_path / "out", **places)
    with pytest.raises(ValueError, match="DNSMOS cannot be imported .* or set score.quality_utterances to 0"):
        score.main(words.split())
    score.main([*words.split(), "--score.quality-utterances", "0"])
    assert (tmp_path / "out.json").exists()


def test_ids_are_renamed_as_the_message_says(places, tmp_path):
    """As local/data.sh would, which is the user's."""
    tables = {name: (places["phones"] / name).read_text() for name in ("wav.scp", "utt2spk", "text", "utt2dur")}
    tables["spk2utt"] = "a a-1 a-2\nb b-1 b-2\n"
    for name, content in tables.items():
        (tmp_path / name).write_text(re.sub(r"\ba-1(?!\.)", "a-1ä", content))
    with pytest.raises(ValueError, match="id 'a-1ä' has other characters than .*; rename it in local/data.sh"):
        validate_data_dir(tmp_path)
    for name, content in tables.items():
        (tmp_path / name).write_text(content)
    validate_data_dir(tmp_path)


@pytest.mark.parametrize(
    "place, command",
    [
        (".", "utils/filter_scp.py --odd"),
        (".", "utils/filter_scp.py a b c d"),
        (".", "utils/torchrun.py"),
        (".", "utils/utt2spk_to_spk2utt.py a b"),
        (".", "python3 -m soundstorm.bin.merge_tokens --odd"),
        ("egs/mini", "./run.sh odd"),
        ("egs/mini", "local/data.sh odd"),
    ],
)
def test_where_a_help_is_named_there_is_one(place, command):
    refused = run_in_bash(f"cd {place} && {command}")
    assert refused.returncode != 0 and re.search(r"see (local/data\.sh )?--help", refused.stderr), refused.stderr
    program = re.match(r"(python3 -m )?\S+", command)[0]
    done = run_in_bash(f"cd {place} && {program} --help")
    assert done.returncode == 0 and "usage: " in (done.stdout + done.stderr).lower()
