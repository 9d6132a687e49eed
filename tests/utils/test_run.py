"""The local launcher: command lines, quoting, logs, --pick, limits, GPUs and interruption."""

from __future__ import annotations

import itertools
import os
import re
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

RUN = "utils/run.py"

LOG = re.compile(
    r"# echo hello\n"
    r"# Running on \S+\n"
    r"# Started at \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \S+ \d{4}\n"
    r"#\n"
    r"hello\n"
    r"# Accounting: time=\d+ threads=1\n"
    r"# Ended \(code 0\) at \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \S+ \d{4}, elapsed time \d+ seconds\n"
)


def output(shell, log="x.log"):
    """The command's own output: what stands between the header and the footer of a log."""
    lines = (shell.root / log).read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("#"))


def test_a_log_has_the_agreed_format(shell):
    done = shell(RUN, "log/deep/x.log", "echo", "hello")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert LOG.fullmatch((shell.root / "log/deep/x.log").read_text())


def test_an_old_log_is_replaced(shell):
    shell.write("x.log", "old\n")
    shell(RUN, "x.log", "echo", "hello")
    assert LOG.fullmatch((shell.root / "x.log").read_text())


def test_output_without_a_newline_does_not_swallow_the_footer(shell):
    shell(RUN, "x.log", "printf", "hello")
    assert "\nhello\n# Accounting" in (shell.root / "x.log").read_text()


def test_the_footer_counts_the_threads_asked_for(shell):
    shell(RUN, "--num-threads", "3", "x.log", "true")
    assert re.search(r"^# Accounting: time=\d+ threads=3$", (shell.root / "x.log").read_text(), re.MULTILINE)


def test_errors_go_to_the_log_too(shell):
    shell(RUN, "x.log", "echo", "oops", ">&2", ";", "echo", "fine")
    assert output(shell) == "oops\nfine"


def test_a_job_reads_nothing_from_the_terminal(shell):
    done = shell(RUN, "x.log", "cat", input="should not be read")
    assert (done.returncode, output(shell)) == (0, "")


def test_the_exit_status_is_1_whatever_the_code_of_the_job(shell):
    done = shell(RUN, "x.log", "exit", "7")
    assert done.returncode == 1
    assert done.stderr.startswith("run.py: job failed, log is in x.log\n")
    assert "# Ended (code 7) at" in (shell.root / "x.log").read_text()


def test_a_job_killed_by_a_signal_never_looks_like_a_success(shell):
    assert shell(RUN, "x.log", "kill", "-9", "$$").returncode == 1
    assert "# Ended (code 137; signal 9) at" in (shell.root / "x.log").read_text()


def test_a_failure_shows_the_end_of_the_first_failed_log(shell):
    done = shell(RUN, "JOB=1:3", "x.JOB.log", "seq", "1", "100", ";", "test", "JOB", "-lt", "2")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[:2] == ["run.py: 2 / 3 failed, log is in x.*.log", "run.py: the end of x.2.log:"]
    assert lines[2:10] == [f"  {number}" for number in range(93, 101)]
    assert len(lines) == 12 and lines[11].startswith("  # Ended (code 1)")


def test_the_other_jobs_of_an_array_run_to_the_end(shell):
    shell(RUN, "--max-jobs-run", "1", "JOB=1:4", "x.JOB.log", "test", "JOB", "-ne", "1")
    assert all("# Ended (code" in (shell.root / f"x.{job}.log").read_text() for job in range(1, 5))


def test_every_job_gets_its_number_in_log_and_command(shell):
    done = shell(RUN, "JOB=2:4", "log.JOB/x.JOB.log", "echo", "aJOBb", "two JOB words")
    assert done.returncode == 0
    assert [output(shell, f"log.{n}/x.{n}.log") for n in (2, 3, 4)] == [
        f"a{n}b two {n} words" for n in (2, 3, 4)
    ]


@pytest.mark.parametrize("job_range, numbers", [("J=3", [3]), ("TASK_1=1:2", [1, 2])])
def test_a_range_may_have_any_name_and_be_one_number(shell, job_range, numbers):
    name = job_range.split("=")[0]
    assert shell(RUN, job_range, f"x.{name}.log", "true").returncode == 0
    assert sorted(path.name for path in shell.root.glob("x.*.log")) == [
        f"x.{number}.log" for number in numbers
    ]


def test_a_forgotten_range_is_hinted_at(shell):
    assert "was JOB=1:$nj forgotten?" in shell(RUN, "x.JOB.log", "false").stderr


