// Shows answers while the user types, and sends votes. Without it, the page is a plain form.
"use strict";

const form = document.getElementById("search");
const field = document.getElementById("q");
const answers = document.getElementById("answers");
const status = document.getElementById("status");
const otherLanguage = document.getElementById("other");
const language = form.elements.lang.value;
const name = document.title.split(" · ").pop();
const PAUSE = 180; // ms without typing
const LONGEST_WAIT = 5; // seconds until a busy service is asked once more
const VOTER = "dotbogi-voter";

let timer = 0;
let asked = field.defaultValue.trim(); // the query of the answers on the page
let running = null;

function say(text, beside = null) {
  for (const said of answers.querySelectorAll(".said")) said.textContent = "";
  if (beside) beside.textContent = text; // seen next to the button: the status may be off-screen
  status.textContent = text; // for screen readers
}

function address(path, query) {
  const names = query ? { lang: language, q: query } : { lang: language };
  return `${path}?${new URLSearchParams(names)}`;
}

// The Back button leads to queries that were sent, not to every text typed on the way.
function remember(query, sent) {
  const before = history.state;
  const isSame = before?.query === query;
  const state = { query, sent: sent || (isSame && before.sent) };
  const change = before?.sent && !isSame ? "pushState" : "replaceState";
  history[change](state, "", address("/", query));
}

async function search({ sent = false } = {}) {
  clearTimeout(timer);
  const query = field.value.trim();
  if (sent) remember(query, true);
  if (query === asked) return;
  asked = query;
  running?.abort();
  const mine = (running = new AbortController());
  answers.setAttribute("aria-busy", "true");
  try {
    const reply = await fetched(address("/page/answers", query), mine.signal);
    if (needsKey(reply)) return location.assign(address("/", query));
    if (!reply.ok) throw new Error(reply.status);
    const page = await reply.text();
    if (mine === running) show(query, page);
  } catch (error) {
    if (mine !== running) return;
    asked = null; // the same query may be sent again
    say(error instanceof TypeError ? form.dataset.offline : form.dataset.busy);
  } finally {
    if (mine === running) answers.removeAttribute("aria-busy");
  }
}

// If the service is busy, try once more after the time it states.
async function fetched(url, signal) {
  const reply = await fetch(url, { signal });
  const seconds = Number(reply.headers.get("Retry-After"));
  if (reply.status !== 429 || !(seconds <= LONGEST_WAIT)) return reply;
  await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  return fetch(url, { signal });
}

function needsKey(reply) {
  return reply.status === 401 || reply.status === 403;
}

function show(query, page) {
  const hadFocus = answers.contains(document.activeElement);
  answers.innerHTML = page; // rendered by the server, which escapes every text
  if (hadFocus) answers.focus();
  showVotes();
  document.title = query ? `${query} · ${name}` : name;
  remember(query, false);
  otherLanguage.search = new URLSearchParams({ lang: otherLanguage.lang, q: query });
  say(answers.querySelector("[data-said]").dataset.said);
}

function showVotes() {
  for (const votes of answers.querySelectorAll(".votes")) votes.hidden = false;
}

let voterOfThisPage = null;

function voter() {
  try {
    const known = localStorage.getItem(VOTER);
    if (known) return known;
    const made = `page-${random()}`;
    localStorage.setItem(VOTER, made);
    return made;
  } catch {
    return (voterOfThisPage ??= `page-${random()}`); // storage is not available
  }
}

// randomUUID needs https or localhost; a service on a company's network may have neither.
function random() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function vote(button) {
  const list = button.closest("ol");
  const group = button.closest(".votes");
  const buttons = [...group.querySelectorAll("button")];
  const beside = group.querySelector(".said");
  for (const other of list.querySelectorAll("[data-id]")) if (other !== button) delete other.dataset.id;
  const body = {
    id: (button.dataset.id ??= random()), // pressing again after a failure sends the same vote
    client: voter(),
    query: list.dataset.query,
    shown: JSON.parse(list.dataset.shown),
    answer_id: group.dataset.answer,
    verdict: button.dataset.verdict,
    generation: list.dataset.generation,
  };
  for (const other of buttons) other.disabled = true; // so that votes arrive in order
  try {
    const reply = await fetch("/v1/feedback", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    await reply.text();
    if (needsKey(reply)) return location.assign(address("/", list.dataset.query));
    if (reply.ok) {
      delete button.dataset.id; // pressing again is another vote
      press(button, buttons, list);
      say(list.dataset.thanks, beside);
    } else {
      say(reply.status === 429 || reply.status >= 500 ? list.dataset.failed : list.dataset.gone, beside);
    }
  } catch {
    say(list.dataset.failed, beside);
  } finally {
    for (const other of buttons) other.disabled = false;
    button.focus();
  }
}

// One verdict per answer, and one best answer per query.
function press(button, buttons, list) {
  const isBest = button.dataset.verdict === "best";
  const others = isBest ? list.querySelectorAll('[data-verdict="best"]') : [];
  for (const other of [...buttons, ...others]) other.ariaPressed = "false";
  button.ariaPressed = "true";
}

field.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(() => search(), PAUSE);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  search({ sent: true });
});
answers.addEventListener("click", (event) => {
  const button = event.target.closest("[data-vote]");
  if (button) vote(button);
});
addEventListener("popstate", () => {
  field.value = new URLSearchParams(location.search).get("q") ?? "";
  search();
});
showVotes();
history.replaceState({ query: asked, sent: asked !== "" }, "");
if (field.value.trim() !== asked) search();
