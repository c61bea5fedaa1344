// The form that starts a generation. What it offers is what the gateway knows of the models; all the rest is refused
// by the gateway or by the upstream, and said beside its field. All text goes in as text, never as markup.

const KINDS = ["image", "video"];
const PARAMS = [ // `of`: where it is offered unless the model's parameters are known
  { name: "aspect_ratio", label: "Aspect ratio", of: KINDS, hint: "such as 16:9", common: ["16:9", "9:16", "1:1"] },
  { name: "size", label: "Size", of: [], hint: "WIDTHxHEIGHT" },
  { name: "width", label: "Width, pixels", of: ["image"], number: true },
  { name: "height", label: "Height, pixels", of: ["image"], number: true },
  { name: "duration", label: "Duration, seconds", of: ["video"], number: true },
  { name: "batch_size", label: "How many", of: ["image"], always: true, number: true, hint: "1" },
];
const OWN = "the model's own";
const LIST_MS = 20_000;
const ANSWER_MS = 100_000; // longer than the gateway waits for the upstream and for Kafka
const SAME_CLICK_MS = 2000;
const LOST = "No answer came. Generate again: what has begun already is joined, not begun twice.";

const at = (id) => document.getElementById(id);
const form = at("generate-form");
const lists = new Map(); // kind -> what the gateway knows of its models
const typed = new Map(); // what was filled in, by parameter, and the model of a kind: fields come and go
let held = { what: "", key: "", until: 0 };

// --- what is offered ----------------------------------------------------------------------------------------------

function kind() {
  return form.elements.kind.value;
}

async function offer() {
  const wanted = kind();
  if (!lists.get(wanted)?.are_all) {
    ready("Asking which models there are.");
    const [list, trouble] = await ask(wanted);
    if (list) lists.set(wanted, list);
    if (wanted !== kind()) return; // another kind was chosen meanwhile
    if (trouble) return ready(trouble, true);
  }
  drawModels(lists.get(wanted));
  ready("");
}

async function ask(wanted) {
  try {
    const answer = await fetch(`api/models?kind=${wanted}`, { signal: AbortSignal.timeout(LIST_MS) });
    const found = await answer.json();
    return answer.ok ? [found, ""] : [null, found.detail ?? `The gateway answered ${answer.status}.`];
  } catch {
    return [null, "The gateway cannot be reached."];
  }
}

// Words stand in the place of the fields while those would be of no use.
function ready(words, mayAsk = false) {
  at("generate-state").textContent = words;
  at("generate-state").hidden = !words;
  at("generate-fields").hidden = Boolean(words);
  at("generate-ask").hidden = !mayAsk;
}

function drawModels(list) {
  const fromText = list.models.filter((model) => model.sorts.some((sort) => sort.startsWith("text_to_")));
  const names = fromText.map((model) => model.name);
  const isWhole = list.are_all && names.length > 0; // else any name may be right
  const before = typed.get(`model of ${kind()}`) ?? "";
  const value = !isWhole || names.includes(before) ? before || names[0] : names[0];
  const made = isWhole ? choice(names.map((name) => [name, name])) : freeText(names, "as the upstream calls it");
  place(field("model"), made, value ?? "");
  drawParams();
}

function drawParams() {
  const model = lists.get(kind()).models.find((each) => each.name === control("model").value);
  const known = model?.params ?? {};
  const isKnown = Object.keys(known).length > 0;
  const shown = PARAMS.filter(({ name, of, always }) => name in known || (of.includes(kind()) && (always || !isKnown)));
  at("generate-params").replaceChildren(...shown.map((param) => {
    const item = at("generate-field").content.firstElementChild.cloneNode(true);
    item.dataset.field = `params.${param.name}`;
    item.querySelector("label").textContent = param.label;
    const rule = known[param.name] ?? {};
    place(item, input(param, rule), typed.get(param.name) ?? (rule.needed ? rule.default ?? "" : ""));
    return item;
  }));
}

function input(param, rule) {
  if (rule.options?.length) {
    const own = rule.default === undefined ? OWN : `${OWN}: ${rule.default}`;
    const options = rule.options.map((option) => [String(option), String(option)]);
    return choice(rule.needed ? options : [["", own], ...options]);
  }
  const made = freeText(param.common ?? [], hint(param, rule));
  if (param.number) made.inputMode = "decimal"; // not a number's input: that hides what it cannot read
  return made;
}

// Short, for a phone: `1024 (256–2048)` is what the model takes if nothing is filled in, and from where to where.
function hint(param, { minimum, maximum, default: own }) {
  const [low, high] = [minimum ?? "", maximum ?? ""];
  const range = low !== "" && high !== "" ? `${low}–${high}` : low !== "" ? `from ${low}` : high !== "" ? `up to ${high}` : "";
  if (own === undefined) return range || param.hint || OWN;
  return range ? `${own} (${range})` : String(own);
}

function choice(options) {
  const made = document.createElement("select");
  made.append(...options.map(([value, text]) => new Option(text, value)));
  return made;
}

