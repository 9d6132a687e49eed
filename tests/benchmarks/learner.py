"""One side of quality.py in a process of its own: commands in and answers out, as worker.py has them.

{"do": "build", ...}                  makes the network, with an optimizer and an average of its weights
{"do": "train", "seconds": 15}        goes on training for so long: {"steps": ..., "seconds": ..., "share": ...} in all
{"do": "decode", "iterations": 16}    codes of the test utterances, one by one: {"codes": file}
{"do": "time", "iterations": 16}      decodes the long one: {"seconds": ...}

Both sides learn from the same batches by the same loop. In the peer's process only torch and numpy are needed.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sizes import OURS, Sizes, Work  # noqa: E402
from worker import serve  # noqa: E402


class Ours:
    """This project's network, masks and sampler, as the recipe has them."""

    def __init__(self, command: dict):
        from soundstorm.data.archive import TokenizerInfo
        from soundstorm.data.datasets.dataset_configs import MaskingConfig
        from soundstorm.data.experiment import config_section
        from soundstorm.decoding.decoding_config import ParallelConfig
        from soundstorm.models.soundstorm import SoundStorm
        from soundstorm.models.soundstorm_config import InitConfig, SoundStormConfig
        from soundstorm.tokens.acoustic import load_codebooks
        from soundstorm.training.soundstorm_step import SoundStormStep

        expdir = command["soundstorm"]
        semantic, acoustic = (config_section(expdir, name, TokenizerInfo) for name in ("semantic", "acoustic"))
        self.model = SoundStorm(
            config_section(expdir, "model", SoundStormConfig), num_levels=acoustic.num_levels,
            codebook_size=acoustic.codebook_size, semantic_size=semantic.codebook_size,
        )  # fmt: skip
        if config_section(expdir, "init", InitConfig).codebooks:
            self.model.start_from_codebooks(load_codebooks(command["codec"]))
        self.step = SoundStormStep(self.model, config_section(expdir, "masking", MaskingConfig))
        decoding = command["decoding"] | {"precision": command["precision"]}
        self.decoding = ParallelConfig(**{**decoding, "iterations": tuple(decoding["iterations"])})

    def loss(self, batch: dict):
        """Mean over the masked tokens."""
        loss = self.step.loss("model", self.step.networks, batch)
        return loss.total / loss.weight

    def decode(self, semantic, iterations: int, seed: int):
        """Codes ``(T, Q)`` of semantic tokens ``(T,)``."""
        import torch

        from soundstorm.decoding.parallel import decode

        config = replace(self.decoding, iterations=(iterations, 1))
        return decode(self.model, semantic[None], torch.tensor([len(semantic)]), config, seeds=[seed])[0]


class Peer:
    """soundstorm-pytorch's network and sampler, with its own masks in training or with those of the batches."""

    def __init__(self, command: dict):
        import random

        import peer

        random.seed(0)
        sizes = Sizes(**command["sizes"])
        self.model = peer.make(Work("train", 0.0, style=command["style"], sizes=sizes))
        self.own_masks, self.levels = command["masks"] == "own", sizes.levels
        # What it samples from is float32, as without autocast.
        self.model.net.register_forward_hook(
            lambda module, inputs, made: tuple(x.float() for x in made) if isinstance(made, tuple) else made.float()
        )

    def loss(self, batch: dict):
        """Its own, or the mean over the masked tokens by the masks of ours."""
        import torch
        import torch.nn.functional as F

        codes, semantic = batch["codes"], batch["semantic"]
        inside = torch.arange(codes.shape[1]) < batch["lengths"][:, None]
        if self.own_masks:
            return self.model(codes.clone(), mask=inside, cond_semantic_token_ids=semantic)[0]
        shown = codes.masked_fill(batch["hidden"], self.model.mask_id).flatten(1)
        logits = self.model.net(shown, mask=inside, cond=self.model.maybe_get_condition(semantic))
        target = batch["target"]
        losses = F.cross_entropy(logits.unflatten(1, (-1, self.levels))[target], codes[target], reduction="none")
        weights = batch["weights"][:, None].expand_as(target)[target]
        return (losses * weights).sum() / weights.sum()

    def decode(self, semantic, iterations: int, seed: int):
        """Codes ``(T, Q)`` of semantic tokens ``(T,)``."""
        import torch

        torch.manual_seed(seed)
        self.model.steps = iterations
        codes = self.model.generate(cond_semantic_token_ids=semantic[None], num_full_sampling_levels=1)
        return codes.view(-1, self.levels)


