"""The alphabet of a recogniser."""

import pytest

from soundstorm.data.characters import build_vocabulary, encode_text


def test_the_alphabet_has_blank_boundary_characters_and_unknown():
    assert build_vocabulary(["ab b", "c"]) == {"<blank>": 0, "|": 1, "a": 2, "b": 3, "c": 4, "<unk>": 5}


def test_texts_become_numbers_with_boundaries_and_unknowns():
    assert encode_text("a dog", build_vocabulary(["a og"])) == [2, 1, 5, 4, 3]


@pytest.mark.parametrize("texts, message", [([], "no characters"), (["a | b"], "normalise them")])
def test_texts_without_an_alphabet_are_refused(texts, message):
    with pytest.raises(ValueError, match=message):
        build_vocabulary(texts)
