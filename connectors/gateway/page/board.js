// The board: one event stream in, one card a job out. All text goes in as text, never as markup.

const MAX_CARDS = 300;
const AGAIN_MS = [1000, 2000, 4000, 8000]; // up to twice that: pages that lost one gateway do not all come back at once
const STATUSES = ["pending", "processing", "completed", "error"];
const REASONS = { upstream: "failed", timed_out: "timed out", cancelled: "cancelled", superseded: "superseded" };
const UNREACHABLE = "The gateway cannot be reached. Trying again.";
const SOURCES = { sse: "won by stream", poll: "won by poll", check: "won by check" };

const at = (id) => document.getElementById(id);
const cards = new Map(); // file id -> {job, item}
let stream = null;
let lastId = "";
let failures = 0;
let timer = 0;
let total = 0;

// --- the stream ---------------------------------------------------------------------------------------------------

function project() {
  return new URLSearchParams(location.search).get("project") ?? "";
}

function address() {
  const wanted = new URLSearchParams({ channel: project() ? `project.${project()}` : "all" });
  if (lastId) wanted.set("last_event_id", lastId);
  return `api/events?${wanted}`;
}

function connect() {
  clearTimeout(timer);
  stream?.close();
  show("connecting");
  stream = new EventSource(address());
  stream.addEventListener("open", () => {
    failures = 0;
    notice("");
    show("connected");
  });
  stream.addEventListener("error", lost);
  listen("snapshot", (data) => replaceAll(data));
  listen("job", (job) => {
    const held = cards.get(job.file_id);
    if (!held || held.job.version < job.version) put(job);
  });
  listen("gone", (data) => remove(data.file_id));
}

function listen(name, take) {
  stream.addEventListener(name, (event) => {
    lastId = event.lastEventId;
    take(JSON.parse(event.data));
    summarize();
  });
}

// Browsers connect again by themselves, but not after an HTTP error, and they do not say when: so it is done by hand.
async function lost() {
  const [mine, wasRefused] = [stream, stream.readyState === EventSource.CLOSED];
  stream.close();
  show("disconnected");
  const reason = wasRefused ? await whyRefused() : failures ? UNREACHABLE : "";
  if (mine !== stream) return; // another project was chosen meanwhile
  notice(reason);
  const pause = AGAIN_MS[Math.min(failures++, AGAIN_MS.length - 1)];
  timer = setTimeout(connect, pause * (1 + Math.random()));
}

// An EventSource does not tell why it was refused: ask once more.
async function whyRefused() {
  const asking = new AbortController();
  try {
    const answer = await fetch(address(), { signal: asking.signal });
    return answer.ok ? "" : await words(answer);
  } catch {
    return UNREACHABLE;
  } finally {
    asking.abort();
  }
}

async function words(answer) {
  const problem = await answer.json().catch(() => ({}));
  return problem.detail ?? `The gateway answered ${answer.status}.`;
}

function show(state) {
  at("connection").textContent = state;
  at("connection").dataset.state = state;
}

function notice(text) {
  at("notice").textContent = text;
  at("notice").hidden = !text;
}

// --- the cards ----------------------------------------------------------------------------------------------------

function replaceAll(snapshot) {
  const ids = new Set(snapshot.jobs.map((job) => job.file_id));
  for (const id of [...cards.keys()]) if (!ids.has(id)) remove(id);
  for (const job of snapshot.jobs) put(job);
  total = Math.max(0, snapshot.total - cards.size);
}

function put(job) {
  let card = cards.get(job.file_id);
  if (!card) {
    card = { job, item: build(job.file_id) };
    cards.set(job.file_id, card);
    place(card);
    if (cards.size > MAX_CARDS) dropOne();
  } else if (card.job.tracked_at !== job.tracked_at) {
    card.job = job;
    place(card);
  }
  card.job = job;
  draw(card.item, job);
}

// Newest first by the time of tracking, so that no card moves while somebody reads it.
function place(card) {
  const next = [...at("jobs").children].find((item) => item !== card.item && item.dataset.tracked < card.job.tracked_at);
  card.item.dataset.tracked = card.job.tracked_at;
  at("jobs").insertBefore(card.item, next ?? null);
}

function dropOne() {
  const items = [...at("jobs").children].reverse();
  const item = items.find((each) => each.dataset.ended === "true") ?? items[0];
  remove(item.dataset.file);
  total += 1;
}

function remove(id) {
  cards.get(id)?.item.remove();
  cards.delete(id);
}

function build(id) {
  const item = at("card").content.firstElementChild.cloneNode(true);
  item.dataset.file = id;
  const find = (selector) => item.querySelector(selector);
  find(".file").textContent = id;
  find(".file").title = id;
  find(".check").addEventListener("click", () => command(item, "POST", `api/jobs/${id}/check`, "Looking."));
  find(".cancel").addEventListener("click", () => command(item, "DELETE", `api/jobs/${id}`, "Cancelling."));
  for (const button of item.querySelectorAll(".actions button")) button.setAttribute("aria-label", `${button.textContent}: ${id}`);
  return item;
}