function freeText(suggestions, placeholder) {
  const made = document.createElement("input");
  made.maxLength = 300;
  made.autocomplete = "off";
  made.placeholder = placeholder;
  made.suggestions = suggestions;
  return made;
}

function place(item, made, value) {
  const name = `generate-${item.dataset.field.replace(".", "-")}`;
  made.id = name;
  item.querySelector("label").htmlFor = name;
  for (const old of item.querySelectorAll("input, select, datalist")) old.remove();
  item.querySelector("label").after(made);
  if (made.suggestions?.length) {
    const list = document.createElement("datalist");
    list.id = `${name}-known`;
    list.append(...made.suggestions.map((each) => new Option("", each)));
    made.after(list);
    made.setAttribute("list", list.id);
  }
  made.value = value;
  if (made.selectedIndex === -1) made.selectedIndex = 0; // what was chosen of another model
  mark(item, "");
}

// --- the fields and what is wrong with them -----------------------------------------------------------------------

function field(name) {
  return [...form.querySelectorAll("[data-field]")].find((item) => item.dataset.field === name);
}

function control(name) {
  return field(name)?.querySelector("input, select, textarea");
}

function mark(item, words) {
  const [box, wrong] = [item.querySelector("input, select, textarea"), item.querySelector(".wrong")];
  wrong.id ||= `${box.id}-wrong`;
  wrong.textContent = words;
  box.setAttribute("aria-describedby", wrong.id);
  if (words) box.setAttribute("aria-invalid", "true");
  else box.removeAttribute("aria-invalid");
}

function say(words, isWrong = false) {
  at("generate-said").textContent = words;
  at("generate-said").dataset.wrong = isWrong;
}

function refuse(status, problem) {
  const rest = [];
  const marked = [];
  for (const { field: name, message } of problem.errors ?? []) {
    const item = field(name);
    if (item) mark(item, message), marked.push(item);
    else rest.push(`${name}: ${message}`);
  }
  const words = marked.length ? rest.join("; ") : problem.detail ?? `The gateway answered ${status}.`;
  const joins = status === 502 || status === 504 ? " Generate again joins this request; a change in the form makes a new one." : "";
  say((words || "Not begun.") + joins, true);
  marked[0]?.querySelector("input, select, textarea").focus();
}

// --- one request --------------------------------------------------------------------------------------------------

function wanted() {
  const params = {};
  for (const { name, number } of PARAMS) {
    const value = control(`params.${name}`)?.value.trim();
    if (value) params[name] = number && /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value;
  }
  const project = control("project_id").value.trim();
  const body = { model: control("model").value.trim(), prompt: control("prompt").value, params };
  return project ? { ...body, project_id: project } : body;
}

// One key for one filled form: until it has been answered, and for a moment after that, it is the same click.
function keyOf(what) {
  if (held.what !== what || performance.now() > held.until) held = { what, key: newKey(), until: Infinity };
  return held.key;
}

function newKey() { // crypto.randomUUID is there on secure origins only
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function send() {
  if (form.dataset.busy || at("generate-fields").hidden) return;
  form.dataset.busy = "true"; // not `disabled`: that would take the keyboard's focus away
  for (const item of form.querySelectorAll("[data-field]")) mark(item, "");
  say("Asking the upstream.");
  try {
    const [path, body] = [`api/generate/${kind()}`, JSON.stringify(wanted())];
    const headers = { "Content-Type": "application/json", "Idempotency-Key": keyOf(path + body) };
    const answer = await fetch(path, { method: "POST", headers, body, signal: AbortSignal.timeout(ANSWER_MS) });
    const found = await answer.json();
    if (answer.ok) begun(found.files);
    else refuse(answer.status, found);
  } catch {
    say(LOST, true);
  }
  delete form.dataset.busy;
}

function begun(files) {
  held.until = Math.min(held.until, performance.now() + SAME_CLICK_MS);
  const shown = new URLSearchParams(location.search).get("project");
  const elsewhere = shown && files.every((file) => file.project_id !== shown);
  const where = elsewhere ? " This page shows another project." : "";
  say((files.length === 1 ? "Begun: one file." : `Begun: ${files.length} files.`) + where);
}

// ------------------------------------------------------------------------------------------------------------------

at("generate").addEventListener("toggle", () => {
  if (!at("generate").open) return;
  const project = control("project_id");
  project.value ||= new URLSearchParams(location.search).get("project") ?? "";
  offer();
});
at("generate-ask").addEventListener("click", async () => {
  await offer();
  if (!at("generate-fields").hidden) control("model").focus(); // the button, which had the focus, is gone
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
form.addEventListener("input", ({ target }) => {
  if (target.name === "kind") return void offer();
  const item = target.closest("[data-field]");
  mark(item, "");
  if (!form.dataset.busy) say("");
  const name = item.dataset.field;
  if (name === "model") {
    typed.set(`model of ${kind()}`, target.value);
    drawParams();
  } else if (name.startsWith("params.")) typed.set(name.slice("params.".length), target.value);
});
at("generate").hidden = false;
