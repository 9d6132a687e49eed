"""Numbers, currencies, dates and times are written out as they are spoken."""

import sys

import pytest

from soundstorm.data import spoken_form as module
from soundstorm.data.errors import InputError
from soundstorm.data.spoken_form import spoken_form


@pytest.mark.parametrize(
    "text, spoken",
    [
        ("There are 6 oranges.", "There are six oranges."),
        ("It costs $12.50, or €3,000.", "It costs twelve point five dollars, or three thousand euros."),
        ("On January 5, 2023 at 3:30 pm", "On the fifth of january, twenty twenty three at three thirty PM"),
        ("his 21st birthday, 50% of 3 km", "his twenty first birthday, fifty percent of three kilometers"),
        ('they say "no", don\'t they?', 'they say "no", don\'t they?'),
        ("", ""),
        ("東京 — ünïcode \\ stays", "東京 — ünïcode \\ stays"),
    ],
)
def test_what_is_written_in_figures_is_spoken_and_words_stay(text, spoken):
    pytest.importorskip("wetext", reason="needs the grammars of wetext: pip install wetext")
    assert spoken_form(text, "en") == spoken


def test_a_language_without_grammar_is_refused():
    pytest.importorskip("wetext", reason="needs the grammars of wetext: pip install wetext")
    with pytest.raises(InputError, match="wetext has no grammar of language 'xx' to speak numbers; try en"):
        spoken_form("1", "xx")


def test_a_missing_library_is_refused_with_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "wetext", None)
    module._normalizer.cache_clear()
    with pytest.raises(InputError, match="cannot be imported .* run: pip install wetext"):
        spoken_form("1", "en")
