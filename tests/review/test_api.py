"""The review's addresses: who is let in, what they answer, and what they write."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from helpers import judged_cohort, read_nifti, write_nifti
from review_cases import GRIDS, TOKEN, folder_of, gridded_cohort, number_of, reviewed

from monai_selfcleanse.results.decisions import Decision, add_decisions, read_decisions
from monai_selfcleanse.results.record import read_record
from monai_selfcleanse.results.tables import read_rows
from monai_selfcleanse.review import Review

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


def put(client: TestClient, label: int, index: np.ndarray, version: str = "", query: str = "") -> Any:
    body = gzip.compress(index.astype(np.uint8).tobytes(order="F"))
    headers = {"X-Review-Version": version}
    return client.put(f"/api/labels/{label}/drawing{query}", content=body, headers=headers)


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
    place = gridded.place(case)
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
    answer = put(client, label, drawn, sent.headers["x-review-version"])
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
    first = np.frombuffer(anna.get("/api/labels/0/drawing?start=redrawn").content, np.uint8).reshape(
        12, 12, 4, order="F"
    )
    assert (first == 1).any()
    assert put(anna, 0, first).status_code == 200
    second = first.copy()
    second[11, 11, 3] = 3
    refused = put(ben, 0, second)
    assert refused.status_code == 409
    on = ben.get("/api/labels/0/drawing")
    assert on.headers["x-review-start"] == "edited"
    np.testing.assert_array_equal(np.frombuffer(on.content, np.uint8), first.ravel(order="F"))
    assert put(ben, 0, second, on.headers["x-review-version"]).status_code == 200
    assert put(anna, 0, first, "old", "?replace=1").status_code == 200
    who = {one.structure: one.who for one in read_decisions(folder / "decisions.csv", review.judgement).values()}
    assert who == {"right ventricle": "anna", "left ventricle": "ben"}


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
    answer = client_of(review).put("/api/labels/0/drawing", content=body, headers={"X-Review-Version": ""})
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
    assert answer.status_code in (400, 409)
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