class Learner:
    """A side, what it learns from and what it decodes."""

    def answer(self, command: dict) -> dict:
        """What one command asks for."""
        if command["do"] not in ("build", "train", "decode", "time"):
            raise ValueError(f"command is {command['do']!r}, expected build, train, decode or time")
        return getattr(self, command.pop("do"))(**command)

    def build(self, side: str, threads: int, folder: str, training: dict, seconds: float, steps: int | None, **rest):
        """Random weights; the batches of the file that ``masks`` names are read into memory."""
        import numpy as np
        import torch

        from soundstorm.training.optim import MovingAverage, build_optimizer
        from soundstorm.training.training_config import TrainerConfig

        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.side = (Ours if side == OURS else Peer)(rest)
        self.network = self.side.model.train()
        self.config = TrainerConfig(**training)
        self.optimizer = build_optimizer(self.network, self.config)
        self.average = MovingAverage(self.network, self.config.ema_decay)
        self.autocast = torch.autocast("cpu", torch.bfloat16, enabled=rest["precision"] == "bf16")
        self.folder, self.name = Path(folder), rest["name"]
        self.limits, self.steps, self.seconds, self.is_averaged = (seconds, steps), 0, 0.0, False
        with np.load(self.folder / f"batches_{rest['masks'].replace('own', 'paper')}.npz") as file:
            self.batches: dict[int, dict] = {}
            for key in file.files:
                name, _, number = key.rpartition(".")
                self.batches.setdefault(int(number), {})[name] = torch.from_numpy(file[key])
        return {"parameters": sum(parameter.numel() for parameter in self.network.parameters())}

    def _share(self) -> float:
        """Of the training that is done."""
        seconds, steps = self.limits
        return min(1.0, self.steps / steps if steps else self.seconds / seconds)

    def train(self, seconds: float) -> dict:
        """Steps for so long, or to the end: the rate of learning falls with the share that is done."""
        import torch

        from soundstorm.training.optim import learning_rate

        config, loss = self.config, None
        stop = self.seconds + seconds
        while self.seconds < stop and self._share() < 1:
            start = time.perf_counter()
            after = self._share() * (config.max_steps - config.warmup_steps)
            step = self.steps if self.steps < config.warmup_steps else config.warmup_steps + after
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(step, config)
            batch = {k: v.long() if v.dtype == torch.int16 else v for k, v in self._batch().items()}
            with self.autocast:
                loss = self.side.loss(batch)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), config.clip_norm or float("inf"))
            if norm.isfinite():
                self.optimizer.step()
            self.optimizer.zero_grad()
            self.average.update(self.network, self.steps)
            self.steps += 1
            self.seconds += time.perf_counter() - start
        return {
            "steps": self.steps, "seconds": self.seconds, "share": self._share(),
            "loss": None if loss is None else float(loss),
        }  # fmt: skip

    def _batch(self) -> dict:
        return self.batches[self.steps % len(self.batches)]

    def _ready(self) -> None:
        if not self.is_averaged:
            self.average.swap(self.network)
            self.network.eval()
            self.is_averaged = True

    def decode(self, iterations: int) -> dict:
        """One utterance after the other, into a file."""
        import numpy as np

        made = {}
        with np.load(self.folder / "utterances.npz") as file:
            for number, name in enumerate(file.files):
                made[name] = self._codes(file[name], iterations, number).numpy().astype(np.int16)
        path = self.folder / f"codes_{self.name}_{iterations}.npz"
        np.savez(path, **made)
        return {"codes": str(path)}

    def time(self, iterations: int) -> dict:
        """Of the long utterance."""
        import numpy as np

        with np.load(self.folder / "long.npz") as file:
            semantic = file["semantic"]
        start = time.perf_counter()
        self._codes(semantic, iterations, 0)
        return {"seconds": time.perf_counter() - start}

    def _codes(self, semantic, iterations: int, seed: int):
        import torch

        self._ready()
        with self.autocast, torch.no_grad():
            return self.side.decode(torch.from_numpy(semantic.astype("int64")), iterations, seed)


if __name__ == "__main__":
    serve(Learner())
