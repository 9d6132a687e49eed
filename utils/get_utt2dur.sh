#!/usr/bin/env bash
# Makes utt2dur: from segments where there are some, or else from the headers of the audio files.
set -euo pipefail
export LC_ALL=C
utils=$(dirname "$0")

nj=4
cmd=utils/run.py

help_message="usage: utils/get_utt2dur.sh [options] <data-dir>
 e.g.: utils/get_utt2dur.sh --nj 8 --cmd \"\${train_cmd}\" data/train
Make <data-dir>/utt2dur, the seconds of each utterance; does nothing where it is there and complete.
  --nj N      jobs that read headers (default ${nj})
  --cmd C     how to run them (default ${cmd})"

. "${utils}/parse_options.sh"

if [ $# -ne 1 ]; then
    echo "$0: expected <data-dir>, got $# arguments" >&2
    echo "${help_message}" >&2
    exit 1
fi
data=$1
tool() { python3 "${utils}/data_dir_tool.py" "$@"; }

message=$(tool utt2dur_from_segments "${data}")
if [ -n "${message}" ]; then
    echo "${message}"
    exit 0
fi

[[ ${nj} =~ ^[0-9]{1,9}$ && $((10#${nj})) -gt 0 ]] || {
    echo "$0: --nj takes a number of at least 1, got '${nj}'" >&2
    exit 1
}
num_lines=$(grep -c '' "${data}/wav.scp") || { # counts a last line without newline too
    echo "$0: ${data}/wav.scp is empty" >&2
    exit 1
}
nj=$((10#${nj} < num_lines ? 10#${nj} : num_lines))
logdir=${data}/log
mkdir -p "${logdir}"
parts=() durations=()
for ((job = 1; job <= nj; job++)); do
    parts+=("${logdir}/wav.${job}.scp") durations+=("${logdir}/utt2dur.${job}")
done
python3 "${utils}/split_scp.py" "${data}/wav.scp" "${parts[@]}"
if [ "${cmd}" = utils/run.py ]; then
    launcher=("${utils}/run.py") # which may have blanks
else
    read -ra launcher <<<"${cmd}" # the command has options of its own
fi
job=_JOB_NUMBER_ # becomes each job's number wherever it stands, also in paths: hence no word that paths have
words=()
for word in "${utils}/data_dir_tool.py" utt2dur_from_headers "${logdir}/wav.${job}.scp" "${logdir}/utt2dur.${job}"; do
    [[ ${word} =~ [[:space:]] ]] || printf -v word '%q' "${word}" # the launcher hands these to bash as they are
    words+=("${word}")
done
"${launcher[@]}" "${job}=1:${nj}" "${logdir}/get_utt2dur.${job}.log" python3 "${words[@]}"
tool utt2dur_merge "${data}" "${durations[@]}"
rm -f "${parts[@]}" "${durations[@]}"