function draw(item, job) {
  const find = (selector) => item.querySelector(selector);
  const ended = Boolean(job.outcome);
  item.dataset.status = job.status;
  item.dataset.ended = ended;
  item.dataset.reason = job.reason ?? "";
  find(".kind").textContent = job.kind;
  find(".status").textContent = job.status === "error" ? REASONS[job.reason] ?? "error" : job.status + (job.late ? ", late" : "");
  find(".percent").textContent = `${Math.round(job.progress)} %`;
  find("progress").value = job.progress;
  find("progress").setAttribute("aria-label", `Progress of ${job.file_id}`);
  find(".message").textContent = job.message ?? "";
  find(".prompt").textContent = job.prompt ?? "";
  drawFacts(find(".facts"), job);
  find(".check").hidden = ended && job.outcome !== "timed_out";
  find(".cancel").hidden = ended;
  const url = safe(job.url);
  find(".open").hidden = !url;
  if (url) find(".open").href = url;
  media(find(".media"), job, url);
  if (ended) find(".answer").textContent = "";
}

function facts(job) {
  const found = [];
  if (job.won_by) found.push(SOURCES[job.won_by] ?? job.won_by);
  if (job.gaps) found.push(job.gaps === 1 ? "1 gap" : `${job.gaps} gaps`);
  if (job.finished_at) found.push(`took ${duration(Date.parse(job.finished_at) - Date.parse(job.tracked_at))}`);
  else if (job.estimate_seconds) found.push(`about ${duration(job.estimate_seconds * 1000)}`);
  return found;
}

// Made anew only when they differ, so that the project's button keeps the keyboard's focus.
function drawFacts(list, job) {
  const texts = facts(job);
  const wanted = JSON.stringify([texts, job.project_id]);
  if (list.dataset.shows === wanted) return;
  list.dataset.shows = wanted;
  list.replaceChildren(...texts.map((text) => fact("span", text)));
  if (!job.project_id) return;
  list.append(fact("button", `project ${job.project_id}`));
  const button = list.lastChild.firstChild;
  button.type = "button";
  button.addEventListener("click", () => choose(job.project_id));
}

function fact(tag, text) {
  const item = document.createElement("li");
  const inside = document.createElement(tag);
  inside.textContent = text;
  inside.title = text;
  item.append(inside);
  return item;
}

function duration(milliseconds) {
  const seconds = milliseconds / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  return seconds < 120 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

function safe(url) {
  return /^https?:\/\//i.test(url ?? "") ? url : "";
}

// Made anew only when what it shows is another file: a video goes on playing while its job changes.
function media(place, job, url) {
  const poster = safe(job.thumbnail_url);
  const wanted = `${job.kind} ${job.outcome} ${url} ${poster}`;
  if (place.dataset.shows === wanted) return;
  place.dataset.shows = wanted;
  const shown = picture(job, url, poster);
  place.dataset.empty = !shown;
  place.replaceChildren(shown ?? (url ? "No preview" : job.outcome ? "No result" : "No result yet"));
}

function picture(job, url, poster) {
  if (!url && !poster) return null;
  if (!url || job.kind === "image") {
    const image = new Image();
    image.loading = "lazy";
    image.alt = url ? "The result" : "A preview";
    image.src = url || poster;
    return image;
  }
  if (job.kind !== "video" && job.kind !== "audio") return null;
  const player = document.createElement(job.kind);
  player.controls = true;
  player.preload = poster ? "none" : "metadata";
  if (poster && job.kind === "video") player.poster = poster;
  player.src = url;
  return player;
}

async function command(item, method, path, done) {
  const answer = item.querySelector(".answer");
  if (item.dataset.busy) return; // not `disabled`: that would take the keyboard's focus away
  item.dataset.busy = "true";
  try {
    const response = await fetch(path, { method });
    answer.textContent = response.ok ? done : await words(response);
  } catch {
    answer.textContent = "The gateway cannot be reached. Try again.";
  }
  delete item.dataset.busy;
}

// --- the head of the page -----------------------------------------------------------------------------------------

let summing = 0;

function summarize() {
  summing ||= requestAnimationFrame(() => {
    summing = 0;
    const jobs = [...cards.values()].map((card) => card.job);
    const counts = STATUSES.map((status) => count(jobs.filter((job) => job.status === status).length, status));
    if (total) counts.push(count(total, "more not shown"));
    at("counts").replaceChildren(...counts);
    at("empty").hidden = jobs.length > 0;
    at("empty").textContent = project() ? "No jobs of this project." : "No jobs yet.";
    const known = new Set(jobs.map((job) => job.project_id).filter(Boolean));
    const options = at("projects");
    const shown = new Set([...options.children].map((option) => option.value));
    for (const id of known) if (!shown.has(id)) options.append(new Option("", id));
  });
}

function count(number, name) {
  const item = document.createElement("li");
  const bold = document.createElement("b");
  bold.textContent = number;
  item.append(bold, ` ${name}`);
  return item;
}

at("filter").addEventListener("submit", (event) => {
  event.preventDefault();
  choose(at("project").value.trim());
});
at("project").addEventListener("change", (event) => choose(event.target.value.trim())); // picked from the list, or cleared
addEventListener("popstate", begin);
addEventListener("online", connect);

function choose(id) {
  if (id === project()) return;
  history.pushState(null, "", id ? `?${new URLSearchParams({ project: id })}` : location.pathname);
  begin();
}

function begin() {
  at("project").value = project();
  for (const id of [...cards.keys()]) remove(id);
  lastId = "";
  total = 0;
  connect();
  at("empty").hidden = false;
  at("empty").textContent = "Waiting for the jobs.";
}

begin();
