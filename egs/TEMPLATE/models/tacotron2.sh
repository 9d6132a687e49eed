# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by soundstorm.sh: Tacotron 2 with WaveNet, speech from text without tokens, as one of --acoustic-models.
# --- options
# Tacotron 2 (stage 4)
tacotron2_config=conf/train_tacotron2.yaml  # configuration of the models
tacotron2_args=               # further options of train_tacotron2
tacotron2_tag=                # suffix of the experiment directory (empty: from the configuration's name)
tacotron2_exp=                # experiment directory (empty: <expdir>/tacotron2[_<tag>])
tacotron2_stages="features wavenet"  # its networks that are trained, one after the other; without wavenet, Griffin-Lim speaks
# --- end of options
tacotron2_reads_text=true

variant_options[tacotron2_griffin_lim]="--tacotron2.vocoder griffin_lim"
variant_options[tacotron2_window]="--tacotron2.attention_window 1,3"

tacotron2_extras() {  # How text and speech are aligned, of every system and set. Adds to `extras`.
    local system set_name directories=()
    for system in "${system_names[@]}"; do
        parse_system "${system}"
        [ "${system_model}" = tacotron2 ] || continue
        for set_name in "${test_set_names[@]}"; do
            directories+=("$(decode_dir "${system}" "${set_name}")")
        done
    done
    [ "${#directories[@]}" -gt 0 ] || return 0
    extras+=("${tacotron2_exp}/alignments${decode_tag:+_${decode_tag}}.json")
    measure "${extras[-1]}" "alignments: ${extras[-1]}" measure_alignments --decode-dir "${directories[@]}"
}
