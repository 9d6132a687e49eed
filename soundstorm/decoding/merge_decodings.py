"""Shares of a decoding, which ran side by side, into one directory."""

import json
from pathlib import Path

from soundstorm.data.archive import merge_archives
from soundstorm.data.data_dir import read_table, write_table, write_text
from soundstorm.data.errors import InputError
from soundstorm.decoding.decode_texts import ALIGNMENTS_FILE
from soundstorm.tokens.merge import check_lost

LEFT_OUT = "left_out"  # table of a share: utterances that could not be decoded


def merge_decodings(output: str | Path, number: int) -> None:
    """Join the shares that :func:`decode_data_dir` made into one decode directory; ``wav.scp`` comes last.

    Args:
        output: the directory with ``share.1`` to ``share.<number>``.
        number: of shares.

    Raises:
        FileNotFoundError: a share is missing.
        ValueError: nothing was decoded, or shares were decoded by different settings.
    """
    output = Path(output)
    if (output / "wav.scp").exists():
        return
    shares = [output / f"share.{k}" for k in range(1, number + 1)]
    wavs = {share: read_table(share / "wav.scp") for share in shares}
    decoded = [utt for share in shares for utt in wavs[share]]
    tables = [share / LEFT_OUT for share in shares if (share / LEFT_OUT).exists()]
    check_lost([*decoded, *(utt for table in tables for utt in read_table(table))], set(decoded), output)
    shares = [share for share in shares if wavs[share]]
    if not shares:
        raise InputError(f"{output}: no utterance was decoded; see the logs of its shares")
    settings = [json.loads((share / "decode.json").read_text(encoding="utf-8")) for share in shares]
    passes = sum(each.pop("passes") * len(wavs[share]) for each, share in zip(settings, shares))
    for each, share in zip(settings, shares):
        if each != settings[0]:
            raise InputError(
                f"{share}/decode.json: other settings than {shares[0]}/decode.json; remove {output} and decode again"
            )
    settings[0]["passes"] = round(passes / sum(len(wavs[share]) for share in shares), 2)
    for kind in ("semantic", "acoustic"):
        if (shares[0] / f"{kind}.scp").exists():
            merge_archives([share / f"{kind}.scp" for share in shares], output / f"{kind}.scp")
    parts: dict[str, dict[str, float]] = {}
    for share in shares:
        for name, times in json.loads((share / "timing.json").read_text(encoding="utf-8")).items():
            known = parts.setdefault(name, dict.fromkeys(times, 0.0))
            for key, value in times.items():
                known[key] += value
    for name in ("best_of.json", ALIGNMENTS_FILE):
        files = [share / name for share in shares]
        scores = [json.loads(path.read_text(encoding="utf-8")) for path in files if path.exists()]
        if scores:
            merged = {utt: found for each in scores for utt, found in each.items()}
            write_text(output / name, json.dumps(merged, indent=1) + "\n")
    write_text(output / "decode.json", json.dumps(settings[0], indent=2) + "\n")
    write_text(output / "timing.json", json.dumps(parts, indent=2) + "\n")
    table = {utt: path for share in shares for utt, path in wavs[share].items()}
    write_table(output / "wav.scp", dict(sorted(table.items())))
