"""Pairs of sWUGGY and sBLIMP: the tables as they are published, and the accuracy against a count by hand."""

import pytest

from soundstorm.scoring.likelihood_pairs import pairwise_accuracy, read_pairs, recordings

LEXICAL = """id,filename,voice,frequency,word,phones,length_phones,correct
1,aAb,A,12,dog,d ao g,3,1
1,aAc,A,12,tog,t ao g,3,0
1,aAd,B,12,dog,d ao g,3,1
1,aAe,B,12,tog,t ao g,3,0
2,aAf,A,oov,brick,b r ih k,4,1
2,aAg,A,oov,blick,b l ih k,4,0
"""
SYNTACTIC = """id,filename,voice,type,subtype,transcription,correct
1,s1,A,anaphor agreement,number,"dogs see themselves, again",1
1,s2,A,anaphor agreement,number,"dogs see itself, again",0
2,s3.wav,A,island effects,wh,who left,1
2,s4.wav,A,island effects,wh,left who,0
"""


def write(folder, content):
    path = folder / "gold.csv"
    path.write_text(content, encoding="utf-8")
    return path


def test_words_and_non_words_of_one_voice_make_a_pair(tmp_path):
    pairs = read_pairs(write(tmp_path, LEXICAL))
    assert [(p.id, p.voice, p.right.name, p.wrong.name, p.groups) for p in pairs] == [
        ("1", "A", "aAb.wav", "aAc.wav", ("in vocabulary",)),
        ("1", "B", "aAd.wav", "aAe.wav", ("in vocabulary",)),
        ("2", "A", "aAf.wav", "aAg.wav", ("oov",)),
    ]
    assert {p.right.parent for p in pairs} == {tmp_path}


def test_sentences_have_their_type(tmp_path):
    pairs = read_pairs(write(tmp_path, SYNTACTIC))
    assert [(p.right, p.groups) for p in pairs] == [
        (tmp_path / "s1.wav", ("anaphor agreement",)),
        (tmp_path / "s3.wav", ("island effects",)),
    ]


def test_a_table_that_is_missing_or_not_text_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="gold.csv: no such table"):
        read_pairs(tmp_path / "gold.csv")
    (tmp_path / "gold.csv").write_bytes(b"id,\xff\n")
    with pytest.raises(ValueError, match="gold.csv: not a table in UTF-8"):
        read_pairs(tmp_path / "gold.csv")


def test_every_recording_comes_once(tmp_path):
    pairs = read_pairs(write(tmp_path, LEXICAL))
    assert [path.stem for path in recordings(pairs + pairs)] == ["aAb", "aAc", "aAd", "aAe", "aAf", "aAg"]


def test_voices_of_an_id_are_averaged_before_ids_and_a_tie_counts_half(tmp_path):
    # id 1: voice A right, voice B wrong -> 50; id 2: a tie -> 50. Without the average over voices: 1.5 of 3
    # as well, so voice A of another id 3 is added: right -> 100. Over ids (50 + 50 + 100) / 3, over pairs
    # 2.5 / 4.
    table = LEXICAL + "3,x,A,7,cat,k ae t,3,1\n3,y,A,7,gat,g ae t,3,0\n"
    scores = {"aAb": 2, "aAc": 1, "aAd": 1, "aAe": 2, "aAf": 5, "aAg": 5, "x": -1, "y": -2}
    result = pairwise_accuracy(read_pairs(write(tmp_path, table)), lambda path: scores[path.stem])
    assert result["all"]["value"] == pytest.approx(200 / 3) and result["all"]["count"] == 3
    assert result["in vocabulary"]["value"] == 75.0 and result["oov"]["value"] == 50.0
    assert result["all"]["low"] <= result["all"]["value"] <= result["all"]["high"]


def test_a_score_that_is_no_number_is_refused(tmp_path):
    with pytest.raises(ValueError, match="aAb.wav scores nan"):
        pairwise_accuracy(read_pairs(write(tmp_path, LEXICAL)), lambda path: float("nan"))


@pytest.mark.parametrize(
    "content, message",
    [
        (LEXICAL.replace("filename", "file"), "no column filename, it has"),
        (LEXICAL.replace("frequency", "often"), "no column frequency or type"),
        (LEXICAL.replace("aAc,A,12,tog,t ao g,3,0", "aAc,A,12,tog,t ao g,3,1"), "line 3: correct is '1'"),
        (LEXICAL.replace(",3,0", ",3,no"), "line 3: correct is 'no'"),
        (LEXICAL.rsplit("\n", 2)[0], "id 2, voice A has one recording"),
        (LEXICAL.split("\n")[0], "no lines"),
        ("", "no column correct, it has"),
        (LEXICAL + "3,x\n", "line 8: fewer than 8 values"),
        (LEXICAL + "\0,x", "gold.csv: not a table|line 8"),
    ],
)
def test_a_table_of_another_shape_is_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_pairs(write(tmp_path, content))
