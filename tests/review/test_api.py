"""The review's addresses: who is let in, what they answer, and what they write."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from helpers import judged_cohort, read_nifti, write_nifti
from review_cases import GRIDS, TOKEN, folder_of, gridded_cohort, number_of, reviewed

from monai_selfcleanse.results import apply_decisions
from monai_selfcleanse.results.decisions import Decision, add_decisions, read_decisions
from monai_selfcleanse.results.record import read_record
from monai_selfcleanse.results.tables import read_rows
from monai_selfcleanse.review import Review
from monai_selfcleanse.review.edits import unpacked
from monai_selfcleanse.review.session import SupersededError
from monai_selfcleanse.review.volumes import Volumes

pytest.importorskip("starlette")
from starlette.testclient import TestClient

from monai_selfcleanse.review.app import make_app

PORT = 8123
HOST = f"http://127.0.0.1:{PORT}"


def client_of(review: Review, token: str | None = TOKEN, base: str = HOST) -> TestClient:
    headers = {} if token is None else {"X-Review-Token": token}
    return TestClient(make_app(review, PORT, TOKEN), base, headers=headers, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("review")
    return folder_of(judged_cohort(root / "data"), root / "OUT")


@pytest.fixture
def review(folder: Path) -> Any:
    (folder / "decisions.csv").unlink(missing_ok=True)
    shutil.rmtree(folder / "edited_labels", ignore_errors=True)
    return Review(read_record(folder), "anna")


def decide(client: TestClient, label: int, decision: str, seen: Any = None, note: str = "", **more: Any) -> Any:
    return client.post("/api/decisions", json={"label": label, "decision": decision, "seen": seen, "note": note} | more)


BASIS = ("X-Review-Label", "X-Review-Version", "X-Review-Decided", "X-Review-Start")
SHAPE = (12, 12, 4)


def begin(client: TestClient, label: int, start: str = "") -> tuple[np.ndarray, dict[str, str]]:
    """The label to draw on, and what the drawing begins from."""
    answer = client.get(f"/api/labels/{label}/drawing?start={start}")
    assert answer.status_code == 200, answer.text
    index = np.frombuffer(answer.content, np.uint8).reshape(SHAPE, order="F").copy()
    return index, {name: answer.headers[name] for name in BASIS}


def put(client: TestClient, label: int, index: np.ndarray, basis: dict[str, str] | None = None, note: str = "") -> Any:
    body = gzip.compress(index.astype(np.uint8).tobytes(order="F"))
    headers = {"X-Review-Label": str(label)} if basis is None else basis
    return client.put(f"/api/labels/{label}/drawing", params={"note": note}, content=body, headers=headers)


def on(answer: Any, label: int) -> dict[str, str]:
    """What a drawing goes on from after a save."""
    said = answer.json()
    return dict(zip(BASIS, (str(label), said["edited"], said["decided"], "edited"), strict=True))


# ---- who is let in ---------------------------------------------------------------------------------------------------

PLACES = ("/", "/assets/review.js", "/api/table", "/api/decisions", "/api/labels/0", "/api/cases/0/image.nii.gz")


@pytest.mark.parametrize("path", PLACES)
def test_nothing_is_answered_without_the_token(path: str, review: Review) -> None:
    for token in (None, "", "wrong", TOKEN[:-1]):
        assert client_of(review, token).get(path).status_code == 403
    assert client_of(review).get(path).status_code == 200


def test_the_address_opens_the_page_and_a_cookie_does_from_then_on(review: Review) -> None:
    client = client_of(review, None)
    assert client.get("/?token=wrong").status_code == 403
    opened = client.get(f"/?token={TOKEN}")
    assert opened.status_code == 200
    cookie = opened.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=Strict", f"review-{PORT}="))
    assert client.get("/api/table").status_code == 200  # by the cookie
    assert client.get(f"/api/table?token={TOKEN}", headers={"Cookie": "x=y"}).status_code == 403  # the page alone


@pytest.mark.parametrize("other", ["a b=1", "x={json: 1}", "ä=ö", "x", "=", "review-1=x", f"review-{PORT}=junk"])
def test_other_programs_cookies_do_not_shut_the_page(other: str, review: Review) -> None:
    client = client_of(review, None)
    for line in (f"{other}; review-{PORT}={TOKEN}", f"review-{PORT}={TOKEN};{other}"):
        assert client.get("/api/table", headers={"Cookie": line.encode()}).status_code == 200
    for line in (other, f"{other}; review-{PORT}x={TOKEN}", f"x=review-{PORT}={TOKEN}"):
        assert client.get("/api/table", headers={"Cookie": line.encode()}).status_code == 403


def test_a_cookie_changes_nothing(review: Review) -> None:
    client = client_of(review, None)
    client.get(f"/?token={TOKEN}")
    assert decide(client, 0, "keep").status_code == 403
    assert client.put("/api/labels/0/drawing", content=b"").status_code == 403
    assert not review.run.folder.decisions.exists()


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1:1", f"127.0.0.1.evil:{PORT}", ""])
def test_another_host_is_refused(host: str, review: Review) -> None:
    answer = client_of(review).get("/api/table", headers={"Host": host})
    assert answer.status_code == 421
    assert client_of(review, base=f"http://localhost:{PORT}").get("/api/table").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": f"https://127.0.0.1:{PORT}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_page_is_refused_even_with_the_token(headers: dict[str, str], review: Review) -> None:
    client = client_of(review)
    body = json.dumps({"label": 0, "decision": "keep"})
    assert client.post("/api/decisions", content=body, headers=headers).status_code == 403
    assert client.get("/api/table", headers=headers).status_code == 403
    assert not review.run.folder.decisions.exists()
    own = {"Origin": HOST, "Sec-Fetch-Site": "same-origin"}
    assert client.post("/api/decisions", content=body, headers=own).status_code == 200


def test_no_answer_is_kept_and_no_page_may_load_or_frame_anything_of_others(review: Review) -> None:
    for path in (*PLACES, "/api/labels/99", "/nowhere"):
        headers = client_of(review).get(path).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert (policy["default-src"], policy["script-src"]) == ("'none'", "'self'")
        assert (policy["frame-ancestors"], policy["base-uri"], policy["form-action"]) == ("'none'",) * 3
        assert "unsafe" not in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("path", PLACES)
def test_other_methods_are_refused(path: str, review: Review) -> None:
    for method in ("DELETE", "PATCH", "OPTIONS", "PUT"):
        assert client_of(review).request(method, path).status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/api/labels/99",
        "/api/labels/-1",
        "/api/labels/..%2f..%2fetc",
        "/api/cases/99/image.nii",
        "/api/cases/0/image.nii?channel=7",
        "/api/cases/0/image.nii?channel=../x",
        "/assets/../app.py",
        "/assets/%2e%2e/app.py",
        "/assets/..%2f..%2fsession.py",
        "/assets/review.html.j2",
        "/assets//etc/passwd",
        "/decisions.csv",
        "/api/labels/0/drawing?start=edited/../../x",
    ],
)
def test_no_address_leads_to_other_files(path: str, review: Review) -> None:
    answer = client_of(review).get(path)
    assert answer.status_code == 404
    assert "error" in answer.json()


# ---- decisions -------------------------------------------------------------------------------------------------------


def test_the_table_lists_all_labels_most_suspect_first(review: Review) -> None:
    table = client_of(review).get("/api/table").json()
    labels = [dict(zip(table["columns"], values, strict=True)) for values in table["labels"]]
    assert table["who"] == "anna"
    assert len(labels) == 18
    assert [table["cases"][label["case"]] for label in labels[:2]] == ["a", "b"]
    assert [label["suspected"] for label in labels] == [1, 1, *[0] * 16]
    assert labels[0]["reason"] == "missing"
    assert labels[0]["words"].startswith("The label has no right ventricle; the network sees")


def test_a_hint_for_a_whole_case_stands_beside_each_of_its_suspects(folder: Path) -> None:
    hint = "The whole label fits if it is mirrored."
    review = Review(replace(read_record(folder), hints={"a": hint}))
    table = client_of(review).get("/api/table").json()
    labels = [dict(zip(table["columns"], values, strict=True)) for values in table["labels"]]
    said = {(table["cases"][label["case"]], label["suspected"]): label["words"] for label in labels}
    assert said["a", 1].endswith(f" {hint}")
    assert hint not in said["a", 0] + said["b", 1]


@pytest.mark.parametrize("choice", ["keep", "redraw", "leave-out"])
def test_a_decision_is_in_the_file_at_once(choice: str, review: Review) -> None:
    answer = decide(client_of(review), 1, choice, note="-1 of\r\n=these")
    assert answer.status_code == 200
    (row,) = read_rows(review.run.folder.decisions)
    assert (row["case"], row["structure"], row["decision"], row["who"]) == ("b", "right ventricle", choice, "anna")
    assert row["note"] == "-1 of\n=these"
    assert answer.json()["decisions"]["1"]["decision"] == choice
    assert read_decisions(review.run.folder.decisions, review.judgement)["b", 1].decision == choice


def test_decisions_are_gone_on_from_and_taken_back(review: Review, folder: Path) -> None:
    decide(client_of(review), 0, "redraw", note="sure")
    again = client_of(Review(read_record(folder), "ben"))
    seen = again.get("/api/decisions").json()["decisions"]["0"]
    assert (seen["decision"], seen["who"], seen["note"]) == ("redraw", "anna", "sure")
    assert decide(again, 0, "undecided", seen).json()["decisions"] == {}
    assert decide(again, 0, "undecided").status_code == 200
    assert [row["decision"] for row in read_rows(folder / "decisions.csv")] == ["redraw", "undecided", "undecided"]


def test_what_another_has_decided_meanwhile_is_shown_before_it_is_overruled(review: Review, folder: Path) -> None:
    anna, ben = client_of(review), client_of(Review(read_record(folder), "ben"))
    version = ben.get("/api/decisions").json()["version"]
    decide(anna, 0, "keep")
    refused = decide(ben, 0, "redraw")
    assert refused.status_code == 409
    assert refused.json()["error"] == "anna has decided 'keep' meanwhile; look, and decide again"
    found = ben.get(f"/api/decisions?version={version}").json()
    assert decide(ben, 0, "redraw", found["decisions"]["0"]).status_code == 200
    assert decide(ben, 1, "keep").status_code == 200  # another label has no conflict
    assert {i: (d["decision"], d["who"]) for i, d in anna.get("/api/decisions").json()["decisions"].items()} == {
        "0": ("redraw", "ben"),
        "1": ("keep", "ben"),
    }


def test_of_two_servers_that_write_at_once_one_is_refused(
    review: Review, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ben = Review(read_record(folder), "ben")
    own = type(review).check_same_run

    def slow(one: Review) -> None:  # ben's server writes when anna's is about to
        if one is review:
            ben.decide(0, "keep")
        own(one)

    monkeypatch.setattr(type(review), "check_same_run", slow)
    assert decide(client_of(review), 0, "redraw").status_code == 409
    assert [row["who"] for row in read_rows(folder / "decisions.csv")] == ["ben"]


def test_unchanged_decisions_are_not_sent_again(review: Review) -> None:
    client = client_of(review)
    version = decide(client, 0, "keep").json()["version"]
    assert client.get(f"/api/decisions?version={version}").status_code == 204
    add_decisions(review.run.folder.decisions, [Decision("b", "1", "keep", "by hand")])
    assert client.get(f"/api/decisions?version={version}").json()["decisions"]["1"]["who"] == "by hand"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"label": 0}',
        b'{"label": "0", "decision": "keep"}',
        b'{"label": true, "decision": "keep"}',
        b'{"label": 0, "decision": "delete"}',
        b'{"label": 0, "decision": "edit"}',
        b'{"label": 0, "decision": "keep", "note": 3}',
        b'{"label": 0, "decision": "keep", "seen": "anna"}',
        b'{"label": 0, "decision": "keep", "note": "' + b"n" * 2001 + b'"}',
        b'{"label": 0, "decision": "keep", "note": "' + b"n" * 100_000 + b'"}',
        b"[" * 60_000,
    ],
    ids=range(14),
)
def test_what_is_no_decision_is_refused_in_one_line(body: bytes, review: Review) -> None:
    answer = client_of(review).post("/api/decisions", content=body)
    assert answer.status_code == 400
    assert "\n" not in answer.json()["error"]
    assert not review.run.folder.decisions.exists()


def test_a_label_that_is_not_there_cannot_be_decided(review: Review) -> None:
    for label in (18, -1, 10**30):
        assert decide(client_of(review), label, "keep").status_code == 404


def test_a_note_that_no_table_can_hold_loses_those_characters(review: Review) -> None:
    text = "a\\u0000b\\ud800c\\u001bd <b>\\u202e"
    body = '{"label": 0, "decision": "keep", "note": "%s"}' % text  # noqa: UP031
    assert client_of(review).post("/api/decisions", content=body.encode()).status_code == 200
    assert read_rows(review.run.folder.decisions)[0]["note"] == "abcd <b>\u202e"


def test_a_full_disk_is_said_and_decides_nothing(review: Review, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of(review)
    decide(client, 0, "keep")
    before = review.run.folder.decisions.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("monai_selfcleanse.results.decisions.write_rows", full)
        answer = decide(client, 1, "keep")
    assert answer.status_code == 507
    assert "No space left on device" in answer.json()["error"]
    assert review.run.folder.decisions.read_bytes() == before
    assert list(client.get("/api/decisions").json()["decisions"]) == ["0"]


def test_another_runs_results_in_the_folder_get_no_decisions(review: Review) -> None:
    record = review.run.folder.record
    before = record.read_bytes()
    client = client_of(review)
    record.write_bytes(before + b" ")
    try:
        answer = decide(client, 0, "keep")
    finally:
        record.write_bytes(before)
    assert answer.status_code == 400
    assert "another run's results by now" in answer.json()["error"]
    assert not review.run.folder.decisions.exists()


def test_hostile_names_are_data(tmp_path: Path) -> None:
    ids = ("<img src=x>", "../../etc/passwd", "a\nb", "=1+1", "\u202e", '"; DROP')
    review = reviewed(tmp_path, ids)
    client = client_of(review)
    assert client.get("/api/table").json()["cases"] == list(ids)
    for i in range(2):
        assert client.get(f"/api/labels/{i}").status_code == 200
        assert client.get(f"/api/labels/{i}/overlay.nii.gz").status_code == 200
        assert decide(client, i, "keep").status_code == 200
    assert {row["case"] for row in read_rows(review.run.folder.decisions)} == set(ids[:2])
    assert "img src" not in client.get("/").text


# ---- volumes ---------------------------------------------------------------------------------------------------------


def nifti(content: bytes) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_bytes(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content)


def test_an_image_goes_as_the_file_that_it_is(review: Review) -> None:
    client = client_of(review)
    assert client.get("/api/labels/0").json()["packed"]
    assert client.get("/api/cases/0/image.nii.gz").content == Path(review.run.by_case["a"]["image"]).read_bytes()
    part = client.get("/api/cases/0/image.nii.gz", headers={"Range": "bytes=0-99"})
    assert len(part.content) == 100


def whole(overlay: nib.Nifti1Image, affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Overlays, which are sent around a structure alone, in the whole volume."""
    start = np.linalg.solve(affine, overlay.affine)
    np.testing.assert_allclose(start[:3, :3], np.eye(3), atol=1e-5)
    out = np.zeros((*shape, 1)[:3], np.uint8)
    first = np.rint(start[:3, 3]).astype(int)
    np.testing.assert_allclose(start[:3, 3], first, atol=1e-3)
    out[tuple(slice(a, a + n) for a, n in zip(first, overlay.shape, strict=True))] = np.asanyarray(overlay.dataobj)
    return out.reshape(shape)


