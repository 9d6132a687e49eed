"""Data directories written line by line equal those written from whole tables."""

import pytest

from soundstorm.data.data_dir import invert, write_table
from soundstorm.data.data_dir_check import validate_data_dir
from soundstorm.data.set_writer import FILES, SetWriter, Utterance

SPEAKERS = {
    "anna": [Utterance("anna-2", "anna-x", 1.0, 2.5, "two"), Utterance("anna-1", "anna-x", 0.0, 1.0, "one | more")],
    "bert": [Utterance("bert-1", "bert-y", 0.25, 0.75, "three")],
}
RECORDINGS = {"anna": {"anna-x": "/x.flac"}, "bert": {"bert-y": "/y.flac"}}


def write(directory, speakers=SPEAKERS, **options):
    with SetWriter(directory, **{"text": True, **options}) as writer:
        for speaker, utterances in speakers.items():
            writer.add(speaker, RECORDINGS[speaker], utterances)
    return writer


def slow_twin(directory):
    """The same from whole tables."""
    directory.mkdir()
    everyone = {u.name: (speaker, u) for speaker, utterances in SPEAKERS.items() for u in utterances}
    write_table(directory / "wav.scp", {**RECORDINGS["anna"], **RECORDINGS["bert"]})
    write_table(directory / "utt2spk", {name: speaker for name, (speaker, _) in everyone.items()})
    write_table(directory / "spk2utt", invert({name: everyone[name][0] for name in sorted(everyone)}))
    write_table(directory / "utt2dur", {name: f"{u.end - u.start:.3f}" for name, (_, u) in everyone.items()})
    write_table(directory / "text", {name: u.text for name, (_, u) in everyone.items()})
    segments = {name: f"{u.recording} {u.start:.3f} {u.end:.3f}" for name, (_, u) in everyone.items()}
    write_table(directory / "segments", segments)


def contents(directory):
    return {path.name: path.read_text() for path in directory.iterdir() if path.is_file()}


def test_lines_equal_those_of_whole_tables(tmp_path):
    writer = write(tmp_path / "set")
    slow_twin(tmp_path / "twin")
    assert contents(tmp_path / "set") == contents(tmp_path / "twin")
    assert writer.summary() == "3 utterances, 2 speakers, 0.00 h"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_set_is_valid(tmp_path):
    write(tmp_path / "set")
    summary = validate_data_dir(tmp_path / "set")
    assert (summary.num_utterances, summary.num_speakers) == (3, 2)


def test_without_segments_and_text_there_are_no_such_files(tmp_path):
    write(tmp_path / "set", segments=False, text=False)
    assert sorted(contents(tmp_path / "set")) == ["spk2utt", "utt2dur", "utt2spk", "wav.scp"]


def test_an_old_set_goes_with_all_that_was_made_of_it(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/semantic.scp").write_text("old\n")
    write(tmp_path / "set")
    assert "semantic.scp" not in contents(tmp_path / "set")
    assert contents(tmp_path / "set/.backup") == {"semantic.scp": "old\n"}


def test_an_interrupted_run_leaves_the_old_set(tmp_path):
    write(tmp_path / "set")
    before = contents(tmp_path / "set")
    with pytest.raises(KeyboardInterrupt):
        with SetWriter(tmp_path / "set", text=True) as writer:
            writer.add("anna", RECORDINGS["anna"], SPEAKERS["anna"])
            raise KeyboardInterrupt
    assert contents(tmp_path / "set") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]


def test_a_set_without_utterances_is_not_made(tmp_path, caplog):
    write(tmp_path / "set", {})
    assert not (tmp_path / "set").exists()
    assert "no utterances" in caplog.text


def test_an_old_set_goes_where_there_are_no_utterances_any_more(tmp_path):
    write(tmp_path / "set")
    (tmp_path / "set/notes").write_text("mine\n")
    write(tmp_path / "set", {})
    assert contents(tmp_path / "set") == {"notes": "mine\n"}
    assert sorted(contents(tmp_path / "set/.backup")) == sorted(FILES)


def test_a_writer_becomes_what_another_has_written(tmp_path):
    with SetWriter(tmp_path / "whole") as whole, SetWriter(tmp_path / "known", text=True) as known:
        for speaker, utterances in SPEAKERS.items():
            whole.add(speaker, RECORDINGS[speaker], utterances)
            known.add(speaker, RECORDINGS[speaker], utterances)
        whole.become(known)
    slow_twin(tmp_path / "twin")
    assert contents(tmp_path / "whole") == contents(tmp_path / "twin")
    assert not (tmp_path / "known").exists()


def test_speakers_out_of_order_are_refused(tmp_path):
    with pytest.raises(ValueError, match="anna-1 comes after bert-1; names must rise"):
        write(tmp_path / "set", dict(reversed(SPEAKERS.items())))


def test_an_utterance_that_comes_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match="bert-1 comes after bert-1"):
        write(tmp_path / "set", {"bert": SPEAKERS["bert"] * 2})


def test_an_id_that_cannot_be_a_file_s_name_is_refused(tmp_path):
    with pytest.raises(ValueError, match="id 'bert/1' has other characters"):
        write(tmp_path / "set", {"bert": [Utterance("bert/1", "bert-y", 0.0, 1.0, "x")]})
