"""Tables of what was measured."""

from __future__ import annotations

PRECISIONS = {"no": "fp32", "bf16": "bf16"}
READS = {"train": 12}  # of every weight in a pass: forward, backward, and ten by gradient, clipping and AdamW


def roofline(entry: dict, rates: dict) -> float | None:
    """Seconds that the machine needs at least, by what was measured of it; None where nothing was counted."""
    if "flops" not in entry:
        return None
    work = entry["work"]
    computing = entry["flops"] / rates[work["precision"]]
    moved = 4 * entry["parameters"] * READS.get(work["part"], 1) * max(1, entry["passes"])
    return max(computing, moved / rates["bandwidth"])


def markdown(content: dict) -> str:
    """All tables, with the conditions."""
    where, rates = content["conditions"], content["conditions"]["rates"]
    lines = [
        f"`{where['command']}` at commit {where['commit']}, {where['date']}: {where['machine']}, "
        f"{where['threads']} thread(s), load {where['load_before']:.1f} before it began"
        + (f"; {where['note']}" if where["note"] else "")
        + f". Matrix products {rates['no'] / 1e9:.0f} (fp32) and {rates['bf16'] / 1e9:.0f} (bf16) GFLOP/s, "
        f"memory {rates['bandwidth'] / 1e9:.1f} GB/s.",
        "",
    ]
    compared = [entry for entry in content["entries"] if "faster_than_peer" in entry]
    if compared:
        lines += comparison(compared, content["entries"]) + [""]
    lines += everything(content["entries"], rates) + [""]
    shares = [entry for entry in content["entries"] if "shares" in entry]
    if shares:
        lines += ["Where the time goes:", "", "| part | s | batch | | share of the time of all operations |"]
        lines.append("|---|---:|---:|---|---|")
        for entry in shares:
            top = ", ".join(f"{kind} {100 * share:.0f} %" for kind, share in list(entry["shares"].items())[:5])
            lines.append(f"| {_place(entry['work'])} | {top} |")
        lines.append("")
    return "\n".join(lines)


def comparison(compared: list[dict], entries: list[dict]) -> list[str]:
    """Ours beside the peer."""
    lines = [
        "| part | s | batch | ours | peer | seconds, ours | seconds, peer | times faster | memory, of the peer's |",
        "|---|---:|---:|---|---|---:|---:|---:|---:|",
    ]
    for entry in compared:
        work = entry["work"]
        same = ("part", "seconds", "batch", "style")
        peer = next(
            other for other in entries
            if other["work"]["side"] != work["side"] and all(other["work"][k] == work[k] for k in same)
        )  # fmt: skip
        lines.append(
            f"| {work['part']} | {work['seconds']:g} | {work['batch']} | {PRECISIONS[work['precision']]} "
            f"| {work['style']}, {PRECISIONS[peer['work']['precision']]} "
            f"| {entry['median']:.3f} | {peer['median']:.3f} | {entry['faster_than_peer']:.2f} "
            f"| {entry['memory_of_peer']:.2f} |"
        )
    return lines


def everything(entries: list[dict], rates: dict) -> list[str]:
    """Every case of every side."""
    lines = [
        "| part | s | batch | | seconds | per s of audio | passes | GFLOP | peak MB | roofline, s | distance |",
        "|---|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for entry in entries:
        work, bound = entry["work"], roofline(entry, rates)
        audio = work["seconds"] * work["batch"]
        counted = [str(entry["passes"]), f"{entry['flops'] / 1e9:.0f}"] if bound else ["-", "-"]
        limit = [f"{bound:.3f}", f"{entry['median'] / bound:.1f}"] if bound else ["-", "-"]
        lines.append(
            f"| {_place(work)} | {entry['median']:.3f} | {entry['median'] / audio:.4f} | {' | '.join(counted)} "
            f"| {entry['peak_bytes'] / 1e6:.0f} | {' | '.join(limit)} |"
        )
    return lines


def _place(work: dict) -> str:
    side = PRECISIONS[work["precision"]]
    if work["side"] != "soundstorm":
        side = f"peer, {side}"
    style = f", {work['style']}" if work["part"] in ("train", "decode") else ""
    style += {"": "", "blocks": ", compiled", "graphs": ", compiled with CUDA graphs"}[work.get("compiled", "")]
    return f"{work['part']} | {work['seconds']:g} | {work['batch']} | {side}{style}"
