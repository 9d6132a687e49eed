"""AudioLM's language model and loss: size, caching, padding, what is learned from."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from soundstorm.data.audiolm_layout import stage_layout
from soundstorm.data.datasets.audiolm_dataset import collate_rows
from soundstorm.models.audiolm import AudioLM, Columns
from soundstorm.models.audiolm_config import AudioLMConfig
from soundstorm.training.audiolm_step import AudioLMStep

SIZES = {"semantic_size": 9, "num_levels": 5, "coarse_levels": 2, "codebook_size": 7}
KINDS = ("sequence", "time")


def make(positions, stage="coarse"):
    torch.manual_seed(0)
    config = AudioLMConfig(
        layers=2, width=16, heads=2, head_dim=8, inner=24, dropout=0.0, positions=positions, position_buckets=8,
        max_distance=16,
    )  # fmt: skip
    model = AudioLM(config, **asdict(stage_layout(stage, **SIZES))).eval()
    torch.nn.init.normal_(model.head.weight)
    if positions == "sequence":
        torch.nn.init.normal_(model.positions.table.weight)
    return model


def rows(lengths=(9, 6, 9), repeat=1, seed=0):
    rng = np.random.default_rng(seed)
    layout = stage_layout("coarse", **SIZES)
    return [
        layout.row(
            rng.integers(0, 9, n // repeat), repeat * np.arange(n // repeat), rng.integers(0, 7, (n, 2))
        )
        for n in lengths
    ]


def columns(batch):
    return Columns(batch["ids"], batch["times"], batch["due"], batch["condition"])


def part(whole, start, end):
    return Columns(*(getattr(whole, name)[:, start:end] for name in ("ids", "times", "due", "condition")))


@pytest.mark.parametrize("stage, count", [("semantic", 253_783_552), ("coarse", 261_122_560), ("fine", 272_656_896)])
def test_the_papers_models_have_300_million_parameters(stage, count):
    sizes = {"semantic_size": 1024, "num_levels": 12, "coarse_levels": 4, "codebook_size": 1024}
    with torch.device("meta"):
        model = AudioLM(AudioLMConfig(), **asdict(stage_layout(stage, **sizes)))
    found = sum(p.numel() for p in model.parameters())
    assert found == count
    assert round(found / 1e8) == 3


@pytest.mark.parametrize("positions", KINDS)
@pytest.mark.parametrize("cuts", [[1] * 28, [10, 1, 1, 16], [27, 1]])
def test_a_cache_gives_what_recomputing_gives(positions, cuts):
    model = make(positions)
    whole = columns(collate_rows(rows((9, 9))))
    with torch.no_grad():
        expected = model.encode(whole)
        first, *others = cuts
        states, state = model.begin(part(whole, 0, first))
        found, place = [states], first
        for cut in others:
            found.append(model.advance(part(whole, place, place + cut), state))
            place += cut
    assert place == whole.ids.shape[1]
    torch.testing.assert_close(torch.cat(found, 1), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("positions", KINDS)
def test_a_row_comes_out_the_same_alone_and_padded_on_either_side(positions):
    model = make(positions)
    short, long = rows((6, 9))
    with torch.no_grad():
        alone = model.encode(columns(collate_rows([short])))[0]
        batch = columns(collate_rows([short, long]))
        right = model.encode(batch)[0, : len(alone)]
        shift = batch.ids.shape[1] - len(alone)
        rolled = Columns(*(getattr(batch, name).roll(shift, 1) for name in ("ids", "times", "due", "condition")))
        rolled.exists = torch.arange(batch.ids.shape[1])[None] >= torch.tensor([[shift], [0]])
        left = model.begin(rolled)[0][0, shift:]
    torch.testing.assert_close(right, alone, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(left, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("positions", KINDS)
def test_a_token_sees_no_later_one(positions):
    model = make(positions)
    whole = columns(collate_rows(rows((9,))))
    changed = columns(collate_rows(rows((9,))))
    changed.ids[:, 20:] = 12
    with torch.no_grad():
        before, after = model.encode(whole), model.encode(changed)
    torch.testing.assert_close(before[:, :20], after[:, :20])
    assert not torch.allclose(before[:, 20:], after[:, 20:], atol=1e-2)


def test_logits_are_those_of_the_level_alone_and_the_end_belongs_to_the_first():
    model = make("sequence", "semantic")
    states = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    logits = model.level_logits(states, 0)
    assert logits.shape == (3, 9 + 1)
    torch.testing.assert_close(logits, states @ model.head.weight.T)
    fine = make("sequence", "fine")
    torch.testing.assert_close(fine.level_logits(states, 2), states @ fine.head.weight[14:21].T)


@pytest.mark.parametrize("positions", KINDS)
def test_the_loss_is_the_cross_entropy_of_all_target_tokens_by_loops(positions):
    model, examples = make(positions), rows((9, 6, 4))
    step = AudioLMStep(model)
    with torch.no_grad():
        loss = step.loss("model", step.networks, collate_rows(examples))
        total, count = 0.0, 0
        for row in examples:
            states = model.encode(columns(collate_rows([row])))[0]
            for place, (level, wanted) in enumerate(zip(row.levels, row.classes, strict=True)):
                if level >= 0:
                    logits = states[place] @ model.head.weight[level * 7 : level * 7 + 7].T
                    total -= float(logits.log_softmax(-1)[wanted])
                    count += 1
    assert loss.weight == count == 2 * (9 + 6 + 4)
    assert float(loss.total) == pytest.approx(total, rel=1e-4)
    assert set(loss.metrics) >= {"accuracy", "loss/level0", "accuracy/level1"}


def test_codes_start_where_the_codec_has_them():
    codebooks = torch.randn(5, 7, 3, generator=torch.Generator().manual_seed(0))
    coarse, fine = make("time"), make("time", "fine")
    coarse.start_from_codebooks(codebooks[:2])
    fine.start_from_codebooks(codebooks)

    def nearest(model, offset, level):
        rows = model.embed.weight[offset + level * 7 : offset + level * 7 + 7].detach()
        return torch.cdist(rows, rows).fill_diagonal_(9e9).argmin(-1).tolist()

    for level in range(5):
        book = codebooks[level]
        wanted = torch.cdist(book, book).fill_diagonal_(9e9).argmin(-1).tolist()
        assert nearest(fine, 0, level) == wanted
        if level < 2:
            assert nearest(coarse, 9, level) == wanted
    with pytest.raises(ValueError, match="5 codebooks of 6 codes"):
        fine.start_from_codebooks(codebooks[:, :6])


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"positions": "absolute"}, "positions is 'absolute', expected one of sequence, time"),
        ({"position_buckets": 6}, "position_buckets is 6, expected a multiple of 4"),
        ({"max_distance": 16}, "max_distance is 16, expected more than half of model.position_buckets"),
        ({"layers": 0}, "layers is 0, expected at least 1"),
        ({"dropout": 1.0}, "dropout is 1.0, expected at least 0 and less than 1"),
    ],
)
def test_impossible_sizes_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        AudioLMConfig(**settings)
