"""Several processes: the same batches and numbers as one, files and words from the first alone, errors in all."""

import csv
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import distributed, nn

from mien.data.formats.npz import save_faces
from mien.errors import RunError
from mien.train import Hardware, train
from mien.train.recipe_toml import parse_recipe
from mien.train.run.distributed import SyncBatchNorm, convert_sync_batchnorm, make_fabric
from support import ONE_THREAD, tiny_model, train_and_valid

# Without dropout, of which each process draws its own; of a batch, the first process has 7 faces and the second 8.
RECIPE = """
[net]
widths = [4, 8]
blocks = 1
[head]
dropout = 0.0
[augment]
mix = "mixup"
[optim]
epochs = 2
batch = 15
lr = 0.05
ema = 0.9
"""
MIEN = "import sys; from mien.cli.main import main; sys.exit(main())"


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    (tmp_path / "command.py").write_text(MIEN)  # a script like the one that pip installs
    (tmp_path / "recipe.toml").write_text(RECIPE)
    save_faces(train_and_valid(70, 28), tmp_path / "faces.npz")
    script, recipe, faces = (str(tmp_path / name) for name in ("command.py", "recipe.toml", "faces.npz"))
    return [sys.executable, script, "train", recipe, "--faces", faces, "--accelerator", "cpu"]


def start(command: list[str], *, cwd: Path | None = None, **environment: str) -> subprocess.Popen[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, cwd=cwd)


def losses(folder: Path) -> list[float]:
    with (folder / "metrics.csv").open() as file:
        return [float(row["train_loss"]) for row in csv.DictReader(file)]


def test_two_processes_are_like_one_and_one_goes_on_for_them(files: list[str], tmp_path: Path) -> None:
    recipe, faces, two, one = parse_recipe(RECIPE), train_and_valid(70, 28), tmp_path / "two", tmp_path / "one"
    command = start([*files, "-o", str(two), "--devices", "2", "--minutes", "0.00001"])
    list(train(recipe, faces, out=one, hardware=ONE_THREAD))
    out, err = command.communicate()
    assert command.returncode == 0, err
    assert out.count("best valid accuracy") == 1
    assert [line[:9] for line in err.splitlines()] == ["epoch   1", "time is u", "next: mie"]
    assert losses(two)[0] == pytest.approx(losses(one)[0], abs=1e-4)
    list(train(recipe, faces, out=two, resume=True, hardware=ONE_THREAD))
    assert losses(two)[1] == pytest.approx(losses(one)[1], abs=1e-3)
    ours, theirs = load_file(two / "last.safetensors"), load_file(one / "last.safetensors")
    assert ours.keys() == theirs.keys()
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], atol=5e-3, rtol=1e-2)


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def test_torchrun(files: list[str], tmp_path: Path) -> None:
    """Which starts the processes itself, as it does on several machines."""
    start_both = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", free_port()]
    two = start([*start_both, "--no-python", *files, "-o", str(tmp_path / "two"), "--devices", "2"])
    alone = train(parse_recipe(RECIPE), train_and_valid(70, 28), out=tmp_path / "one", hardware=ONE_THREAD)
    wanted = next(iter(alone)).train_loss
    out, err = two.communicate()
    assert two.returncode == 0, err
    assert out.count("best valid accuracy") == 1
    assert losses(tmp_path / "two")[0] == pytest.approx(wanted, abs=1e-4)


def test_two_machines_are_like_one_and_end_when_one_is_lost(files: list[str], tmp_path: Path) -> None:
    """Each has a folder of its own; only the first's is written."""
    together: dict[str, Any] = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    command = [*files, "--nodes", "2", "--set", 'optim.schedule="constant"', "--set", "optim.epochs=100000"]
    first, second = (
        start([*command, "-o", str(tmp_path / str(rank))], NODE_RANK=str(rank), **together) for rank in (0, 1)
    )
    assert first.stderr is not None
    assert first.stderr.readline().startswith("epoch   1")
    second.kill()
    said = second.communicate()
    _, err = first.communicate()
    assert first.returncode == 1
    assert err.splitlines()[-1] == "mien: another process of this run has gone: go on with --resume"
    assert (tmp_path / "0/last.safetensors").exists()
    assert said == ("", "")
    assert not (tmp_path / "1").exists()
    recipe = parse_recipe(RECIPE, ['optim.schedule="constant"', "optim.epochs=100000"])
    alone = train(recipe, train_and_valid(70, 28), out=tmp_path / "alone", hardware=ONE_THREAD)
    assert losses(tmp_path / "0")[0] == pytest.approx(next(iter(alone)).train_loss, abs=1e-4)


def test_machines_may_differ_in_checkout_but_not_in_teacher(files: list[str], tmp_path: Path) -> None:
    together: dict[str, Any] = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    hosts = []
    for rank in (0, 1):
        own = tmp_path / str(rank)
        own.mkdir()
        tiny_model(own / "t.onnx", seed=rank)
        commit = f"import mien.train.run.trainer\nmien.train.run.trainer.source_commit = lambda: 'commit {rank}'\n"
        (own / "command.py").write_text(commit + MIEN)
        taught = ["--nodes", "2", "--set", 'loss.teachers=["t.onnx"]', "-o", str(tmp_path / "run")]
        command = [files[0], "command.py", *files[2:], *taught]
        hosts.append(start(command, cwd=own, NODE_RANK=str(rank), **together))
    ends = [host.communicate() for host in hosts]
    assert [host.returncode for host in hosts] == [1, 1], ends
    assert ends[0][1].splitlines()[-1] == "mien: every machine of a run must have the same teacher"
    assert not (tmp_path / "run").exists()


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot train on 1 cuda devices on each of 1 machines"):
        make_fabric(Hardware(accelerator="cuda"), precision="32-true")
    with pytest.raises(RunError, match=r'"16-mixed" needs a GPU; processors do "bf16-mixed"'):
        make_fabric(Hardware(accelerator="cpu"), precision="16-mixed")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A process group of this process."""
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("alone")
def test_the_norm_is_torchs() -> None:
    oracle = nn.BatchNorm2d(5)
    with torch.no_grad():
        oracle.weight.uniform_(0.5, 2)
        oracle.bias.uniform_(-1, 1)
    ours = nn.Sequential(nn.BatchNorm2d(5))
    ours.load_state_dict({f"0.{name}": value.clone() for name, value in oracle.state_dict().items()})
    names, weight = list(ours.state_dict()), ours[0].weight
    convert_sync_batchnorm(ours)
    assert isinstance(ours[0], SyncBatchNorm)
    assert list(ours.state_dict()) == names
    assert ours[0].weight is weight
    faces = torch.rand(6, 5, 4, 3) * 7 + 2
    one, two = (faces.clone().requires_grad_() for _ in range(2))
    for inputs, net in ((one, oracle), (two, ours)):
        net(inputs).pow(3).sum().backward()
    torch.testing.assert_close(two.grad, one.grad, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(ours[0].weight.grad, oracle.weight.grad, rtol=1e-4, atol=1e-3)
    for name, value in oracle.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[f"0.{name}"], value)
    torch.testing.assert_close(ours.eval()(faces), oracle.eval()(faces))
