"""Names that go with packs."""

import pytest

from soundstorm.data.pack import without_places


@pytest.mark.parametrize(
    "text, expected",
    [
        ("/home/jane doe/x", "x"),
        ("/home/jane", "jane"),
        ("/jane doe/my models/a b", "a b"),
        ("w2v-bert:/home/jane doe/a b/x@4", "w2v-bert:x@4"),
        ("/a/b and /c/d e/f", "b and f"),
        ("/a:b/c", "c"),
        ("org/name, see https://x.org/a b/c", "org/name, see https://x.org/a b/c"),
        ("/a/b, see https://x.org/c", "b, see https://x.org/c"),
        ("exp/with blank/x", "exp/with blank/x"),
    ],
)
def test_no_folder_of_the_machine_is_left_in_a_text(text, expected):
    assert without_places(text) == expected
