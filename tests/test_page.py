"""The page as a browser and a plain client see it, from a real `dotbogi serve`."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
from conftest import run
from service_process import Answered, Service, publish, serving

from dotbogi.indexes import Workspace
from dotbogi.indexes.collection import Answer, Collection, KnownQuestion
from dotbogi.search.index import IndexConfig
from dotbogi.search.models import ModelConfig, enter_model
from dotbogi.search.publish import publish_index
from dotbogi.search.service.keys import Keys, read_keys
from dotbogi.search.service.page.sessions import Sessions

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

KEYS = {role: f"the-{role}-key-of-the-page-{'y' * 20}" for role in ("read", "feedback", "admin")}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;"
PAGES = ("/", "/?q=x", "/page/answers?q=x", "/rounds", "/rounds/run-0001")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    workspace = tmp_path_factory.mktemp("page") / "w"
    publish(workspace)
    with serving(workspace) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    workspace = tmp_path_factory.mktemp("guarded") / "w"
    publish(workspace)
    keys = {role: {"role": role, "key": key} for role, key in KEYS.items()}
    with serving(workspace, keys=keys) as running:
        yield running


class Elements(HTMLParser):
    """A page's elements and texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def get(service: Service, path: str, **names: str) -> Answered:
    return service.call("GET", f"{path}?{urlencode(names)}" if names else path)


def text_of(answered: Answered) -> str:
    return answered.body.decode()


def test_without_a_script_a_question_is_a_form_and_its_answers_a_page(service: Service) -> None:
    page = Elements(text_of(get(service, "/")))
    form = next(f for f in page.all("form") if f.get("role") == "search")
    assert (form.get("method", "get"), form["action"]) == ("get", "/")
    assert "q" in {field.get("name") for field in page.all("input")}

    found = service.call("POST", "/v1/search", {"query": "배고프다", "k": 5}).json
    shown = Elements(text_of(get(service, "/", q="배고프다")))
    texts = [hit["text"] for hit in found["results"][0]["hits"]]
    assert [text for text in shown.texts if text in texts] == texts
    assert next(a for a in shown.all("input") if a.get("id") == "q")["value"] == "배고프다"
    (answers,) = (a for a in shown.all("ol") if a.get("class") == "answers")
    assert answers["data-generation"] == found["generation"]
    ids = [hit["answer_id"] for hit in found["results"][0]["hits"]]
    assert json.loads(answers["data-shown"] or "") == ids


def test_the_page_says_how_sure_it_is_and_why(service: Service) -> None:
    asked = {"query": "배고프다", "k": 1, "explain": True}
    hit = service.call("POST", "/v1/search", asked).json["results"][0]["hits"][0]
    page = text_of(get(service, "/", q="배고프다", lang="ko"))
    assert f"맞을 확률 {min(99, round(100 * hit['confidence']))}%" in page
    assert f"<q>{hit['question']}</q>" in page
    for word in hit["explanation"]["words"]:
        assert f'<b class="word">{word}</b>' in page
    for signal in hit["signals"]:
        assert signal not in page  # in plain words instead
    assert "아는 질문의 뜻" in page
    parts = hit["explanation"]["parts"]
    by_words = sum(v for k, v in parts.items() if k.startswith("bm25")) / sum(parts.values())
    assert f"<span>{round(100 * by_words)}%</span>" in page


def test_an_unsure_first_answer_is_called_so(service: Service) -> None:
    assert "딱 맞는 답은 없는" in text_of(get(service, "/", q="우주선 발사 일정"))
    assert "딱 맞는 답은 없는" not in text_of(get(service, "/", q="배고프다"))


@pytest.mark.parametrize(
    ("accepted", "lang", "expected"),
    [
        ("ko-KR,ko;q=0.9", "", "ko"),
        ("en-US,en;q=0.9,ko;q=0.8", "", "en"),
        ("de, fr", "", "ko"),
        ("en", "ko", "ko"),
        ("ko", "en", "en"),
        ("\u00ff;;;,,,", "../x", "ko"),
    ],
)
def test_the_language_is_the_chosen_or_the_browsers(
    service: Service, accepted: str, lang: str, expected: str
) -> None:
    path = "/?" + urlencode({"lang": lang, "q": "배고프다"})
    answered = service.call("GET", path, headers={"Accept-Language": accepted})
    assert f'<html lang="{expected}">' in text_of(answered)
    assert ("도움이 됐어요" in text_of(answered)) == (expected == "ko")


