// What modhub itself says of the classifier that the composer holds, and its answer to a photo.
import { drawMaps, drawPhoto } from "./seen.js";
import { announce, element, named, visible } from "./text.js";

const place = document.getElementById("try");
const part = (name) => document.getElementById(`try-${name}`);
const number = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const percent = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const mebibytes = (count) => `${(count / 2 ** 20).toFixed(0)} MiB`;
const WAIT_MS = 200;
const AGAIN_MS = 1000;
const state = { asked: null, id: null, photo: null, running: null, token: null, maxBytes: Infinity, hasAnswered: false };

class Refusal extends Error {
  constructor(message, hint, kind) {
    super(message);
    this.hint = hint;
    this.kind = kind;
  }
}

// Asking the server

async function answered(path, options) {
  let response;
  try {
    response = await fetch(place.dataset.api + path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("modhub ui does not answer any more.", "start it again, and reload this page.", "gone");
  }
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  // The application says so by itself, what runs it only by this status.
  const kind = response.status === 503 ? "busy" : body.kind;
  throw new Refusal(body.error ?? `the server answers ${response.status}.`, body.hint, kind);
}

async function post(path, body, type, signal) {
  for (;;) {
    try {
      if (state.token === null) {
        const session = await answered("session", { signal });
        state.token = session.token;
        state.maxBytes = session.max_bytes;
      }
      const headers = { "content-type": type, "x-modhub-token": state.token };
      return await answered(path, { method: "POST", body, headers, signal });
    } catch (error) {
      if (error.kind !== "busy") throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    signal.throwIfAborted();
  }
}

/** A signal for what begins now; what ran before ends. */
function begin() {
  state.running?.abort();
  state.running = new AbortController();
  return state.running.signal;
}

/** Run `work` with the page marked as busy; what it refuses goes to `refused`, unless something newer has begun. */
async function busily(signal, work, refused) {
  place.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    if (error.name === "AbortError" || signal.aborted) return;
    if (!(error instanceof Refusal)) throw error;
    refused(error);
  } finally {
    if (!signal.aborted) place.removeAttribute("aria-busy");
  }
}

function show(box, ...children) {
  box.replaceChildren(...children);
  box.hidden = children.length === 0;
}

function refusal(error) {
  return element("div", { class: "notice problem", role: "note" },
    element("strong", {}, "modhub says"), " ", named(error.message),
    error.hint ? element("p", { class: "hint" }, "Hint: ", named(error.hint)) : null);
}

// Composing

async function compose(fetchMuch = false) {
  const signal = begin();
  state.id = null;
  show(part("answer"));
  place.hidden = state.asked === null;
  if (state.asked === null) {
    show(part("plan"));
    return;
  }
  const asked = JSON.stringify({ ...state.asked, fetch: fetchMuch });
  await busily(signal, async () => {
    const made = await post("classifiers", asked, "application/json", signal);
    if (made.state === "to-fetch") {
      show(part("plan"), toFetch(made));
      return;
    }
    state.id = made.id;
    show(part("plan"), ...plan(made));
    if (state.photo) await ask(signal);
  }, (error) => show(part("plan"), refusal(error)));
}

function toFetch(made) {
  const button = element("button", { type: "button" }, `Fetch ${mebibytes(made.bytes)}`);
  button.addEventListener("click", () => compose(true));
  return element("div", { class: "notice", role: "note" },
    `These modules fit. ${mebibytes(made.bytes)} of them are not on this machine yet: ${made.releases.join(", ")}. `, button);
}

function plan(made) {
  const networks = made.plan.trunks === 1 ? "network" : "networks";
  const said = [...made.adapted.map((each) => `Adapter of ${each.labels}: ${each.text}`), ...made.remarks];
  return [
    element("p", { class: "summary" }, visible(made.summary.replace("trunk(s)", networks))),
    said.length ? element("ul", { class: "plain note" }, ...said.map((text) => element("li", {}, named(text)))) : "",
  ];
}

// A photo

function chosen(files) {
  const file = [...files].find((each) => each.type.startsWith("image/") || each.type === "");
  if (!file) {
    if (files.length) show(part("answer"), refusal(new Refusal("that is no picture.", "choose a PNG, a JPEG or a HEIC.")));
    return;
  }
  if (file.size > state.maxBytes) {
    show(part("answer"), refusal(new Refusal(`the photo has ${mebibytes(file.size)}.`, "choose a smaller one.")));
    return;
  }
  state.photo = file;
  if (state.id !== null) again();
}

/** What was dropped or pasted, as if it had been chosen: so the page shows its name where it shows the others'. */
function given(files) {
  if (files.length) part("file").files = files;
  chosen(files);
}

function again() {
  const signal = begin();
  busily(signal, () => ask(signal), (error) => show(part("answer"), refusal(error)));
}

async function ask(signal) {
  const about = (what) =>
    post(`classifiers/${state.id}/${what}?fit=${encodeURIComponent(part("fit").value)}`, state.photo, "application/octet-stream", signal);
  const box = part("answer");
  const wait = state.hasAnswered ? "Asking the modules…" : "Asking the modules. The first answer takes longer: networks are loaded for it…";
  show(box, element("p", { class: "note" }, wait));
  let answer;
  try {
    answer = await about("answer");
  } catch (error) {
    if (error.kind !== "no-classifier") throw error;
    // Others have taken its place since; composing asks again.
    await compose();
    return;
  }
  state.hasAnswered = true;
  const seen = element("div", { class: "seen" }, element("p", { class: "note" }, "Looking where each module sees its class…"));
  const said = answer.said.map((text) => element("div", { class: "notice advisory", role: "note" }, named(text)));
  show(box, told(answer), ...said, table(answer.members), seen);
  announce(`Answer: ${answer.label}`);
  try {
    const explanation = await about("explanation");
    seen.replaceChildren(element("p", { class: "said" }, named(explanation.verdict)), ...drawMaps(explanation.maps, answer.photo));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    seen.replaceChildren(refusal(error));
  }
}

function told(answer) {
  const [best] = answer.members;
  const how = answer.rejected ? `No module is positive; ${best.label} has the largest margin.` : `probability ${percent.format(best.probability)}`;
  return element("div", { class: "told" },
    drawPhoto(answer.photo),
    element("div", {},
      element("p", { class: "label", id: "try-label" }, named(answer.label)),
      element("p", { class: "note" }, named(how)),
      answer.photo.done.length ? element("p", { class: "note" }, `The photo was ${answer.photo.done.join(", ")}.`) : null));
}

function table(members) {
  const titles = ["Class", "Probability", "Margin", "Own margin", "Threshold", "Own score"];
  const heads = titles.map((title, column) => element("th", { scope: "col", class: column ? "num" : null }, title));
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Each module's vote" },
    element("table", { class: "votes" },
      element("caption", { class: "unseen" }, "Each module's vote, the largest first"),
      element("thead", {}, element("tr", {}, ...heads)),
      element("tbody", {}, ...members.map(member))));
}

