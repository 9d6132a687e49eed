"""The chain against dense (K + 1) x (K + 1) matrices in float64, as nobody would compute it at K = 1024."""

from functools import cache

import numpy as np
import pytest
import torch
from scipy.special import rel_entr

from soundstorm.decoding.mask_diffusion_sampler import pass_times
from soundstorm.models.discrete_diffusion import MaskAndUniform
from soundstorm.models.mask_diffusion_config import DiffusionConfig

CODES = 5
UNIFORM, ABSORBING = (MaskAndUniform(DiffusionConfig(uniform=uniform), CODES) for uniform in (0.1, 0.0))
CHAINS = pytest.mark.parametrize("chain", [UNIFORM, ABSORBING], ids=["uniform", "absorbing"])


def one_step(chain, t):
    """q(x_t = column | x_{t-1} = row), from the published schedule."""

    def kept(t):
        return 1.0 if t == 0 else 0.99999 + (t - 1) / 99 * (9e-6 - 0.99999)

    def masked(t):
        if chain is ABSORBING:
            return 1 - kept(t)
        return 0.0 if t == 0 else 9e-6 + (t - 1) / 99 * (0.9 - 9e-6)

    keep, mask = kept(t) / kept(t - 1), 1 - (1 - masked(t)) / (1 - masked(t - 1))
    matrix = np.full((CODES + 1, CODES + 1), (1 - keep - mask) / CODES)
    matrix[:CODES, :CODES] += keep * np.eye(CODES)
    matrix[:, CODES], matrix[CODES] = mask, np.eye(CODES + 1)[CODES]
    return matrix


@cache
def jumped(chain, earlier, later):
    matrix = np.eye(CODES + 1) if earlier == later else jumped(chain, earlier, later - 1)
    return matrix if earlier == later else matrix @ one_step(chain, later)


def dense(rates):
    matrix = np.full((CODES + 1, CODES + 1), float(rates.uniform))
    matrix[:CODES, :CODES] += float(rates.keep) * np.eye(CODES)
    matrix[:, CODES], matrix[CODES] = float(rates.mask), np.eye(CODES + 1)[CODES]
    return matrix


def posteriors(chain, earlier, later):
    """q(x_earlier = second | x_later = first, x_0 = third); zeros where that cannot be."""
    joint = jumped(chain, earlier, later).T[:, :, None] * jumped(chain, 0, earlier)[:CODES].T[None]
    total = joint.sum(1, keepdims=True)
    return np.divide(joint, total, out=np.zeros_like(joint), where=total > 0)


def predictions():
    return torch.tensor([2.0, -1.0, 0.5, 3.0, -2.0], dtype=torch.float64).log_softmax(-1)


def every_pair():
    """All x_t and x_0."""
    return torch.arange(CODES + 1)[:, None].expand(-1, CODES), torch.arange(CODES).expand(CODES + 1, -1)