def test_every_word_is_there_in_both_languages() -> None:
    from dotbogi.search.service.page.words import WORDS as PAGE
    from dotbogi.training.report.words import WORDS as HISTORY

    for words in (PAGE, HISTORY):
        assert words["ko"].keys() == words["en"].keys()
        for name, korean in words["ko"].items():
            places = re.findall(r"{\w+}", korean)
            assert sorted(places) == sorted(re.findall(r"{\w+}", words["en"][name])), name


def test_a_policy_lets_in_nothing_from_elsewhere(service: Service) -> None:
    for path in ("/", "/?q=x", "/page/answers?q=x", "/rounds", "/docs"):
        answered = service.call("GET", path)
        assert answered.status == 200
        policy = answered.headers["content-security-policy"]
        assert policy.startswith("default-src 'self';")
        assert "unsafe" not in policy
        assert "*" not in policy
        page = Elements(text_of(answered))
        for _, attributes in page.elements:
            assert "style" not in attributes
            assert not any(name.startswith("on") for name in attributes)
            for name in ("src", "href", "action"):
                assert (attributes.get(name) or "/").startswith(("/", "?", "#"))
                assert not (attributes.get(name) or "").startswith("//")


def test_texts_from_anywhere_are_only_texts(tmp_path: Path) -> None:
    place, model = Workspace(tmp_path / "w"), ModelConfig()
    answers = [Answer("\"'><b>", f"답 {HOSTILE}", {"분류": HOSTILE}), Answer("b", "다른 답")]
    questions = [KnownQuestion(f"질문 {HOSTILE}", answers[0].id)]
    with place.writing():
        publish_index(
            place,
            Collection(answers, questions),
            lambda place: enter_model(model, place, []),
            IndexConfig(analyzer="bigram"),
            {"model": {"name": HOSTILE}, "source": {}, "training": None, "fitted": None},
        )
    with serving(tmp_path / "w") as running:
        for path in ("/", "/page/answers", "/rounds"):
            page = Elements(text_of(get(running, path, q=f"질문 {HOSTILE}")))
            assert {"script", "img", "b"} & {tag for tag, _ in page.elements} <= {"script", "b"}
            assert all(script.get("src") == "/page/page.js" for script in page.all("script"))
            if path != "/rounds":
                assert "".join(page.texts).count(HOSTILE) >= 3  # answer, question, metadata
                (shown,) = page.all("ol")
                assert shown["data-query"] == f"질문 {HOSTILE}"
                assert json.loads(shown["data-shown"] or "")[0] == "\"'><b>"


@pytest.mark.parametrize("path", ["/", "/page/answers"])
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("q=", "이렇게 물어볼 수 있어요"),
        ("q=%20%0A", "이렇게 물어볼 수 있어요"),
        ("q=" + "a" * 1001, "1000자 안으로"),
        ("q=%ED%A0%80", ""),
        ("q=%FF%00", ""),
        ("q=a&q=b", ""),
        ("", "이렇게 물어볼 수 있어요"),
    ],
)
def test_whatever_is_asked_gets_a_page(service: Service, path: str, query: str, said: str) -> None:
    answered = service.call("GET", f"{path}?{query}")
    assert answered.status == 200
    assert said in text_of(answered)


def test_more_answers_are_a_link_away(tmp_path: Path) -> None:
    assert run("index", "-w", tmp_path / "w").exit_code == 0
    with serving(tmp_path / "w") as running:
        first = Elements(text_of(get(running, "/", q="배고프다")))
        assert len(first.all("article")) == 5
        link = next(a["href"] or "" for a in first.all("a") if "more=1" in (a["href"] or ""))
        assert len(Elements(text_of(running.call("GET", link))).all("article")) == 20


