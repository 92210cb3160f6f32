// The console's page: who is signed in, the jobs, and what runs of one have printed. Whatever comes from the API is set as
// text (textContent), never as markup: names and output are anybody's.
"use strict";

const at = (id) => document.getElementById(id);

// Where all pages of this server keep the word that a request which changes something has to say. It is told once, when
// somebody signs in: what a session's cookie says is not enough to find it out.
const WORD = "sandclock-csrf";
let signedIn = false;
// How many times something else was asked to be shown: an answer that comes late is for nobody.
let asked = 0;

function element(kind, text) {
  const made = document.createElement(kind);
  made.textContent = text;
  return made;
}

function button(text, action) {
  const made = element("button", text);
  made.type = "button";
  made.addEventListener("click", () => attempt(action));
  return made;
}

function row(...cells) {
  const made = document.createElement("tr");
  for (const cell of cells) {
    const place = document.createElement("td");
    place.append(cell);
    made.append(place);
  }
  return made;
}

function tell(problem) {
  at("problem").textContent = problem;
  at("problem").hidden = problem === "";
}

async function attempt(action) {
  tell("");
  try {
    await action();
  } catch (error) {
    tell(error.message);
  }
}

async function call(method, path, body) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const csrf = localStorage.getItem(WORD);
  if (csrf !== null && method !== "GET") headers["X-CSRF-Token"] = csrf;
  const answer = await fetch("/api/v1" + path, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    credentials: "same-origin",
    cache: "no-store",
  });
  if (answer.ok) return answer;
  if (answer.status === 401 && signedIn) showNobody();
  const said = await answer.json().catch(() => ({}));
  throw new Error(said.detail || `the server answered ${answer.status}`);
}

function showNobody() {
  signedIn = false;
  asked += 1;
  for (const id of ["jobs", "runs"]) at(id).replaceChildren();
  at("output").textContent = "";
  at("signed-in").hidden = at("no-word").hidden = true;
  at("signed-out").hidden = false;
}

async function showPerson(session) {
  signedIn = true;
  const of = session.prefixes.length ? ` for ${session.prefixes.join(", ")}` : "";
  at("who").textContent = `${session.name} (${session.role}${of})`;
  // Without the word nobody can sign out either, but sign in again.
  at("no-word").hidden = at("signed-out").hidden = session.has_csrf_token;
  at("sign-out").hidden = !session.has_csrf_token;
  at("signed-in").hidden = false;
  at("runs-of").hidden = at("output").hidden = true;
  at("jobs").replaceChildren();
  await showJobs(null);
}

async function showJobs(cursor) {
  const from = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
  const page = await (await call("GET", `/jobs?limit=100${from}`)).json();
  for (const { name } of page.items) {
    const path = `/jobs/${encodeURIComponent(name)}`;
    const run = button("Run", async () => {
      await call("POST", `${path}/run`);
      await showRuns(name);
    });
    at("jobs").append(row(button(name, () => showRuns(name)), run));
  }
  at("more").hidden = page.next === null || page.next === undefined;
  at("more").onclick = () => attempt(() => showJobs(page.next));
}

async function showRuns(job) {
  const mine = ++asked;
  const page = await (await call("GET", `/runs?limit=10&job=${encodeURIComponent(job)}`)).json();
  if (mine !== asked) return;
  at("runs-of").textContent = `Runs of ${job}`;
  at("runs-of").hidden = false;
  at("output").hidden = true;
  at("runs").replaceChildren();
  const again = row(button("Look again", () => showRuns(job)), "");
  again.classList.add("again");
  at("runs").append(again);
  for (const run of page.items) {
    const state = element("span", run.state);
    const shown = button(run.started_at || run.fire_time || run.id, () => showOutput(run.id));
    at("runs").append(row(shown, state));
  }
}

async function showOutput(run) {
  const mine = ++asked;
  const text = await (await call("GET", `/runs/${encodeURIComponent(run)}/output`)).text();
  if (mine !== asked) return;
  at("output").textContent = text;
  at("output").hidden = false;
}

at("by-token").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = at("token").value;
  at("token").value = "";
  attempt(async () => {
    const begun = await (await call("POST", "/session", { token })).json();
    localStorage.setItem(WORD, begun.csrf_token);
    await showPerson({ ...begun, has_csrf_token: true });
  });
});

at("sign-out").addEventListener("click", () =>
  attempt(async () => {
    await call("DELETE", "/session");
    localStorage.removeItem(WORD);
    showNobody();
  }),
);

// Who has the session of this browser's cookie, and whether this word is the session's; null for nobody.
async function sessionWith(csrf) {
  const headers = csrf === null ? {} : { "X-CSRF-Token": csrf };
  const answer = await fetch("/api/v1/session", { headers, credentials: "same-origin", cache: "no-store" });
  return answer.ok ? answer.json() : null;
}

// Takes the word out of the address, where it is after somebody has signed in at the provider, and shows who it is. What
// stands in an address is anybody's, so it is kept only if the server knows it.
async function begin() {
  const told = new URLSearchParams(location.hash.slice(1));
  const fresh = told.get("csrf");
  if (fresh !== null) history.replaceState(null, "", location.pathname + location.search);
  let session = await sessionWith(fresh ?? localStorage.getItem(WORD));
  if (session === null) return showNobody();
  if (fresh !== null && session.has_csrf_token) {
    localStorage.setItem(WORD, fresh);
    const back = new URL(told.get("back") ?? "/", location.href);
    if (back.origin === location.origin && back.pathname !== "/") return location.replace(back.href);
  } else if (fresh !== null) {
    session = await sessionWith(localStorage.getItem(WORD));
  }
  return session === null ? showNobody() : showPerson(session);
}

attempt(() =>
  begin().catch((error) => {
    throw error instanceof TypeError ? new Error("the server does not answer") : error;
  }),
);
