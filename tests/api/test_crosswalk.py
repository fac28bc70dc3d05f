"""/v1/crosswalk over a socket."""

from __future__ import annotations

import pytest

from tests.api.conftest import Api, Reply, pointers

HEADER = "source,id,email,linkedinUrl,crmId\n"


async def _imported(api: Api, text: str | bytes, kind: str = "contacts", query: str = "") -> Reply:
    return await api.call(
        "POST", f"/v1/crosswalk/{kind}/import{query}", data=text, **{"Content-Type": "text/csv; charset=utf-8"}
    )


@pytest.mark.parametrize("kind", ["contacts", "companies", "tasks"])
async def test_an_entry_is_kept_found_and_forgotten(api: Api, kind: str) -> None:
    path = f"/v1/crosswalk/{kind}/6001%2Fa"
    assert (await api.get(path)).status == 404
    reply = await api.put(path, {"crmId": "c-9041"})
    assert (reply.status, reply.document) == (200, {"source": None, "id": "6001/a", "crmId": "c-9041"})
    assert (await api.get(path)).document == reply.document
    assert (await api.put(path, {"crmId": 17})).document["crmId"] == "17"
    assert (await api.delete(path)).status == 204
    assert (await api.delete(path)).status == 404


async def test_entries_are_scoped_by_source(api: Api) -> None:
    await api.put("/v1/crosswalk/contacts/1", {"crmId": "c-every"})
    await api.put("/v1/crosswalk/contacts/1?source=acme", {"crmId": "c-acme"})
    found = await api.services.store.crosswalk.find("default", "contacts", [("acme", "1"), ("other", "1")])
    assert found == {("acme", "1"): "c-acme", ("other", "1"): "c-every"}
    assert (await api.get("/v1/crosswalk/contacts/1?source=acme")).document["source"] == "acme"


async def test_entries_are_found_by_their_record(api: Api) -> None:
    for number in range(4):
        await api.put(f"/v1/crosswalk/contacts/{number}", {"crmId": f"c-{number % 2}"})
    found = (await api.get("/v1/crosswalk/contacts?crmId=c-1")).document["data"]
    assert [entry["id"] for entry in found] == ["1", "3"]
    first = (await api.get("/v1/crosswalk/contacts?limit=3")).document
    rest = (await api.get(f"/v1/crosswalk/contacts?limit=3&cursor={first['next']}")).document
    assert (len(first["data"]), len(rest["data"]), rest["next"]) == (3, 1, None)


@pytest.mark.parametrize("path", ["/v1/crosswalk/people", "/v1/crosswalk/people/1", "/v1/crosswalk/contactsx"])
async def test_an_unknown_kind_is_not_found(api: Api, path: str) -> None:
    assert (await api.get(path)).status == 404


async def test_a_file_is_taken_and_counted(api: Api) -> None:
    text = HEADER + "acme,1,,,c-1\n,2,p@X.example,https://www.linkedin.com/in/P/,c-2\n"
    reply = await _imported(api, text)

    assert reply.status == 200
    assert reply.document == {"dry": False, "lines": 2, "imported": 2, "rejected": 0, "errors": []}
    names = [("acme", "1"), ("x", "2"), ("", "email:p@x.example"), ("", "linkedin:linkedin.com/in/p")]
    found = await api.services.store.crosswalk.find("default", "contacts", names)
    assert found == dict(zip(names, ["c-1", "c-2", "c-2", "c-2"], strict=True))


async def test_a_file_sent_again_is_the_same(api: Api) -> None:
    text = HEADER + ",1,,,c-1\n"
    assert (await _imported(api, text)).document == (await _imported(api, text)).document
    assert len((await api.get("/v1/crosswalk/contacts")).document["data"]) == 1


async def test_a_dry_run_counts_and_stores_nothing(api: Api) -> None:
    reply = await _imported(api, HEADER + ",1,,,c-1\n,2,,,\n", query="?dry=true")
    assert (reply.document["dry"], reply.document["imported"], reply.document["rejected"]) == (True, 1, 1)
    assert (await api.get("/v1/crosswalk/contacts")).document["data"] == []


async def test_good_lines_are_taken_and_wrong_ones_named(api: Api) -> None:
    reply = await _imported(api, HEADER + ",1,,,c-1\n,2,,,\n,3,,,c-3\n")
    assert reply.document["imported"] == 2
    assert reply.document["errors"] == [{"line": 3, "detail": "crmId is empty"}]


async def test_a_large_file_is_taken_in_slices_and_names_the_first_wrong_lines(api: Api) -> None:
    lines = [f",{number},,,{'' if number % 10 == 0 else f'c-{number}'}" for number in range(1, 2501)]
    reply = await _imported(api, HEADER + "\n".join(lines))
    assert (reply.document["lines"], reply.document["imported"], reply.document["rejected"]) == (2500, 2250, 250)
    assert len(reply.document["errors"]) == 100
    assert reply.document["errors"][99]["line"] == 1001
    assert (await api.get("/v1/crosswalk/contacts/2499")).document["crmId"] == "c-2499"


async def test_lines_without_a_source_are_of_the_one_asked_for(api: Api) -> None:
    await _imported(api, "id,crmId\n1,c-1\n", query="?source=enginy")
    assert (await api.get("/v1/crosswalk/contacts/1?source=enginy")).status == 200
    assert (await api.get("/v1/crosswalk/contacts/1")).status == 404


async def test_companies_and_tasks_are_imported_by_id(api: Api) -> None:
    for kind in ("companies", "tasks"):
        assert (await _imported(api, "id,crmId\n310,a-310\n", kind)).document["imported"] == 1
        assert (await api.get(f"/v1/crosswalk/{kind}/310")).document["crmId"] == "a-310"


@pytest.mark.parametrize("text", ["", "  \n", "id,crmID\n1,2\n", '{"rows": []}', "\n1,2\n"])
async def test_a_file_without_its_header_is_refused(api: Api, text: str) -> None:
    assert pointers(await _imported(api, text))


async def test_whether_to_import_is_true_or_false(api: Api) -> None:
    assert "/dry" in pointers(await _imported(api, HEADER, query="?dry=maybe"))


async def test_an_entry_called_import_is_an_entry_like_others(api: Api) -> None:
    assert (await api.put("/v1/crosswalk/contacts/import", {"crmId": "c-1"})).status == 200
    assert (await api.get("/v1/crosswalk/contacts/import")).document["crmId"] == "c-1"


async def test_a_file_larger_than_a_document_is_taken(api: Api) -> None:
    filler = "x" * 900
    text = HEADER + "".join(f",{number}-{filler},,,c-{number}\n" for number in range(2000))
    assert len(text) > 1024 * 1024
    assert (await _imported(api, text, query="?dry=true")).document["imported"] == 2000