def test_the_overlay_has_a_bit_a_layer_on_the_labels_grid(review: Review) -> None:
    overlay = nifti(client_of(review).get("/api/labels/1/overlay.nii.gz").content)
    item = review.run.by_case["b"]
    given = nib.load(item["label"])
    view = whole(overlay, given.affine, given.shape)
    np.testing.assert_array_equal(view & 1, read_nifti(item["label"]) == 1)
    assert overlay.shape < given.shape
    seen = review.run.read_seen("b")
    np.testing.assert_array_equal((view & 2) > 0, seen.predicted == 1)
    np.testing.assert_array_equal((view & 4) > 0, seen.cleansed([1])[0] == 1)
    assert (view & 4).any()
    assert set(np.unique(view)) == {0, 1, 5, 7}  # 5: what is given stays where the network is unsure


@pytest.mark.parametrize("case", GRIDS)
def test_all_volumes_lie_on_the_labels_grid(case: str, gridded: Review) -> None:
    client, label = client_of(gridded), number_of(gridded, case)
    details = client.get(f"/api/labels/{label}").json()
    place = gridded.judgement.cases.index(case)
    image = nifti(client.get(f"/api/cases/{place}/image.nii{'.gz' * details['packed']}").content)
    overlay = nifti(client.get(f"/api/labels/{label}/overlay.nii.gz").content)
    given = read_nifti(gridded.run.by_case[case]["label"])
    assert details["packed"] == (case != "2-D")
    assert image.shape == (*given.shape, 1)[:3]
    np.testing.assert_array_equal(whole(overlay, image.affine, given.shape) & 1, given == 1)
    np.testing.assert_array_equal(np.asanyarray(image.dataobj).ravel(), np.arange(given.size))


