#!/usr/bin/env bash
# Installs the Debian packages that some tests need: chromium (the listening page), slurm-wlm and munge (the Slurm
# launcher), sctk (sclite beside jiwer), fluidsynth with a sound font (egs/piano, which needs them too). Without them those
# tests are skipped, with this command as the reason.
set -euo pipefail

packages=()
command -v chromium >/dev/null || packages+=(chromium)
command -v sbatch >/dev/null || packages+=(slurm-wlm)
command -v munged >/dev/null || packages+=(munge)
command -v sctk >/dev/null || packages+=(sctk)
command -v fluidsynth >/dev/null || packages+=(fluidsynth)
[ -e /usr/share/sounds/sf2/FluidR3_GM.sf2 ] || [ -e /usr/share/sounds/sf2/TimGM6mb.sf2 ] || packages+=(timgm6mb-soundfont)
if [ ${#packages[@]} -eq 0 ]; then
    echo "chromium, slurm-wlm, munge, sctk and fluidsynth are installed"
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "system.sh: no apt-get here; install by other means: ${packages[*]}" >&2
    exit 1
fi
sudo=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
        echo "system.sh: not root and no sudo; ask an administrator for: apt-get install ${packages[*]}" >&2
        exit 1
    }
    sudo=(sudo)
fi
"${sudo[@]}" apt-get update -q
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${packages[@]}"
