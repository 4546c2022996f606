// What the composer says and writes. It decides nothing: what fits is looked up in the tables that modhub made.

export const NO_JOINT = -1;

/**
 * What modhub says of these contracts together, by their numbers in `tables`: {ok, text, steps: [text by member]}.
 *
 * `adapt` is "" or a way to adapt. A word that begins with "!" says why there is no adapter.
 */
export function verdict(tables, contracts, names, adapt) {
  if (contracts.length === 0) return { ok: false, text: "", steps: [] };
  if (!adapt) return sameInput(tables, contracts, names);
  if (!tables.complete) {
    return { ok: null, text: "This registry has too many inputs to say it here; modhub compose says it.", steps: [] };
  }
  let joint = tables.alone[contracts[0]];
  for (const contract of contracts.slice(1)) if (joint !== NO_JOINT) joint = tables.joined[joint][contract];
  if (joint === NO_JOINT || contracts.some((contract) => tables.alone[contract] === NO_JOINT)) {
    return { ok: false, text: tables.no_joint, steps: [] };
  }
  const words = contracts.map((contract) => tables.adapters[adapt][joint][contract]);
  const steps = words.map((word) => (word < 0 ? "" : tables.words[word]));
  const refused = steps.findIndex((step) => step.startsWith("!"));
  if (refused >= 0) {
    return { ok: false, text: steps[refused].slice(1).replace("this module", names[refused]), steps: [] };
  }
  return { ok: true, text: `It takes ${tables.joints[joint]}.`, steps };
}

function sameInput(tables, contracts, names) {
  const [first] = contracts;
  const other = contracts.findIndex((contract) => tables.groups[contract] !== tables.groups[first]);
  if (other < 0) return { ok: true, text: `All take ${tables.texts[first]}.`, steps: [] };
  const groups = Math.max(...tables.groups) + 1;
  const reason = tables.reasons[tables.groups[first] * groups + tables.groups[contracts[other]]];
  const why = reason ? `: ${reason}` : "";
  return { ok: false, text: `Cannot compose ${names[0]} with ${names[other]}${why}.`, steps: [] };
}

/** Why this cannot be a label, or nothing. */
export function labelProblem(label, longest) {
  if (!label.trim()) return "A label cannot be empty.";
  if ([...label].length > longest) return `A label has at most ${longest} characters.`;
  if (/[\u0000-\u001f\u007f-\u009f]/.test(label) || !label.isWellFormed()) return "A label has no control characters.";
  return "";
}

/** Positions of labels that another one equals. */
export function repeated(labels) {
  const seen = new Map();
  const found = new Set();
  labels.forEach((label, position) => {
    const key = label.normalize("NFC");
    if (seen.has(key)) found.add(position).add(seen.get(key));
    else seen.set(key, position);
  });
  return found;
}

/** A text as TOML and Python both write it: in double quotes, with escapes that both know. */
export function quoted(text) {
  return JSON.stringify(text).replace(/[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, (letter) =>
    `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** What a shell takes as one word. */
export function shellWord(text) {
  return /^[A-Za-z0-9@%+=:,./_-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`;
}

/** The lines to copy. `members` are {ref, label, name}, name the class's own; `place` the registry's URL, or "". */
export function lines(members, adapt, place) {
  const refs = members.map((member) => quoted(member.ref)).join(", ");
  const options = (adapt ? `, adapt=${quoted(adapt)}` : "") + (place ? `, registry=${quoted(place)}` : "");
  const renamed = renames(members).map(([from, to]) => `.rename(${quoted(from)}, ${quoted(to)})`).join("");
  const registry = place ? ` --registry ${shellWord(place)}` : "";
  return {
    python: `modhub.compose([${refs}]${options})${renamed}`,
    install: `modhub install ${members.map((member) => shellWord(member.ref)).join(" ")}${registry}`,
  };
}

/**
 * From which label to which, in an order in which every label is free when a class gets it.
 *
 * A class has its own name until it is renamed; where two have one, a composite calls them by their full names.
 */
export function renames(members) {
  const own = members.map((member) => member.name);
  const wanted = members.map((member) => member.label);
  const found = [];
  const give = (position, label) => {
    const isAlone = own.filter((each) => each === own[position]).length === 1;
    found.push([isAlone ? own[position] : members[position].ref, label]);
    own[position] = label;
  };
  for (;;) {
    const left = own.map((_, position) => position).filter((position) => own[position] !== wanted[position]);
    if (left.length === 0) return found;
    const free = left.find((position) => !own.includes(wanted[position]));
    if (free !== undefined) give(free, wanted[free]);
    else give(left[0], `${wanted[left[0]]} of ${members[left[0]].ref}`);
  }
}

/** A modhub.toml of these members, {ref, label, range}. */
export function project(name, members, adapt, place) {
  const head = ["[project]", `name = ${quoted(name)}`];
  if (place) head.push(`registries = [${quoted(place)}]`);
  if (adapt) head.push(`adapt = ${quoted(adapt)}`);
  const classes = members.map((member) => `${key(member.label)} = ${quoted(`${member.ref}@${member.range}`)}`);
  return `${[...head, "", "[classes]", ...classes].join("\n")}\n`;
}

function key(label) {
  return /^[A-Za-z0-9_-]+$/.test(label) ? label : quoted(label);
}