@pytest.fixture(scope="module")
def gridded(tmp_path_factory: pytest.TempPathFactory) -> Review:
    root = tmp_path_factory.mktemp("grids")
    return Review(read_record(folder_of(gridded_cohort(root), root / "OUT")), "anna")


def test_an_image_that_lies_otherwise_than_its_label_is_turned(tmp_path: Path) -> None:
    review = reviewed(tmp_path)
    item = review.run.by_case["a"]
    image, given = nib.load(item["image"]), nib.load(item["label"])
    voxels = np.asanyarray(image.dataobj).copy()
    turned = image.as_reoriented(nib.orientations.axcodes2ornt("PSR"))
    nib.save(turned, item["image"])
    client = client_of(review)
    sent = nifti(client.get("/api/cases/0/image.nii").content)
    np.testing.assert_array_equal(np.asanyarray(sent.dataobj), voxels)
    np.testing.assert_allclose(sent.affine, given.affine, atol=1e-5)


def test_headers_that_the_browser_reads_otherwise_are_not_sent(tmp_path: Path) -> None:
    review = reviewed(tmp_path)
    path = Path(review.run.by_case["a"]["image"])
    image = nib.load(path)
    voxels = np.asanyarray(image.dataobj)
    odd = nib.Nifti1Image(voxels, image.affine)
    odd.header.set_sform(image.affine, 1)
    odd.header.set_qform(image.affine @ np.diag([2, 2, 2, 1.0]), 2)  # of another voxel size, and preferred by NiiVue
    odd.header["pixdim"][1:4] = image.header["pixdim"][1:4]
    odd.header["qform_code"] = 2
    for other in (odd, nib.Nifti1Image(voxels.astype(">i2"), image.affine), nib.Nifti1Image(voxels, None)):
        nib.save(other, path)
        sent = nifti(client_of(Review(review.run)).get("/api/cases/0/image.nii").content)
        np.testing.assert_allclose(sent.affine, image.affine, atol=1e-5)
        np.testing.assert_array_equal(np.asanyarray(sent.dataobj), voxels)


