# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by soundstorm.sh: SoundStorm as one of --acoustic-models.
# --- options
# SoundStorm (stage 4)
soundstorm_config=conf/train_soundstorm.yaml  # configuration of the model
soundstorm_args=              # further options of train_soundstorm
soundstorm_tag=               # suffix of the experiment directory (empty: from the configuration's name)
soundstorm_exp=               # experiment directory or pack (empty: <expdir>/soundstorm[_<tag>])
# --- end of options

# One pass for each RVQ level, the paper's level-wise greedy decoding.
variant_options[soundstorm_greedy]="--decode.iterations 1"
