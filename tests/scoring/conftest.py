"""The HuBERT and the noises of the tests of tokens, for measures of tokens."""

from tests.tokens.conftest import data_dir, hubert_dir  # noqa: F401