def test_channels_are_sent_one_by_one(tmp_path: Path) -> None:
    review = reviewed(tmp_path)
    item = review.run.by_case["a"]
    voxels = np.random.default_rng(0).random((12, 12, 4, 3)).astype(np.float32)
    write_nifti(Path(item["image"]), voxels)
    client = client_of(Review(review.run))
    assert client.get("/api/labels/0").json()["channels"] == 3
    for channel in (2, 0, 1):
        sent = nifti(client.get(f"/api/cases/0/image.nii?channel={channel}").content)
        np.testing.assert_array_equal(np.asanyarray(sent.dataobj), voxels[..., channel])


def test_without_an_image_the_labels_are_shown_and_the_reason_said(tmp_path: Path) -> None:
    review = reviewed(tmp_path)
    write_nifti(Path(review.run.by_case["a"]["image"]), np.zeros((3, 3, 3), np.int16))
    client = client_of(review)
    assert "has shape 3 x 3 x 3" in client.get("/api/labels/0").json()["note"]
    sent = nifti(client.get("/api/cases/0/image.nii").content)
    assert sent.shape == (12, 12, 4)
    assert client.get("/api/labels/0/overlay.nii.gz").status_code == 200
    pictures = client.get("/api/labels/0/pictures").json()
    assert pictures[0]["png"] == ""
    assert pictures[0]["predicted"]


