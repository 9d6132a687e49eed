#!/usr/bin/env bash
# The engine of every recipe: from a corpus to scored speech in eight stages that talk to each other through files.
# A recipe's run.sh calls it with that corpus's options; `./run.sh --help` lists them all.
# Options are reached through their names too, which shellcheck cannot see.
# shellcheck disable=SC2034
set -euo pipefail
. ./path.sh

# The defaults below are the only place where an option is declared: --help is made from these lines.
# --- options
# Stages
stage=0                       # first stage to run
stop_stage=7                  # last stage to run
# Machine
ngpu=0                        # GPUs of a training (0: train on the CPU); extraction and decoding take one each
jobs_per_gpu=1                # jobs of extraction, decoding and scoring that share a GPU
nj=$(getconf _NPROCESSORS_ONLN)  # parallel jobs of extraction, decoding and scoring
threads_per_job=1             # CPU threads of each of those jobs
train_threads=$(getconf _NPROCESSORS_ONLN)  # CPU threads of a training (cmd_backend=slurm: 8, and 4 a GPU at least)
train_jobs=1                  # trainings side by side where one does not need another (the codec beside stage 1, most others beside the first of stage 4); they share --train-threads
train_procs=1                 # processes of a training without GPU, which share its threads (with GPUs there is one for each)
normal_losses=                # losses of trainings that later ones are compared with, e.g. conf/normal_losses.json; stage 7 writes it where there is none yet (empty: no comparison)
num_nodes=1                   # machines of a training, each with so many GPUs or processes; above 1 with cmd_backend=slurm only
python=python3                # the Python that runs the fronts
datadir=data                  # data directories, one per set
dumpdir=dump                  # token archives
expdir=exp                    # models, decoded speech, scores
# Data (stage 0)
train_set=train               # set to train on
valid_set=dev                 # set to validate on
test_sets="test"              # sets to decode and score
token_train_set=              # set that HuBERT, k-means and codec are trained on, e.g. with other speech in it (empty: the training set)
text_train_set=               # transcribed set for stage 5, recognisers and acoustic models that read text (empty: the training set)
text_valid_set=               # transcribed set to validate these on (empty: the validation set)
check_samples=false           # true: read all samples of all recordings once: is any silent, or damaged in the middle?
validate_args=                # further options of utils/validate_data_dir.sh, e.g. "--non-print"
local_data_opts=              # options of local/data.sh, which is told --datadir too
audio_format=                 # "flac" or "wav": after local/data.sh, write all audio to such files by utils/format_wav_scp.sh (empty: as it is)
sample_rate=16000             # Hz of those files
allow_pipes=false             # run the commands that wav.scp has, to make those files?
# Semantic tokens (stage 1)
ssl_model=facebook/hubert-base-ls960  # name or directory, as train_kmeans --help has it; "pretrain": train a HuBERT, "recognizer": a CTC recogniser on the transcripts
hubert_config=conf/train_hubert.yaml  # configuration of the pre-training
hubert_args=                  # further options of pretrain_hubert, e.g. "--training.max-steps 1000"
hubert_tag=                   # suffix of the experiment directory (empty: from the configuration's name)
hubert_exp=                   # experiment directory, or a pack of utils/pack_model.sh (empty: <expdir>/hubert[_<tag>])
mfcc_clusters=100             # k-means clusters over MFCC: first targets of the pre-training
hubert_iterations=1           # its trainings, each of the later ones (in <experiment directory>_it2, ...) on clusters of the one before; HuBERT's are 2
hubert_target_layer=6         # layer whose clusters the next iteration learns
hubert_target_clusters=500    # how many
hubert_next_args=             # further options of pretrain_hubert in later iterations, after --hubert-args
token_recognizer_config=conf/train_token_recognizer.yaml  # configuration of that recogniser, which stage 7 does not listen with
token_recognizer_args=        # further options of train_recognizer for it
token_recognizer_tag=         # suffix of the experiment directory (empty: from the configuration's name)
token_recognizer_exp=         # experiment directory or pack (empty: <expdir>/token_recognizer[_<tag>])
semantic_layer=9              # layer of that model whose output is clustered (0: before the first layer)
semantic_clusters=1024        # k-means clusters: the semantic vocabulary
portion=1.0                   # portion of the training set that k-means sees
kmeans_args=                  # further options of train_kmeans
semantic_tag=                 # suffix of the k-means and archive directories (empty: the model's, layer and clusters)
semantic_exp=                 # k-means directory or pack (empty: <expdir>/kmeans_<semantic tag>)
# Codec and acoustic tokens (stages 2 and 3)
codec=train                   # "train", or a ready one: encodec:<name or directory>, dac:..., mimi:...
codec_config=conf/train_codec.yaml  # configuration of the codec
codec_args=                   # further options of train_codec
codec_tag=                    # suffix of the experiment directory (empty: from the configuration's or codec's name)
codec_exp=                    # experiment directory or pack (empty: <expdir>/codec[_<tag>])
abx=none                      # "measure": ABX errors of all tokens, where the first test set has phone times, or none
abx_args=                     # further options of measure_abx
# Acoustic models (stage 4): semantic to acoustic tokens. Each <model> has a file models/<model>.sh with its own options
acoustic_models=soundstorm    # what is trained, e.g. "soundstorm audiolm"; the others are compared with the first
acoustic_variants=            # further trainings, each <model>_<name>=<options of its training, after --<model>-args>, e.g. "soundstorm_unet='--model.combine unet'", in <expdir>/<model>_<name>; systems call them as a model
# Text to semantic tokens (stage 5)
text_to_semantic_models=autoregressive  # what is trained: autoregressive (the paper's), masked (in parallel) or both; systems <model>_text, dialogues and the pack speak by the first, <model>_masked_text by masked
text_to_semantic_config=conf/train_text_to_semantic.yaml  # configuration of the autoregressive model
text_to_semantic_args=        # further options of train_text_to_semantic
text_to_semantic_tag=         # suffix of the experiment directory (empty: from the configuration's name)
text_to_semantic_exp=         # experiment directory or pack (empty: <expdir>/text_to_semantic[_<tag>])
masked_text_to_semantic_config=conf/train_masked_text_to_semantic.yaml  # configuration of the masked model
masked_text_to_semantic_args=  # further options of train_masked_text_to_semantic
masked_text_to_semantic_tag=  # suffix of the experiment directory (empty: from the configuration's name)
masked_text_to_semantic_exp=  # experiment directory or pack (empty: <expdir>/masked_text_to_semantic[_<tag>])
text_to_semantic_pretrain=    # configuration of a pre-training of the autoregressive model on semantic tokens alone, e.g. conf/pretrain_text_to_semantic.yaml (empty: none)
text_to_semantic_pretrain_args=  # further options of pretrain_text_to_semantic
back_translation=             # configuration of a model that writes texts for what has none, which are then trained on, e.g. conf/train_semantic_to_text.yaml (empty: none)
back_translation_args=        # further options of train_semantic_to_text
transcribe_args=              # further options of back_translate, e.g. "--transcribe.temperature 0.7"
# Decoding (stage 6)
decode_config=conf/decode.yaml  # iterations per level, temperatures
decode_args=                  # further options of synthesize; what a system is of itself, as soundstorm_greedy of one pass, it stays
decode_tag=                   # suffix of the decoding directories (empty: from the configuration's name)
prompt_seconds=3              # length of the voice prompt of the prompted systems
systems=                      # what is decoded: codec, <model>[_<variant>][_text][_prompted] or <model>_continued, e.g. "codec soundstorm_greedy soundstorm_prompted soundstorm_text"; without text stage 5 is left out (empty: all of the first model, the others with and without prompt)
dialogue_script=              # text file with lines "A: ..." and "B: ..." to be spoken too (empty: none)
dialogue_prompts=             # an utterance of any set for each of its voices, e.g. "A=anna-chapter1 B=bert-chapter2"
dialogue_exchange=            # or an utterance in which all of them speak, or a set: its first utterance
dialogue_args=                # further options of synthesize_dialogue
# Scoring (stage 7)
recognizer=train              # "train" (a CTC on log-mel spectra), "closed:train" (the same with a closed vocabulary), a name as `score --help` has it; or several
recognizer_config=conf/train_recognizer.yaml  # configuration of the recogniser
recognizer_args=              # further options of train_recognizer
recognizer_tag=               # suffix of the experiment directory (empty: from the configuration's name)
recognizer_exp=               # experiment directory or pack (empty: <expdir>/recognizer[_<tag>])
speaker_model=resemblyzer     # "resemblyzer", a transformers x-vector model, or none
consistency=train             # "train" the network that measures acoustic consistency, or none
consistency_config=conf/train_consistency.yaml  # configuration of the acoustic consistency network
consistency_ssl_model=        # model whose early layer it reads (empty: the one behind the tokens)
consistency_args=             # further options of train_consistency
consistency_tag=              # suffix of the experiment directory (empty: from the configuration's name)
consistency_exp=              # experiment directory or pack (empty: <expdir>/consistency[_<tag>])
detector=none                 # "train" a classifier for every system: its speech or a recording? (needs system codec), or none
detector_config=conf/detect.yaml  # configuration of the classifiers
detector_args=                # further options of detect
music=none                    # "measure" key, tempo and notes of continuations of music, or none
music_args=                   # further options of measure_music, e.g. "--window-seconds 4"
figures=                      # further figures: "runtime" against length, "iterations" of the first level (after a prompt), both or none
runtime_args=                 # further options of measure_runtime, e.g. "--repeats 5"
iterations_args=              # further options of measure_iterations, e.g. "--utterances 20"
score_config=conf/score.yaml  # lengths of crops, numbers of utterances
score_args=                   # further options of score, e.g. "--score.quality-utterances 20"
report_config=conf/report.yaml  # title, targets, number of examples of the report
report_args=                  # further options of report
pack=false                    # true: pack the models into <expdir>/pack in the end, to speak with and to share
pack_args=                    # further options of pack_model, e.g. "--license cc-by-4.0 --language en"
results=                      # where a copy of the table goes, e.g. RESULTS.md (empty: nowhere)
# --- end of options