function member(each) {
  const bar = element("span", { class: "share-bar" });
  bar.style.inlineSize = `${100 * each.probability}%`;
  const figures = [each.margin, each.module_margin, each.threshold, each.module_score];
  return element("tr", {},
    element("th", { scope: "row" }, named(each.label), each.positive ? element("span", { class: "flag good" }, "positive") : null),
    element("td", { class: "num share" }, percent.format(each.probability), element("span", { class: "share-track", "aria-hidden": "true" }, bar)),
    ...figures.map((value) => element("td", { class: "num" }, number.format(value))));
}

// What people do

let waiting = 0;
document.getElementById("composer").addEventListener("composed", (event) => {
  const asked = event.detail && {
    modules: event.detail.members.map(({ ref, version, label }) => ({ ref: `${ref}@${version}`, label })),
    adapt: event.detail.adapt || null,
  };
  if (JSON.stringify(asked) === JSON.stringify(state.asked)) return;
  state.asked = asked;
  clearTimeout(waiting);
  waiting = setTimeout(compose, WAIT_MS);
});
part("file").addEventListener("change", (event) => chosen(event.target.files));
part("fit").addEventListener("change", () => state.photo && state.id !== null && again());
for (const kind of ["dragenter", "dragover"]) {
  place.addEventListener(kind, (event) => {
    event.preventDefault();
    part("drop").classList.add("over");
  });
}
for (const kind of ["dragleave", "drop"]) place.addEventListener(kind, () => part("drop").classList.remove("over"));
place.addEventListener("drop", (event) => {
  event.preventDefault();
  given(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => {
  if (!place.hidden && event.clipboardData.files.length) given(event.clipboardData.files);
});
