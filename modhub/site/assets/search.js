// The search page: what is typed and chosen, in the address too, and what was found.
import {
  ADVISED, best, Columns, DEPRECATED, fetched, kindOf, parsed, PARTLY_YANKED, prepare, search, SIGNED, sorted, UNCHECKED,
} from "./columns.js";
import { element, grouped, linkTo, named, percent, visible } from "./text.js";

/** Rows that are made before anybody looks: those of a screen, since an answer waits for them. */
const FIRST = 20;
const PAGE = 50;
const form = document.getElementById("search");
const input = document.getElementById("q");
const list = document.getElementById("results");
const found = document.getElementById("found");
const more = document.getElementById("more");
// No `dataset`, which is the field of that name here.
const columns = new Columns(fetched(form.getAttribute("data-index")));
let hits = [];
/** All hits in order, which nobody waits for who looks at the first. */
let ordered = () => [];
let shown = 0;
let asked = 0;

/** A text to sort by, in which numbers come by their size. */
function orderOf(text) {
  return text.toLowerCase().replace(/\d+/g, (digits) => digits.padStart(15, "0"));
}

function fill(name, values) {
  const select = form.elements[name];
  const keyed = [...new Set(values)].filter(Boolean).map((value) => [orderOf(value), value]);
  const known = keyed.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, value]) => value);
  for (const value of known.slice(0, 500)) select.append(element("option", { value }, visible(value)));
}

function flags(number) {
  const bits = columns.releases.flags[number];
  const mark = (bit, text, kind = "") => (bits & bit ? element("span", { class: `flag ${kind}` }, text) : null);
  return [
    mark(ADVISED, "advisory", "warn"),
    mark(DEPRECATED, "deprecated"),
    mark(PARTLY_YANKED, "some classes yanked"),
    mark(SIGNED, "signed", "good"),
    mark(UNCHECKED, "signed by a key unknown here"),
  ];
}

function row(hit) {
  const { releases, classes } = columns;
  const name = releases.names[hit.release];
  const isModule = hit.cls >= 0;
  const slug = isModule ? columns.slug(hit.cls) : "";
  const path = isModule ? `models/${name}/modules/${slug}.html` : `models/${name}/index.html`;
  const title = isModule
    ? [named(classes.names[hit.cls]), " ", element("span", { class: "of" }, `${name}:${slug}`)]
    : [name];
  const license = releases.license[hit.release];
  const facts = [
    isModule ? null : `${grouped(releases.classes[hit.release])} classes`,
    named(releases.datasets[releases.dataset[hit.release]]),
    releases.inputs[releases.contract[hit.release]],
    license < 0 ? null : named(releases.licenses[license]),
    releases.registries.length > 1 ? named(releases.registries[releases.registry[hit.release]]) : null,
  ].filter(Boolean);
  const figures = isModule
    ? [element("span", {}, element("b", {}, percent(hit.recall)), " recall"),
       element("span", {}, element("b", {}, percent(hit.precision)), " precision")]
    : [element("span", {}, element("b", {}, percent(releases.top1[hit.release])), " top-1")];
  const item = element(
    "li",
    {},
    element("div", { class: "what" },
      element("a", { href: linkTo(path) }, ...title), " ",
      element("span", { class: "version" }, releases.versions[releases.version[hit.release]][0]),
      ...flags(hit.release)),
    element("div", { class: "facts" }, ...facts.flatMap((fact, place) => (place ? [" · ", fact] : [fact]))),
    element("div", { class: "figures" }, ...figures,
      isModule
        ? element("a", { class: "add", href: `${linkTo("compose.html")}#add=${encodeURIComponent(`${name}:${slug}`)}`,
                         "aria-label": `Add ${slug} of ${name} to the composer` }, "+ compose")
        : null),
  );
  return item;
}

function show(next) {
  list.append(...next.map(row));
  shown += next.length;
  more.hidden = shown >= hits.length;
}

function showMore() {
  if (shown === FIRST) hits = ordered();
  show(hits.slice(shown, shown + PAGE));
}

function wanted() {
  const value = (name) => form.elements[name].value;
  const { words, input: typed } = parsed(input.value);
  return {
    words,
    input: value("input") || typed,
    dataset: value("dataset"),
    license: value("license"),
    sound: form.elements.sound.checked,
    signed: form.elements.signed.checked,
    kind: kindOf(value("kind"), value("sort"), words),
  };
}

function address() {
  const entries = [...new FormData(form)].filter(([, value]) => value !== "");
  const query = new URLSearchParams(entries).toString();
  history.replaceState(null, "", query ? `?${query}` : location.pathname);
}

async function run() {
  const own = (asked += 1);
  const what = wanted();
  form.setAttribute("aria-busy", "true");
  try {
    const result = await search(columns, what);
    if (own !== asked) return;
    const by = form.elements.sort.value;
    hits = result;
    ordered = () => sorted(columns, result, by, what.words);
    shown = 0;
    list.replaceChildren();
    show(best(columns, result, by, what.words, FIRST));
    const modules = hits.filter((hit) => hit.cls >= 0).length;
    const models = hits.length - modules;
    const count = (number, name) => `${grouped(number)} ${name}${number === 1 ? "" : "s"}`;
    const parts = [models || !modules ? count(models, "model") : "", modules ? count(modules, "module") : ""];
    found.textContent = parts.filter(Boolean).join(", ");
    if (!performance.getEntriesByName("first-answer").length) performance.mark("first-answer");
  } catch (error) {
    if (own === asked) found.textContent = `Searching failed: ${error.message}.`;
  } finally {
    if (own === asked) form.removeAttribute("aria-busy");
  }
}

/** Take these fields from the address. */
function restore(names) {
  for (const [name, value] of new URLSearchParams(location.search)) {
    if (!names.includes(name)) continue;
    const field = form.elements[name];
    if (field.type === "checkbox") field.checked = value === "1";
    else if (field.tagName !== "SELECT" || [...field.options].some((option) => option.value === value)) field.value = value;
  }
}

function keys(event) {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    input.focus();
    input.select();
  }
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const links = [...list.querySelectorAll(".what a")];
  const place = links.indexOf(document.activeElement);
  if (place < 0 && document.activeElement !== input) return;
  event.preventDefault();
  const next = place + (event.key === "ArrowDown" ? 1 : -1);
  if (next < 0) input.focus();
  else links[Math.min(next, links.length - 1)]?.focus();
}

async function start() {
  restore(["q", "kind", "sort", "sound", "signed"]);
  // What fails here fails again, and is told, when the search waits for it.
  prepare(columns, wanted()).catch(() => {});
  try {
    await columns.open();
  } catch (error) {
    found.textContent = `The index cannot be read: ${error.message}.`;
    return;
  }
  fill("input", columns.releases.sizes);
  fill("dataset", columns.releases.datasets);
  fill("license", columns.releases.licenses);
  restore(["input", "dataset", "license"]);
  let waiting = 0;
  const later = () => {
    // Letters that were typed while a search was running are answered once.
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      run();
      address();
    }, 0);
  };
  form.addEventListener("input", later);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(waiting);
    address();
    run();
  });
  more.addEventListener("click", () => {
    const place = shown;
    showMore();
    list.querySelectorAll(".what a")[place]?.focus();
  });
  document.addEventListener("keydown", keys);
  await run();
}

start();
