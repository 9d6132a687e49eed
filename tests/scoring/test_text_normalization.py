import unicodedata

import pytest

from soundstorm.scoring.text_normalization import load_normalizer, read_references, scored_text


def test_the_turn_marker_is_not_a_word():
    assert scored_text("hello there | general  kenobi|you") == "hello there general kenobi you"


def test_punctuation_and_case_are_not_scored():
    text = "\u201cDon\u2019t!\u201d he said; well-known, 'quoted' 42."
    assert scored_text(text) == "don't he said well known quoted 42"


def test_letters_of_every_script_are_kept():
    assert scored_text("Grüße, नमस्ते 你好。") == "grüße नमस्ते 你好"


def test_every_hyphen_and_dash_parts_words():
    dashes = [c for c in map(chr, range(0x11000)) if unicodedata.category(c) == "Pd"] + list(
        "\u2212\u2043\u2044/\\…"
    )
    assert len(dashes) > 25
    assert {scored_text(f"a{dash}b") for dash in dashes} == {"a b"}


def test_marks_without_a_blank_part_words_and_make_none():
    assert scored_text("wait,what:this...that (or)and;so&on") == "wait what this that or and so on"
    assert scored_text("♥️ 1️⃣ ¨a ´ ~ _ 'n' ''b''c") == "1 a n b c"


def test_marks_inside_numbers_and_abbreviations_make_no_words():
    assert scored_text("1,000.5 in the U.S.A. e.g. Ph.D. at 10:30") == "10005 in the usa eg phd at 10 30"


@pytest.mark.parametrize("apostrophe", "'`´ʹʻʼʽˈ΄᾽᾿՚׳‘’‛′‵＇")
def test_apostrophes_of_every_kind_are_one(apostrophe):
    assert scored_text(f"{apostrophe}Don{apostrophe}t{apostrophe} stop") == "don't stop"


def test_a_fraction_is_a_number_over_a_number():
    assert scored_text("½ cup") == scored_text("1/2 cup") == "1 2 cup"
    assert scored_text("2½ cups") == "2 1 2 cups"


def test_what_has_no_width_is_not_heard():
    assert scored_text("\ufeffso\u00adft می\u200cخواهم a\u2060b") == "soft میخواهم ab"
    assert scored_text("ម\u200bក") == "ម ក"  # it stands between words


def test_a_mark_between_letters_of_a_script_without_blanks_parts_nothing():
    assert scored_text("你好，世界。アーバン・ルーツ") == "你好世界アーバンルーツ"


def test_texts_stay_as_they_are_when_normalised_again():
    for text in ("Wait,what: ½ don´t U.S.A. 3.5", "می\u200cخواهم 你好，世界", "ŉ ﬁne №5 ™"):
        assert scored_text(scored_text(text)) == scored_text(text)


def test_utterances_without_words_have_no_reference():
    assert read_references({"a": "Hello | you", "b": " | ", "c": ""}) == {"a": "hello you"}


def test_whispers_english_normaliser_by_name():
    assert load_normalizer(None) is scored_text
    pytest.importorskip("whisper_normalizer")
    normalize = load_normalizer("english")
    assert normalize("Mr. Smith’s colour | isn´t twenty-one") == "mister smith is color is not 21"
