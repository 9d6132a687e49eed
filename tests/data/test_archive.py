"""Token archives: read back what was written, know who made it, refuse what does not belong."""

import pickle
import shutil
from dataclasses import replace

import kaldiio
import numpy as np
import pytest

from soundstorm.data.archive import TokenArchive, TokenizerInfo, merge_archives, write_shards, write_tokens
from soundstorm.data.audio import Utterances, write_audio
from soundstorm.data.data_dir import read_table, write_table

SEMANTIC = TokenizerInfo("semantic", "test", "f" * 64, 50.0, 1, 500, 16000)
ACOUSTIC = TokenizerInfo("acoustic", "test", "e" * 64, 50.0, 4, 1024, 16000)


def some(count=5, info=ACOUSTIC, first=0):
    rng = np.random.default_rng(0)
    shape = (info.num_levels,) if info.kind == "acoustic" else ()
    return {
        f"utt-{first + i}": rng.integers(0, info.codebook_size, (int(rng.integers(1, 400)), *shape)).astype(np.uint16)
        for i in range(count)
    }


@pytest.mark.parametrize("info", [SEMANTIC, ACOUSTIC])
def test_tokens_are_read_back_by_us_and_by_kaldiio(tmp_path, info):
    tokens = some(info=info)
    assert write_tokens(tmp_path / "x.1", tokens.items(), info) == 5
    archive = TokenArchive(tmp_path / "x.1.scp")
    assert archive.info == info and archive.ids == list(tokens)
    theirs = kaldiio.load_scp(str(tmp_path / "x.1.scp"))
    for utt, expected in tokens.items():
        assert archive[utt].dtype == np.uint16
        np.testing.assert_array_equal(archive[utt], expected)
        np.testing.assert_array_equal(theirs[utt], expected)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.1.ark", "x.1.json", "x.1.scp"]


def test_an_interrupted_write_leaves_no_scp_and_no_ark(tmp_path):
    def broken():
        yield "a", np.zeros((3, 4), np.uint16)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_tokens(tmp_path / "x", broken(), ACOUSTIC)
    assert not list(tmp_path.iterdir())


class Tokenizer:
    """Gives stored tokens and notes of which utterances; may be interrupted at one of them."""

    def __init__(self, tokens, stop=None):
        self.tokens, self.stop, self.asked = tokens, stop, []

    def __call__(self, ids):
        for utt in ids:
            if utt == self.stop:
                raise KeyboardInterrupt
            self.asked.append(utt)
            yield utt, self.tokens[utt]


