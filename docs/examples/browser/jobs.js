// The jobs of one channel (?channel=project.<id>), kept up to date by one event stream.

const AGAIN_MS = 2000;
const gateway = document.querySelector("meta[name=gateway]").content;
const channel = new URLSearchParams(location.search).get("channel");
const jobs = new Map(); // file id -> job
let lastId = "";

function connect() {
  const query = new URLSearchParams({ channel });
  if (lastId) query.set("last_event_id", lastId); // a new EventSource knows nothing of an earlier one's ids
  const stream = new EventSource(`${gateway}/api/events?${query}`, { withCredentials: true });
  show(stream);
  stream.onopen = () => show(stream);
  stream.onerror = () => {
    show(stream);
    // It connects again by itself after a connection that broke, but not after an answer like 401 or 503.
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, AGAIN_MS * (1 + Math.random()));
  };
  listen(stream, "snapshot", (told) => {
    jobs.clear(); // it replaces whatever is held
    for (const job of told.jobs) jobs.set(job.file_id, job);
  });
  listen(stream, "job", (job) => {
    if (!(jobs.get(job.file_id)?.version >= job.version)) jobs.set(job.file_id, job);
  });
  listen(stream, "gone", (told) => jobs.delete(told.file_id));
}

function listen(stream, name, take) {
  stream.addEventListener(name, (event) => {
    lastId = event.lastEventId;
    take(JSON.parse(event.data));
    document.getElementById("jobs").replaceChildren(...[...jobs.values()].map(item));
  });
}

function item(job) {
  const found = document.createElement("li");
  found.id = job.file_id;
  found.textContent = `${job.file_id}: ${job.outcome ?? `${job.status} ${Math.round(job.progress ?? 0)} %`}`;
  return found;
}

function show(stream) {
  document.getElementById("connection").value = ["connecting", "connected", "disconnected"][stream.readyState];
}

connect();
