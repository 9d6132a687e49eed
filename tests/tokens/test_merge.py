import json
import logging
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from soundstorm.bin import merge_tokens as merge_front
from soundstorm.data.archive import (
    TokenArchive,
    TokenizerInfo,
    count_codes,
    read_counts,
    read_summary,
    write_shards,
    write_tokens,
)
from soundstorm.data.data_dir import read_table, write_table
from soundstorm.tokens.merge import damaged, merge_tokens


def info(kind: str = "acoustic", fingerprint: str = "f") -> TokenizerInfo:
    levels = 2 if kind == "acoustic" else 1
    return TokenizerInfo(kind, "test", fingerprint, 50.0, levels, 4, 16000)


def write_parts(folder, utterances, kind="acoustic", fingerprints=("f", "f")) -> list[str]:
    """Two parts with every utterance's tokens: as many frames as its place in the list says, plus one."""
    parts = []
    for part, fingerprint in enumerate(fingerprints):
        items = []
        for index, utt in list(enumerate(utterances))[part::2]:
            shape = (index + 1, 2) if kind == "acoustic" else (index + 1,)
            items.append((utt, np.full(shape, index % 4, dtype=np.uint16)))
        write_tokens(folder / f"part.{part}", items, info(kind, fingerprint))
        parts.append(str(folder / f"part.{part}.scp"))
    return parts


@pytest.fixture
def data_dir(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "wav.scp").write_text("".join(f"u{i:02d} u{i:02d}.wav\n" for i in range(40)))
    return folder


def test_all_utterances_are_joined_in_order(data_dir, tmp_path):
    utterances = [f"u{i:02d}" for i in range(40)]
    merge_tokens(write_parts(tmp_path, utterances), data_dir / "acoustic.scp")
    archive = TokenArchive(data_dir / "acoustic.scp")
    assert archive.ids == utterances and archive.info == info()
    assert archive["u07"].shape == (8, 2) and not (data_dir / "utt2num_frames").exists()


def test_semantic_tokens_get_numbers_of_frames(data_dir, tmp_path):
    utterances = [f"u{i:02d}" for i in range(40)]
    merge_tokens(write_parts(tmp_path, utterances, "semantic"), data_dir / "semantic.scp")
    frames = read_table(data_dir / "utt2num_frames")
    assert frames["u00"] == "1" and frames["u39"] == "40" and len(frames) == 40


def test_tables_whose_archives_are_gone_or_cut_are_named(tmp_path, capsys):
    parts = write_parts(tmp_path, [f"u{i:02d}" for i in range(40)])
    assert damaged(parts) == []
    with pytest.raises(SystemExit, match="False"):
        merge_front.main(["--check", *parts])
    content = (tmp_path / "part.0.ark").read_bytes()
    (tmp_path / "part.0.ark").write_bytes(content[:-1])
    with pytest.raises(SystemExit, match="True"):
        merge_front.main(["--check", *parts, str(tmp_path / "none.scp")])
    assert capsys.readouterr().out == f"{parts[0]}\n{tmp_path / 'none.scp'}\n"


def test_tables_with_tokens_of_other_audio_than_the_data_directory_has_are_named(data_dir, tmp_path, capsys):
    for part, ids in enumerate((["u00", "u01"], ["u02", "u03"])):
        write_tokens(tmp_path / f"part.{part}", [(utt, np.zeros((5, 2), int)) for utt in ids], info())
        write_table(tmp_path / f"part.{part}.sources", {utt: "0.0 nan 7" for utt in ids})
    audio = {f"u{i:02d}": tmp_path / f"u{i:02d}.wav" for i in range(4)}
    for path in audio.values():
        path.write_bytes(bytes(7))
    write_table(data_dir / "wav.scp", {utt: str(path) for utt, path in audio.items()})
    parts = [str(tmp_path / f"part.{part}.scp") for part in range(2)]
    merge_tokens(parts, data_dir / "acoustic.scp")
    tables = [*parts, str(data_dir / "acoustic.scp")]

    def named():
        with pytest.raises(SystemExit):
            merge_front.main(["--check", "--data-dir", str(data_dir), *tables])
        return capsys.readouterr().out.splitlines()

    assert named() == []
    audio["u00"].unlink()  # removed when it had tokens
    assert named() == []
    audio["u03"].write_bytes(bytes(8))
    assert named() == tables[1:] and damaged(tables) == []
    write_table(data_dir / "wav.scp", {"u01": str(audio["u01"])})  # a set with fewer utterances
    assert named() == []
    (data_dir / "wav.scp").unlink()  # tokens by themselves
    assert named() == []


