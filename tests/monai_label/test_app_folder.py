"""The command that makes an app folder for MONAI Label."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from helpers import files_below

from monai_selfcleanse.cli.monai_label import main, make_app

BUNDLE = Path(__file__).parents[2] / "bundle"


def test_the_app_has_a_main_and_whole_copies_of_the_bundles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app = tmp_path / "apps" / "review"
    monkeypatch.setattr(sys, "argv", ["label", str(app), str(BUNDLE), f"hearts={BUNDLE}"])
    main()
    assert "SelfCleanseApp" in (app / "main.py").read_text()
    for name in ("bundle", "hearts"):
        assert {"LICENSE", "configs/inference.json", "configs/metadata.json"} <= set(files_below(app / "model" / name))
        assert not (app / "model" / name / "output").exists()
    said = capsys.readouterr().out
    assert f"monailabel start_server --app {app} --studies STUDIES --conf models bundle,hearts" in said
    if not (BUNDLE / "models" / "model.pt").exists():
        assert "hearts has no weights yet" in said


@pytest.mark.parametrize(
    ("bundles", "match"),
    [
        (["no/such/bundle"], "no/such/bundle is no bundle that MONAI Label can serve: it has no configs/metadata.json"),
        ([f"noise_detection={BUNDLE}"], "'detection' in it means another task: give NAME=FOLDER"),
        ([f"my hearts={BUNDLE}"], "must be one word"),
        ([str(BUNDLE), str(BUNDLE)], "and unique"),
        *(
            ([f"{name}={BUNDLE}"], "must be one word")
            for name in (".", "..", "a/b", "a\nb", "a;b", "x\x1b[31m", "a" * 101)
        ),
    ],
)
def test_what_monai_label_cannot_serve_is_refused_and_nothing_is_written(
    bundles: list[str], match: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=match):
        make_app(tmp_path / "app", bundles)
    assert files_below(tmp_path) == []


def test_a_device_in_a_bundle_is_not_copied(tmp_path: Path) -> None:
    bundle = tmp_path / "hearts"
    (bundle / "configs").mkdir(parents=True)
    for name in ("metadata.json", "inference.json"):
        (bundle / "configs" / name).write_text("{}")
    (bundle / "data").symlink_to("/dev/null")
    with pytest.raises(ValueError, match="data is a pipe or a device, no file"):
        make_app(tmp_path / "app", [str(bundle)])
    assert not (tmp_path / "app").exists()


def test_an_app_within_its_own_bundle_is_refused(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    (bundle / "configs").mkdir(parents=True)
    for name in ("metadata.json", "inference.json"):
        (bundle / "configs" / name).write_text("{}")
    (tmp_path / "link").symlink_to(bundle)
    before = files_below(tmp_path)
    for app in (bundle / "app", tmp_path / "link" / "deep" / "app"):
        with pytest.raises(ValueError, match=r"app lies within the bundle .*: give the app a folder outside it"):
            make_app(app, [str(bundle)])
    assert files_below(tmp_path) == before


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="exists already: give the app a folder of its own"):
        make_app(tmp_path, [str(BUNDLE)])
    assert files_below(tmp_path) == ["mine.txt"]