# What each acoustic model adds: options, variants of decoding, and where it has some, a function <model>_extras.
declare -A variant_options=() variant_stage=() # options of synthesize; or the one network that it is
known_models=()
for model_file in "$(dirname "$(realpath "${BASH_SOURCE[0]}")")"/models/*.sh; do
    # shellcheck source=/dev/null
    . "${model_file}"
    known_models+=("$(basename "${model_file}" .sh)")
done

printf -v invocation '%q ' "./$(basename "$0")" "$@" # for the record

options_help() {  # Lists the options between the two marks above, each with its present value.
    local line name comment
    echo "Usage: $0 [--status] [--<option> <value>]..."
    echo
    echo "--status says for each stage what is done, what is running and what comes, and does nothing."
    echo "Stages: 0 data, 1 semantic tokens, 2 codec, 3 acoustic tokens, 4 acoustic models, 5 text to semantic,"
    echo "6 decoding, 7 scoring. A stage that is complete does nothing; one that was interrupted carries on."
    echo
    echo "Options of other programs (--local-data-opts, --*-args) and lists of paths are split and unquoted as a shell does;"
    echo "nothing in them is expanded: --local-data-opts \"--corpus '/data/my corpus'\". Relative paths are relative to here."
    while IFS= read -r line; do
        case "${line}" in
            "# --- "*) ;;
            "# "*) printf '\n%s\n' "${line#\# }" ;;
            *)
                name=${line%%=*}
                comment=${line#*  # }
                printf '  --%-26s %s (default: %s)\n' "${name//_/-}" "${comment}" "\"${!name}\""
                ;;
        esac
    done < <(sed -n '/^# --- options$/,/^# --- end of options$/p' "${BASH_SOURCE[0]}" \
        "$(dirname "$(realpath "${BASH_SOURCE[0]}")")"/models/*.sh)
}

# shellcheck source=functions/interrupt.sh
. "${SOUNDSTORM_ROOT}/egs/TEMPLATE/functions/interrupt.sh"
. ./cmd.sh
[ "${cmd_backend:-local}" = local ] || train_threads=8 # machines of a cluster need not have this one's processors

# --help comes last when a recipe's run.sh passes it on: reading the recipe's options first shows the recipe's defaults.
wants_help=false
if [[ $# -gt 0 && (${*: -1} == --help || ${*: -1} == -h) ]]; then
    wants_help=true
    set -- "${@:1:$#-1}"
fi
# So may --status, which has no value.
wants_status=false words=()
while [ $# -gt 0 ]; do
    if [ "$1" = --status ]; then
        wants_status=true
        shift
    else
        words+=("${@:1:2}")
        shift $(($# > 1 ? 2 : 1))
    fi
done
set -- "${words[@]}"
help_message=$(options_help)
. utils/parse_options.sh
if "${wants_help}"; then
    options_help
    exit 0
fi
[ $# -eq 0 ] || die "unexpected argument '$1'; options are --<name> <value>, see --help"
for number in stage stop_stage ngpu jobs_per_gpu nj threads_per_job train_threads train_jobs train_procs num_nodes sample_rate \
    hubert_iterations hubert_target_layer hubert_target_clusters; do
    [[ ${!number} =~ ^[0-9]{1,9}$ ]] || die "--${number//_/-} takes a number, got '${!number}'"
    printf -v "${number}" '%d' $((10#${!number})) # 08 is 8
    [[ ${number} == *stage || ${number} == *_layer || ${number} == ngpu || ${!number} -gt 0 ]] || die "--${number//_/-} is 0, expected at least 1"
done
for name in datadir dumpdir expdir; do # as the tables of what lies there have them, without ./ and spare slashes
    path=$(tr -s / <<<"${!name}/") && path=${path//\/.\//\/} path=${path#./} path=${path%/}
    printf -v "${name}" '%s' "${path:-${!name}}"
done
train_threads=$((train_threads > train_jobs ? train_threads / train_jobs : 1))
[[ ${num_nodes} -eq 1 || ${cmd_backend:-} == slurm ]] ||
    die "--num-nodes ${num_nodes}: several machines need a cluster; set cmd_backend=slurm (cmd.sh)"
command -v "${python}" >/dev/null || die "--python ${python}: no such program"
interruptible has_modules "${python}" ||
    die "$(command -v "${python}") lacks the modules above; install them by: make -C $(printf '%q' "${SOUNDSTORM_ROOT}/tools") install"

# ------------------------------------------------------------------------------------------------- names of everything
# shellcheck source=functions/jobs.sh
. "${SOUNDSTORM_ROOT}/egs/TEMPLATE/functions/jobs.sh"
tag_of() {  # <experiment> <configuration>: conf/train_<experiment>_x.yaml -> x; conf/train_<experiment>.yaml -> nothing
    local stem
    stem=$(basename "$2" .yaml)
    stem=${stem#train_}
    stem=${stem#"$1"}
    echo "${stem#_}"
}

experiment() {  # <name>: sets <name>_exp, unless the user did, from the tag, and that from the configuration's name.
    local exp=$1_exp tag=$1_tag config=$1_config
    [ -n "${!tag}" ] || printf -v "${tag}" '%s' "$(tag_of "$1" "${!config}")"
    [ -n "${!exp}" ] || printf -v "${exp}" '%s' "${expdir}/$1${!tag:+_${!tag}}"
    ! is_pack "${!exp}" || link_pack "$1"
}

is_pack() {  # <experiment directory or what stands for it>: is it what utils/pack_model.sh makes, or its name on the hub?
    local cache=${HF_HUB_CACHE:-${HF_HOME:-${XDG_CACHE_HOME:-~/.cache}/huggingface}/hub}
    [ -e "$1/pack.json" ] || [[ ! -e $1 && $1 =~ ^[^/]+/[^/]+$ && -d ${cache}/models--${1/\//--} ]]
}

link_pack() {  # <experiment>: its directory becomes one of links into the pack that <experiment>_exp names
    local exp=$1_exp directory part=$1
    case "$1" in
        hubert | token_recognizer | semantic) part=kmeans ;; # which has what it listens through with it
        masked_text_to_semantic) part=text_to_semantic ;; # of either kind
    esac
    directory=${expdir}/$1_$(file_name "${!exp}")
    "${wants_status}" || interruptible "${python}" -m soundstorm.bin.link_pack \
        --pack "${!exp}" --part "${part}" --expdir "${directory}"
    printf -v "${exp}" '%s' "${directory}"
}

file_name() {  # <hub name or path>: a name fit for a directory
    local name
    name=$(basename "$1")
    echo "${name//[^A-Za-z0-9._-]/_}"
}

if [ -n "${semantic_exp}" ] && is_pack "${semantic_exp}"; then
    : "${semantic_tag:=$(file_name "${semantic_exp}")}"
    link_pack semantic
fi
experiment hubert
hubert_exps=("${hubert_exp}")
for ((number = 2; number <= hubert_iterations; number++)); do
    [ -d "${hubert_exp}/ssl_model" ] || hubert_exps+=("${hubert_exp%/}_it${number}") # a pack has the last one
done
hubert_exp=${hubert_exps[-1]}
read -ra acoustic_model_names <<<"${acoustic_models}"
[ "${#acoustic_model_names[@]}" -gt 0 ] || die "--acoustic-models is empty, expected one or more of ${known_models[*]}"
for name in "${acoustic_model_names[@]}"; do
    [[ " ${known_models[*]} " == *" ${name} "* ]] ||
        die "--acoustic-models has '${name}', expected some of ${known_models[*]}"
    experiment "${name}"
done
has_tokens=false # does any model make tokens? Without, stages 1 to 3 have nothing to do
for name in "${acoustic_model_names[@]}"; do
    part=${name}_reads_text
    [ "${!part:-false}" = true ] || has_tokens=true
done
main_reads_text=${acoustic_model_names[0]}_reads_text
[[ ${!main_reads_text:-false} == false || ${has_tokens} == false ]] ||
    die "--acoustic-models begins with ${acoustic_model_names[0]}, which has no tokens; name soundstorm or another that has before it"
main_exp=${acoustic_model_names[0]}_exp
main_exp=${!main_exp}
# shellcheck source=functions/variants.sh
. "${SOUNDSTORM_ROOT}/egs/TEMPLATE/functions/variants.sh"
for name in text_to_semantic masked_text_to_semantic; do # models trained otherwise have another name
    part=${name}_tag exp=${name}_exp config=${name}_config
    [ -z "${!part}${!exp}" ] || continue
    path=$(tag_of "${name}" "${!config}")
    [[ ${name} == masked* || -z ${text_to_semantic_pretrain} ]] || path+=_pretrained
    path+=${back_translation:+_back_translated}
    printf -v "${part}" '%s' "${path#_}"
done
experiment text_to_semantic
experiment masked_text_to_semantic
declare -A text_experiments=([autoregressive]=text_to_semantic [masked]=masked_text_to_semantic)
read -ra text_model_names <<<"${text_to_semantic_models}"
[ "${#text_model_names[@]}" -gt 0 ] || die "--text-to-semantic-models is empty, expected one or both of autoregressive, masked"
for name in "${text_model_names[@]}"; do
    [ -n "${text_experiments[${name}]:-}" ] ||
        die "--text-to-semantic-models has '${name}', expected one or both of autoregressive, masked"
done
declare -A text_exps=()
for name in "${!text_experiments[@]}"; do
    part=${text_experiments[${name}]}_exp
    text_exps[${name}]=${!part}
done
main_text_exp=${text_exps[${text_model_names[0]}]}
experiment recognizer
experiment consistency
experiment token_recognizer
ssl_source=${ssl_model} ssl_name=${ssl_model}
case "${ssl_model}" in
    pretrain)
        ssl_name=${hubert_exp} ssl_source=${hubert_exp}/hubert
        [ ! -d "${ssl_name}/ssl_model" ] || ssl_source=${ssl_name}/ssl_model # of a pack
        ;;
    recognizer)
        ssl_name=${token_recognizer_exp} ssl_source=recognizer:${token_recognizer_exp}
        [ ! -d "${ssl_name}/ssl_model" ] || ssl_source+=/ssl_model
        ;;
esac
: "${semantic_tag:=$(file_name "${ssl_name}")_l${semantic_layer}_k${semantic_clusters}}"
# Before hours of work, not after them.
if ! "${has_tokens}"; then
    [[ ${stop_stage} -lt 6 || -z ${dialogue_script} && ${pack} != true ]] ||
        die "--acoustic-models ${acoustic_models} has no tokens, of which dialogues and packs are made; pass" \
            "--dialogue-script '' --pack false, or name soundstorm or another that has before it"
    [[ ${stop_stage} -lt 7 || ${consistency} != train || -n ${consistency_ssl_model} ]] ||
        die "--acoustic-models ${acoustic_models} has no tokens, whose model the consistency network of stage 7 reads;" \
            "pass --consistency none, or give it a model by --consistency-ssl-model"
fi
if [[ ${consistency} == train && ${stop_stage} -ge 7 && ! -e ${consistency_exp}/model.safetensors &&
    ${consistency_ssl_model:-${ssl_source}} =~ ^[a-z0-9-]+: && ${BASH_REMATCH[0]} != recognizer: ]]; then
    die "the consistency network of stage 7 cannot read ${BASH_REMATCH[0]}... as the tokens do;" \
        "give it a model without a prefix by --consistency-ssl-model"
fi
: "${semantic_exp:=${expdir}/kmeans_${semantic_tag}}"
mfcc_exp=${expdir}/kmeans_mfcc_k${mfcc_clusters}
if [ "${codec}" = train ]; then
    experiment codec
    codec_model=${codec_exp}
else
    : "${codec_tag:=${codec%%:*}_$(file_name "${codec#*:}")}"
    codec_model=${codec}
fi
semantic_archive=semantic_${semantic_tag} semantic_model=${semantic_exp}/centroids.safetensors
acoustic_archive=acoustic_$(file_name "${codec_exp:-codec_${codec_tag}}") acoustic_model=${codec_exp}/model.safetensors
: "${decode_tag:=$(stem=$(basename "${decode_config}" .yaml) && stem=${stem#decode} && echo "${stem#_}")}"
: "${token_train_set:=${train_set}}"
: "${text_train_set:=${train_set}}"
: "${text_valid_set:=${valid_set}}"

report=${expdir}/report${decode_tag:+_${decode_tag}}
read -ra test_set_names <<<"${test_sets}"
if [ -z "${systems}" ]; then
    ! "${has_tokens}" || systems=codec
    for name in $(printf '%s\n' "${!variant_options[@]}" | sort); do
        [[ ${name} != "${acoustic_model_names[0]}"_* ]] || systems+=" ${name}"
    done
    for name in "${acoustic_model_names[@]}"; do
        systems+=" ${name} ${name}_prompted"
        [[ ${name} != "${acoustic_model_names[0]}" || ${has_tokens} == false ]] ||
            systems+=" ${name}_text ${name}_text_prompted"
    done
    for name in "${text_model_names[@]:1}"; do
        ! "${has_tokens}" ||
            systems+=" ${acoustic_model_names[0]}_${name}_text ${acoustic_model_names[0]}_${name}_text_prompted"
    done
fi
read -ra system_names <<<"${systems}"
# Every set once, in the order of first mention. Of speech that only the tokenizers learn from no tokens are needed.
mapfile -t semantic_sets < <(printf '%s\n' "${train_set}" "${valid_set}" "${text_train_set}" "${text_valid_set}" \
    "${test_set_names[@]}" | awk '!seen[$0]++')
mapfile -t all_sets < <(printf '%s\n' "${semantic_sets[@]}" "${token_train_set}" | awk '!seen[$0]++')
# What stage 5 alone learns from needs no acoustic tokens.
mapfile -t acoustic_sets < <(printf '%s\n' "${train_set}" "${valid_set}" "${test_set_names[@]}" | awk '!seen[$0]++')

# shellcheck source=functions/sets.sh
. "${SOUNDSTORM_ROOT}/egs/TEMPLATE/functions/sets.sh"
# shellcheck source=functions/token_models.sh
. "${SOUNDSTORM_ROOT}/egs/TEMPLATE/functions/token_models.sh"
# shellcheck source=functions/systems.sh
. "${SOUNDSTORM_ROOT}/egs/TEMPLATE/functions/systems.sh"
# shellcheck source=functions/text_to_semantic.sh
. "${SOUNDSTORM_ROOT}/egs/TEMPLATE/functions/text_to_semantic.sh"
# shellcheck source=functions/extras.sh
. "${SOUNDSTORM_ROOT}/egs/TEMPLATE/functions/extras.sh"
# shellcheck source=functions/overview.sh
. "${SOUNDSTORM_ROOT}/egs/TEMPLATE/functions/overview.sh"
split_arguments "${recognizer}" # some of them may be directories
recognizer_names=("${arguments[@]}")
[[ " ${figures} " != *" iterations "* || ${#recognizer_names[@]} -gt 0 ]] ||
    die "--figures iterations counts words; say who reads them: --recognizer"

for name in $(compgen -v | grep -E '_(args|opts)$'); do
    split_arguments "${!name}" # what cannot be split is found before anything is run
done
split_arguments "${decode_args}"
part=" --config --data-dir --from --codec --acoustic-model --variant --text-to-semantic --continuation --prompt-seconds"
for word in "${arguments[@]}"; do
    [[ "${part} --kmeans --share --merge --output " != *" ${word%%=*} "* ]] ||
        die "--decode-args has ${word%%=*}, which every system has by itself; see --decode-config, --prompt-seconds, --systems"
done

# -------------------------------------------------------------------------------------------------------------- stages
if doing 0 "Data preparation: ${all_sets[*]}"; then
    made=true
    for set_name in "${all_sets[@]}"; do
        made_before "${set_name}" || made=false
    done
    if ! "${made}"; then
        worked=true
        split_arguments "${local_data_opts}"
        [ "${datadir}" = data ] || arguments=(--datadir "${datadir}" "${arguments[@]}")
        interruptible local/data.sh "${arguments[@]}"
        for set_name in "${all_sets[@]}"; do
            [ -d "${datadir}/${set_name}" ] ||
                die "local/data.sh made no ${datadir}/${set_name}; it should, or --train-set, --valid-set, --test-sets differ"
            [ -z "${audio_format}" ] || format_set "${set_name}"
        done
    fi
    for set_name in "${all_sets[@]}"; do
        if ! "${made}" || ! looked_at "${set_name}"; then
            worked=true
            interruptible utils/get_utt2dur.sh --nj "${nj}" --cmd "${train_cmd}" --check-samples "${check_samples}" \
                "${datadir}/${set_name}"
        elif validate_set "${set_name}" >/dev/null 2>&1; then
            continue
        fi
        validate_set "${set_name}" ||
            die "${datadir}/${set_name} is not in order, the message above says why; mend that, or have local/data.sh make" \
                "all sets again: rm ${datadir}/${set_name}/utt2dur"
    done
    need_texts_later
    # What stage 7 would find out after days of training.
    [[ ${consistency} != train || ${stop_stage} -lt 7 || $(wc -l <"${datadir}/${valid_set}/utt2spk") -ge 2 ]] ||
        die "${datadir}/${valid_set} has one utterance; the acoustic consistency network of stage 7 needs two:" \
            "add some, or pass --consistency none"
    done_with_stage
fi

if "${has_tokens}" && doing 1 "Semantic tokens: ${ssl_model} layer ${semantic_layer}, ${semantic_clusters} clusters"; then
    for set_name in "${all_sets[@]}"; do
        need "${datadir}/${set_name}/utt2dur" 0
    done
    [ -s "${datadir}/${train_set}/semantic.scp" ] || check_codec
    ahead 2 train_codec
    split_arguments "${kmeans_args}"
    kmeans_arguments=(--data-dir "${datadir}/${token_train_set}" --portion "${portion}" "${arguments[@]}")
    [ "${ssl_model}" != pretrain ] || train_hubert
    if [ "${ssl_model}" = recognizer ] && to_do "${ssl_source#recognizer:}/model.safetensors" "recogniser for tokens: ${token_recognizer_exp}"; then
        train_ctc token_recognizer
    fi
    if to_do "${semantic_exp}/centroids.safetensors" "k-means on layer ${semantic_layer}: ${semantic_exp}"; then
        run_one "${semantic_exp}/log/train.log" train_kmeans --features "${ssl_source}" \
            --layer "${semantic_layer}" --clusters "${semantic_clusters}" \
            "${kmeans_arguments[@]}" --output "${semantic_exp}"
    fi
    extract_all_tokens semantic --kmeans "${semantic_exp}"
    phones=${datadir}/${valid_set}/phones.ctm
    if [ -e "${phones}" ] && to_do "${semantic_exp}/quality.json" "what the tokens know of phones: ${phones}"; then
        quality_arguments=(--tokens "${datadir}/${valid_set}/semantic.scp")
        for number in "${!hubert_exps[@]}"; do
            targets=$(hubert_targets "${number}")
            [ ! -e "${targets}/centroids.safetensors" ] || quality_arguments+=(--kmeans "${targets}")
        done
        run_one "${semantic_exp}/log/quality.log" measure_token_quality --data-dir "${datadir}/${valid_set}" \
            "${quality_arguments[@]}" --output "${semantic_exp}/quality.json"
        grep '^|' "${semantic_exp}/log/quality.log"
    fi
    done_with_stage
fi

if "${has_tokens}" && doing 2 "Codec: ${codec_model}"; then
    caught_up 2
    train_codec
    done_with_stage
fi

if "${has_tokens}" && doing 3 "Acoustic tokens: ${codec_model}"; then
    [ "${codec}" != train ] || need "${codec_exp}/model.safetensors" 2
    for set_name in "${acoustic_sets[@]}"; do
        need "${datadir}/${set_name}/utt2dur" 0
    done
    extract_all_tokens acoustic --codec "${codec_model}"
    if [ "${abx}" = measure ]; then
        measure_abx
    fi
    done_with_stage
fi

if doing 4 "Training of acoustic models: ${acoustic_model_names[*]}"; then
    ahead 5 train_text_models
    for name in "${acoustic_model_names[@]:1}"; do
        ahead "4.${name}" train_acoustic_model "${name}"
    done
    ahead 7 train_listeners
    for name in "${acoustic_model_names[@]}"; do
        caught_up "4.${name}"
        train_acoustic_model "${name}"
    done
    done_with_stage
fi

if doing 5 "Text-to-semantic training: ${text_to_semantic_models}"; then
    needs_text_models || log "  left out: --systems has no text, and there is no --dialogue-script"
    caught_up 5
    train_text_models
    done_with_stage
fi

if doing 6 "Decoding: ${systems}, of ${test_sets}"; then
    for system in "${system_names[@]}"; do
        parse_system "${system}"
        [ -z "${system_model}" ] || need_acoustic_model "${system_model}"
        [ "${system_source}" != text ] || need "${system_text_exp}/model.safetensors" 5
        [ "${system_source}" != continuation ] || need_continuation
    done
    for set_name in "${test_set_names[@]}"; do
        need_tokens "${set_name}"
        for system in "${system_names[@]}"; do
            directory=$(decode_dir "${system}" "${set_name}")
            if to_do "${directory}/wav.scp" "${system} of ${set_name}: ${directory}"; then
                shares=$(shares_of "${datadir}/${set_name}/$("${has_tokens}" && echo acoustic.scp || echo utt2dur)")
                if [ "${shares}" -eq 1 ]; then
                    in_background decode_one "${system}" "${set_name}" "${directory}" 1
                else # its shares run side by side
                    decode_one "${system}" "${set_name}" "${directory}" "${shares}"
                fi
            elif [ -e "${directory}/wav.scp" ]; then
                warn_of_old_speech "${system}" "${set_name}" "${directory}"
            fi
        done
    done
    if [ -n "${dialogue_script}" ]; then
        need_acoustic_model "${acoustic_model_names[0]}"
        need "${main_text_exp}/model.safetensors" 5
        directory=$(dialogue_dir)
        dialogue_options
        ! to_do "${directory}/dialogue.json" "dialogue: ${directory}/dialogue.wav" \
            made_by "${directory}/options.txt" "${directory}/dialogue.json" "${record[@]}" ||
            in_background speak_dialogue "${directory}"
    fi
    finish_background "decodings"
    done_with_stage
fi

if doing 7 "Scoring: original ${systems}, of ${test_sets}"; then
    for set_name in "${test_set_names[@]}"; do
        for system in "${system_names[@]}"; do
            need "$(decode_dir "${system}" "${set_name}")/wav.scp" 6
        done
    done
    [ -z "${dialogue_script}" ] || need "$(dialogue_dir)/dialogue.json" 6
    caught_up 7
    train_listeners
    score_all
    measure_extras
    split_arguments "${report_args}"
    options=(--config "${report_config}" --scores "${scores[@]}" --extras "${extras[@]}"
        ${dialogue_script:+--dialogue "$(dialogue_dir)"} "${arguments[@]}")
    ! "${has_tokens}" || options+=(--tokens "${datadir}/${train_set}/acoustic.scp")
    if to_do "${report}/report.json" "report: ${report}" is_reported "${options[@]}"; then
        run_one "${report}/log/report.log" report "${options[@]}" --timing "${expdir}/timing.tsv" \
            --running "7=$((SECONDS - stage_start))" --command "${invocation% }" ${results:+--results "${results}"} \
            --output "${report}"
        touch "${report}/report.json" # where nothing in it has changed either
        remember "${report}/options.txt" "${options[@]}"
    fi
    [ "${pack}" != true ] || pack_models
    done_with_stage
    "${wants_status}" || sed '/^### /,/^## /{/^## /!d}' "${report}/RESULTS.md" # without the long tables
fi
say_what_there_is