@pytest.mark.parametrize("stop", range(11))
def test_a_tokenization_that_was_interrupted_goes_on_after_its_last_whole_shard(tmp_path, stop):
    tokens = {f"u{i:02d}": codes for i, codes in enumerate(some(11).values())}
    ids = list(tokens)
    write_shards(tmp_path / "straight/x.1", ids, Tokenizer(tokens), ACOUSTIC, shard_utterances=3)
    with pytest.raises(KeyboardInterrupt):
        write_shards(tmp_path / "cut/x.1", ids, Tokenizer(tokens, ids[stop]), ACOUSTIC, shard_utterances=3)
    assert not (tmp_path / "cut/x.1.scp").exists()
    again = Tokenizer(tokens)
    assert write_shards(tmp_path / "cut/x.1", ids, again, ACOUSTIC, shard_utterances=3) == 11
    assert again.asked == ids[stop // 3 * 3 :]
    files = [{path.name: path.read_bytes() for path in (tmp_path / d).iterdir()} for d in ("straight", "cut")]
    assert sorted(files[0]) == sorted(files[1])
    assert [files[0][name] == files[1][name] for name in files[0] if name.endswith(".ark")] == [True] * 4
    archive = TokenArchive(tmp_path / "cut/x.1.scp")
    assert archive.ids == ids and all(np.array_equal(archive[utt], tokens[utt]) for utt in ids)


def test_shards_of_other_utterances_or_tokenizers_are_not_taken_for_ours(tmp_path):
    tokens = some(6)
    write_shards(tmp_path / "x", list(tokens), Tokenizer(tokens), ACOUSTIC, shard_utterances=2)
    before = {path.name for path in tmp_path.glob("*.ark")}
    other = Tokenizer(tokens)
    write_shards(tmp_path / "x", list(tokens), other, replace(ACOUSTIC, fingerprint="d" * 64), shard_utterances=2)
    assert other.asked == list(tokens) and TokenArchive(tmp_path / "x.scp").info.fingerprint == "d" * 64
    fewer = Tokenizer(tokens)
    write_shards(tmp_path / "x", list(tokens)[1:], fewer, ACOUSTIC, shard_utterances=2)
    assert fewer.asked == list(tokens)[1:]
    after = {path.name for path in tmp_path.glob("*.ark")}
    assert len(before) == len(after) == 3 and not before & after  # the old ones have gone
    assert TokenArchive(tmp_path / "x.scp").ids == list(tokens)[1:]


@pytest.fixture
def finished(tmp_path):
    """The shards of an array of two jobs, and their tokens."""
    tokens = some(20)
    for job, ids in enumerate((list(tokens)[:10], list(tokens)[10:]), start=1):
        write_shards(tmp_path / f"x.{job}", ids, Tokenizer(tokens), ACOUSTIC, shard_utterances=4)
    return tmp_path, tokens


def test_a_dropped_utterance_and_another_number_of_jobs_keep_all_shards(finished):
    folder, tokens = finished
    ids = [utt for utt in tokens if utt not in ("utt-0", "utt-13")]
    for job, part in enumerate((ids[:6], ids[6:12], ids[12:]), start=1):
        again = Tokenizer(tokens)
        assert write_shards(folder / f"x.{job}", part, again, ACOUSTIC, shard_utterances=4) == 6
        archive = TokenArchive(folder / f"x.{job}.scp")
        assert again.asked == [] and archive.ids == sorted(part)
        assert all(np.array_equal(archive[utt], tokens[utt]) for utt in part)
    added = Tokenizer(tokens | {"new": tokens["utt-3"]})
    write_shards(folder / "x.1", [*ids, "new"], added, ACOUSTIC, shard_utterances=4)
    assert added.asked == ["new"]


@pytest.mark.parametrize("damage", ["gone", "cut in its last record", "no index", "index damaged"])
def test_archives_that_are_gone_or_damaged_are_made_again(finished, damage, caplog):
    folder, tokens = finished
    shard = max(folder.glob("x.1.*.ark"))
    lost = TokenArchive(shard.with_suffix(".scp")).ids
    if damage == "gone":
        shard.unlink()
    elif damage == "no index":
        shard.with_suffix(".scp").unlink()
    else:
        path = shard if damage.startswith("cut") else shard.with_suffix(".json")
        path.write_bytes(path.read_bytes()[:-3])
    if damage in ("gone", "cut in its last record"):
        with pytest.raises((ValueError, FileNotFoundError), match="extract the tokens again"):
            TokenArchive(folder / "x.1.scp").check()
    again = Tokenizer(tokens)
    write_shards(folder / "x.1", list(tokens)[:10], again, ACOUSTIC, shard_utterances=4)
    assert sorted(again.asked) == sorted(lost)
    archive = TokenArchive(folder / "x.1.scp")
    archive.check()
    assert all(np.array_equal(archive[utt], tokens[utt]) for utt in list(tokens)[:10])


def test_utterances_that_have_no_tokens_leave_the_others_theirs(tmp_path):
    tokens = some(5)

    def tokenize(ids):
        return ((utt, tokens[utt]) for utt in ids if utt not in ("utt-0", "utt-1"))

    assert write_shards(tmp_path / "x", list(tokens), tokenize, ACOUSTIC, shard_utterances=2) == 3
    assert TokenArchive(tmp_path / "x.scp").ids == ["utt-2", "utt-3", "utt-4"]
    with pytest.raises(ValueError, match="y: not one utterance could be tokenized; see the warnings above"):
        write_shards(tmp_path / "y", ["utt-0"], tokenize, ACOUSTIC)


@pytest.fixture
def recorded(tmp_path):
    """Ten utterances of five recordings, and how their tokens are extracted: by two jobs, each of several shards."""
    data, tokens = tmp_path / "data", some(10)
    data.mkdir()
    write_table(data / "wav.scp", {f"r{n}": str(tmp_path / f"corpus/r{n}.wav") for n in range(5)})
    for n in range(5):
        write_audio(tmp_path / f"corpus/r{n}.wav", np.zeros(16000 + n, np.float32), 16000)
    write_table(data / "segments", {utt: f"r{n // 2} 0.{n % 2} 0.9" for n, utt in enumerate(tokens)})

    def extract():
        asked = []
        for job, ids in enumerate((list(tokens)[:6], list(tokens)[6:]), start=1):
            again, sources = Tokenizer(tokens), Utterances(data, 16000, ids).sources
            write_shards(tmp_path / f"dump/x.{job}", ids, again, ACOUSTIC, sources=sources, shard_utterances=2)
            archive = TokenArchive(tmp_path / f"dump/x.{job}.scp")
            assert archive.ids == sorted(ids) and all(np.array_equal(archive[utt], tokens[utt]) for utt in ids)
            assert list(archive.changed(sources)) == []
            asked += again.asked
        return asked

    assert extract() == list(tokens) and extract() == []
    return data, tmp_path / "corpus", tokens, extract


def change_table(path, key, value):
    write_table(path, read_table(path) | {key: value})


@pytest.mark.parametrize("change", ["time", "file", "recording", "all files"])
def test_tokens_of_replaced_audio_are_made_again_and_no_others(recorded, change):
    data, corpus, tokens, extract = recorded
    expected = ["utt-2", "utt-3"]
    if change == "time":
        change_table(data / "segments", "utt-3", "r1 0.1 0.8")
        expected = ["utt-3"]
    elif change == "file":
        write_audio(corpus / "r1.wav", np.zeros(12345, np.float32), 16000)
    elif change == "recording":  # another one under the same utterances
        change_table(data / "wav.scp", "r1", str(corpus / "r4.wav"))
    else:  # a corpus that was synthesised anew
        for n in range(5):
            write_audio(corpus / f"r{n}.wav", np.zeros(9000 + n, np.float32), 16000)
        expected = list(tokens)
    archives = [TokenArchive(corpus.parent / f"dump/x.{job}.scp") for job in (1, 2)]
    utterances = Utterances(data, 16000)
    assert sorted(utt for archive in archives for utt in archive.changed(utterances.sources)) == expected
    for utt in expected:
        tokens[utt] = tokens[utt][::-1]  # what another recording sounds like
    assert extract() == expected and extract() == []


@pytest.mark.parametrize("change", ["moved", "copied", "gone", "renamed", "written otherwise"])
def test_audio_that_was_only_moved_costs_nothing(recorded, change):
    data, corpus, tokens, extract = recorded
    if change == "gone":  # removed for want of space
        shutil.rmtree(corpus)
    elif change == "renamed":
        for n in range(5):
            (corpus / f"r{n}.wav").rename(corpus / f"{n}.x.wav")
            change_table(data / "wav.scp", f"r{n}", str(corpus / f"{n}.x.wav"))
    elif change == "written otherwise":
        write_table(data / "segments", {utt: f"{v}0" for utt, v in reversed(read_table(data / "segments").items())})
    else:
        shutil.copytree(corpus, corpus.with_name("there"))
        if change == "moved":
            shutil.rmtree(corpus)
        for n in range(5):
            change_table(data / "wav.scp", f"r{n}", str(corpus.with_name("there") / f"r{n}.wav"))
    assert extract() == []


def test_audio_that_is_back_has_its_tokens_of_before(recorded):
    data, corpus, tokens, extract = recorded
    before, first = (corpus / "r1.wav").read_bytes(), tokens.copy()
    write_audio(corpus / "r1.wav", np.zeros(12345, np.float32), 16000)
    for utt in ("utt-2", "utt-3"):
        tokens[utt] = tokens[utt][::-1]
    assert extract() == ["utt-2", "utt-3"]
    (corpus / "r1.wav").write_bytes(before)
    tokens.update(first)
    assert extract() == []


def test_shards_that_do_not_say_what_they_were_made_of_count_as_ever(recorded):
    data, corpus, tokens, extract = recorded
    for path in (corpus.parent / "dump").glob("*.sources"):
        path.unlink()
    write_audio(corpus / "r1.wav", np.zeros(12345, np.float32), 16000)
    assert extract() == []


@pytest.mark.parametrize(
    "tokens, message",
    [
        (np.zeros((3, 5), int), r"shape \(3, 5\), expected \(T, 4\)"),
        (np.zeros((0, 4), int), "with T > 0"),
        (np.full((3, 4), 1024), r"tokens lie in \[1024, 1024\], expected \[0, 1023\]"),
    ],
)
def test_tokens_that_are_none_are_refused(tmp_path, tokens, message):
    with pytest.raises(ValueError, match=message):
        write_tokens(tmp_path / "x", [("utt", tokens)], ACOUSTIC)


def test_parts_of_an_array_job_are_merged_in_order(tmp_path):
    write_tokens(tmp_path / "a.1", some(3, first=5).items(), ACOUSTIC)
    write_tokens(tmp_path / "a.2", some(5).items(), ACOUSTIC)
    merge_archives([tmp_path / "a.1.scp", tmp_path / "a.2.scp"], tmp_path / "all.scp")
    assert TokenArchive(tmp_path / "all.scp").ids == [f"utt-{i}" for i in range(8)]


def test_parts_of_different_tokenizers_or_with_the_same_utterance_are_refused(tmp_path):
    write_tokens(tmp_path / "a.1", some(3).items(), ACOUSTIC)
    write_tokens(tmp_path / "a.2", some(3).items(), ACOUSTIC)
    write_tokens(tmp_path / "a.3", some(3, first=9).items(), replace(ACOUSTIC, fingerprint="d" * 64))
    with pytest.raises(ValueError, match="utterance utt-0 is in another part too"):
        merge_archives([tmp_path / "a.1.scp", tmp_path / "a.2.scp"], tmp_path / "all.scp")
    with pytest.raises(ValueError, match="acoustic tokens do not belong together"):
        merge_archives([tmp_path / "a.1.scp", tmp_path / "a.3.scp"], tmp_path / "all.scp")
    assert not (tmp_path / "all.scp").exists()


def test_damaged_archives_are_named_and_nothing_is_executed(tmp_path):
    write_tokens(tmp_path / "x", some(2).items(), ACOUSTIC)
    ark = tmp_path / "x.ark"
    whole = ark.read_bytes()
    lines = (tmp_path / "x.scp").read_text().splitlines()
    for content, scp, message in [
        (whole[:-10], None, "the archive is truncated"),
        (whole[:3], None, "cannot read"),
        (whole, "utt-1 touch {}/owned |:5", "does not exist"),
        (whole, f"utt-1 {ark}:not", "cannot read"),
        (whole, f"utt-1 {ark}:3", "no token record"),
    ]:
        ark.write_bytes(content)
        (tmp_path / "x.scp").write_text(f"{(scp or lines[1]).format(tmp_path)}\n")
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            TokenArchive(tmp_path / "x.scp")["utt-1"]
    assert not (tmp_path / "owned").exists()


def test_an_archive_without_identity_is_refused(tmp_path):
    write_tokens(tmp_path / "x", some(2).items(), ACOUSTIC)
    (tmp_path / "x.json").write_text('{"kind": "acoustic"}')
    with pytest.raises(ValueError, match="expected the fields"):
        TokenArchive(tmp_path / "x.scp")
    (tmp_path / "x.json").unlink()
    with pytest.raises(FileNotFoundError, match="nobody knows which tokenizer"):
        TokenArchive(tmp_path / "x.scp")


def framed(record: bytes, length: int | None = None) -> bytes:
    """A record as kaldiio frames it."""
    return b"u NPY\x08" + (len(record) if length is None else length).to_bytes(8, "little") + record


def npy(shape: str, dtype: str = "<u2", data: bytes = b"\x00" * 16) -> bytes:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + data


def test_a_record_written_by_hand_is_read(tmp_path):
    write_tokens(tmp_path / "x", some(1).items(), ACOUSTIC)
    (tmp_path / "x.ark").write_bytes(framed(npy("(2, 4)")))
    (tmp_path / "x.scp").write_text(f"u {tmp_path}/x.ark:2\n")
    np.testing.assert_array_equal(TokenArchive(tmp_path / "x.scp")["u"], np.zeros((2, 4)))


@pytest.mark.parametrize(
    "record, message",
    [
        (framed(npy("(2, 4)"), 2**62), "the archive is truncated"),
        (framed(npy("(1000000000000, 4)")), r"16 bytes of numbers, expected those of an array \(1000000000000, 4\)"),
        (framed(npy("(-1, 4)")), "16 bytes of numbers"),
        (framed(npy("(2, 4)", "|O")), "object values, expected integers"),
        (framed(npy("(2, 4)", "<f2")), "float16 values, expected integers"),
        (framed(b"PK\x03\x04 a zip file"), "cannot read u at"),
        (framed(b"cos\nsystem\n(S'touch owned'\ntR."), "cannot read u at"),
        (framed(npy("(8,)")), r"shape \(8,\), expected \(T, 4\)"),
        (framed(npy("(1,, ")), "its header is damaged"),
    ],
)
def test_a_record_that_is_none_is_refused_before_memory_is_taken(tmp_path, monkeypatch, record, message):
    monkeypatch.chdir(tmp_path)
    write_tokens("x", some(1).items(), ACOUSTIC)
    (tmp_path / "x.ark").write_bytes(record)
    (tmp_path / "x.scp").write_text("u x.ark:2\n")
    with pytest.raises(ValueError, match=f"x.scp: .*{message}.*extract the tokens again"):
        TokenArchive("x.scp")["u"]
    assert not (tmp_path / "owned").exists()


def test_an_offset_beyond_all_files_is_refused(tmp_path):
    write_tokens(tmp_path / "x", some(1).items(), ACOUSTIC)
    (tmp_path / "x.scp").write_text(f"u {tmp_path}/x.ark:{10**30}\n")
    with pytest.raises(ValueError, match="cannot read u at"):
        TokenArchive(tmp_path / "x.scp")["u"]


def test_no_utterance_at_all_is_an_error_when_written_and_when_read(tmp_path):
    with pytest.raises(ValueError, match="not one utterance could be tokenized"):
        write_tokens(tmp_path / "x", [], ACOUSTIC)
    assert not list(tmp_path.iterdir())
    write_tokens(tmp_path / "x", some(1).items(), ACOUSTIC)
    (tmp_path / "x.scp").write_text("")
    with pytest.raises(ValueError, match="x.scp: no utterances"):
        TokenArchive(tmp_path / "x.scp")


def test_numbers_of_frames_come_from_the_table_and_else_from_the_records(tmp_path):
    tokens = some(5)
    write_tokens(tmp_path / "acoustic", tokens.items(), ACOUSTIC)
    archive = TokenArchive(tmp_path / "acoustic.scp")
    lengths = [len(codes) for codes in tokens.values()]
    assert archive.frames().tolist() == lengths
    table = tmp_path / "utt2num_acoustic_frames"
    table.write_text("utt-1 7\nutt-9 5\n")  # one of ours, one of others
    assert archive.frames().tolist() == [lengths[0], 7, *lengths[2:]]
    (tmp_path / "acoustic.ark").write_bytes((tmp_path / "acoustic.ark").read_bytes()[:40])
    table.write_text("".join(f"{utt} {len(codes)}\n" for utt, codes in tokens.items()))
    with pytest.raises(ValueError, match="cannot read utt-4 at"):  # before training, not in its course
        TokenArchive(tmp_path / "acoustic.scp").frames()


def test_more_archives_are_read_than_files_may_be_open(tmp_path, monkeypatch):
    monkeypatch.setattr("soundstorm.data.archive.MOST_FILES", 2)
    tokens = some(6)
    write_shards(tmp_path / "x", list(tokens), Tokenizer(tokens), ACOUSTIC, shard_utterances=1)
    archive = TokenArchive(tmp_path / "x.scp")
    again = pickle.loads(pickle.dumps(archive))  # as to a process that loads data
    for _ in range(2):
        for utt, codes in tokens.items():
            np.testing.assert_array_equal(archive[utt], codes)
            np.testing.assert_array_equal(again[utt], codes)
    assert len(archive._files._open) == 2
