#!/usr/bin/env bash
# The same recipe with everything that is measured beside its table: all of AudioLM on the same tokens, ABX of the
# tokens, likelihood of pairs in the manner of sWUGGY and sBLIMP, a detector for every system, run time against length,
# quality and word errors against iterations; test utterances of the paper's third length, 20 to 30 s; and SoundStorm
# trained half as long again (exp/soundstorm_long). Under an hour on two CPU cores by the sum of its
# parts, with the plain run in it.
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"

. ./path.sh
OMP_NUM_THREADS=1 python3 local/synthesise_pairs.py --output corpus_pairs
exec ./run.sh \
    --local-data-opts "--long true" --test-sets "test test_unseen test_long" \
    --soundstorm-tag long --soundstorm-args "--training.max-steps 4500 --training.valid-every 1500 \
        --training.save-every 1500 --training.warmup-steps 100" \
    --acoustic-models "soundstorm audiolm" --audiolm-stages "semantic coarse fine" \
    --systems "codec soundstorm_greedy soundstorm_greedy_prompted soundstorm soundstorm_prompted \
        soundstorm_text soundstorm_text_prompted audiolm audiolm_prompted" \
    --abx measure --detector train \
    --likelihood-pairs "corpus_pairs/words/gold.csv corpus_pairs/sentences/gold.csv" \
    --figures "runtime iterations" --runtime-args "--most-seconds 20" \
    --iterations-args "--utterances 30 --quality-utterances 6" --report-config conf/report_extended.yaml \
    --results RESULTS_extended.md "$@"
