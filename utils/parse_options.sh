#!/usr/bin/env bash
# Turns `--foo-bar value` into foo_bar=value. To be sourced, after the defaults: . utils/parse_options.sh
#
#   foo_bar must have a default, be it empty; --foo_bar does the same; the last of several wins.
#   A default of true or false admits only true or false. There are no bare flags and no --foo=value.
#   --config FILE is sourced before any other option counts, so that the command line wins over it.
#   --help or -h prints ${help_message} and ends the script.
#   Options end at `--` (dropped), or before the first argument that is empty or does not start with --;
#   what is left is "$@".
#
# Values are data and never evaluated. What is used here is called _po_* and is gone afterwards.

_po_die() {
    echo "$0: $1" >&2
    exit 1
}

_po_set() {  # <option> <value>
    local _po_name=${1#--}
    _po_name=${_po_name//-/_}
    [[ ${_po_name} =~ ^[a-zA-Z][a-zA-Z0-9_]*$ && -n ${!_po_name+set} ]] ||
        _po_die "invalid option $1 (see $0 --help)"
    if [[ ${!_po_name} == true || ${!_po_name} == false ]] && [[ $2 != true && $2 != false ]]; then
        _po_die "expected \"true\" or \"false\": $1 $2"
    fi
    printf -v "${_po_name}" '%s' "$2" || _po_die "option $1 cannot be set"
}

# First the configuration files, wherever they stand before a `--`.
_po_end=false
for ((_po_at = 1; _po_at <= $#; _po_at++)); do
    case ${!_po_at} in
        --) break ;;
        --config)
            ((++_po_at <= $#)) || _po_die "option --config needs a value: a file to source"
            _po_file=${!_po_at}
            [[ -r ${_po_file} && ! -d ${_po_file} ]] || _po_die "cannot read the file of --config ${_po_file}"
            [[ ${_po_file} == */* ]] || _po_file=./${_po_file}  # or else it is looked for in PATH
            # shellcheck disable=SC1090
            . "${_po_file}"
            ;;
        --help) ;;
        # The value of an option is not an option, whatever it looks like.
        --*) ${_po_end} || ((++_po_at)) ;;
        *) _po_end=true ;;
    esac
done

while [[ ${1:-} == --* || ${1:-} == -h ]]; do
    case $1 in
        --)
            shift
            break
            ;;
        --help | -h)
            printf '%s\n' "${help_message:-No help for $0}"
            exit 0
            ;;
        --*=*) _po_die "options to scripts must be of the form --name value, got '$1'" ;;
    esac
    [[ $# -ge 2 ]] || _po_die "option $1 needs a value"
    # --config has done its work; a script that has a variable of this name learns the file.
    [[ $1 == --config && -z ${config+set} ]] || _po_set "$1" "$2"
    shift 2
done

[[ -z ${cmd+set} || -n ${cmd} ]] || _po_die "empty argument to --cmd option"

unset -f _po_die _po_set
unset -v _po_end _po_at _po_file
