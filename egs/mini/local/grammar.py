"""Sentences and dialogues of a small vocabulary, without homophones, so that a word error is a hearing error.

A clause is written with `<slots>`; a slot stands for any of its words. Sentences are clauses joined by connectives
until they are long enough. A comma is a short pause for the synthesiser; the transcript has none.
"""

import re

import numpy as np

SLOTS = {
    "name": "anna peter maria david susan robert".split(),
    "person": "teacher doctor farmer sister brother captain neighbor".split(),
    "thing": "letter basket window table bottle ticket picture hammer blanket candle mirror guitar camera".split(),
    "things": "letters baskets bottles tickets pictures oranges candles blankets sandwiches".split(),
    "adjective": "old young small heavy yellow purple green happy quiet broken empty expensive famous".split(),
    "did": "found carried painted opened forgot bought watched dropped cleaned".split(),
    "do": "find carry paint open bring buy watch clean show".split(),
    "number": "three five six seven nine ten eleven twelve twenty".split(),
    "place": [
        "near the river", "behind the house", "under the bridge", "inside the kitchen", "at the station",
        "across the street", "beside the church", "on the mountain", "in the village", "around the corner",
    ],  # fmt: skip
    "when": [
        "today", "tomorrow", "yesterday", "every morning", "on monday", "on friday", "before dinner",
        "after lunch", "this evening", "last summer",
    ],  # fmt: skip
    "weather": "cold warm windy dark sunny".split(),
}

CLAUSES = (
    "the <adjective> <person> <did> the <thing> <place>",
    "<name> <did> <number> <adjective> <things> <when>",
    "<name> and the <person> <did> my <adjective> <thing>",
    "please <do> the <adjective> <thing> <when>",
    "please <do> <number> <things> with <name>",
    "there are <number> <things> <place>",
    "they found the <adjective> <thing> <place>",
    "we will <do> the <things> <place> <when>",
    "i would like to <do> your <adjective> <thing>",
    "can you <do> the <thing> with the <person>",
    "they never <did> the <thing> <when>",
    "it was very <weather> <place> <when>",
    "my <person> is <adjective> and your <person> is <adjective>",
    "the number is <number> <number> <number>",
    "<name> will meet the <adjective> <person> <place>",
    "where is the <adjective> <thing>",
    "did <name> <do> the <things> <when>",
)
CONNECTIVES = ("and", "but", "then", "because", "while", "so")

EXCHANGES = (
    ("how are you today", "i am fine thank you"),
    ("how are you <name>", "i am very <weather> thank you"),
    ("where is the <adjective> <thing>", "it is <place>"),
    ("where did you <do> the <thing>", "i <did> it <place>"),
    ("can you <do> <number> <things>", "yes i will <do> them <when>"),
    ("did the <person> <do> my <thing>", "no but <name> <did> it <when>"),
    ("would you like the <adjective> <thing>", "no thank you i would like <number> <things>"),
    ("when will <name> meet the <person>", "they will meet <when> <place>"),
    ("how many <things> are there", "there are <number> <things> <place>"),
    ("what is your number", "my number is <number> <number> <number>"),
    ("who is the <adjective> <person>", "it is <name> and it was very <weather> <place>"),
    ("is it <weather> <place>", "yes it is very <weather> <when>"),
)


def fill(template: str, rng: np.random.Generator) -> str:
    """One sentence of a template; a slot that comes twice takes two different words."""
    taken: set[str] = set()

    def word(slot: re.Match) -> str:
        choices = [choice for choice in SLOTS[slot[1]] if choice not in taken]
        choice = choices[rng.integers(len(choices))]
        taken.add(choice)
        return choice

    return re.sub("<([a-z]+)>", word, template)


def sentence(num_words: int, rng: np.random.Generator) -> str:
    """A sentence of about as many words, commas before connectives."""
    tries = [_sentence(num_words, rng) for _ in range(6)]
    return min(tries, key=lambda said: abs(len(said.split()) - num_words))


def _sentence(num_words: int, rng: np.random.Generator) -> str:
    clauses = list(rng.permutation(len(CLAUSES)))
    said = fill(CLAUSES[clauses.pop()], rng)
    while clauses and num_words - len(said.split()) >= 4:
        said += f", {CONNECTIVES[rng.integers(len(CONNECTIVES))]} {fill(CLAUSES[clauses.pop()], rng)}"
    return said


def dialogue(num_words: int, rng: np.random.Generator) -> list[str]:
    """Turns of two speakers, the first one's first, of about as many words in all."""
    tries = [_dialogue(num_words, rng) for _ in range(6)]
    return min(tries, key=lambda turns: abs(len(" ".join(turns).split()) - num_words))


def _dialogue(num_words: int, rng: np.random.Generator) -> list[str]:
    exchanges = list(rng.permutation(len(EXCHANGES)))
    turns: list[str] = []
    while not turns or (exchanges and num_words - len(" ".join(turns).split()) >= 5):
        turns += [fill(turn, rng) for turn in EXCHANGES[exchanges.pop()]]
    return turns


def transcript(turns: list[str]) -> str:
    """The words of an utterance as its text has them: no punctuation, `|` where the other speaker takes over."""
    return " | ".join(turn.replace(",", "") for turn in turns)


def vocabulary() -> set[str]:
    """Every word that can be said."""
    texts = [*CLAUSES, *CONNECTIVES, *(turn for exchange in EXCHANGES for turn in exchange)]
    texts += [choice for choices in SLOTS.values() for choice in choices]
    return set(re.sub("<[a-z]+>", " ", " ".join(texts)).split())
