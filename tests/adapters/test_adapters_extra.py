"""Without the optional packages the extra that brings them is named."""

import sys

import pytest
from nerfstudio_writer import Training, WrittenTraining

from sanerf.adapters.load import load_field
from sanerf.errors import MissingExtraError
from sanerf.geometry.transforms import IDENTITY


@pytest.mark.parametrize(("module", "package"), [("msgpack", "msgpack"), ("yaml", "pyyaml")])
def test_a_missing_package_is_named_with_its_extra(module, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "a.ingp").write_bytes(b"")
    path = tmp_path / "a.ingp" if module == "msgpack" else WrittenTraining(tmp_path / "run", Training()).root
    with pytest.raises(MissingExtraError, match=rf"needs {package}.*sanerf\[adapters\]"):
        load_field(path, IDENTITY, scene=tmp_path)
