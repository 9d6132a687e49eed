#!/usr/bin/env bash
# Makes a new recipe: copies what its user edits, links the rest.
#   egs/TEMPLATE/setup.sh egs/foo
set -euo pipefail

if [ $# -ne 1 ] || [[ $1 == -* ]]; then
    echo "Usage: $0 <new recipe's directory, e.g. egs/foo>"
    [[ ${1:-} == --help || ${1:-} == -h ]] && exit 0
    exit 1
fi
template=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
recipe=${1%/}
fail() {
    echo "setup.sh: $*" >&2
    exit 1
}
mkdir -p "$(dirname "${recipe}")"
parent=$(CDPATH='' cd "$(dirname "${recipe}")" && pwd -P)
[ "${parent}" = "$(dirname "${template}")" ] ||
    fail "${recipe} is not beside TEMPLATE; recipes live in $(dirname "${template}"), where their links find the engine"
[ ! -e "${recipe}" ] || fail "${recipe} is there already; remove it or choose another name"

# Made under a temporary name, so that an interrupted call leaves no half recipe.
new=${parent}/.new.$$
trap 'rm -rf "${new}"' EXIT
mkdir -p "${new}/local"
cp "${template}/cmd.sh" "${template}/run.sh" "${new}/"
cp -r "${template}/conf" "${new}/conf"
cp "${template}/local/data.sh" "${new}/local/data.sh"
ln -s ../TEMPLATE/soundstorm.sh ../TEMPLATE/path.sh ../../utils "${new}/"
mv "${new}" "${recipe}"
echo "Made ${recipe}. Now write ${recipe}/local/data.sh, then set the names and sizes in run.sh; see egs/TEMPLATE/README.md"
