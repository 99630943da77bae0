import subprocess
import sys

import pytest

import scorch.fairness


@pytest.mark.smoke
def test_importing_the_package_imports_none_of_the_extra() -> None:
    program = (
        "import sys, scorch.fairness, scorch.fairness.methods\n"
        "sys.exit(' '.join({'sklearn', 'fairlearn', 'matplotlib', 'pandas'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_there() -> None:
    for name in scorch.fairness.__all__:
        assert getattr(scorch.fairness, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = scorch.fairness.nothing
