"""A language for tests of text to semantic tokens: letter ``a`` is spoken as 3 to 8 frames of token 0, and so on."""

from pathlib import Path

import numpy as np

from soundstorm.data.archive import TokenizerInfo, write_tokens

LETTERS = "abcdefgh"
INFO = TokenizerInfo("semantic", "toy", "0123456789abcdef", 50.0, 1, len(LETTERS) + 1, 16000)
SPACE = len(LETTERS)  # the token between words


def speak(text: str, rng: np.random.Generator) -> np.ndarray:
    """Semantic tokens ``(T,)`` of a text of these letters and spaces."""
    tokens = [SPACE if letter == " " else LETTERS.index(letter) for letter in text]
    return np.repeat(tokens, rng.integers(3, 9, len(tokens)))


def spell(tokens: np.ndarray) -> str:
    """What the tokens say; letters never follow themselves in :func:`write_corpus`."""
    kept = [token for place, token in enumerate(tokens) if place == 0 or token != tokens[place - 1]]
    return "".join(" " if token == SPACE else LETTERS[token] for token in kept)


def random_text(rng: np.random.Generator, *, words: int = 3) -> str:
    """Words of 2 to 4 letters, neighbours different."""
    text = ""
    for _ in range(words):
        for _ in range(rng.integers(2, 5)):
            text += rng.choice([letter for letter in LETTERS if letter != text[-1:]])
        text += " "
    return text.strip()


def write_corpus(folder: Path, *, utterances: int, seed: int = 0) -> Path:
    """A data directory with ``text``, ``utt2spk`` and ``semantic.scp``; two speakers."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    texts = {f"s{i % 2}-{i:04d}": random_text(rng) for i in range(utterances)}
    ids = sorted(texts)
    (folder / "text").write_text("".join(f"{utt} {texts[utt]}\n" for utt in ids))
    (folder / "utt2spk").write_text("".join(f"{utt} {utt[:2]}\n" for utt in ids))
    write_tokens(folder / "semantic", ((utt, speak(texts[utt], rng)) for utt in ids), INFO)
    return folder
