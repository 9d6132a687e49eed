#!/usr/bin/env bash
# The paper's dialogue experiment: text with turns to semantic tokens to speech of two voices, prompted by a
# short exchange. Its 100,000 hours are not public; this takes conversations of your own, or DailyTalk (20 hours).
# Not run yet at this size: RESULTS.md says what was. Eight GPUs of 80 GB are assumed; conf/*.yaml say for what.
#   ./run.sh --ngpu 8 --portion 1 --local-data-opts "--manifest <file>"                      (local/conversations.py)
#   ./run.sh --ngpu 8 --portion 1 --local-data-opts "--audio <dir> --rttm <file> --ctm <file>"    (or --stm)
#   ./run.sh --ngpu 8 --portion 1 --local-data-opts "--dailytalk <dir>"
# k-means wants some 20 hours, 11 GB: --portion 1 of as many, less of more; 0.0002, as set here, of 100,000.
# A dialogue of your own, in the voices of two utterances of any set:
#   ./run.sh --stage 6 --dialogue-script my.txt --dialogue-exchange "" --dialogue-prompts "A=<utterance> B=<utterance>"
# Beyond 150 characters, about 10 s, it is spoken in passes, each of which goes on from up to 20 s of what went before.
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"

exec ./soundstorm.sh \
    --train-set train --valid-set dev --test-sets test \
    --ssl-model facebook/hubert-base-ls960 --semantic-layer 9 --semantic-clusters 1024 --portion 0.0002 \
    --codec-config conf/train_codec.yaml --soundstorm-config conf/train_soundstorm.yaml \
    --text-to-semantic-config conf/train_text_to_semantic.yaml \
    --audiolm-config conf/train_audiolm.yaml \
    --systems "codec soundstorm soundstorm_prompted soundstorm_text soundstorm_text_prompted" \
    --prompt-seconds 3 --decode-config conf/decode.yaml \
    --dialogue-script conf/dialogue.txt --dialogue-exchange prompts \
    --recognizer facebook/hubert-large-ls960-ft --speaker-model none --report-args "--sample-rate 24000" "$@"
