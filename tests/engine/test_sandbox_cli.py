"""`python -m sandbox` with the real engine and a program that is small enough to read here."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from report.planned import PlannedError, planned, resources

REPOSITORY = Path(__file__).resolve().parent.parent.parent
DEADLINE = 60

PROGRAM = """
import time
from pathlib import Path
import pulumi
import pulumi_random as random

config = pulumi.Config()
print("the program runs")
if message := config.get("raise"):
    raise ValueError(message)

class Vault(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("trading:tier:Vault", name)
        opts = pulumi.ResourceOptions(parent=self, protect=config.get_bool("protect"))
        self.key = random.RandomPassword(f"{name}-key", length=24, opts=opts)
        self.register_outputs({})

def sleep_if_asked(_):
    if started := config.get("started"):
        Path(started).touch()
        time.sleep(60)
    return "slept"

vault = Vault("vault")
pulumi.export("key", vault.key.result)
pulumi.export("token", config.require("token"))
pulumi.export("mode", config.require("mode"))
after = pulumi.Output.unsecret(vault.key.result).apply(sleep_if_asked)
random.RandomId("last", byte_length=2, keepers={"after": after})
"""

STACK = """\
secretsprovider: awskms://alias/somebody-elses?region=us-east-1
encryptedkey: AAAA
config:
  tiny:mode: yes
  tiny:token:
    secure: AAABADdummy
"""


class Cli:
    """A separate project with its own sandbox."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.directory = folder / "sandbox"
        self.started = folder / "started"
        self.project.mkdir()
        (self.project / "Pulumi.yaml").write_text(
            "name: tiny\nruntime: python\nbackend: {url: 's3://somebody-elses'}\n"
        )
        (self.project / "__main__.py").write_text(PROGRAM)
        (self.project / "Pulumi.local.yaml").write_text(STACK)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "TRADING_SANDBOX_DIR": str(self.directory)}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "sandbox", "--project", str(self.project), *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=REPOSITORY,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )

    def pulumi_up(self, **config: object) -> list[str]:
        settings = [f"--config=tiny:{name}={value}" for name, value in config.items()]
        return ["exec", "--", "pulumi", "up", "--stack", "local", "--yes", "--skip-preview", *settings]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts a command and waits until the program sleeps."""
        process = subprocess.Popen(
            self.command(*arguments),
            cwd=REPOSITORY,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        wait_until(lambda: self.started.exists() or process.poll() is not None)
        assert process.poll() is None, process.communicate()[0]
        return process

    def state(self) -> Path:
        return self.directory / "state" / ".pulumi" / "stacks" / "tiny" / "local.json"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def processes_of(cli: Cli) -> list[str]:
    """The command lines and environments of processes that name the sandbox's folder."""
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_text()
            if path.name != str(os.getpid()) and str(cli.directory) in (path / "environ").read_text():
                found.append(command)
        except OSError:
            continue
    return found


def files(folder: Path) -> dict[str, bytes]:
    """The contents of a folder's files, without the modules that Python compiles and that git ignores."""
    return {
        str(path): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }


def test_up_deploys_and_a_second_up_changes_nothing(cli: Cli) -> None:
    first = cli.run("up", "--no-policies")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "+ 4 created" in first.stdout
    assert "the program runs" in first.stdout
    tail = first.stdout.split("Duration", 1)[1].splitlines()
    assert [line.split() for line in tail[-4:]] == [
        ["Tier", "Resources"],
        ["Vault", "2"],
        ["(no", "tier)", "2"],
        ["total", "4"],
    ]

    second = cli.run("up", "--no-policies")
    assert second.returncode == 0
    assert "4 unchanged" in second.stdout
    assert "created" not in second.stdout


def test_preview_as_json_has_all_resources_also_unchanged_ones(cli: Cli) -> None:
    first = planned("local", cli.project)
    assert cli.run("up", "--no-policies").returncode == 0
    second = resources(cli.run("preview", "--no-policies", "--json").stdout, "the preview")
    assert [item["urn"] for item in second] == [item["urn"] for item in first]
    assert len(first) == 4  # the stack, a component and two resources


def test_planning_reports_the_programs_errors(cli: Cli) -> None:
    (cli.project / "__main__.py").write_text("raise ValueError('no such mode')")
    with pytest.raises(PlannedError, match=r"the preview of stack local failed:\n(?s:.*)no such mode"):
        planned("local", cli.project)


def test_working_tree_is_not_written_to(cli: Cli) -> None:
    before = files(cli.project)
    assert cli.run("up", "--no-policies").returncode == 0
    assert cli.run(*cli.pulumi_up(mode="other")).returncode == 0
    assert cli.run("preview", "--no-policies").returncode == 0
    assert files(cli.project) == before


def test_stack_file_is_read_as_the_engine_reads_it_but_for_what_only_its_owner_can_open(cli: Cli) -> None:
    assert cli.run("up", "--no-policies").returncode == 0
    outputs = json.loads(cli.run("exec", "--", "pulumi", "stack", "output", "--json").stdout)
    assert outputs["mode"] == "yes"
    assert outputs["token"] == "sandbox-dummy-secret"