def test_with_keys_the_page_asks_for_one(guarded: Service) -> None:
    for path in PAGES:
        answered = guarded.call("GET", path)
        assert answered.status == 401
        assert answered.headers["www-authenticate"] == "Bearer"
        assert "default-src 'self'" in answered.headers["content-security-policy"]
        page = Elements(text_of(answered))
        assert [field["type"] for field in page.all("input") if field["name"] == "key"] == [
            "password"
        ]
        assert "얼른" not in text_of(answered)  # of an answer
        assert guarded.call("GET", path, key="not-a-key-that-anybody-has").status == 401
    for path in ("/page/page.css", "/page/page.js", "/page/icon.svg"):
        assert guarded.call("GET", path).status == 200


def entered(service: Service, key: str, next_path: str = "/") -> Answered:
    body = urlencode({"key": key, "next": next_path}).encode()
    return service.call("POST", "/page/enter", body, headers=FORM)


def cookie(answered: Answered) -> dict[str, str]:
    return {"Cookie": answered.headers["set-cookie"].partition(";")[0]}


def test_a_key_opens_what_its_role_may_see(guarded: Service) -> None:
    sessions = {role: cookie(entered(guarded, key)) for role, key in KEYS.items()}
    for role, session in sessions.items():
        page = guarded.call("GET", "/?" + urlencode({"q": "배고프다"}), headers=session)
        assert page.status == 200
        assert ("data-vote" in text_of(page)) == (role != "read")
        assert ("/rounds" in text_of(page)) == (role == "admin")
        rounds = guarded.call("GET", "/rounds", headers=session)
        assert rounds.status == (200 if role == "admin" else 403)
        assert ('type="password"' in text_of(rounds)) == (role != "admin")
        vote = guarded.call("POST", "/v1/feedback", {}, headers=session)
        assert vote.status == (403 if role == "read" else 422)


def test_a_session_is_for_the_page_alone(guarded: Service) -> None:
    session = cookie(entered(guarded, KEYS["admin"]))
    assert guarded.call("POST", "/v1/search", {"query": "x"}, headers=session).status == 401
    assert guarded.call("POST", "/admin/reload", headers=session).status == 401
    assert guarded.call("GET", "/metrics", headers=session).status == 401
    # What another site's form could send with the cookie is not JSON.
    sent = guarded.call("POST", "/v1/feedback", b"{}", headers={**session, **FORM})
    assert sent.status == 415


