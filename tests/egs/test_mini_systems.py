"""What egs/mini/run_systems.sh asks of the engine; from its trainings to its table: test_mini_integration.py."""

TOKENS = ["soundstorm", "soundstorm_unet", "audiolm", "mask_diffusion", "mask_diffusion_51", "mask_diffusion_26"]
TOKENS += ["mask_diffusion_11", "mask_diffusion_absorbing"]
TEXT = ["soundstorm_text", "soundstorm_masked_text", "tacotron2", "tacotron2_griffin_lim"]


def status(checkout, *options):
    return checkout.run(["./run_systems.sh", *options, "--status"], cwd="egs/mini")


def test_every_model_is_trained_and_every_system_has_a_row(checkout):
    done = status(checkout, "--ear", "some/ear")
    assert done.returncode == 0, done.stderr
    names = ["soundstorm_equal", "audiolm_equal/coarse", "audiolm_equal/fine", "mask_diffusion", "tacotron2/features"]
    names += ["tacotron2/wavenet", "soundstorm_unet", "mask_diffusion_absorbing", "text_to_semantic"]
    names.append("masked_text_to_semantic")
    for name in names:
        assert f"training: exp/{name}\n" in done.stdout
    scored = [line.split()[4] for line in done.stdout.splitlines() if "score of" in line and line.endswith(" on test")]
    assert scored == ["original", "codec", *TOKENS, *TEXT]
    assert "report: exp/report_systems" in done.stdout


def test_models_and_variants_are_chosen(checkout):
    chosen = ["--models", "audiolm", "--variants", "mask_diffusion_cross", "--prompted", "true"]
    done = status(checkout, *chosen, "--small", "true")
    assert done.returncode == 0, done.stderr
    decoded = [line.split()[2] for line in done.stdout.splitlines() if "/decode_systems_" in line]
    plain = ["soundstorm", "audiolm", "mask_diffusion_cross", "soundstorm_text", "soundstorm_masked_text"]
    assert [name if name in decoded else None for name in ["codec", *plain]] == ["codec", *plain]
    assert {f"{name}_prompted" for name in plain} < set(decoded) and len(decoded) == 11
    assert "training: exp_small/mask_diffusion_cross\n" in done.stdout and "mask_diffusion\n" not in done.stdout
    wrong = status(checkout, "--variants", "audiolm_big")
    assert wrong.returncode != 0 and "--variants has 'audiolm_big', expected some of" in wrong.stderr