def test_one_lost_utterance_of_forty_is_a_warning_with_the_count(data_dir, tmp_path, caplog):
    parts = write_parts(tmp_path, [f"u{i:02d}" for i in range(39)])
    with caplog.at_level(logging.WARNING):
        merge_tokens(parts, data_dir / "acoustic.scp")
    assert "1 of 40 utterances have no tokens (u39)" in caplog.text


def test_three_lost_utterances_of_forty_are_an_error_and_nothing_is_written(data_dir, tmp_path):
    parts = write_parts(tmp_path, [f"u{i:02d}" for i in range(37)])
    with pytest.raises(ValueError, match=r"3 of 40 utterances have no tokens \(u37, u38, u39\); at least 95%"):
        merge_tokens(parts, data_dir / "acoustic.scp")
    assert not (data_dir / "acoustic.scp").exists()


def test_the_utterances_of_a_data_directory_with_segments_are_its_segments(data_dir, tmp_path):
    (data_dir / "segments").write_text("u00 u00 0 1\n")
    merge_tokens(write_parts(tmp_path, ["u00"], fingerprints=("f",)), data_dir / "acoustic.scp")


def test_parts_of_different_tokenizers_are_refused(data_dir, tmp_path):
    parts = write_parts(tmp_path, [f"u{i:02d}" for i in range(40)], fingerprints=("f", "g"))
    with pytest.raises(ValueError, match="do not belong together"):
        merge_tokens(parts, data_dir / "acoustic.scp")


def test_codes_are_counted_per_level(tmp_path):
    write_tokens(tmp_path / "a", [("u", np.array([[0, 3], [0, 2], [1, 3]], dtype=np.uint16))], info())
    counts, frames = count_codes(TokenArchive(tmp_path / "a.scp"))
    assert counts.tolist() == [[2, 1, 0, 0], [0, 0, 1, 2]] and frames == {"u": 3}


def job(folder, utterances, fingerprint="f"):
    """The tokens of a job of an extraction, with its own figures."""
    rng = np.random.default_rng(0)
    items = {utt: rng.integers(0, 4, (number + 1, 2)) for number, utt in enumerate(utterances)}
    made = replace(info(), fingerprint=fingerprint)
    write_shards(folder, list(items), lambda ids: ((utt, items[utt]) for utt in ids), made, shard_utterances=8)
    return Path(f"{folder}.scp")


