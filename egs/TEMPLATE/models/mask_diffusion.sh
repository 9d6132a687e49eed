# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by soundstorm.sh: mask diffusion, an unofficial SoundStorm, as one of --acoustic-models.
# --- options
# Mask diffusion (stage 4)
mask_diffusion_config=conf/train_mask_diffusion.yaml  # configuration of the model
mask_diffusion_args=          # further options of train_mask_diffusion
mask_diffusion_tag=           # suffix of the experiment directory (empty: from the configuration's name)
mask_diffusion_exp=           # experiment directory or pack (empty: <expdir>/mask_diffusion[_<tag>])
# --- end of options

# By the posterior of the chain, all its steps or jumps over 2, 4 and 10 of them. About as sharp as purity is where the
# network is surest, 1 / (1 + 2): at temperature 1 fewer tokens of tests/decoding/test_mask_diffusion_toy_task.py are right
# than of its data.
variant_options[mask_diffusion_posterior]="--mask_diffusion.sampler posterior --mask_diffusion.temperature 0.3"
for passes in 51 26 11; do
    variant_options[mask_diffusion_${passes}]="${variant_options[mask_diffusion_posterior]}"
    variant_options[mask_diffusion_${passes}]+=" --mask_diffusion.passes ${passes}"
done
unset passes