def test_several_jobs_cannot_share_a_log(shell):
    done = shell(RUN, "JOB=1:2", "x.log", "true")
    assert done.returncode == 1
    assert "2 jobs would write one log: x.log lacks JOB" in done.stderr


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "expected a log and a command"),
        (["x.log"], "no command after the log x.log"),
        (["--mem"], "option --mem needs a value"),
        (["-pe", "smp"], "option -pe needs 2 values"),
        (
            ["--num_threads", "2", "x.log", "true"],
            "unknown option --num_threads .*did you mean --num-threads",
        ),
        (["--max-jobs-run", "0", "x.log", "true"], "needs a positive whole number, got '0'"),
        (["-tc", "many", "x.log", "true"], "needs a positive whole number, got 'many'"),
        (["--gpu", "one", "x.log", "true"], "option --gpu needs a whole number of at least 0, got 'one'"),
        (["--pick", "some", "x.log", "true"], "option --pick takes all, failed, incomplete, got 'some'"),
        (["JOB=0:3", "x.JOB.log", "true"], "job range JOB=0:3 is not JOB=s:e with 1 <= s <= e"),
        (["JOB=3:2", "x.JOB.log", "true"], "job range JOB=3:2 is not"),
        (["JOB=1:", "x.JOB.log", "true"], "job range JOB=1: is not"),
        (["JOB=1:2", "J=1:2", "x.JOB.log", "true"], "a second job range J=1:2"),
    ],
)
def test_a_wrong_command_line_is_told_from_a_failed_job(shell, arguments, message):
    done = shell(RUN, *arguments)
    assert done.returncode == 255
    assert re.search(message, done.stderr)
    assert "usage: utils/run.py" in done.stderr
    assert not list(shell.root.glob("*.log"))


def test_options_and_range_come_in_any_order_and_cluster_options_are_ignored(shell):
    words = "--mem 4G -l x=y JOB=1:2 -pe smp 4 -V --time 1:00:00 --config c --name n --num-nodes 1 x.JOB.log echo -n"
    done = shell(RUN, *words.split())
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["echo", "a", "|", "tr", "a", "b"], "b"),
        (["echo", "x", ">", "f", ";", "cat", "f"], "x"),
        (["printf", "%s", "'a;b'"], "a;b"),
        (["echo", "$X", "${X}"], "value value"),
        (["echo", "one $X"], "one $X"),
        (["echo", 'it\'s "so" $(date)'], 'it\'s "so" $(date)'),
        (["echo", "*.txt"], "a.txt b.txt"),
        (["echo", "*.txt and"], "*.txt and"),
        (["printf", "[%s]", "a", "", "b", ";", "echo"], "[a][][b]"),
        (["echo", "a  b"], "a  b"),
        (["printf", "'%s\\n'", "a\tb"], "a\tb"),
        (["echo", r"a\|b", r"\>"], "a|b >"),
        (["echo", "a", "&&", "echo", "b", "#", "c"], "a\nb"),
        (["X=own;", "echo", "$X"], "own"),
    ],
)
def test_arguments_without_white_space_are_live_and_others_literal(shell, arguments, expected):
    shell.write("a.txt", "")
    shell.write("b.txt", "")
    assert shell(RUN, "x.log", *arguments, env={"X": "value"}).returncode == 0
    assert output(shell) == expected


def test_a_command_with_a_newline_stays_a_comment_in_the_log(shell):
    assert shell(RUN, "x.log", "printf", "%s", "a\nrm x").returncode == 0
    assert "# printf %s 'a\n# rm x'\n" in (shell.root / "x.log").read_text()


DONE = "# Ended (code 0) at x, elapsed time 1 seconds\n"
FAILED = "# Ended (code 1) at x, elapsed time 1 seconds\n"
STATES = {1: None, 2: DONE, 3: FAILED, 4: "# cut short"}


@pytest.mark.parametrize(
    "pick, run, status",
    [("all", [1, 3, 4], 0), ("failed", [1, 3, 4], 0), ("incomplete", [1, 4], 1), (None, [1, 2, 3, 4], 0)],
)
def test_pick_runs_the_jobs_that_their_logs_call_for(shell, pick, run, status):
    for job, log in STATES.items():
        if log is not None:
            shell.write(f"x.{job}.log", log)
    options = ["--pick", pick] if pick else []
    done = shell(RUN, *options, "JOB=1:4", "x.JOB.log", "touch", "ran.JOB")
    assert sorted(path.name for path in shell.root.glob("ran.*")) == [f"ran.{job}" for job in run]
    assert done.returncode == status
    if status:
        assert "1 / 4 failed" in done.stderr


