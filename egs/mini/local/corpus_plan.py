"""What is said in the corpus, by whom, in which set: everything but the sound."""

import zlib
from dataclasses import dataclass

import grammar
import numpy as np
from voices import TRAINING_VOICES, UNSEEN_VOICES, Voice

WORDS_PER_SECOND = 1.16 / 60  # times a voice's rate in words per minute: measured on these sentences
SHORT, MIDDLE, LONG = (2.4, 5.8), (5.8, 9.2), (11.2, 13.0)  # seconds to aim at
PROMPTABLE = (5.0, 8.8)  # a prompt of 3 s leaves speech to score
DIALOGUE = (6.3, 11.2)
BEYOND_TRAINING = (20.5, 25.0)  # the paper's third length


@dataclass(frozen=True)
class Preset:
    """Size of the corpus.

    Attributes:
        voices: speakers of the training set.
        unseen: further speakers, of the set test_unseen.
        short, middle, long: training sentences of each length, per speaker.
        dialogues: dialogues of the training set.
        dev: sentences of the set dev, which has a dialogue for every six of them.
        test, test_unseen: (sentences of 4 to 10 s, of 10 to 14 s).
        test_dialogue: dialogues of that set; every third is of unseen speakers.
        test_long: sentences of 20 to 30 s, twice as long as any of the training set.
    """

    voices: int
    unseen: int
    short: int
    middle: int
    long: int
    dialogues: int
    dev: int
    test: tuple[int, int]
    test_unseen: tuple[int, int]
    test_dialogue: int
    test_long: int = 0


PRESETS = {
    "full": Preset(24, 6, 7, 3, 1, 40, 24, (52, 8), (16, 2), 12),
    "small": Preset(8, 3, 4, 2, 1, 4, 8, (7, 1), (5, 1), 3),
    "long": Preset(24, 6, 0, 0, 0, 0, 0, (0, 0), (0, 0), 0, test_long=12),  # only what the others lack
}
SETS = ("train", "dev", "test", "test_unseen", "test_dialogue", "test_long")


@dataclass(frozen=True)
class Planned:
    """One utterance to be spoken: (voice, sentence) turns, one for a sentence, several for a dialogue."""

    utt: str
    speaker: str
    set_name: str
    turns: tuple[tuple[Voice, str], ...]

    @property
    def text(self) -> str:
        """Transcript with `|` between turns."""
        return grammar.transcript([turn for _, turn in self.turns])


class _Planner:
    def __init__(self, seed: int):
        self.seed = seed
        self.planned: list[Planned] = []
        self._texts: set[str] = set()  # no text comes twice, in whichever sets

    def start(self, set_name: str) -> None:
        self.set_name = set_name
        self.rng = np.random.default_rng([self.seed, zlib.crc32(set_name.encode())])
        self._count: dict[str, int] = {}

    def _add(self, speaker: str, voices: tuple[Voice, ...], compose) -> None:
        while True:
            turns = compose()
            text = grammar.transcript(turns)
            if text not in self._texts:
                break
        self._texts.add(text)
        number = self._count[speaker] = self._count.get(speaker, 0) + 1
        spoken = tuple((voices[at % len(voices)], turn) for at, turn in enumerate(turns))
        self.planned.append(Planned(f"{speaker}-{self.set_name}-{number:03d}", speaker, self.set_name, spoken))

    def _words(self, seconds: tuple[float, float], rate: float) -> int:
        return max(4, round(self.rng.uniform(*seconds) * rate * WORDS_PER_SECOND))

    def sentence(self, voice: Voice, seconds: tuple[float, float]) -> None:
        num_words = self._words(seconds, voice.rate)
        self._add(voice.name, (voice,), lambda: [grammar.sentence(num_words, self.rng)])

    def dialogue(self, voices: tuple[Voice, ...]) -> None:
        first, second = (voices[at] for at in self.rng.choice(len(voices), size=2, replace=False))
        num_words = self._words(DIALOGUE, (first.rate + second.rate) / 2 * 0.95)  # the rest of the time is pauses
        self._add(f"dlg-{first.name}-{second.name}", (first, second), lambda: grammar.dialogue(num_words, self.rng))


def plan(preset: Preset, seed: int) -> list[Planned]:
    """All utterances of all sets; the same for the same arguments, whatever the machine."""
    voices, unseen = TRAINING_VOICES[: preset.voices], UNSEEN_VOICES[: preset.unseen]
    planner = _Planner(seed)

    for set_name, speakers, (middle, long) in (
        ("test", voices, preset.test),
        ("test_unseen", unseen, preset.test_unseen),
    ):
        planner.start(set_name)
        for at in range(middle + long):
            planner.sentence(speakers[at % len(speakers)], PROMPTABLE if at < middle else LONG)

    planner.start("test_dialogue")
    for at in range(preset.test_dialogue):
        planner.dialogue(unseen if at % 3 == 2 else voices)

    planner.start("dev")
    for at in range(preset.dev):
        planner.sentence(voices[at % len(voices)], MIDDLE if at % 4 == 3 else SHORT)
    for _ in range(preset.dev // 6):
        planner.dialogue(voices)

    planner.start("train")
    lengths = [SHORT] * preset.short + [MIDDLE] * preset.middle + [LONG] * preset.long
    for voice in voices:
        for seconds in lengths:
            planner.sentence(voice, seconds)
    for _ in range(preset.dialogues):
        planner.dialogue(voices)

    planner.start("test_long")
    for at in range(preset.test_long):
        planner.sentence(voices[2 * at % len(voices)], BEYOND_TRAINING)
    return planner.planned
