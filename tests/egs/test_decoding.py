"""Stage 6: by what options a system speaks, what is there already, and what an interrupted run left."""

import os
import re
import shlex

import pytest

from soundstorm.bin.synthesize import get_parser

ENGINE = """
declare -A variant_options=() variant_stage=() variant_of=() text_exps=([autoregressive]=exp/text_to_semantic)
for part in "$2"/../models/*.sh; do . "$part"; done
wants_status=false datadir=data expdir=exp prompt_seconds=3 ngpu=0 nj=2 python=python3 has_tokens=true
decode_config=decode.yaml decode_tag= decode_args= codec_model=exp/codec semantic_exp=exp/kmeans
soundstorm_exp=exp/soundstorm mask_diffusion_exp=exp/mask_diffusion main_text_exp=exp/text_to_semantic audiolm_exp=
acoustic_models="soundstorm mask_diffusion" acoustic_model_names=(soundstorm mask_diffusion)
text_model_names=(autoregressive)
for part in interrupt jobs systems; do . "$2/$part.sh"; done
{variables}
"""


@pytest.fixture
def engine(engine_shell, tmp_path):
    """Runs lines with these variables of the engine."""
    (tmp_path / "decode.yaml").write_text("decode:\n  temperature: 1.0\n")

    def run(lines, *variables):
        return engine_shell(ENGINE.replace("{variables}", "\n".join(variables)) + lines)

    return run


@pytest.mark.parametrize(
    "system, args, expected",
    [
        ("soundstorm_greedy", "--decode.iterations 4,1", {"decode.iterations": (1,)}),
        ("soundstorm_greedy_text_prompted", "--decode.iterations=4,1", {"decode.iterations": (1,)}),
        ("soundstorm", "--decode.iterations 4,1", {"decode.iterations": (4, 1)}),
        ("soundstorm_greedy", "--decode.temperature 0.5", {"decode.iterations": (1,), "decode.temperature": 0.5}),
        ("mask_diffusion_26", "--mask-diffusion.passes 5", {"mask_diffusion.passes": 26}),
    ],
)
def test_what_a_system_is_of_holds_whatever_decode_args_say(engine, system, args, expected):
    done = engine(f"decode_options {system} test; printf '%q ' \"${{options[@]}}\"", f"decode_args={shlex.quote(args)}")
    assert done.returncode == 0, done.stderr
    parsed = vars(get_parser().parse_args([*shlex.split(done.stdout), "--output", "x"]))
    assert {name: parsed[name] for name in expected} == expected
    assert parsed["prompt_seconds"] == (3 if "prompted" in system else 0)


@pytest.mark.parametrize(
    "args, instead",
    [
        ("--decode.seed 1 --prompt-seconds 5", "--prompt-seconds 5"),
        ("--config=conf/decode_paper.yaml", "--decode-config conf/decode_paper.yaml"),
        ("--from text", "--systems soundstorm_text"),
    ],
)
def test_what_every_system_has_by_itself_is_refused_before_all_work(checkout, args, instead):
    done = checkout.run(["./run.sh", "--decode-args", args], cwd="egs/mini")
    assert done.returncode == 1 and "which every system has by itself; see" in done.stderr
    assert "Stage" not in done.stdout
    assert checkout.run(["./run.sh", "--status", *instead.split()], cwd="egs/mini").returncode == 0


SHARES = """
run_jobs() {  # <jobs> <log> <front> <options>: the shares that {left} does not leave for another call
    local share options=("${@:3}")
    echo "said: ${options[*]}"
    for share in 1 2; do
        [[ -e exp/out/share.$share/wav.scp || ${left} == "$share" ]] || echo "decodes share $share"
        [ "${left}" = "$share" ] || { mkdir -p exp/out/share.$share && touch exp/out/share.$share/wav.scp; }
    done
    [ -z "${left}" ]
}
front() { front_command=(touch exp/out/wav.scp); }
decode_one soundstorm test exp/out 2
"""


@pytest.fixture
def decoded(engine, tmp_path):
    """Decodes in two shares, of which the second may be left; returns which were decoded now."""
    for name in ("data/test/acoustic.scp", "exp/codec/model.safetensors", "exp/soundstorm/model.safetensors"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def run(left, *variables):
        done = engine(SHARES, f"left={left}", *variables)
        assert done.returncode == (1 if left else 0), done.stderr
        return [int(line.split()[2]) for line in done.stdout.splitlines() if line.startswith("decodes")]

    return run


def later(path):
    """Makes the file newer than all that is there."""
    newest = max(other.stat().st_mtime_ns for other in path.parents[1].rglob("*"))
    os.utime(path, ns=(newest + 10**7, newest + 10**7))


@pytest.mark.parametrize("change", ["nothing", "arguments", "settings", "model", "tokens", "no record"])
def test_shares_of_an_interrupted_run_are_gone_on_with_only_if_all_is_as_it_was(decoded, tmp_path, change):
    arguments = []
    assert decoded("2") == [1]
    if change == "arguments":
        arguments = ["decode_args='--decode.seed 1'"]
    elif change == "settings":
        (tmp_path / "decode.yaml").write_text("decode:\n  temperature: 0.5\n")
    elif change == "model":
        later(tmp_path / "exp/soundstorm/model.safetensors")
    elif change == "tokens":
        os.utime(tmp_path / "data/test/acoustic.scp", (2**32, 2**32))
    elif change == "no record":  # as versions before left it
        (tmp_path / "exp/out/options.txt").unlink()
    assert decoded("", *arguments) == ([2] if change == "nothing" else [1, 2])
    assert (tmp_path / "exp/out/wav.scp").exists()


@pytest.mark.parametrize("change", ["nothing", "arguments", "settings", "model"])
def test_speech_of_other_options_stays_with_a_warning_whose_remedy_works(decoded, engine, tmp_path, change):
    assert decoded("") == [1, 2]
    arguments = ["decode_args='--decode.seed 1'"] if change == "arguments" else []
    if change == "settings":
        (tmp_path / "decode.yaml").write_text("decode:\n  temperature: 0.5\n")
    elif change == "model":
        later(tmp_path / "exp/soundstorm/model.safetensors")
    told = engine("warn_of_old_speech soundstorm test exp/out", *arguments).stdout
    if change == "nothing":
        assert told == ""
        return
    assert "WARNING: exp/out was decoded with other options or by models that have been trained again since" in told
    (remedy,) = re.findall(r"to decode it again, (rm -r \S+) and run the same command", told)
    assert engine(remedy).returncode == 0 and decoded("", *arguments) == [1, 2]
    assert engine("warn_of_old_speech soundstorm test exp/out", *arguments).stdout == ""


SPEAK = """
run_jobs() { mkdir -p exp/out && touch exp/out/dialogue.json; }
place_of() { echo "data/$2"; }
dialogue_script=script.txt dialogue_args= main_exp=exp/soundstorm
dialogue_prompts="A=test/1" dialogue_exchange=
speak_dialogue exp/out
{change}
dialogue_options
! made_by exp/out/options.txt exp/out/dialogue.json "${record[@]}" || echo done
"""


@pytest.mark.parametrize(
    "change", ["", "dialogue_prompts=", "dialogue_exchange=test", "dialogue_args=--x", "touch -d '+1 hour' script.txt"]
)
def test_a_dialogue_is_done_if_its_script_voices_and_options_are_those_it_was_spoken_by(engine, change):
    done = engine(SPEAK.replace("{change}", change))
    assert done.returncode == 0 and done.stdout == ("" if change else "done\n"), done.stderr