def test_figures_come_from_the_jobs_and_no_tokens_are_read(data_dir, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    parts = [job(tmp_path / f"jobs/x.{n}", [f"u{i:02d}" for i in range(n * 20, n * 20 + 20)]) for n in range(2)]
    merge_tokens([str(part) for part in parts], data_dir / "acoustic.scp")
    lines, table = caplog.messages[-2:], (data_dir / "utt2num_acoustic_frames").read_text()
    assert "perplexity" in lines[0] and len(table.splitlines()) == 40
    for part in parts:  # as an earlier version wrote it
        part.with_suffix(".summary.json").unlink()
    merge_tokens([str(part) for part in parts], data_dir / "acoustic.scp")
    assert caplog.messages[-2:] == lines and (data_dir / "utt2num_acoustic_frames").read_text() == table
    parts = [job(tmp_path / f"jobs/x.{n}", [f"u{i:02d}" for i in range(n * 20, n * 20 + 20)]) for n in range(2)]
    monkeypatch.setattr(TokenArchive, "at", lambda *_: pytest.fail("tokens are read"))
    merge_tokens([str(part) for part in parts], data_dir / "acoustic.scp")
    assert caplog.messages[-2:] == lines


@pytest.mark.parametrize("change", [
    {"fingerprint": "g"}, {"counts": [[1]]}, {"counts": [[9] * 4] * 2}, {"frames": {"u00": 1}}, {"frames": None},
    {"counts": [[1e300] * 4] * 2}, {"counts": [[10**30] * 4] * 2}, None,
    {"frames": {f"u{i:02d}": i + 1.0 for i in range(9)}},
])  # fmt: skip
def test_figures_of_other_tokens_are_not_believed(tmp_path, change):
    part = job(tmp_path / "x.1", [f"u{i:02d}" for i in range(9)])
    archive, path = TokenArchive(part), part.with_suffix(".summary.json")
    counts, frames = read_summary(archive)
    told = json.loads(path.read_text())
    assert told["frames"] == frames == {f"u{i:02d}": i + 1 for i in range(9)}
    path.write_text("{" if change is None else json.dumps(told | change))
    np.testing.assert_array_equal(read_summary(archive)[0], counts)
    assert read_summary(archive)[1] == frames


def test_the_counts_of_a_joined_table_lie_beside_it_for_the_report(data_dir, tmp_path, monkeypatch):
    utterances, scp = [f"u{i:02d}" for i in range(40)], data_dir / "acoustic.scp"
    merge_tokens([str(job(tmp_path / f"x.{n}", utterances[n * 20 : n * 20 + 20])) for n in range(2)], scp)
    counts, _ = count_codes(TokenArchive(scp))
    with monkeypatch.context() as context:
        context.setattr(TokenArchive, "at", lambda *_: pytest.fail("tokens are read"))
        np.testing.assert_array_equal(read_counts(TokenArchive(scp)), counts)
    scp.write_text("".join(scp.read_text().splitlines(keepends=True)[:-1]))
    assert (read_counts(TokenArchive(scp)).sum(1) == 2 * sum(range(1, 21)) - 20).all()
    (data_dir / "acoustic.summary.json").unlink()  # as an earlier version left it
    assert (read_counts(TokenArchive(scp)).sum(1) == 2 * sum(range(1, 21)) - 20).all()


def test_utterances_are_compared_whatever_the_order_of_the_tables(data_dir, tmp_path, caplog):
    lines = (data_dir / "wav.scp").read_text().splitlines(keepends=True)
    (data_dir / "wav.scp").write_text("".join(reversed(lines)))
    parts = write_parts(tmp_path, [f"u{i:02d}" for i in range(1, 41)][::-1])
    merge_tokens(parts, data_dir / "acoustic.scp")
    assert "1 of 40 utterances have no tokens (u00)" in caplog.text
    assert read_table(data_dir / "utt2num_acoustic_frames") == {f"u{i:02d}": str(41 - i) for i in range(1, 41)}
    assert TokenArchive(data_dir / "acoustic.scp").ids == [f"u{i:02d}" for i in range(1, 41)]


def test_an_archive_of_a_job_that_is_cut_is_found_before_anything_is_written(data_dir, tmp_path):
    part = job(tmp_path / "x.1", [f"u{i:02d}" for i in range(40)])
    ark = sorted(tmp_path.glob("x.1.*.ark"))[0]
    ark.write_bytes(ark.read_bytes()[:-1])
    with pytest.raises(ValueError, match="truncated.*extract the tokens again"):
        merge_tokens([str(part)], data_dir / "acoustic.scp")
    assert not (data_dir / "acoustic.scp").exists()


def test_the_joined_table_comes_last_so_that_its_presence_means_done(data_dir, tmp_path, monkeypatch):
    parts = write_parts(tmp_path, [f"u{i:02d}" for i in range(40)], "semantic")

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("soundstorm.tokens.merge.write_lines", fail)
    with pytest.raises(KeyboardInterrupt):
        merge_tokens(parts, data_dir / "semantic.scp")
    assert not (data_dir / "semantic.scp").exists()


def test_a_line_that_is_there_twice_is_named(data_dir, tmp_path):
    one, other = write_parts(tmp_path, [f"u{i:02d}" for i in range(40)])
    lines = Path(one).read_text().splitlines(keepends=True)
    Path(one).write_text("".join([*lines, lines[-1]]))
    with pytest.raises(ValueError, match=r"part\.0\.scp, line 21: key 'u38' is there a second time"):
        merge_tokens([one, other], data_dir / "acoustic.scp")
    assert not (data_dir / "acoustic.scp").exists()


def test_what_is_joined_is_not_written_over(data_dir, tmp_path):
    parts = write_parts(tmp_path, [f"u{i:02d}" for i in range(40)])
    before = Path(parts[0]).read_bytes()
    with pytest.raises(ValueError, match="--output"):
        merge_front.main(["--output", parts[0], *parts])
    assert Path(parts[0]).read_bytes() == before


def test_there_may_be_more_parts_than_files_may_be_open(data_dir, tmp_path):
    write_table(data_dir / "wav.scp", {f"u{i:03d}": "x.wav" for i in range(100)})
    for i in range(100):
        write_tokens(tmp_path / f"part.{i}", [(f"u{i:03d}", np.zeros((2, 2), dtype=np.uint16))], info())
    parts = [str(tmp_path / f"part.{i}.scp") for i in range(100)]
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (80, limit[1]))
    try:
        merge_tokens(parts, data_dir / "acoustic.scp")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert len(TokenArchive(data_dir / "acoustic.scp").ids) == 100