@CHAINS
def test_rows_of_every_transition_sum_to_one(chain):
    times = torch.arange(1, 101)
    for rates in (chain.until(times), chain.between(times - 1, times), chain.between(times // 2, times)):
        np.testing.assert_allclose(rates.keep + CODES * rates.uniform + rates.mask, 1, atol=1e-12)
        assert all(float(rate.min()) >= 0 for rate in rates)


@pytest.mark.parametrize("uniform", [1e-5, 0.99999])
def test_at_the_bounds_no_rate_is_below_zero(uniform):
    times = torch.arange(1, 101)
    chain = MaskAndUniform(DiffusionConfig(uniform=uniform), CODES)
    for rates in (chain.until(times), chain.between(times - 1, times)):
        assert all(float(rate.min()) > 0 for rate in rates)


@pytest.mark.parametrize("uniform", [-0.1, 5e-6, 9e-6, 0.999995, 1.0])
def test_random_codes_that_would_make_a_rate_negative_are_refused(uniform):
    message = rf"diffusion.uniform is {uniform}, expected 0 or a number in \(9e-06, 0.999991\)"
    with pytest.raises(ValueError, match=message):
        DiffusionConfig(uniform=uniform)


def test_a_chain_of_one_step_is_refused():
    with pytest.raises(ValueError, match="diffusion.steps is 1, expected at least 2"):
        DiffusionConfig(steps=1)


@CHAINS
def test_steps_one_after_the_other_are_the_jump_over_them(chain):
    """Chapman-Kolmogorov, over all steps from the clean codes on and from the middle on."""
    for earlier in (0, 37):
        for later in range(earlier + 1, 101):
            found = dense(chain.between(torch.tensor(earlier), torch.tensor(later)))
            np.testing.assert_allclose(found, jumped(chain, earlier, later), atol=1e-12)


def test_the_schedule_is_the_published_one():
    rates, step = UNIFORM.until(torch.tensor(50)), UNIFORM.between(torch.tensor(49), torch.tensor(50))
    found = [float(x) for x in (step.keep, step.mask, rates.keep, CODES * rates.uniform, rates.mask)]
    assert found == pytest.approx([0.98039, 0.01613, 0.50505, 0.04949, 0.44546], abs=1e-5)


@CHAINS
@pytest.mark.parametrize("stride", [1, 4, 10])
def test_the_posterior_is_that_of_dense_matrices(chain, stride):
    later = torch.arange(stride, 101)
    q = np.stack([posteriors(chain, int(t) - stride, int(t)) for t in later])
    log_p, noisy = predictions(), torch.arange(CODES + 1).expand(len(later), -1)
    expected = np.einsum("tnkc,c->tnk", q, log_p.exp().numpy())
    if chain is ABSORBING:  # what is seen is right, whatever the model says
        expected[:, :CODES] = np.eye(CODES + 1)[:CODES]
    found = chain.log_posterior(log_p.expand(*noisy.shape, CODES), noisy, later[:, None], later[:, None] - stride)
    np.testing.assert_allclose(found.exp(), expected, atol=1e-9)


@CHAINS
def test_the_divergence_is_that_of_dense_matrices(chain):
    times, log_p = torch.arange(2, 101)[:, None, None], predictions()
    noisy, codes = (x.expand(len(times), -1, -1) for x in every_pair())
    q = np.stack([posteriors(chain, int(t) - 1, int(t)) for t in times]).transpose(0, 1, 3, 2)  # t, x_t, x_0
    model = np.einsum("tnck,c->tnk", q, log_p.exp().numpy())
    expected = rel_entr(q, model[:, :, None]).sum(-1)
    possible = np.ones(noisy.shape, dtype=bool)
    if chain is ABSORBING:
        possible[:, :CODES], expected[:, :CODES] = np.eye(CODES), 0.0
    found = chain.divergence(log_p.expand(*noisy.shape, CODES), noisy, codes, times)
    np.testing.assert_allclose(found[possible], expected[possible], rtol=1e-6, atol=1e-9)


def test_the_first_step_is_cross_entropy():
    log_p, (noisy, codes) = predictions(), every_pair()
    found = UNIFORM.divergence(log_p.expand(CODES + 1, CODES, CODES), noisy, codes, torch.tensor(1))
    torch.testing.assert_close(found, -log_p.expand(CODES + 1, CODES))


def test_single_precision_and_its_gradient_are_near_double_precision_at_every_time():
    chain = MaskAndUniform(DiffusionConfig(), 1024)
    generator = torch.Generator().manual_seed(0)
    times = torch.arange(1, 101).repeat(3)
    codes = torch.randint(1024, (300,), generator=generator)
    other = torch.randint(1024, (300,), generator=generator)
    noisy = torch.cat([codes[:100], other[100:200], torch.full((100,), 1024)])
    results = []
    for dtype in (torch.float32, torch.float64):
        logits = 4 * torch.randn(300, 1024, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        logits[:50, 0] += 40  # sure of something, be it wrong
        logits = logits.to(dtype).requires_grad_()
        loss = chain.divergence(logits.log_softmax(-1), noisy, codes, times)
        loss.sum().backward()
        results.append((loss.detach().double(), logits.grad.double()))
    (loss, gradient), (exact, right) = results
    torch.testing.assert_close(loss, exact, rtol=1e-3, atol=2e-4)
    torch.testing.assert_close(gradient, right, rtol=1e-3, atol=1e-4)
    assert float(exact.min()) > -1e-9


def test_noisy_codes_follow_the_rates():
    count, t = 200_000, 80
    numbers = torch.rand(count, generator=torch.Generator().manual_seed(0))
    noisy = UNIFORM.noisy(torch.full((count,), 2), torch.tensor(t), numbers)
    share = torch.bincount(noisy, minlength=CODES + 1) / count
    np.testing.assert_allclose(share, jumped(UNIFORM, 0, t)[2], atol=5 * 0.5 / count**0.5)
    only_masked = ABSORBING.noisy(torch.full((count,), 2), torch.tensor(t), numbers)
    assert set(only_masked.unique().tolist()) == {2, CODES}
    assert (UNIFORM.noisy(torch.zeros(count).long(), torch.tensor(0), numbers) == 0).all()


def test_the_auxiliary_weight_falls_or_rises_as_published():
    configs = (DiffusionConfig(auxiliary_rises=rises) for rises in (False, True))
    falling, rising = (MaskAndUniform(config, CODES) for config in configs)
    times = torch.tensor([1, 51, 100])
    assert falling.auxiliary(times).tolist() == pytest.approx([2.0, 1.5, 1.01])
    assert rising.auxiliary(times).tolist() == pytest.approx([1.0, 1.5, 1.99])


@pytest.mark.parametrize("skipped, share", [(1, 0.0001), (3, 0.24), (9, 0.66)])
def test_the_published_jumps_leave_much_to_the_last_pass(skipped, share):
    """They move by the posterior of one step, at the time jumped to; that of the jump leaves nothing."""
    times = pass_times(100, {1: 51, 3: 26, 9: 11}[skipped])
    assert times == [*range(100, 0, -(1 + skipped)), 1]
    published, ours, log_p = 1.0, 1.0, torch.full((CODES,), 1 / CODES).log()

    def stays_masked(later, earlier):
        return float(UNIFORM.log_posterior(log_p, *map(torch.tensor, (CODES, later, earlier)))[-1].exp())

    for t, following in zip(times[:-1], times[1:]):
        then = t - skipped if t > skipped + 1 else t
        published *= stays_masked(then, then - 1)
        ours *= stays_masked(t, following)
    assert published == pytest.approx(share, abs=0.01) and ours < 2e-5
