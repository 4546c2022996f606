// The composer: classes of any models, what modhub says of them together, and what to take along.
import { isRef, keep, members as kept } from "./chosen.js";
import { best, Columns, fetched, parsed, search } from "./columns.js";
import { showCount } from "./page.js";
import { labelProblem, lines, project, repeated, verdict } from "./recipe.js";
import { announce, element, grouped, linkTo, named, percent } from "./text.js";

const page = document.getElementById("composer");
const place = page.dataset.place || "";
const longest = Number(page.dataset.longest);
const columns = new Columns(fetched(page.dataset.index));
const candidates = document.getElementById("candidates");
const list = document.getElementById("members");
const find = document.getElementById("find");
const MOST = 30;
let chosen = [];
let swapping = -1;

/** What the columns say of a name; null where there is no such module. */
async function looked(ref) {
  const [name, slug] = ref.split(":");
  const release = columns.find(name);
  if (release < 0) return null;
  for (let cls = 0; cls < columns.classes.names.length; cls += 1) {
    if (columns.slug(cls) !== slug) continue;
    await columns.loadFor([cls]);
    const modules = columns.modules(cls);
    const position = modules.releases.indexOf(release);
    if (position >= 0) return module(release, cls, modules.recall[position]);
  }
  return null;
}

function module(release, cls, recall) {
  const { releases, classes } = columns;
  const [version, range] = releases.versions[releases.version[release]];
  return {
    ref: `${releases.names[release]}:${columns.slug(cls)}`,
    name: classes.names[cls],
    contract: releases.contract[release],
    input: releases.inputs[releases.contract[release]],
    recall,
    version,
    range,
  };
}

function adapt() {
  return document.querySelector("input[name=adapt]:checked")?.value || "";
}

function save() {
  keep(chosen.map((member) => ({ ref: member.ref, label: member.label })));
  showCount();
}

function add(found) {
  if (chosen.some((member) => member.ref === found.ref)) {
    announce(`${found.ref} is in it already`);
    return;
  }
  const taken = swapping;
  if (taken >= 0) {
    const old = chosen[taken];
    chosen[taken] = { ...found, label: old.label === old.name ? found.name : old.label };
    announce(`${old.ref} was swapped for ${found.ref}`);
    stopSwapping();
  } else {
    chosen.push({ ...found, label: found.name });
    announce(`${found.ref} was added`);
  }
  save();
  draw();
  // The button that was pressed says something else now; else it stays, and keeps the focus.
  if (taken >= 0) list.querySelectorAll("input")[taken].focus();
}

/** Whatever is offered is to be added again, not to take another's place. */
function stopSwapping() {
  if (swapping < 0) return;
  swapping = -1;
  offer();
}

function remove(position) {
  const [gone] = chosen.splice(position, 1);
  stopSwapping();
  save();
  draw();
  announce(`${gone.ref} was removed`);
  (list.querySelectorAll("input")[Math.min(position, chosen.length - 1)] || find).focus();
}

function memberRow(member, position, problem, step) {
  const id = `label-${position}`;
  const label = element("input", { id, value: member.label, maxlength: longest, spellcheck: "false",
    "aria-invalid": problem ? "true" : null, "aria-describedby": `${id}-problem` });
  label.addEventListener("input", () => {
    chosen[position].label = label.value;
    save();
    redraw();
  });
  const swap = element("button", { type: "button", class: "quiet", "aria-pressed": swapping === position ? "true" : "false",
    "aria-label": `Swap ${member.ref}` }, "Swap");
  swap.addEventListener("click", () => {
    if (swapping === position) {
      stopSwapping();
      draw();
      list.children[position].querySelector("[aria-pressed]").focus();
    } else {
      swapping = position;
      draw();
      find.value = member.name;
      offer();
      find.focus();
      announce(`Pick what takes the place of ${member.ref}`);
    }
  });
  const drop = element("button", { type: "button", class: "quiet", "aria-label": `Remove ${member.ref}` }, "Remove");
  drop.addEventListener("click", () => remove(position));
  const [name, slug] = member.ref.split(":");
  return element(
    "li",
    { class: swapping === position ? "swapping" : null },
    element("div", { class: "name" }, element("label", { for: id, class: "unseen" }, `Label of ${member.ref}`), label),
    element("div", { class: "from" },
      element("a", { href: linkTo(`models/${name}/modules/${slug}.html`) }, member.ref), ` ${member.version}`,
      element("small", {}, ` ${member.input}, recall ${percent(member.recall)}`),
      step ? element("small", { class: "step" }, `adapter: ${step}`) : null,
      element("small", { class: "problem-line", id: `${id}-problem` }, problem)),
    element("div", { class: "acts" }, swap, drop),
  );
}

