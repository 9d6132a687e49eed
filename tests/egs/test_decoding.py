"""Stage 6: by what options a system speaks, what is there already, and what an interrupted run left."""

import shlex

import pytest

from soundstorm.bin.synthesize import get_parser

ENGINE = """
wants_status=false datadir=data expdir=exp prompt_seconds=3 ngpu=0 nj=2 python=python3 has_tokens=true
decode_config=decode.yaml decode_tag= decode_args= codec_model=exp/codec semantic_exp=exp/kmeans
soundstorm_exp=exp/soundstorm mask_diffusion_exp=exp/mask_diffusion main_text_exp=exp/text_to_semantic audiolm_exp=
acoustic_models="soundstorm mask_diffusion" acoustic_model_names=(soundstorm mask_diffusion)
text_model_names=(autoregressive)
declare -A variant_options=() variant_stage=() variant_of=() text_experiments=([autoregressive]=text_to_semantic)
text_to_semantic_exp=exp/text_to_semantic
for part in interrupt jobs systems; do . "$2/$part.sh"; done
for part in "$2"/../models/*.sh; do . "$part"; done
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


@pytest.mark.parametrize("args", ["--decode.seed 1 --prompt-seconds 5", "--config=other.yaml"])
def test_what_every_system_has_by_itself_is_refused_before_all_work(checkout, args):
    done = checkout.run(["./run.sh", "--decode-args", args], cwd="egs/mini")
    named = "--config" if "config" in args else "--prompt-seconds"
    assert done.returncode == 1 and f"--decode-args has {named}, which every system has by itself" in done.stderr
    assert "Stage" not in done.stdout