def test_entering_and_leaving(guarded: Service) -> None:
    wrong = entered(guarded, "a-key-that-is-not-one-of-them")
    assert wrong.status == 401
    assert "set-cookie" not in wrong.headers
    assert "맞지 않는 열쇠" in text_of(wrong)
    right = entered(guarded, KEYS["admin"], "/rounds?lang=en")
    assert right.status == 303
    assert right.headers["location"] == "/rounds?lang=en"
    flags = {part.strip().lower() for part in right.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/"} <= flags
    assert KEYS["admin"] not in right.headers["set-cookie"]
    for elsewhere in ("https://example.org/", "//example.org", "/\\example.org"):
        answered = entered(guarded, KEYS["admin"], elsewhere)
        assert answered.headers["location"] == "/"
    left = guarded.call("POST", "/page/leave", b"", headers=FORM)
    assert 'dotbogi=""' in left.headers["set-cookie"]
    behind = guarded.call(
        "POST", "/page/enter", urlencode({"key": KEYS["admin"]}).encode(),
        headers={**FORM, "X-Forwarded-Proto": "https"},
    )  # fmt: skip
    assert "secure" in behind.headers["set-cookie"].lower()
    log = guarded.log.read_text(encoding="utf-8")
    assert not any(key in log for key in KEYS.values())


def test_a_key_may_have_a_korean_name(tmp_path: Path) -> None:
    publish(tmp_path / "w")
    keys = {"상점": {"role": "admin", "key": KEYS["admin"]}}
    with serving(tmp_path / "w", keys=keys) as running:
        session = cookie(entered(running, KEYS["admin"]))
        assert running.call("GET", "/rounds", headers=session).status == 200


def test_after_entering_the_question_is_still_there(guarded: Service) -> None:
    asked = "/?" + urlencode({"q": "배고프다 & more", "lang": "en"})
    form = Elements(text_of(guarded.call("GET", asked)))
    wanted = next(f["value"] for f in form.all("input") if f["name"] == "next")
    answered = entered(guarded, KEYS["read"], wanted or "")
    assert answered.headers["location"] == asked.replace("+", "+")
    page = guarded.call("GET", answered.headers["location"], headers=cookie(answered))
    assert 'data-query="배고프다 &amp; more"' in text_of(page)


def test_a_long_question_is_still_there_after_entering(guarded: Service) -> None:
    asked = "/?" + urlencode({"q": "가" * 1000})
    form = Elements(text_of(guarded.call("GET", asked)))
    wanted = next(f["value"] for f in form.all("input") if f["name"] == "next")
    answered = entered(guarded, KEYS["read"], wanted or "")
    assert (answered.status, answered.headers["location"]) == (303, asked)
    huge = guarded.call("POST", "/page/enter", b"key=" + b"x" * 40_000, headers=FORM)
    assert (huge.status, huge.headers["content-type"][:9]) == (413, "text/html")


def test_people_are_shown_errors_as_pages(guarded: Service, service: Service) -> None:
    html = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    for path, status in (("/rounds/run-9999", 404), ("/nosuch", 404), ("/?more=abc", 422)):
        answered = service.call("GET", path, headers=html)
        assert (answered.status, answered.headers["content-type"][:9]) == (status, "text/html")
        assert "default-src 'self'" in answered.headers["content-security-policy"]
    assert service.call("GET", "/nosuch").headers["content-type"] == "application/json"
    assert b"password" in guarded.call("GET", "/nosuch", headers=html).body
    strange = service.call("GET", "/", headers={**html, "Host": "example.org"})
    assert strange.status == 421
    assert "localhost" in text_of(strange)
    assert guarded.call("GET", "/page/enter?lang=en").headers["location"] == "/?lang=en"


def test_what_users_asked_is_no_example_and_what_they_chose_is_said(tmp_path: Path) -> None:
    place, model = Workspace(tmp_path / "w"), ModelConfig()
    answers = [Answer(f"{n}", f"밥을 {n}번 드세요.") for n in range(15)]
    asked = KnownQuestion("제 번호는 12345예요", "3", None, "feedback", 2)
    with place.writing():
        publish_index(
            place,
            Collection(answers, [KnownQuestion("피곤해요", "1"), asked]),
            lambda place: enter_model(model, place, []),
            IndexConfig(analyzer="bigram"),
            {"model": {"name": "starter"}, "source": {}, "training": None, "fitted": None},
        )
    with serving(tmp_path / "w", "--max-k", "10") as running:
        page = text_of(get(running, "/"))
        assert "피곤해요" in page
        assert "12345" not in page
        page = text_of(get(running, "/", q=asked.text, lang="ko", more="1"))
        assert "이 질문에 2명이 고른 답" in page
        assert len(Elements(page).all("article")) == 10  # as many as a vote may name


def keys_of(**roles: str) -> Keys:
    entries = {name: {"role": role, "key": f"{name}-{'z' * 20}"} for name, role in roles.items()}
    return read_keys(None, json.dumps(entries))


def test_a_cookie_cannot_be_made_up_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = keys_of(**{"a.b": "admin", "reader": "read"})
    sessions = Sessions(keys)
    begun = sessions.begin(keys.keys[0])
    assert sessions.find(begun) == keys.keys[0]
    assert Sessions(keys).find(begun) is None  # of another process
    name, until, signature = begun.rsplit(".", 2)
    for forged in (
        f"1.{until}.{signature}", f"{name}.{until[:-1]}_.{signature}", begun[:-1],
        f"{begun}0", "", ".", "..", f"{name}.{until}.\udcff", "é" * 50,
    ):  # fmt: skip
        assert sessions.find(forged) is None
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 12 * 60 * 60 + 1)
    assert sessions.find(begun) is None


def test_the_history_shows_generations_and_runs_and_reports(service: Service) -> None:
    page = text_of(get(service, "/rounds", lang="en"))
    assert "No training run yet" in page
    assert "000001 <span" in page
    for path in ("run-0001", "run-1", "..%2f..%2fCURRENT", "%2e%2e", "x" * 300, "run-0001%00"):
        assert service.call("GET", f"/rounds/{path}").status == 404