function judged() {
  const labels = chosen.map((member) => member.label);
  const twice = repeated(labels);
  const problems = labels.map((label, position) =>
    labelProblem(label, longest) || (twice.has(position) ? "Another class has this label." : ""),
  );
  const said = verdict(columns.fitting, chosen.map((member) => member.contract), chosen.map((member) => member.ref), adapt());
  return { problems, said };
}

/** Everything but the rows, which somebody may be typing into. */
function redraw() {
  const { problems, said } = judged();
  [...list.children].forEach((row, position) => {
    row.querySelector(".problem-line").textContent = problems[position];
    row.querySelector("input").setAttribute("aria-invalid", problems[position] ? "true" : "false");
  });
  drawLines(problems, said);
}

function draw() {
  const { problems, said } = judged();
  list.replaceChildren(...chosen.map((member, place) => memberRow(member, place, problems[place], said.steps[place])));
  document.getElementById("empty").hidden = chosen.length > 0;
  drawLines(problems, said);
}

function drawLines(problems, said) {
  const box = document.getElementById("verdict");
  box.className = `verdict ${said.ok === false ? "bad" : said.ok ? "good" : ""}`;
  box.textContent = chosen.length ? said.text : "";
  if (said.ok === false && chosen.length && !adapt() && columns.fitting.complete) {
    box.append(" ", element("span", {}, "Let adapters make them fit, or swap one of the two."));
  }
  document.getElementById("adapt").hidden = chosen.length === 0;
  const isSound = chosen.length > 0 && said.ok !== false && problems.every((problem) => !problem);
  document.getElementById("lines").hidden = !isSound;
  page.dispatchEvent(new CustomEvent("composed", { detail: isSound ? { members: chosen, adapt: adapt() } : null }));
  if (!isSound) return;
  const written = lines(chosen, adapt(), place);
  document.getElementById("line-python").textContent = written.python;
  document.getElementById("line-install").textContent = written.install;
  document.getElementById("toml").textContent = toml();
}

function toml() {
  return project(document.getElementById("project-name").value, chosen, adapt(), place);
}

async function offer() {
  const { words, input } = parsed(find.value);
  const note = document.getElementById("candidates-found");
  if (words.length === 0 && !input) {
    candidates.replaceChildren();
    note.textContent = "";
    return;
  }
  const typed = find.value;
  const hits = await search(columns, { words, input, kind: "modules" });
  if (typed !== find.value) return;
  note.textContent = `${grouped(hits.length)} modules${hits.length > MOST ? `, the best ${MOST} by recall` : ", best recall first"}`;
  candidates.replaceChildren(
    ...best(columns, hits, "recall", words, MOST).map((hit) => {
      const found = module(hit.release, hit.cls, hit.recall);
      const button = element("button", { type: "button", "aria-label": `${swapping >= 0 ? "Swap in" : "Add"} ${found.ref}` },
        swapping >= 0 ? "Swap in" : "Add");
      button.addEventListener("click", () => add(found));
      return element("li", {},
        element("div", {}, named(found.name), " ", element("span", { class: "of" }, found.ref),
          element("small", {}, `${found.input}, recall ${percent(found.recall)}`)),
        button);
    }),
  );
}

/** What the address asks to add, once. */
async function fromAddress() {
  const asked = new URLSearchParams(location.hash.slice(1)).getAll("add").filter(isRef);
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
  for (const ref of asked) {
    const found = await looked(ref);
    if (found) add(found);
    else announce(`There is no ${ref} here`);
  }
}

function download(event) {
  event.preventDefault();
  const problem = labelProblem(document.getElementById("project-name").value, longest);
  document.getElementById("project-problem").textContent = problem.replace("A label", "A name");
  if (problem) return;
  const url = URL.createObjectURL(new Blob([toml()], { type: "application/toml" }));
  element("a", { href: url, download: "modhub.toml" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
  announce("modhub.toml was downloaded");
}

async function start() {
  try {
    await columns.open();
    await columns.openFitting();
  } catch (error) {
    document.getElementById("candidates-found").textContent = `The index cannot be read: ${error.message}.`;
    return;
  }
  const lost = [];
  for (const member of kept()) {
    const found = await looked(member.ref);
    if (found) chosen.push({ ...found, label: member.label ?? found.name });
    else lost.push(member.ref);
  }
  await fromAddress();
  addEventListener("hashchange", fromAddress);
  let waiting = 0;
  find.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(offer, 40);
  });
  document.getElementById("finder").addEventListener("submit", (event) => {
    event.preventDefault();
    offer();
  });
  for (const choice of document.querySelectorAll("input[name=adapt]")) choice.addEventListener("change", draw);
  document.getElementById("project").addEventListener("submit", download);
  document.getElementById("project-name").addEventListener("input", redraw);
  document.getElementById("clear").addEventListener("click", () => {
    chosen = [];
    stopSwapping();
    save();
    draw();
    find.focus();
  });
  document.querySelector("input[name=adapt][value='']").checked = true;
  draw();
  if (lost.length) announce(`No longer here: ${lost.join(", ")}`);
}

start();