def test_a_case_that_cannot_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    review = reviewed(tmp_path)
    Path(review.run.by_case["a"]["label"]).write_bytes(b"no label")
    answer = client_of(review).get("/api/labels/0/slices")
    assert answer.status_code == 400
    assert "0.nii.gz: is no NIfTI file, or damaged" in answer.json()["error"]
    assert client_of(review).get("/api/labels/1").status_code == 200
    os.unlink(review.run.by_case["b"]["label"])
    assert client_of(review).get("/api/labels/1").status_code == 400


def test_slices_that_differ_most_come_with_their_middle(review: Review) -> None:
    details = client_of(review).get("/api/labels/1/slices").json()
    given, seen = read_nifti(review.run.by_case["b"]["label"]), review.run.read_seen("b")
    differ = (given == 1) != (seen.predicted == 1)
    assert details["count"] == 3
    for z, mm2, _, _, (x, y) in details["slices"]:
        assert differ[x, y, z]
        assert mm2 == pytest.approx(differ[..., z].sum() * 2.25)


def test_pictures_stand_in_for_volumes(review: Review) -> None:
    pictures = client_of(review).get("/api/labels/1/pictures").json()
    assert len(pictures) == 3
    assert all(p["given"] and p["predicted"] and p["png"] and p["mm2"] > 0 for p in pictures)
    (one,) = client_of(review).get("/api/labels/1/pictures?slices=3,99999").json()
    assert one["slice"] == 3


