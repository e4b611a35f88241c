// Answers as one types, and votes. Without it the page is a form that is sent.
"use strict";

const form = document.getElementById("search");
const field = document.getElementById("q");
const answers = document.getElementById("answers");
const status = document.getElementById("status");
const language = form.elements.lang.value;
const WAIT = 180; // ms without typing
const VOTER = "dotbogi-voter";

let timer = 0;
let asked = field.defaultValue.trim(); // what the page that came shows the answers to
let running = null;

function say(text, beside = null) {
  for (const said of answers.querySelectorAll(".said")) said.textContent = "";
  if (beside) beside.textContent = text; // for those who see: the status above may be far away
  status.textContent = text; // for those who hear
}

function address(path, query) {
  return `${path}?${new URLSearchParams({ lang: language, q: query })}`;
}

async function search() {
  clearTimeout(timer);
  const query = field.value.trim();
  if (query === asked) return;
  asked = query;
  running?.abort();
  running = new AbortController();
  const mine = running;
  answers.setAttribute("aria-busy", "true");
  try {
    const reply = await fetch(address("/page/answers", query), { signal: mine.signal });
    if (reply.status === 401 || reply.status === 403) return location.assign(address("/", query));
    if (reply.status === 429 || reply.status >= 500) return failed(mine, form.dataset.busy);
    const found = await reply.text();
    if (mine !== running) return;
    answers.innerHTML = found; // written by the server, which has escaped every text
    shown();
    history.replaceState(null, "", query ? address("/", query) : `/?lang=${language}`);
    const other = document.getElementById("other");
    other.search = new URLSearchParams({ lang: other.lang, q: query });
    say(answers.querySelector("[data-said]")?.dataset.said ?? "");
  } catch (error) {
    if (error.name !== "AbortError") failed(mine, form.dataset.offline);
  } finally {
    if (mine === running) answers.removeAttribute("aria-busy");
  }
}

function failed(mine, why) {
  if (mine !== running) return;
  asked = null; // the same text may be sent again
  say(why);
}

function shown() {
  for (const votes of answers.querySelectorAll(".votes")) votes.hidden = false;
}

function voter() {
  try {
    let name = localStorage.getItem(VOTER);
    if (!name) localStorage.setItem(VOTER, (name = `page-${random()}`));
    return name;
  } catch {
    return (voter.name_ ??= `page-${random()}`); // storage is closed: as long as the page is open
  }
}

// randomUUID is there on https and localhost alone; a service on a company's network has neither.
function random() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function vote(button) {
  const list = button.closest("ol");
  const beside = button.parentElement.querySelector(".said");
  const { query, generation, shown, thanks, failed: sorry } = list.dataset;
  const body = {
    id: (button.dataset.id ??= random()), // pressed again after a failure it is the same vote
    client: voter(),
    query,
    shown: JSON.parse(shown),
    answer_id: button.closest(".votes").dataset.answer,
    verdict: button.dataset.verdict,
    generation,
  };
  button.disabled = true;
  try {
    const reply = await fetch("/v1/feedback", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    await reply.text();
    if (!reply.ok) throw new Error(reply.status);
    delete button.dataset.id; // the next press is another vote
    press(button, list);
    say(thanks, beside);
  } catch {
    say(sorry, beside);
  } finally {
    button.disabled = false;
    button.focus();
  }
}

// One verdict an answer, and one right answer a query.
function press(button, list) {
  for (const other of button.parentElement.querySelectorAll("button")) other.ariaPressed = "false";
  if (button.dataset.vote === "this") {
    for (const other of list.querySelectorAll('[data-vote="this"]')) other.ariaPressed = "false";
  }
  button.ariaPressed = "true";
}

field.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(search, WAIT);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
answers.addEventListener("click", (event) => {
  const button = event.target.closest("[data-vote]");
  if (button) vote(button);
});
shown();
if (field.value.trim() !== asked) search();