def test_secrets_stay_secret(cli: Cli) -> None:
    up = cli.run("up", "--no-policies")
    assert "key  : [secret]" in up.stdout
    export = cli.run("exec", "--", "pulumi", "stack", "export").stdout
    password = next(
        resource
        for resource in json.loads(export)["deployment"]["resources"]
        if resource["type"].endswith(":RandomPassword")
    )
    assert "ciphertext" in password["outputs"]["result"]
    shown = json.loads(cli.run("exec", "--", "pulumi", "stack", "output", "--json", "--show-secrets").stdout)
    assert len(shown["key"]) == 24
    assert all(shown["key"].encode() not in content for content in files(cli.directory).values())


def test_exec_has_the_status_and_the_output_of_its_command(cli: Cli) -> None:
    result = cli.run("exec", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (result.returncode, result.stdout) == (7, "out\n")
    assert result.stderr.endswith("err\n")
    assert cli.run("exec", "--", "no-such-command").returncode == 127
    assert cli.run("exec", "--", "sh", "-c", "kill -9 $$").returncode == 128 + 9


def test_files_that_a_command_names_are_the_users_own(cli: Cli, tmp_path: Path) -> None:
    assert cli.run("up", "--no-policies").returncode == 0
    command = f"cd '{tmp_path}' && pulumi stack export --file state.json"
    assert cli.run("exec", "--", "sh", "-c", command).returncode == 0
    assert json.loads((tmp_path / "state.json").read_text())["deployment"]["resources"]


def test_exception_of_the_program_is_shown_with_its_place(cli: Cli) -> None:
    result = cli.run(*cli.pulumi_up(**{"raise": "no such tier"}))
    assert result.returncode != 0
    assert f'File "{cli.project}/__main__.py", line 10, in <module>' in result.stdout
    assert "ValueError: no such tier" in result.stdout
    assert "language_host" not in result.stdout + result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_cancels_in_order_and_the_next_command_goes_on(cli: Cli, number: signal.Signals) -> None:
    process = cli.start(*cli.pulumi_up(started=cli.started))
    process.send_signal(number)
    output, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode not in (0, None)
    assert "received; cancelling" in output
    assert "update canceled" in output
    assert "terminating\n" not in output
    assert processes_of(cli) == []

    again = cli.run("up", "--no-policies")
    assert again.returncode == 0, again.stdout
    assert "+ 1 created" in again.stdout


def test_kill_leaves_nothing_running_and_the_next_command_goes_on(cli: Cli) -> None:
    process = cli.start(*cli.pulumi_up(started=cli.started))
    process.kill()
    process.communicate(timeout=DEADLINE)

    again = cli.run("up", "--no-policies")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "taken back" in again.stderr
    assert "+ 4 created" in again.stdout
    assert processes_of(cli) == []


def test_killed_command_of_a_session_is_taken_back(cli: Cli) -> None:
    added = cli.directory / "previewed" / "added"
    killed = cli.run("exec", "--", "sh", "-c", f"mkdir -p {added}; kill -9 $$")
    assert killed.returncode == 128 + signal.SIGKILL
    assert added.exists()
    assert "what it did is taken back" in cli.run("preview", "--no-policies").stderr
    assert not added.exists()


def test_ctrl_c_at_a_terminal_reaches_the_engine_once(cli: Cli) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(REPOSITORY)
        command = cli.command(*cli.pulumi_up(started=cli.started))
        os.execve(sys.executable, command, cli.environment)
    wait_until(cli.started.exists)
    os.write(terminal, b"\x03")
    output, pressed = b"", time.monotonic()
    while select.select([terminal], [], [], DEADLINE)[0]:
        try:
            output += os.read(terminal, 65536)
        except OSError:
            break
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) > 0
    assert time.monotonic() - pressed < DEADLINE
    assert b"^C received; cancelling" in output
    assert b"^C received; terminating" not in output
    assert processes_of(cli) == []


def test_creation_interrupted_by_a_crash_does_not_block_the_next_command(cli: Cli) -> None:
    program = 'import pulumi_aws as aws\naws.sns.Topic("orders", name="orders", region="us-east-1")\n'
    (cli.project / "__main__.py").write_text(program)
    assert cli.run("up", "--no-policies").returncode == 0
    state = json.loads(cli.state().read_text())
    latest = state["checkpoint"]["latest"]
    topic = next(item for item in latest["resources"] if item["type"].endswith(":Topic"))
    latest["resources"].remove(topic)
    unfinished = {key: value for key, value in topic.items() if key not in ("id", "outputs")}
    latest["pending_operations"] = [{"resource": unfinished, "type": "creating"}]
    cli.state().write_text(json.dumps(state))

    # The topic exists, but the engine knows only that it was about to be created.
    result = cli.run("up", "--no-policies")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "interrupted in 1 operations" in result.stderr
    assert "+ 1 created" in result.stdout
    assert "pending operations" not in result.stdout
    assert json.loads(cli.run("status", "--json").stdout)["aws"] == {"sns": 1}