def test_pick_believes_the_last_of_several_endings(shell):
    shell.write("x.log", FAILED + DONE)
    assert shell(RUN, "--pick", "failed", "x.log", "touch", "ran").returncode == 0
    assert not (shell.root / "ran").exists()


def most_at_once(shell, *options, jobs=6):
    """Run jobs that note when they start and end; count the most that ran together."""
    note = "echo $(date +%s%N) {} >> notes".format
    command = f"{note('+')}; sleep 0.15; {note('-')}"
    assert shell(RUN, *options, f"JOB=1:{jobs}", "x.JOB.log", *command.split()).returncode == 0
    notes = sorted((shell.root / "notes").read_text().splitlines())
    assert len(notes) == 2 * jobs
    return max(itertools.accumulate(1 if line.endswith("+") else -1 for line in notes))


def test_max_jobs_run_limits_the_jobs_and_the_smaller_of_two_counts(shell):
    assert most_at_once(shell, "--max-jobs-run", "2", "-tc", "5") == 2


def test_without_a_limit_there_are_as_many_jobs_as_processors(shell):
    processors = len(os.sched_getaffinity(0))
    assert most_at_once(shell, jobs=2 * processors) <= processors


def test_a_few_more_jobs_than_processors_run_at_once(shell):
    processors = len(os.sched_getaffinity(0))
    jobs = processors + 1 if processors + 1 < 1.4 * processors else processors
    assert most_at_once(shell, jobs=jobs) <= jobs


def devices(shell, jobs, *options, env):
    """Run jobs that note their devices and hold them for a while; return the notes in order of time."""
    command = "echo + $CUDA_VISIBLE_DEVICES >> notes; sleep 0.1; echo - $CUDA_VISIBLE_DEVICES >> notes"
    env = {**env, "TMPDIR": str(shell.root)}  # other tests have GPUs of the same names
    done = shell(RUN, *options, f"JOB=1:{jobs}", "x.JOB.log", *command.split(), env=env)
    return done, [line.split() for line in (shell.root / "notes").read_text().splitlines()]


def test_two_jobs_never_share_a_gpu(shell):
    done, notes = devices(shell, 6, "--gpu", "2", env={"CUDA_VISIBLE_DEVICES": "0,3,5,GPU-7,9"})
    assert done.returncode == 0
    held = set()
    for sign, names in notes:
        taken = set(names.split(","))
        assert len(taken) == 2
        assert taken <= held if sign == "-" else not taken & held
        held = held - taken if sign == "-" else held | taken
    assert {names for _, names in notes} == {"0,3", "5,GPU-7"}


def test_jobs_of_several_calls_never_share_a_gpu_either(shell):
    """As the engine decodes: a call for each system, all at once."""
    command = "echo + $CUDA_VISIBLE_DEVICES >> notes; sleep 0.1; echo - $CUDA_VISIBLE_DEVICES >> notes"
    env = {"CUDA_VISIBLE_DEVICES": "unit-a,unit-b", "TMPDIR": str(shell.root)}

    def call(name):
        return shell(RUN, "--gpu", "1", "JOB=1:2", f"{name}.JOB.log", *command.split(), env=env).returncode

    with ThreadPoolExecutor() as pool:
        assert list(pool.map(call, "abc")) == [0, 0, 0]
    notes, held = [line.split() for line in (shell.root / "notes").read_text().splitlines()], set()
    assert len(notes) == 12 and {name for _, name in notes} == {"unit-a", "unit-b"}
    for sign, name in notes:
        assert (name in held) == (sign == "-")
        held ^= {name}


def test_so_many_jobs_as_are_allowed_share_a_gpu(shell):
    _, notes = devices(shell, 4, "--gpu", "1", "--jobs-per-gpu", "2", env={"CUDA_VISIBLE_DEVICES": "unit-c"})
    running = most = 0
    for sign, _ in notes:
        running += 1 if sign == "+" else -1
        most = max(most, running)
    assert most == 2


@pytest.mark.parametrize("sharing_first", [True, False])
def test_jobs_that_share_keep_off_the_gpu_of_one_that_does_not(shell, sharing_first):
    """As the engine extracts tokens while a codec trains."""
    env = {"CUDA_VISIBLE_DEVICES": "unit-d", "TMPDIR": str(shell.root)}
    options = {True: ["--gpu", "1", "--jobs-per-gpu", "3"], False: ["--gpu", "1"]}

    def call(shares):
        word = "shared" if shares else "alone"
        command = f"echo + {word} >> notes; sleep 0.2; echo - {word} >> notes"
        return shell(RUN, *options[shares], "JOB=1:3", f"{word}.JOB.log", *command.split(), env=env).returncode

    with ThreadPoolExecutor() as pool:
        assert list(pool.map(call, [sharing_first, not sharing_first])) == [0, 0]
    held = []
    for sign, word in (line.split() for line in (shell.root / "notes").read_text().splitlines()):
        if sign == "-":
            held.remove(word)
            continue
        assert word == "shared" and "alone" not in held or not held
        held.append(word)


