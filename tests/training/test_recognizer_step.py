import jiwer
import numpy as np
import pytest
import torch

from soundstorm.data.audio import Utterances, write_audio
from soundstorm.data.characters import build_vocabulary
from soundstorm.data.datasets.dataset_configs import AugmentConfig
from soundstorm.data.datasets.recognizer_dataset import RecognizerDataset
from soundstorm.data.sampler import SeededIndex
from soundstorm.models.recognizer import CtcNetwork, load_trained_recognizer
from soundstorm.models.recognizer_config import RecognizerConfig
from soundstorm.scoring.recognizers import load_recognizer
from soundstorm.training.recognizer_step import RecognizerStep
from soundstorm.training.recognizer_training import train_recognizer
from soundstorm.training.training_config import TrainerConfig
from soundstorm.training.training_run import TrainingRun

torch.set_num_threads(1)
TONES = {"a": 300.0, "b": 1100.0, "c": 2500.0}
TINY = RecognizerConfig(num_mels=20, stack=4, width=32, expansion=2, blocks=2, kernel=5)


def sing(text, generator):
    """Each letter is a tone, a space is silence: a language that a small network learns in seconds."""
    pieces = []
    for letter in text:
        length = int(generator.integers(1400, 1900))
        tone = (
            np.zeros(length)
            if letter == " "
            else 0.3 * np.sin(2 * np.pi * TONES[letter] * np.arange(length) / 16000)
        )
        pieces += [tone, np.zeros(800)]
    return np.concatenate(pieces).astype(np.float32)


def make_data(folder, num_utterances, seed):
    generator = np.random.default_rng(seed)
    folder.mkdir()
    lines, texts = [], {}
    for i in range(num_utterances):
        words = ["".join(generator.choice(list(TONES), size=generator.integers(1, 4))) for _ in range(3)]
        utt_id = f"s-{i:03d}"
        texts[utt_id] = " ".join(words)
        write_audio(folder / f"{utt_id}.wav", sing(texts[utt_id], generator), 16000)
        lines.append(f"{utt_id} {folder}/{utt_id}.wav\n")
    (folder / "wav.scp").write_text("".join(lines))
    return texts


def test_the_loss_of_a_batch_is_the_sum_over_its_utterances(tmp_path):
    texts = make_data(tmp_path / "data", 2, seed=0)
    vocabulary = build_vocabulary(texts.values())
    model = CtcNetwork(TINY, len(vocabulary)).eval()
    dataset = RecognizerDataset(Utterances(tmp_path / "data", 16000), texts, vocabulary, num_mels=20, stack=4)
    step = RecognizerStep(model, vocabulary)
    items = [dataset[SeededIndex(i, (0,))] for i in range(2)]
    together = step.loss("model", step.networks, dataset.collate(items))
    alone = [step.loss("model", step.networks, dataset.collate([item])) for item in items]
    assert together.total.item() == pytest.approx(sum(loss.total.item() for loss in alone), rel=1e-4)
    assert int(together.weight) == sum(len(text) for text in texts.values())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A recogniser of the sung language, after seconds of training, with everything that made it."""
    folder = tmp_path_factory.mktemp("recognizer")
    train, valid = folder / "train", folder / "valid"
    texts = {str(train): make_data(train, 40, seed=0), str(valid): make_data(valid, 6, seed=1)}

    def run():
        trainer = TrainerConfig(
            max_steps=160, batch_size=4, learning_rate=5e-3, warmup_steps=10, ema_decay=0.9, clip_norm=5.0
        )
        config = {"model": TINY, "augment": AugmentConfig(warp=0.02), "training": trainer}
        train_recognizer(TrainingRun(str(train), str(valid), folder / "exp", config, ["test"]), texts=texts)

    run()
    return folder, texts[str(valid)], run


def test_a_trained_recogniser_reads_utterances_that_it_has_not_heard(trained):
    folder, texts, _ = trained
    recognizer = load_recognizer(str(folder / "exp"))
    utterances = Utterances(folder / "valid", 16000)
    read = recognizer([utterances.read(utt_id) for utt_id in utterances.ids])
    assert jiwer.cer([texts[utt_id] for utt_id in utterances.ids], [t.text for t in read]) < 0.1
    first = read[0]
    assert len(first.word_starts) == len(first.text.split()) == 3
    assert first.word_starts[0] < 0.2 < first.word_starts[1] < first.word_starts[2]


def test_a_trained_recogniser_is_loaded_by_its_directory_and_reads_with_a_closed_vocabulary(
    trained, tmp_path
):
    folder, texts, _ = trained
    (tmp_path / "text").write_text("u-1 abc\nu-2 bb\n")
    closed = load_recognizer(f"closed:{folder / 'exp'}", vocabulary_text=str(tmp_path / "text"))
    utterances = Utterances(folder / "valid", 16000)
    words = {word for utt_id in texts for word in closed([utterances.read(utt_id)])[0].text.split()}
    assert words and words <= {"abc", "bb"}
    with pytest.raises(ValueError, match="--vocabulary-text"):
        load_recognizer(f"closed:{folder / 'exp'}")


@pytest.mark.parametrize("samples", [0, 1, 100, 639, 700])
def test_a_recording_of_less_than_a_frame_is_silence_and_no_error(trained, samples):
    recognizer = load_recognizer(str(trained[0] / "exp"))
    assert recognizer([np.zeros(samples, dtype=np.float32)])[0].text == ""


def test_training_again_changes_no_file(trained):
    folder, _, run = trained
    before = {path: path.stat().st_mtime_ns for path in (folder / "exp").rglob("*")}
    run()
    assert len(before) > 5 and before == {
        path: path.stat().st_mtime_ns for path in (folder / "exp").rglob("*")
    }


def test_another_experiment_is_no_recogniser(tmp_path):
    (tmp_path / "config.yaml").write_text("model: {}\n")
    with pytest.raises(ValueError, match="not a recogniser"):
        load_trained_recognizer(tmp_path)
