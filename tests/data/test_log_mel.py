"""Log-mel spectra."""

import numpy as np
import pytest
import torch

from soundstorm.data.log_mel import LogMel, stack_frames


@pytest.mark.parametrize("frequency", [300, 1500, 6000])
def test_a_tone_is_loudest_in_the_band_around_it(frequency):
    wav = torch.sin(2 * torch.pi * frequency * torch.arange(16000) / 16000)
    spectra = LogMel(40)(wav)
    top = 2595 * np.log10(1 + 8000 / 700)
    centres = 700 * (10 ** (np.arange(1, 41) * top / 41 / 2595) - 1)
    assert spectra.shape == (101, 40)
    assert abs(int(spectra[50].argmax()) - int(np.abs(centres - frequency).argmin())) <= 1


def test_stacked_frames_by_loops():
    spectra = torch.randn(11, 3) * 5 + 2
    stacked = stack_frames(spectra, 4)
    assert stacked.shape == (2, 12)
    for band in range(3):
        column = spectra[:, band]
        expected = (column - column.mean()) / column.std(unbiased=False)
        for frame in range(2):
            for i in range(4):
                assert stacked[frame, 3 * i + band].item() == pytest.approx(expected[4 * frame + i].item(), abs=1e-3)


def test_the_level_of_a_recording_does_not_matter():
    wav = torch.randn(8000) * 0.1
    quiet, loud = (stack_frames(LogMel(20)(wav * gain), 4) for gain in (1.0, 5.0))
    assert torch.allclose(quiet, loud, atol=1e-3)


def test_silence_gives_numbers():
    assert torch.isfinite(stack_frames(LogMel(20)(torch.zeros(4000)), 4)).all()