def fake_nvidia_smi(shell, listing):
    shell.write("bin/nvidia-smi", f"#!/bin/sh\nprintf '{listing}'\n").chmod(0o755)
    return {"PATH": f"{shell.root}/bin:{os.environ['PATH']}"}


def test_without_a_variable_nvidia_smi_tells_the_gpus(shell, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    env = fake_nvidia_smi(
        shell, "GPU 0: A (UUID: x)\\n  MIG 1g.5gb Device 0: (UUID: y)\\nGPU 1: A (UUID: z)\\n"
    )
    done, notes = devices(shell, 4, "--gpu", "1", "--max-jobs-run", "8", env=env)
    assert done.returncode == 0
    assert {name for _, name in notes} == {"0", "1"}


def test_where_the_gpus_cannot_be_told_jobs_run_one_by_one(shell, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    env = {"PATH": f"{shell.root}/bin:{os.environ['PATH']}"}
    shell.write("bin/nvidia-smi", "#!/bin/sh\nexit 9\n").chmod(0o755)
    done, notes = devices(shell, 3, "--gpu", "1", env=env)
    assert done.returncode == 0
    assert "cannot tell which GPUs there are" in done.stderr
    assert [note[0] for note in notes] == ["+", "-"] * 3


def test_more_gpus_than_there_are_is_an_error(shell):
    done = shell(RUN, "--gpu", "3", "x.log", "true", env={"CUDA_VISIBLE_DEVICES": "0,1"})
    assert done.returncode == 255
    assert "--gpu 3, but this machine has 2: 0, 1" in done.stderr


def test_gpu_0_leaves_the_devices_alone(shell):
    shell(RUN, "--gpu", "0", "x.log", "echo", "$CUDA_VISIBLE_DEVICES", env={"CUDA_VISIBLE_DEVICES": "1"})
    assert output(shell) == "1"


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_leaves_no_child(shell, number):
    # Each job is a bash that waits for a child of its own; the third is never started.
    command = "sleep 1000 & echo $! $$ > pids.JOB.new; mv pids.JOB.new pids.JOB; wait"
    process = subprocess.Popen(
        [RUN, "--max-jobs-run", "2", "JOB=1:3", "x.JOB.log", *command.split()],
        cwd=shell.root,
        stderr=subprocess.PIPE,
    )
    wait_for(lambda: len(list(shell.root.glob("pids.?"))) == 2)
    pids = [int(pid) for path in shell.root.glob("pids.?") for pid in path.read_text().split()]
    assert len(pids) == 4 and all(map(is_alive, pids))
    process.send_signal(number)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 128 + number
    assert b"interrupted" in errors
    wait_for(lambda: not any(map(is_alive, pids)), seconds=2)
    assert "# Ended (code 143" in (shell.root / "x.1.log").read_text()
    assert not (shell.root / "x.3.log").exists()


def test_an_interruption_gives_children_time_to_clean_up(shell):
    # What torchrun needs, which ends workers in other sessions when it is told to end; its bash dies at once.
    shell.write(
        "child.sh", "trap 'sleep 0.5; touch cleaned; exit' TERM; touch ready; while :; do sleep 0.05; done"
    )
    words = ["bash", "child.sh", ";", "true"]
    process = subprocess.Popen([RUN, "x.log", *words], cwd=shell.root, stderr=subprocess.DEVNULL)
    wait_for((shell.root / "ready").exists)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 130
    assert (shell.root / "cleaned").exists()


IMPATIENT = """import sys
sys.path.insert(0, "utils")
import jobs, run
jobs.KILL_AFTER_SECONDS = 3
run.main(sys.argv[1:])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")
@pytest.mark.parametrize("launcher", [(RUN,), (sys.executable, "-c", IMPATIENT)], ids=["Ctrl-C", "time"])
def test_what_takes_long_to_end_is_killed_by_a_second_ctrl_c_or_in_time(shell, launcher):
    """With what it has started, which may have a session of its own. A second SIGTERM kills nothing."""
    command = "trap '' TERM; setsid sleep 1000 & echo $! $$ > pids.new; mv pids.new pids; wait"
    process = subprocess.Popen(
        [*launcher, "x.log", *command.split()], cwd=shell.root, stderr=subprocess.PIPE, text=True
    )
    wait_for((shell.root / "pids").exists)
    pids = [int(pid) for pid in (shell.root / "pids").read_text().split()]
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    told = process.stderr.readline()
    limit = 300 if launcher[0] == RUN else 3
    assert f"waiting up to {limit} s for the job of x.log to end, a training after saving a checkpoint" in told
    assert "Ctrl-C now kills it at once" in told and all(map(is_alive, pids))
    if launcher[0] == RUN:
        process.send_signal(signal.SIGINT)
    assert "interrupted" in process.communicate(timeout=10)[1]
    wait_for(lambda: not any(map(is_alive, pids)), seconds=2)
    assert "# Ended (code 137" in (shell.root / "x.log").read_text()


def test_an_interruption_reaches_a_launcher_in_the_background_of_a_script(shell):
    # Bash starts background commands with Ctrl-C ignored.
    shell.write("x.sh", f"{RUN} x.log sleep 1000 &\nwait $!\necho status $?\n")
    process = subprocess.Popen(
        ["bash", "x.sh"],
        cwd=shell.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    wait_for(lambda: (shell.root / "x.log").exists() and "#\n" in (shell.root / "x.log").read_text())
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    os.kill(int(children.stdout), signal.SIGINT)
    assert b"status 130" in process.communicate(timeout=10)[0]


def test_an_interrupted_job_counts_as_failed_and_is_picked(shell):
    process = subprocess.Popen([RUN, "x.log", "sleep", "1000"], cwd=shell.root, stderr=subprocess.DEVNULL)
    wait_for(lambda: (shell.root / "x.log").exists() and "#\n" in (shell.root / "x.log").read_text())
    process.terminate()
    process.wait(timeout=10)
    assert shell(RUN, "--pick", "failed", "x.log", "echo", "again").returncode == 0
    assert output(shell) == "again"


def test_a_log_that_cannot_be_written_fails_its_job_only(shell):
    shell.write("x.2.log/is-a-directory", "")
    done = shell(RUN, "JOB=1:3", "x.JOB.log", "true")
    assert done.returncode == 1
    assert "cannot start x.2.log" in done.stderr
    assert "# Ended (code 0)" in (shell.root / "x.3.log").read_text()


def test_help_is_the_usage(shell):
    done = shell(RUN, "--help")
    assert done.returncode == 0
    assert "usage: utils/run.py [options] [JOB=1:N] <log> <command>" in done.stdout


def test_starting_a_job_is_quick(shell):
    # In processor time, which does not depend on what else this machine does.
    def seconds():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    times = [seconds()]
    for _ in range(3):
        shell(RUN, "x.log", "true")
        times.append(seconds())
    assert min(end - start for start, end in zip(times, times[1:])) < 0.3


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")
def test_a_killed_launcher_takes_its_jobs_with_it(shell):
    # The child has a session of its own, as torchrun's have.
    command = "setsid sleep 1000 & echo $! $$ > pids.JOB.new; mv pids.JOB.new pids.JOB; wait"
    process = subprocess.Popen(
        [RUN, "--max-jobs-run", "2", "JOB=1:2", "x.JOB.log", *command.split()],
        cwd=shell.root,
        start_new_session=True,
    )
    wait_for(lambda: len(list(shell.root.glob("pids.?"))) == 2)
    pids = [int(pid) for path in shell.root.glob("pids.?") for pid in path.read_text().split()]
    assert len(pids) == 4 and all(map(is_alive, pids))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
    wait_for(lambda: not any(map(is_alive, pids)), seconds=5)
    assert "# Ended" not in (shell.root / "x.1.log").read_text()


def test_a_job_whose_log_cannot_say_how_it_ended_has_failed(shell):
    # The limit on the size of files stands for a full disk.
    done = shell("bash", "-c", f"ulimit -f 1; {RUN} x.log eval 'head -c 5000 /dev/zero; true'")
    assert done.returncode == 1
    assert "cannot write x.log: File too large; make room and run this again" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("tool", [RUN, "utils/launcher.py", "utils/slurm.py"])
def test_the_launchers_find_each_other_where_pythonsafepath_is_set(shell, tool):
    done = shell(tool, "--help", env={"PYTHONSAFEPATH": "1"})
    assert "ModuleNotFoundError" not in done.stderr and "usage" in done.stdout + done.stderr