def test_one_case_is_in_memory_at_a_time(review: Review, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    own = type(review.run).read_seen
    monkeypatch.setattr(type(review.run), "read_seen", lambda run, case: read.append(case) or own(run, case))
    client = client_of(review)
    a, b = (number_of(review, case) for case in "ab")
    for path in (
        f"{a}/slices",
        f"{a}/overlay.nii.gz",
        f"{a}/drawing?start=given",
        f"{number_of(review, 'a', 2)}/slices",
    ):
        client.get(f"/api/labels/{path}")
    assert read == ["a"]
    client.get(f"/api/labels/{b}/overlay.nii.gz")
    client.get(f"/api/labels/{a}/overlay.nii.gz")  # kept, packed
    assert read == ["a", "b"]
    client.get(f"/api/labels/{a}/slices")
    assert read == ["a", "b", "a"]


class Held:
    """Holds up the reading of one case until it is released."""

    def __init__(self, review: Review, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
        self.read, self.begun, self.go = [], threading.Event(), threading.Event()
        own = type(review.run).read_seen

        def read_seen(run: Any, one: str) -> Any:
            self.read.append(one)
            if one == case:
                self.begun.set()
                assert self.go.wait(30)
            return own(run, one)

        monkeypatch.setattr(type(review.run), "read_seen", read_seen)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_who_waits_for_a_case_gives_up_when_another_is_asked_for(
    review: Review, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, volumes = Held(review, monkeypatch, "a"), Volumes(review)
    a, b, c = (review.labels[number_of(review, case)] for case in "abc")
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(volumes.slices, a)
        assert held.begun.wait(30)
        stale = pool.submit(volumes.slices, b)
        until(lambda: volumes._wanted == "b")
        latest = pool.submit(volumes.slices, c)
        until(lambda: volumes._wanted == "c")
        held.go.set()
        assert first.result()["count"]
        assert latest.result()["columns"]
        with pytest.raises(SupersededError):
            stale.result()
    assert held.read == ["a", "c"]


def test_decisions_are_written_while_many_wait_for_a_case(review: Review, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(review, monkeypatch, "a")
    with client_of(review) as client, ThreadPoolExecutor(50) as pool:
        waiting = [pool.submit(client.get, "/api/labels/0/slices") for _ in range(49)]
        assert held.begun.wait(30)
        until(lambda: pool._work_queue.empty())
        decided = pool.submit(decide, client, 1, "keep")
        try:
            assert decided.result(timeout=10).status_code == 200
        finally:
            held.go.set()
        assert {one.result().status_code for one in waiting} == {200}


def test_what_is_drawn_is_unpacked_beside_the_event_loop(review: Review, monkeypatch: pytest.MonkeyPatch) -> None:
    def beside(body: bytes, n: int) -> bytes:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return unpacked(body, n)

    monkeypatch.setattr("monai_selfcleanse.review.app.unpacked", beside)
    drawn, basis = begin(client_of(review), 0, "redrawn")
    assert put(client_of(review), 0, drawn, basis).status_code == 200


# ---- drawing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", GRIDS)
def test_what_is_drawn_is_written_voxel_by_voxel(case: str, gridded: Review) -> None:
    client, label = client_of(gridded), number_of(gridded, case)
    item = gridded.run.by_case[case]
    source = Path(item["label"]).read_bytes()
    given = nib.load(item["label"])
    sent = client.get(f"/api/labels/{label}/drawing?start=given")
    index = np.frombuffer(sent.content, np.uint8).reshape(given.shape, order="F")
    np.testing.assert_array_equal(index, np.asanyarray(given.dataobj))
    drawn = index.copy()
    drawn[3, 2], drawn[7, 6] = 2, 0
    answer = put(client, label, drawn, {name: sent.headers[name] for name in BASIS})
    assert answer.status_code == 200, answer.text
    saved = nib.load(gridded.run.folder.edited_labels / item["file"])
    np.testing.assert_array_equal(np.asanyarray(saved.dataobj), drawn)
    np.testing.assert_array_equal(saved.affine, given.affine)
    assert saved.header.binaryblock == given.header.binaryblock
    assert Path(item["label"]).read_bytes() == source
    changed = {gridded.judgement.name_of[k] for k in (1, 2, 3) if ((drawn == k) != (index == k)).any()}
    assert set(answer.json()["changed"]) == changed
    decided = read_decisions(gridded.run.folder.decisions, gridded.judgement)
    assert {one.structure for (of, _), one in decided.items() if of == case and one.decision == "edit"} == changed


def test_an_edit_is_gone_on_from_and_another_is_not_written_over(review: Review, folder: Path) -> None:
    anna, ben = client_of(review), client_of(Review(read_record(folder), "ben"))
    first, basis = begin(anna, 0, "redrawn")
    assert (first == 1).any()
    assert put(anna, 0, first, basis).status_code == 200
    second = first.copy()
    second[11, 11, 3] = 3
    refused = put(ben, 0, second, basis)
    assert refused.status_code == 409
    assert refused.json()["error"] == "somebody else has saved this case's label since you began"
    theirs, now = begin(ben, 0)
    assert now["X-Review-Start"] == "edited"
    np.testing.assert_array_equal(theirs, first)
    assert put(ben, 0, second, now).status_code == 200
    assert put(anna, 0, first, basis).status_code == 409
    shown = anna.get("/api/labels/0").json()  # what the page asks for before it replaces theirs
    replace = {"X-Review-Label": "0", "X-Review-Version": shown["edited"], "X-Review-Decided": shown["decided"]}
    assert put(anna, 0, first, replace).json()["changed"] == ["left ventricle"]
    np.testing.assert_array_equal(edited_file(review), first)
    who = {one.structure: one.who for one in read_decisions(folder / "decisions.csv", review.judgement).values()}
    assert who == {"right ventricle": "anna", "left ventricle": "anna"}


def edited_file(review: Review) -> np.ndarray:
    return read_nifti(review.run.folder.edited_labels / review.run.by_case["a"]["file"])


def decided_in_a(review: Review) -> dict[int, tuple[str, str, str]]:
    """Decision, reviewer and note of each structure of case a."""
    known = read_decisions(review.run.folder.decisions, review.judgement)
    return {k: (one.decision, one.who, one.note) for (case, k), one in known.items() if case == "a"}


def applied(review: Review, folder: Path) -> np.ndarray:
    """Case a as selfcleanse apply writes it."""
    apply_decisions(review.run, read_decisions(review.run.folder.decisions, review.judgement), folder)
    return read_nifti(folder / review.run.by_case["a"]["file"])


def test_a_drawing_keeps_what_was_decided_about_its_neighbours(review: Review, folder: Path, tmp_path: Path) -> None:
    ben, anna = client_of(Review(read_record(folder), "ben")), client_of(review)
    given, seen = read_nifti(review.run.by_case["a"]["label"]), review.run.read_seen("a")
    decide(ben, 0, "redraw", note="sure")
    other = number_of(review, "a", 3)
    index, basis = begin(anna, other)
    np.testing.assert_array_equal(index, seen.cleansed([1, 3])[0])
    assert (index == 1).sum() > (given == 1).sum()
    first, second = map(tuple, np.argwhere((index == 0) & (given == 0))[[0, -1]])
    index[first] = 3
    answer = put(anna, other, index, basis, "mine")
    assert answer.json()["changed"] == [review.labels[other].name]
    assert decided_in_a(review) == {1: ("redraw", "ben", "sure"), 3: ("edit", "anna", "mine")}
    np.testing.assert_array_equal(applied(review, tmp_path / "first"), index)
    again, _ = begin(anna, number_of(review, "a", 2), "given")  # the third label starts from both
    np.testing.assert_array_equal(again, index)
    index[second] = 2
    assert put(anna, other, index, on(answer, other)).json()["changed"] == [review.judgement.name_of[2]]
    np.testing.assert_array_equal(applied(review, tmp_path / "second"), index)


def test_a_drawing_overrules_nobody_unseen_and_repeats_nobodys_note(review: Review, folder: Path) -> None:
    ben, anna = client_of(Review(read_record(folder), "ben")), client_of(review)
    third = number_of(review, "a", 3)
    drawn, basis = begin(anna, 0, "redrawn")
    spot = tuple(np.argwhere(drawn == 0)[-1])
    drawn[spot] = 3
    decide(ben, third, "keep", note="looked twice")
    refused = put(anna, 0, drawn, basis)
    assert refused.status_code == 409
    name = review.judgement.name_of[3]
    assert refused.json()["error"] == f"ben has decided 'keep' about {name} since you began"
    assert not review.run.folder.edited_labels.exists()
    alone = drawn.copy()
    alone[spot] = 0
    assert put(anna, 0, alone, basis).status_code == 200  # what ben has decided stays
    assert decided_in_a(review)[3] == ("keep", "ben", "looked twice")
    _, now = begin(anna, 0)
    assert put(anna, 0, drawn, now).status_code == 200
    assert decided_in_a(review)[3] == ("edit", "anna", "")


def test_a_colleagues_note_is_not_signed_by_who_draws(review: Review, folder: Path) -> None:
    ben, anna = client_of(Review(read_record(folder), "ben")), client_of(review)
    decide(ben, 0, "keep", note="thin")
    drawn, basis = begin(anna, 0, "redrawn")
    assert put(anna, 0, drawn, basis, "thin").status_code == 200  # as the page shows it in the field
    assert decided_in_a(review)[1] == ("edit", "anna", "")


def test_a_drawing_of_another_label_is_not_saved(review: Review) -> None:
    client = client_of(review)
    drawn, basis = begin(client, 0, "redrawn")
    for number in (1, number_of(review, "a", 3)):
        answer = put(client, number, drawn, basis)
        assert answer.status_code == 400
        assert "another label" in answer.json()["error"]
    assert not review.run.folder.edited_labels.exists()


@pytest.mark.parametrize(("name", "value"), [("X-Review-Decided", "1:redraw"), ("X-Review-Start", "nowhere")])
def test_what_a_drawing_began_from_is_checked(name: str, value: str, review: Review) -> None:
    client = client_of(review)
    drawn, basis = begin(client, 0, "redrawn")
    answer = put(client, 0, drawn, basis | {name: value})
    assert answer.status_code == 400
    assert "load the page again" in answer.json()["error"]


def test_an_edited_label_of_other_axes_is_turned_and_one_of_another_grid_refused(review: Review) -> None:
    client = client_of(review)
    drawn, basis = begin(client, 0, "redrawn")
    drawn[1, 2, 3] = 2
    assert put(client, 0, drawn, basis).status_code == 200
    path = review.run.folder.edited_labels / review.run.by_case["a"]["file"]
    image = nib.load(path)
    turned = image.as_reoriented(nib.orientations.axcodes2ornt("RPS"))
    assert (np.asanyarray(turned.dataobj) != drawn).any()
    nib.save(turned, path)
    np.testing.assert_array_equal(begin(client, 0)[0], drawn)
    nib.save(nib.Nifti1Image(drawn, image.affine + np.diag([0, 0, 3.0, 0])), path)
    answer = client.get("/api/labels/0/drawing")
    assert answer.status_code == 400
    assert "lies elsewhere than" in answer.json()["error"]


def test_a_label_that_is_saved_but_not_decided_is_said_and_saved_again(
    review: Review, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    client = client_of(review)
    drawn, basis = begin(client, 0, "redrawn")
    with monkeypatch.context() as patch:
        patch.setattr("monai_selfcleanse.results.decisions.write_rows", full)
        answer = put(client, 0, drawn, basis)
    assert answer.status_code == 507
    said = answer.json()
    assert re.fullmatch(r"the label is saved, but not decided \(.*No space left.*\): save again", said["error"])
    np.testing.assert_array_equal(edited_file(review), drawn)
    assert put(client, 0, drawn, basis | {"X-Review-Version": said["edited"]}).status_code == 200
    assert decided_in_a(review)[1][:2] == ("edit", "anna")


def test_decisions_that_cannot_be_read_leave_the_edited_label_alone(review: Review) -> None:
    client = client_of(review)
    drawn, basis = begin(client, 0, "redrawn")
    review.run.folder.decisions.write_text("case,structure,decision\nnobody,1,keep\n")
    assert put(client, 0, drawn, basis).status_code == 400
    assert not review.run.folder.edited_labels.exists()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (gzip.compress(bytes(12 * 12 * 4 - 1)), "expected 576 voxels"),
        (gzip.compress(bytes(12 * 12 * 4 + 1)), "expected 576 voxels"),
        (gzip.compress(bytes(200_000_000), 9), "longer than|expected 576 voxels"),
        (gzip.compress(bytes([9]) * 576), r"holds \[9\], which are none of the structures \[0, 1, 2, 3\]"),
        (gzip.compress(bytes(576))[:-9], "expected 576 voxels"),
        (b"no gzip", "is damaged"),
        (b"", "expected 576 voxels"),
        (os.urandom(100_000), "longer than 66,112 bytes"),
    ],
    ids=("short", "long", "bomb", "value", "cut", "damaged", "empty", "large"),
)
def test_what_is_no_label_of_the_case_is_not_saved(body: bytes, said: str, review: Review) -> None:
    answer = client_of(review).put("/api/labels/0/drawing", content=body, headers={"X-Review-Label": "0"})
    assert answer.status_code == 400
    assert re.search(said, answer.json()["error"])
    assert not review.run.folder.edited_labels.exists()
    assert not review.run.folder.decisions.exists()


def test_a_label_as_it_was_given_is_no_edit(review: Review) -> None:
    answer = put(client_of(review), 0, read_nifti(review.run.by_case["a"]["label"]))
    assert answer.status_code == 400
    assert answer.json()["error"] == "the label is as it was given: press 1 to keep it"


def test_a_link_to_the_given_label_is_not_followed(review: Review) -> None:
    given = Path(review.run.by_case["a"]["label"])
    before = given.read_bytes()
    review.run.folder.edited_labels.mkdir()
    (review.run.folder.edited_labels / "labelsTr").symlink_to(given.parent)
    drawn = read_nifti(given)
    drawn[0, 0, 0] = 3
    answer = put(client_of(review), 0, drawn)
    assert answer.status_code == 400
    assert "leads to the given label itself" in answer.json()["error"]
    assert given.read_bytes() == before
    (review.run.folder.edited_labels / "labelsTr").unlink()


def test_an_edit_that_cannot_be_written_is_no_decision(review: Review, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("monai_selfcleanse.review.edits.save_index_map", full)
    drawn = read_nifti(review.run.by_case["a"]["label"])
    drawn[0, 0, 0] = 3
    answer = put(client_of(review), 0, drawn)
    assert answer.status_code == 507
    assert "No space left" in answer.json()["error"]
    assert not review.run.folder.decisions.exists()


def test_structures_keep_their_own_values(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    values = (10, 20, 200)
    for item in judged.data:
        item["values"] = values
        write_nifti(Path(item["label"]), np.array([0, *values], np.uint8)[read_nifti(item["label"])])
    review = Review(read_record(folder_of(judged, tmp_path / "OUT")), "anna")
    drawn = np.zeros((12, 12, 4), np.uint8)
    drawn[1, 2, 3], drawn[2, 3, 1] = 1, 3
    assert put(client_of(review), 0, drawn).status_code == 200
    saved = read_nifti(review.run.folder.edited_labels / "labelsTr" / "0.nii.gz")
    assert (saved[1, 2, 3], saved[2, 3, 1], int(saved.sum())) == (10, 200, 210)
    again = np.frombuffer(client_of(review).get("/api/labels/0/drawing").content, np.uint8)
    np.testing.assert_array_equal(again, drawn.ravel(order="F"))


def test_a_value_that_the_given_files_data_type_cannot_hold_gets_more_bits(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    values = (10, 20, 200)
    for item in judged.data:
        item["values"] = values
        voxels = np.array([0, *values], np.int16)[read_nifti(item["label"])]
        small = item["case"] == "a"
        write_nifti(Path(item["label"]), np.where(voxels == 200, 0, voxels).astype(np.int8) if small else voxels)
    review = Review(read_record(folder_of(judged, tmp_path / "OUT")), "anna")
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[2, 3, 1] = 3
    assert put(client_of(review), 0, drawn).status_code == 200
    assert read_nifti(review.run.folder.edited_labels / "labelsTr" / "0.nii.gz")[2, 3, 1] == 200