def test_a_damaged_run_or_generation_is_named_and_hides_no_other(tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    publish(workspace)
    publish(workspace, edition="!")
    (workspace / "generations/000001/manifest.json").write_text("{")
    run_folder = workspace / "rounds/run-0001"
    run_folder.mkdir(parents=True)
    (run_folder / "ledger.jsonl").write_text("not json\n")
    for number, line in (("2", "3"), ("3", "[]"), ("4", '{"event": "evaluated"}')):
        other = workspace / f"rounds/run-000{number}"
        other.mkdir()
        (other / "ledger.jsonl").write_text(line + "\n")
    (workspace / "rounds/run-0001.bak").mkdir()
    with serving(workspace) as running:
        page = text_of(get(running, "/rounds", lang="en"))
        assert "Runs that cannot be read: run-0004, run-0003, run-0002, run-0001" in page
        assert "damaged" in page
        assert "000002 <span" in page


def seen_by_axe(page: "Page") -> list[str]:
    """Return the serious findings of axe-core."""
    from axe_playwright_python.sync_playwright import Axe

    found: Mapping[str, Any] = Axe().run(page).response
    assert len(found["passes"]) > 5  # it did look
    return [
        f"{each['id']}: {node['html'][:200]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.mark.slow
@pytest.mark.browser
def test_what_a_user_marks_comes_first_after_training_without_a_restart(
    browser: "Browser", tmp_path: Path
) -> None:
    workspace = tmp_path / "w"
    assert run("index", "-w", workspace).exit_code == 0
    with serving(workspace) as running:
        page = browser.new_page(locale="ko-KR")
        problems: list[str] = []
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(request.url))
        page.goto(running.url)
        page.keyboard.type("배고프다", delay=20)  # the field has the focus
        page.wait_for_selector("ol[data-query='배고프다']")
        answers = page.locator("ol.answers > li .text")
        assert answers.count() == 5
        marked = answers.nth(2).inner_text()
        assert answers.nth(0).inner_text() != marked

        good = page.locator("li:nth-child(1) [data-vote=good]")
        good.click()
        page.wait_for_selector("#status:has-text('저장했어요')")
        assert good.get_attribute("aria-pressed") == "true"
        this_one = page.locator("li:nth-child(3) [data-vote=this]")
        this_one.focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("li:nth-child(3) [data-vote=this][aria-pressed=true]")

        result = run("train", "-w", workspace, "--with-feedback", "--rounds", "1")
        assert result.exit_code == 0, result.output
        assert "2 votes of 1 clients: 2 used" in result.stdout
        generation = Workspace(workspace).current_name()
        assert generation != "000001"

        deadline = time.monotonic() + 30
        while running.call("GET", "/healthz").json["generation"] != generation:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        page.fill("#q", "배고프다!")  # typed on in the page that stayed open
        page.wait_for_selector(f"ol[data-generation='{generation}']")
        assert page.locator("ol.answers > li .text").nth(0).inner_text() == marked
        assert running.process.poll() is None

        page.goto(f"{running.url}/rounds")
        page.click("text=run-0001 보고서 열기")
        assert "run-0001" in page.title()
        assert page.locator("svg").count() > 3
        font = page.evaluate("getComputedStyle(document.querySelector('h1')).fontSize")
        assert font == "25.6px"  # its style is let in
        assert problems == []
        page.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_serious_and_nothing_overflows(
    browser: "Browser", trained: Path, guarded: Service, width: int, scheme: str
) -> None:
    with serving(trained) as running:
        page = browser.new_page(
            viewport={"width": width, "height": 800}, color_scheme=scheme, locale="en-US"
        )
        query = quote("배고프다")
        for address in (
            running.url, f"{running.url}/?q={query}", f"{running.url}/?q={query}&lang=ko",
            f"{running.url}/rounds", f"{running.url}/rounds/run-0001", guarded.url,
        ):  # fmt: skip
            page.goto(address)
            for summary in page.locator("ol.answers summary").all():
                summary.click()
            assert seen_by_axe(page) == [], address
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.close()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("trained") / "w"
    assert run("index", "-w", workspace).exit_code == 0
    options = ("--rounds", "1", "--epochs", "1", "--model", "starter")
    assert run("train", "-w", workspace, *options).exit_code == 0
    return workspace


@pytest.mark.browser
def test_a_vote_that_could_not_be_saved_is_said_and_sent_again_as_the_same(
    browser: "Browser", service: Service
) -> None:
    page = browser.new_page(locale="en-US")
    page.goto(f"{service.url}/?q={quote('배고프다')}")
    sent: list[Any] = []

    def answer(route: Any) -> None:
        sent.append(route.request.post_data_json)
        if len(sent) == 1:
            route.fulfill(status=503, body="{}")
        else:
            route.continue_()

    page.route("**/v1/feedback", answer)
    bad = page.locator("li:nth-child(2) [data-vote=bad]")
    bad.click()
    page.wait_for_selector("#status:has-text('could not be saved')")
    assert bad.get_attribute("aria-pressed") == "false"
    bad.click()
    page.wait_for_selector("#status:has-text('Saved')")
    assert sent[0] == sent[1]
    assert (sent[0]["verdict"], sent[0]["query"]) == ("wrong", "배고프다")
    good = page.locator("li:nth-child(2) [data-vote=good]")
    good.click()
    page.wait_for_selector("li:nth-child(2) [data-vote=good][aria-pressed=true]")
    assert bad.get_attribute("aria-pressed") == "false"  # the last word
    assert sent[2]["id"] != sent[0]["id"]
    assert sent[2]["client"] == sent[0]["client"]
    page.click("li:nth-child(2) [data-vote=this]")
    page.wait_for_selector("li:nth-child(2) [data-vote=this][aria-pressed=true]")
    page.click("li:nth-child(3) [data-vote=this]")
    page.wait_for_selector("li:nth-child(3) [data-vote=this][aria-pressed=true]")
    assert [vote["verdict"] for vote in sent[3:]] == ["best", "best"]
    assert page.locator("[data-vote=this][aria-pressed=true]").count() == 1
    page.close()


@pytest.mark.browser
def test_a_lost_reply_is_not_taken_for_a_later_vote(browser: "Browser", service: Service) -> None:
    page = browser.new_page(locale="en-US")
    page.goto(f"{service.url}/?q={quote('배고프다')}")
    sent: list[Any] = []

    def answer(route: Any) -> None:
        sent.append(route.request.post_data_json)
        if len(sent) == 1:
            route.fetch()  # stored, and its reply lost
            route.abort()
        else:
            route.continue_()

    page.route("**/v1/feedback", answer)
    for number, kind in enumerate(("good", "bad", "good")):
        page.click(f"li:nth-child(4) [data-vote={kind}]")
        said = "Saved" if number else "could not be saved"
        page.wait_for_selector(f"#status:has-text('{said}')")
        page.evaluate("document.getElementById('status').textContent = ''")
    assert len({vote["id"] for vote in sent}) == 3  # or the first would count as the last
    page.route("**/v1/feedback", lambda route: route.fulfill(status=404, body="{}"))
    page.click("li:nth-child(4) [data-vote=bad]")
    page.wait_for_selector("#status:has-text('no longer vote')")
    page.close()


@pytest.mark.browser
def test_who_has_lost_the_session_is_asked_for_the_key_again(
    browser: "Browser", guarded: Service
) -> None:
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    page.goto(f"{guarded.url}/?q={quote('배고프다')}")
    page.fill("#key", KEYS["feedback"])
    page.keyboard.press("Enter")
    page.wait_for_selector("ol[data-query='배고프다']")
    context.clear_cookies()
    page.click("li:nth-child(1) [data-vote=good]")
    page.wait_for_selector("#key")
    page.fill("#key", KEYS["feedback"])
    page.keyboard.press("Enter")
    page.wait_for_selector("ol[data-query='배고프다']")
    context.close()


@pytest.mark.browser
def test_back_returns_to_the_question_before(browser: "Browser", service: Service) -> None:
    page = browser.new_page(locale="ko-KR")
    page.goto(service.url)
    for query, waits in (("환불", False), ("배송", True), ("배고프다", True)):
        page.fill("#q", query[:1])
        page.wait_for_selector(f"ol[data-query='{query[:1]}']")  # on the way there
        page.fill("#q", query)
        if waits:
            page.wait_for_selector(f"ol[data-query='{query}']")
        page.keyboard.press("Enter")
        page.wait_for_selector(f"ol[data-query='{query}']")
        assert page.title() == f"{query} · 돋보기"
    page.focus("li:nth-child(1) summary")
    page.go_back()
    page.wait_for_selector("ol[data-query='배송']")
    assert page.input_value("#q") == "배송"
    assert page.evaluate("document.activeElement.id") == "answers"  # the focus is not lost
    page.go_back()
    page.wait_for_selector("ol[data-query='환불']")
    page.go_forward()
    page.wait_for_selector("ol[data-query='배송']")
    page.go_forward()
    page.wait_for_selector("ol[data-query='배고프다']")
    page.close()


@pytest.mark.browser
def test_a_busy_service_is_asked_once_more_when_it_says(
    browser: "Browser", service: Service
) -> None:
    page = browser.new_page(locale="ko-KR")
    page.goto(service.url)
    asked: list[str] = []

    def answer(route: Any) -> None:
        asked.append(route.request.url)
        if len(asked) == 1:
            route.fulfill(status=429, headers={"Retry-After": "1"}, body="{}")
        else:
            route.continue_()

    page.route("**/page/answers*", answer)
    page.fill("#q", "배고프다")
    page.wait_for_selector("ol[data-query='배고프다']")
    assert len(asked) == 2
    page.close()


@pytest.mark.browser
def test_typing_on_shows_the_answers_to_what_was_typed_last(
    browser: "Browser", service: Service
) -> None:
    page = browser.new_page(locale="ko-KR")
    page.goto(service.url)
    held: list[Any] = []

    def answer(route: Any) -> None:
        if not held:
            held.append(route)  # the first reply comes last
        else:
            route.continue_()

    page.route("**/page/answers*", answer)
    page.fill("#q", "환불")
    page.wait_for_timeout(400)
    page.fill("#q", "배고프다")
    page.wait_for_selector("ol[data-query='배고프다']")
    assert len(held) == 1
    held[0].abort()
    page.wait_for_timeout(200)
    assert page.locator("ol.answers").get_attribute("data-query") == "배고프다"
    assert page.url.endswith("q=" + quote("배고프다"))
    page.route("**/page/answers*", lambda route: route.fulfill(status=429, body="{}"))
    page.fill("#q", "배송")
    page.wait_for_selector("#status:has-text('찾는 사람이 많아요')")
    page.route("**/page/answers*", lambda route: route.continue_())
    page.keyboard.press("Enter")  # the same text, sent again
    page.wait_for_selector("ol[data-query='배송']")
    page.close()


@pytest.mark.browser
def test_a_person_enters_a_key_votes_and_leaves(browser: "Browser", guarded: Service) -> None:
    context = browser.new_context(locale="ko-KR")
    page = context.new_page()
    page.goto(f"{guarded.url}/rounds")
    page.keyboard.type("a-key-that-is-not-one-of-them")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]")
    page.fill("#key", KEYS["admin"])
    page.keyboard.press("Enter")
    page.wait_for_url("**/rounds")
    page.wait_for_selector("text=학습과 라운드")
    page.click("text=찾기로")
    page.wait_for_selector("#q:focus")
    page.keyboard.type("배고프다")
    page.wait_for_selector("ol.answers")
    page.click("li:nth-child(2) [data-vote=this]")
    page.wait_for_selector("#status:has-text('저장했어요')")
    page.click("text=나가기")
    page.wait_for_selector("#key")
    assert context.cookies() == []
    context.close()


@pytest.mark.browser
def test_docs_show_every_route_with_files_of_the_service_alone(
    browser: "Browser", guarded: Service
) -> None:
    """Asks for a key as every page does; nothing is fetched from elsewhere or refused."""
    page = browser.new_page(locale="en-US")
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(f"{guarded.url}/docs")
    complaints.clear()  # of the 401, which is the form for a key
    page.fill("input[name=key]", KEYS["read"])
    page.keyboard.press("Enter")
    page.wait_for_selector(".opblock-summary-path")
    shown = {
        path.replace("\u200b", "")
        for path in page.locator(".opblock-summary-path").all_inner_texts()
    }
    document = guarded.call("GET", "/openapi.json", key=KEYS["read"]).json
    assert shown == set(document["paths"])
    # Swagger UI has its icons in data addresses, and asks a validator of its maker's for none here.
    assert {url for url in asked if not url.startswith((guarded.url, "data:"))} == set()
    page.close()