def test_program_gets_the_environment_of_the_command_that_runs_the_engine(cli: Cli) -> None:
    (cli.project / "__main__.py").write_text("import os\nprint('COLOUR is', os.environ.get('COLOUR'))\n")
    preview = "pulumi preview --stack local"
    command = f"env COLOUR=red {preview}; export COLOUR=blue; {preview}; env -u COLOUR {preview}"
    shown = cli.run("exec", "--", "sh", "-c", command).stdout
    # The engine shows a program's output while it runs and again at the end.
    colours = [line.split()[-1] for line in shown.splitlines() if "COLOUR is" in line]
    assert list(dict.fromkeys(colours)) == ["red", "blue", "None"]


def test_second_command_on_the_same_sandbox_is_refused(cli: Cli) -> None:
    process = cli.start(*cli.pulumi_up(started=cli.started))
    second = cli.run("up", "--no-policies")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=DEADLINE)
    assert second.returncode == 1
    assert second.stderr.startswith("error: ")
    assert f"{cli.directory} is in use by another command (process {process.pid} " in second.stderr
    assert len(second.stderr.splitlines()) == 1


def test_down_leaves_nothing(cli: Cli) -> None:
    assert cli.run("up", "--no-policies").returncode == 0
    down = cli.run("down")
    assert down.returncode == 0, down.stdout
    assert "- 4 deleted" in down.stdout
    assert "Remaining of stack local: 0 resources in its state, 0 in AWS." in down.stdout
    assert "Clusters in the sandbox: none." in down.stdout


def test_down_of_a_protected_stack_refuses_and_says_what_would_allow_it(cli: Cli) -> None:
    assert cli.run(*cli.pulumi_up(protect="true")).returncode == 0
    before = cli.state().read_bytes()
    down = cli.run("down")
    assert down.returncode == 1
    assert "random:index/randomPassword:RandomPassword vault-key" in down.stderr
    assert "`trading:protect: false` in Pulumi.local.yaml" in down.stderr
    assert cli.state().read_bytes() == before

    assert cli.run("up", "--no-policies").returncode == 0
    assert cli.run("down").returncode == 0


def test_status_and_reset(cli: Cli) -> None:
    empty = json.loads(cli.run("status", "--json").stdout)
    assert (empty["running"], empty["stacks"], empty["aws"], empty["clusters"]) == (None, {}, {}, [])
    assert cli.run(*cli.pulumi_up(protect="true")).returncode == 0
    status = json.loads(cli.run("status", "--json").stdout)
    assert status["stacks"] == {"local": {"resources": 5, "protected": 1}}
    assert "local" in cli.run("status").stdout

    refused = cli.run("reset")
    assert (refused.returncode, cli.state().exists()) == (2, True)
    assert cli.run("reset", "--yes").returncode == 0
    assert not cli.directory.exists()


def test_reset_deletes_no_folder_that_is_not_a_sandbox(cli: Cli) -> None:
    cli.directory.mkdir()
    (cli.directory / "thesis.txt").touch()
    result = cli.run("reset", "--yes")
    assert result.returncode == 2
    assert f"{cli.directory} is not a sandbox" in result.stderr
    assert (cli.directory / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["up", "--stack", "typo"], ["'typo'", "no Pulumi.typo.yaml", "the stacks there are: local"]),
        (["up", "--stak", "local"], ["--stak"]),
        (["deploy"], ["'deploy'", "exec", "up", "preview", "down", "status", "reset"]),
        (["exec"], ["exec needs a command"]),
        (["exec", "--"], ["exec needs a command"]),
        (["status", "--format", "json"], ["--format"]),
        (["--project", "/nowhere", "up"], ["no Pulumi.yaml in /nowhere", "--project"]),
    ],
)
def test_bad_arguments_give_one_error_that_names_them(
    cli: Cli, arguments: list[str], expected: list[str]
) -> None:
    result = cli.run(*arguments)
    assert result.returncode == 2
    *_, error = result.stderr.splitlines()
    assert all(part in error for part in expected), error
    assert not cli.directory.exists()


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["aws", "s3", "ls"], "`aws s3 ls`: the sandbox only has `aws eks get-token"),
        (["aws", "eks", "get-token"], "--cluster-name NAME"),
        (["pulumi", "config", "set", "tiny:mode", "no"], "edit Pulumi.<stack>.yaml"),
    ],
)
def test_commands_that_the_sandbox_does_not_have_are_refused(
    cli: Cli, command: list[str], expected: str
) -> None:
    result = cli.run("exec", "--", *command)
    assert result.returncode == 2
    assert expected in result.stderr


def test_stack_file_that_is_not_yaml_is_named(cli: Cli) -> None:
    (cli.project / "Pulumi.local.yaml").write_text("config: [\n")
    result = cli.run("up", "--no-policies")
    assert result.returncode == 2
    assert f"{cli.project}/Pulumi.local.yaml is not valid YAML" in result.stderr
    assert not cli.directory.exists()
