"""The commands that read each file of the inputs, as a user would call them."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETS = "--train-data data --valid-data data"
RESUMED = ("soundstorm", "audiolm_fine", "text_to_semantic", "semantic_to_text", "recognizer", "consistency")
TABLES = "data/wav.scp data/utt2spk data/utt2dur"
ALL_TABLES = f"{TABLES} data/text data/spk2utt data/phones.ctm data/*.scp data/*.json"
SEGMENTS = "segmented/segments segmented/wav.scp"
SOUND = "wav/*"
CODEC = "codec/config.yaml codec/model.safetensors"
KMEANS = "kmeans/kmeans.json kmeans/centroids.safetensors"
HUBERT = "hubert/config.json hubert/model.safetensors hubert/preprocessor_config.json"
REQUESTS = ("text.json", "script.json", "post.http", "get.http")  # to the page
TOKENS = "data/semantic.scp data/semantic.json data/semantic.ark data/acoustic.scp data/acoustic.json data/acoustic.ark"


@dataclass(frozen=True)
class Command:
    """A command line and the files it reads."""

    name: str  # front of soundstorm/bin, or script of utils/data_dir_tool.py
    arguments: str
    reads: str  # patterns

    def reads_file(self, path: str) -> bool:
        """Whether a mutation of this file reaches the command."""
        return any(fnmatch(path, pattern) for pattern in self.reads.split())


def _trained(name: str) -> str:
    return f"{name}/config.yaml {name}/model.safetensors"


def _train(name: str, reads: str, *more: str, expdir: str | None = None) -> tuple[Command, Command]:
    """A training that begins, for its configuration, and one that goes on."""
    expdir = expdir or name
    options = f"{SETS} --config conf/{name}.yaml {' '.join(more)} --expdir"
    resumed = f"{reads} {expdir}/config.yaml {expdir}/metrics.jsonl {expdir}/checkpoints/step-00000001/*"
    return Command(f"train_{name}", f"{options} new", f"conf/{name}.yaml"), Command(
        f"train_{name}", f"{options} {expdir}", resumed
    )


COMMANDS = (
    Command("validate_data_dir.sh", "data", ALL_TABLES),
    Command("validate_data_dir.sh", "--no-text segmented", "segmented/*"),
    Command("fix_data_dir.sh", "data", ALL_TABLES),
    Command("copy_data_dir.sh", "--utt-prefix x- --spk-prefix x- segmented new", "segmented/*"),
    Command("subset_data_dir.sh", "--per-spk data 1 new", f"{TABLES} data/text data/spk2utt"),
    Command("combine_data.sh", "new segmented", "segmented/*"),
    Command("utt2dur_inspect", "data/wav.scp true new new.faulty", f"data/wav.scp {SOUND}"),
    Command(
        "train_kmeans",
        "--data-dir data --features hubert --layer 1 --clusters 3 --output new",
        f"{TABLES} {HUBERT}",
    ),
    Command("extract_semantic_tokens", "--data-dir data --kmeans kmeans --output new/x", f"{TABLES} {SOUND} {KMEANS}"),
    Command("extract_acoustic_tokens", "--data-dir data --codec codec --output new/x", f"{TABLES} {SOUND} {CODEC}"),
    Command("extract_acoustic_tokens", "--data-dir segmented --codec codec --output new/x", f"{SEGMENTS} {SOUND}"),
    Command(
        "merge_tokens",
        "--data-dir data --output new/semantic.scp dump/semantic.1.scp",
        "dump/semantic.* data/wav.scp",
    ),
    Command(
        "measure_token_quality",
        "--data-dir data --tokens data/semantic.scp --output new.json",
        "data/phones.ctm data/utt2spk data/semantic.*",
    ),
    Command(
        "train_codec", f"{SETS} --config conf/codec.yaml --expdir new", f"conf/codec.yaml {TABLES} {SOUND}"
    ),
    *_train("soundstorm", TOKENS),
    *_train("mask_diffusion", TOKENS),
    *_train("audiolm", TOKENS, "--stage fine", expdir="audiolm_fine"),
    *_train("tacotron2", f"data/text {TABLES} {SOUND}", "--stage features", expdir="tacotron2/features"),
    Command("train_tacotron2", f"{SETS} --config conf/tacotron2.yaml --stage wavenet --features tacotron2/features "
            "--expdir new", _trained("tacotron2/features")),
    Command(
        "synthesize",
        "--data-dir data --from text --codec codec --acoustic-model tacotron2 --tacotron2.max_seconds 0.1 --output new",
        f"data/text {_trained('tacotron2/features')} tacotron2/features/speakers.safetensors "
        f"{_trained('tacotron2/wavenet')}",
    ),
    Command("measure_alignments", "--decode-dir alignments --output new/alignments.json", "alignments/*"),
    *_train("text_to_semantic", "data/text data/semantic.*", "--read-utterances 0"),
    *_train("masked_text_to_semantic", "data/text data/semantic.*", "--read-utterances 0"),
    *_train("semantic_to_text", "data/text data/semantic.*"),
    Command(
        "pretrain_text_to_semantic",
        f"{SETS} --config conf/text_to_semantic.yaml --expdir new",
        "conf/text_to_semantic.yaml data/semantic.*",
    ),
    Command(
        "back_translate",
        "--data-dir data --transcribed transcribed --semantic-to-text semantic_to_text --transcribe.temperature 5 "
        "--output new",
        f"transcribed/* data/semantic.* data/utt2spk {_trained('semantic_to_text')}",
    ),
    *_train("recognizer", f"data/text {TABLES}"),
    *_train("consistency", f"{HUBERT} {TABLES}", "--ssl-model hubert"),
    Command(
        "pretrain_hubert",
        f"{SETS} --config conf/hubert.yaml --labels-kmeans kmeans --expdir new",
        f"conf/hubert.yaml {KMEANS}",
    ),
    Command(
        "synthesize",
        "--data-dir data --from semantic --codec codec --acoustic-model soundstorm --config conf/decode.yaml "
        "--output new",
        f"{TOKENS} {CODEC} {_trained('soundstorm')} conf/decode.yaml",
    ),
    Command(
        "synthesize",
        "--data-dir data --from semantic --codec codec --acoustic-model mask_diffusion "
        "--mask_diffusion.passes 2 --output new",
        f"{_trained('mask_diffusion')}",
    ),
    Command(
        "synthesize",
        "--data-dir data --from text --codec codec --acoustic-model soundstorm --text-to-semantic text_to_semantic "
        "--text.max-seconds 1 --decode.iterations 1 --output new",
        f"data/text {_trained('text_to_semantic')}",
    ),
    Command(
        "synthesize",
        "--data-dir data --from text --codec codec --acoustic-model soundstorm --text-to-semantic "
        "masked_text_to_semantic --masked-text.max-seconds 1 --decode.iterations 1 --output new",
        f"{_trained('masked_text_to_semantic')}",
    ),
    Command(
        "synthesize",
        "--data-dir data --acoustic-model audiolm --audiolm.overlap-seconds 0.3 --prompt-seconds 0.3 "
        "--kmeans kmeans --codec codec --output new",
        f"{_trained('audiolm_coarse')} {_trained('audiolm_fine')}",
    ),
    Command(
        "generate_audiolm",
        "--semantic audiolm_semantic --coarse audiolm_free --fine audiolm_fine --codec codec --data-dir data "
        "--kmeans kmeans --prompt-seconds 0.3 --max-seconds 0.8 --output new",
        f"{TOKENS} {_trained('audiolm_semantic')} {_trained('audiolm_free')}",
    ),
    Command(
        "speak",
        "--model . --script script.txt --prompt A=wav/a-1.wav --prompt B=wav/a-2.flac --consent --iterations 1 "
        "--output new.wav",
        f"pack.json decode.yaml script.txt wav/a-* {KMEANS} {CODEC} {_trained('soundstorm')}",
    ),
    Command("speak", "@requests/speak.args", "requests/speak.args"),
    Command(
        "speak",
        "--model . --text-file requests/words.txt --prompt requests/voice.safetensors --consent --output new.ogg",
        "requests/words.txt requests/voice.safetensors",
    ),
    Command("speak", "--model . --list requests/list.jsonl --consent --output new", "requests/list.jsonl"),
    Command("speak", "--model . --convert wav/b-1.wav --output new.flac", "wav/b-1.wav"),
    *(Command("serve", f"requests/{name}", f"requests/{name}") for name in REQUESTS),
    Command("check_codec", "--codec codec --features hubert --layer 1", f"{CODEC} {HUBERT}"),
    Command("synthesize", "--data-dir data --from codec --codec codec --output new", "data/acoustic.*"),
    Command(
        "synthesize_dialogue",
        "--script script.txt --prompt A=wav/a-1.wav --prompt B=wav/a-2.flac --acoustic-model soundstorm "
        "--kmeans kmeans --text-to-semantic text_to_semantic --codec codec --text.max-seconds 1 "
        "--decode.iterations 1 --output new",
        f"script.txt wav/a-* {KMEANS}",
    ),
    Command(
        "score",
        "--data-dir data --decode-dir decode --system x --output new.json --recognizer recognizer --speaker none "
        "--consistency consistency --score.quality_utterances 0 --score.num_resamples 20",
        f"{TABLES} {SOUND} data/text decode/*.json decode/wav.scp {_trained('recognizer')} {_trained('consistency')} "
        "hubert/*",
    ),
    Command(
        "measure_abx",
        "--data-dir data --kmeans kmeans --acoustic data/acoustic.scp --codec codec --output new/abx.json",
        f"data/phones.ctm data/utt2spk data/acoustic.* {SOUND} {KMEANS} {CODEC}",
    ),
    Command(
        "measure_music",
        "--data-dir data --decode-dirs decode --prompt-seconds 0.3 --window-seconds 0.2 --output new/music.json",
        f"{TABLES} {SOUND} decode/*.json decode/wav.scp",
    ),
    Command(
        "measure_pairs",
        "--pairs pairs.csv --semantic audiolm_semantic --kmeans kmeans --output new/pairs.json",
        f"pairs.csv wav/?-1.wav {KMEANS} {_trained('audiolm_semantic')}",
    ),
    Command(
        "detect",
        "--data-dir data --real decode --generated decode --system x --model.crop-seconds 0.3 --model.width 8 "
        "--model.blocks 1 --training.max-steps 1 --training.batch-size 2 --expdir new --output new.json",
        "data/text decode/*.json decode/wav.scp",
    ),
    Command(
        "measure_runtime",
        "--data-dir data --codec codec --acoustic-model soundstorm --text-to-semantic text_to_semantic --lengths 0.5 "
        "--repeats 1 --output new/runtime.json",
        f"data/text data/semantic.* {CODEC} {_trained('soundstorm')} {_trained('text_to_semantic')}",
    ),
    Command(
        "measure_iterations",
        "--data-dir data --codec codec --acoustic-model soundstorm --iterations 1 --utterances 2 "
        "--quality-utterances 0 --recognizer recognizer --folder new --output new/iterations.json",
        f"data/text {TOKENS} {_trained('soundstorm')} {_trained('recognizer')}",
    ),
    Command(
        "record_trainings",
        "--expdirs soundstorm recognizer --normal-losses new/normal.json --output new/trainings.json",
        "soundstorm/config.yaml soundstorm/metrics.jsonl",
    ),
    Command(
        "pack_model", "--acoustic-model soundstorm --codec codec --output new", f"{_trained('soundstorm')} {CODEC}"
    ),
    Command(
        "export_tokens", "--format espnet --data-dir data --output new",
        f"{TOKENS} {TABLES} data/text",
    ),
    Command("import_tokens", "--format espnet --input exported/espnet --output new", "exported/espnet/*"),
    Command(
        "import_tokens", "--format webdataset --input exported/webdataset --output new", "exported/webdataset/*"
    ),
    Command(
        "export_wavs", "--data-dir data --decode-dir decode --output new",
        f"{TABLES} {SOUND} data/text decode/wav.scp decode/decode.json",
    ),
    Command("link_pack", "--pack carried --part recognizer --expdir new", "carried/*"),
    Command(
        "report",
        "--scores score/original.json score/codec.json --extras score/extra.json "
        "--timing timing.tsv --tokens data/acoustic.scp --output new",
        "score/* timing.tsv data/acoustic.*",
    ),
)  # fmt: skip


@functools.cache
def readers(path: str) -> list[Command]:
    """Commands that read a file of the inputs."""
    return [command for command in COMMANDS if command.reads_file(path)]


def prepare(command: Command, root: Path) -> None:
    """Make a finished training one that was interrupted, where the command is to go on with it."""
    name = command.arguments.split()[-1]
    if command.name.startswith("train_") and name in RESUMED:
        (root / name / "model.safetensors").unlink(missing_ok=True)
        shutil.rmtree(root / name / "checkpoints" / "step-00000002", ignore_errors=True)


def load(command: Command) -> Callable[[], None]:
    """The command as a function that ends as the program does: by SystemExit where something is wrong."""
    arguments = command.arguments.split()
    if arguments[0].startswith("@"):  # which the system would cut at a zero
        content = Path(arguments[0][1:]).read_bytes().replace(b"\0", b"")
        arguments = [os.fsdecode(line) for line in content.split(b"\n")[:-1]]
    if command.name.endswith(".sh") or command.name.startswith("utt2dur"):
        tool = _tool()

        def run() -> None:
            sys.argv = ["data_dir_tool.py", command.name]
            raise SystemExit(tool.main(command.name, arguments))
    elif command.name == "serve":
        common = importlib.import_module("soundstorm.bin.common")

        def run() -> None:
            sys.argv = [command.name]
            common.run_front(lambda _: _ask_page(Path(arguments[0])))
    else:
        common = importlib.import_module("soundstorm.bin.common")
        front = importlib.import_module(f"soundstorm.bin.{command.name}")

        def run() -> None:
            sys.argv = [command.name, *arguments]
            common.run_front(lambda _: front.main(arguments))

    return run


def _ask_page(request: Path) -> None:
    """Send a request, or the body of one, to the page's server without a network, and wait for what it asks for."""
    from soundstorm.data.errors import InputError
    from soundstorm.decoding.speech_generator import SpeechGenerator
    from soundstorm.serving.page_server import SpeechServer

    content = request.read_bytes()
    if request.suffix == ".json":
        head = "POST /jobs HTTP/1.1\nHost: 127.0.0.1\nContent-Type: application/json\n"
        head += f"Content-Length: {len(content)}\n\n"
        content = head.encode() + content
    ours, theirs = socket.socketpair()
    with ours, theirs, SpeechServer(SpeechGenerator.from_pretrained(".", device="cpu")) as server:
        ours.sendall(content)
        ours.shutdown(socket.SHUT_WR)
        server.RequestHandlerClass(theirs, ("127.0.0.1", 0), server)
        theirs.shutdown(socket.SHUT_WR)
        head, _, body = b"".join(iter(lambda: ours.recv(1 << 16), b"")).partition(b"\r\n\r\n")
        if re.match(rb"HTTP/\S+ 500 ", head):
            raise RuntimeError(body)
        length = re.search(rb"Content-Length: (\d+)", head)  # of the first answer
        answer = json.loads(body[: int(length[1])]) if length and b"application/json" in head else {}
        if "error" in answer:
            raise InputError(answer["error"])
        job = server.queue.get(answer["job"]) if "job" in answer else None
        while job is not None and job.state in ("waiting", "working"):
            time.sleep(0.01)
        if job is not None and job.error.startswith("a fault"):
            raise RuntimeError(job.error)
        if job is not None and job.error:
            raise InputError(job.error)


def _tool():
    spec = importlib.util.spec_from_file_location("data_dir_tool", ROOT / "utils" / "data_dir_tool.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
