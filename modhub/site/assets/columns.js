// The search files of a site: loaded as far as they are needed, and searched. No page is touched here.

export const ADVISED = 1;
export const SIGNED = 2;
export const DEPRECATED = 4;
export const PARTLY_YANKED = 8;
export const UNCHECKED = 16;
const FORMAT = 2;

export class Columns {
  /** `load` gives the value of a file by its name. */
  constructor(load) {
    this.load = load;
    this.files = new Map();
    this.classes = null;
    this.releases = null;
    this.fitting = null;
    this.opening = null;
  }

  async open() {
    const [releases] = await Promise.all([this.load("releases.json"), this.openClasses()]);
    checkFormat(releases);
    this.releases = releases;
    return this;
  }

  /** The classes alone, of which a query's files are known before the releases, which are more, are there. */
  openClasses() {
    this.opening ??= this.load("classes.json").then((classes) => {
      checkFormat(classes);
      this.texts = classes.names.map((name, cls) => {
        const slug = classes.slugs[cls];
        return slug === 0 ? name.toLowerCase() : `${name} ${slug}`.toLowerCase();
      });
      // A file has its classes in their order, so that counting gives the place of each.
      const counts = [];
      this.places = classes.files.map((file) => {
        counts[file] = (counts[file] ?? -1) + 1;
        return counts[file];
      });
      this.classes = classes;
    });
    return this.opening;
  }

  /** The tables by which the composer knows what fits, and the texts of contracts. */
  async openFitting() {
    if (this.fitting === null) this.fitting = await this.load("fitting.json");
    return this.fitting;
  }

  slug(cls) {
    const slug = this.classes.slugs[cls];
    return slug === 0 ? this.classes.names[cls] : slug;
  }

  /** Load what has the modules of these classes, all files at once. */
  async loadFor(classes) {
    const numbers = new Set(classes.map((cls) => this.classes.files[cls]));
    await Promise.all([...numbers].map((number) => this.loadFile(number)));
  }

  /** The modules of a class that was loaded: releases, recalls and precisions. */
  modules(cls) {
    const file = this.files.get(this.classes.files[cls]).value;
    const place = this.places[cls];
    let sum = 0;
    return {
      releases: file.releases[place].map((difference) => (sum += difference)),
      recall: file.recall[place],
      precision: file.precision[place],
    };
  }

  loadFile(number) {
    if (!this.files.has(number)) {
      const file = { value: null };
      file.loaded = this.load(`modules-${number}.json`).then((value) => {
        file.value = value;
      });
      this.files.set(number, file);
      file.loaded.catch(() => this.files.delete(number));
    }
    return this.files.get(number).loaded;
  }

  /** The number of a release by its model's name, -1 without one; names are sorted. */
  find(name) {
    const names = this.releases.names;
    let low = 0;
    let high = names.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (names[middle] === name) return middle;
      if (names[middle] < name) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }
}

/** A query as words, and the input that it names, such as 32x32x3. */
export function parsed(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean).slice(0, 20);
  const isInput = (word) => /^\d+(x\d+){1,2}$/.test(word);
  return { words: words.filter((word) => !isInput(word)), input: words.find(isInput) || "" };
}

/** What to show where nothing was chosen: what is sorted by a module's figure are modules, as models have none. */
export function kindOf(chosen, by, words) {
  return chosen || (words.length > 0 && (by === "recall" || by === "precision") ? "modules" : "");
}

function checkFormat(file) {
  if (file.format !== FORMAT) throw new Error("this page and its data are of different versions; reload it");
}

/** Whether a release is of the input, data set and licence that are wanted, and as sound. */
function passing({ releases }, wanted) {
  const ofSize = releases.sizes.map(
    (size) => !wanted.input || size === wanted.input || size.startsWith(`${wanted.input}x`),
  );
  return (number) => {
    if (!ofSize[releases.contract[number]]) return false;
    if (wanted.dataset && releases.datasets[releases.dataset[number]] !== wanted.dataset) return false;
    if (wanted.license && releases.licenses[releases.license[number]] !== wanted.license) return false;
    if (wanted.sound && releases.flags[number] & ADVISED) return false;
    return !wanted.signed || Boolean(releases.flags[number] & SIGNED);
  };
}

/** Whether a word is in what a release says of itself: its name, data set or keywords. */
function havingWord({ releases }, word) {
  const isIn = (text) => text.toLowerCase().includes(word);
  const ofDataset = releases.datasets.map(isIn);
  const ofKeyword = releases.keyword.map(isIn);
  const ofKeywords = releases.keyword_lists.map((list) => list.some((keyword) => ofKeyword[keyword]));
  return (number) =>
    releases.names[number].includes(word) ||
    ofDataset[releases.dataset[number]] ||
    ofKeywords[releases.keywords[number]];
}

/** The classes whose modules a query is about: all of them where it has no words, else those with one of its words. */
function classesFor(columns, wanted) {
  const { words, kind } = wanted;
  if (kind === "models" || (words.length === 0 && kind !== "modules")) return [];
  const all = [...columns.texts.keys()];
  return words.length === 0 ? all : all.filter((cls) => words.some((word) => columns.texts[cls].includes(word)));
}

/** Start to load what `search` will need, while the releases are still on their way. */
export async function prepare(columns, wanted) {
  await columns.openClasses();
  await columns.loadFor(classesFor(columns, wanted));
}

/**
 * What matches: models whose own text has every word, else the modules of theirs whose class brings in the rest.
 *
 * `wanted`: {words, input, dataset, license, sound, signed, kind: "" | "modules" | "models"}.
 * Hits are {release, cls: -1 for a model, recall, precision}.
 */
export async function search(columns, wanted) {
  const { words, kind } = wanted;
  const classes = classesFor(columns, wanted);
  await columns.loadFor(classes);
  const passes = passing(columns, wanted);
  const hasWord = words.map((word) => havingWord(columns, word));
  const hits = [];
  const whole = new Set();
  if (kind !== "modules") {
    for (let number = 0; number < columns.releases.names.length; number += 1) {
      if (!passes(number) || !hasWord.every((has) => has(number))) continue;
      whole.add(number);
      hits.push({ release: number, cls: -1, recall: -1, precision: -1 });
    }
  }
  for (const cls of classes) {
    const rest = hasWord.filter((_, place) => !columns.texts[cls].includes(words[place]));
    const { releases, recall, precision } = columns.modules(cls);
    for (let place = 0; place < releases.length; place += 1) {
      const number = releases[place];
      if (whole.has(number) || !passes(number) || !rest.every((has) => has(number))) continue;
      hits.push({ release: number, cls, recall: recall[place], precision: precision[place] });
    }
  }
  return hits;
}

/** By what hits can be sorted, best first: the figure of one. */
const VALUES = {
  recall: (columns, hit) => hit.recall,
  precision: (columns, hit) => hit.precision,
  top1: (columns, hit) => columns.releases.top1[hit.release],
  size: (columns, hit) => -columns.releases.bytes[hit.release],
};

/** Whether the words are, or have in them, all of the class's name, or its slug. */
function isNamed(columns, cls, words) {
  const parts = columns.classes.names[cls].toLowerCase().split(/\s+/).filter(Boolean);
  return words.includes(columns.slug(cls).toLowerCase()) || (parts.length > 0 && parts.every((part) => words.includes(part)));
}

/** What a hit is sorted by: a rank, low first; a figure, high first; and its name. */
function keysBy(columns, by, words) {
  const exact = new Map();
  const isExact = ({ cls }) => {
    if (!exact.has(cls)) exact.set(cls, cls >= 0 && isNamed(columns, cls, words));
    return exact.get(cls);
  };
  const isModelNamed = ({ release }) => words.some((word) => columns.releases.names[release].includes(word));
  const ranks = {
    "": (hit) => (hit.cls < 0 ? (isModelNamed(hit) ? 0 : 2) : isExact(hit) ? 1 : 3),
    recall: (hit) => (isExact(hit) ? 0 : 1),
    precision: (hit) => (isExact(hit) ? 0 : 1),
  };
  const rank = ranks[by] ?? (() => 0);
  const value = VALUES[by || "recall"] ?? (() => 0);
  return (hit) => ({ hit, rank: rank(hit), value: value(columns, hit) });
}

function compared(a, b) {
  return a.rank - b.rank || b.value - a.value || a.hit.release - b.hit.release || a.hit.cls - b.hit.cls;
}

/**
 * Hits in order: by a figure, best first; by name; or models that match by name first, then modules by recall.
 *
 * By a module's figure, classes whose whole name was typed come before those that have it in theirs.
 */
export function sorted(columns, hits, by, words) {
  return hits.map(keysBy(columns, by, words)).sort(compared).map(({ hit }) => hit);
}

/** The first of `sorted`, `most` of them, without sorting the others: of 100,000 that takes longer than finding them. */
export function best(columns, hits, by, words, most) {
  const keys = keysBy(columns, by, words);
  const first = [];
  for (const hit of hits) {
    const own = keys(hit);
    let place = first.length;
    while (place > 0 && compared(own, first[place - 1]) < 0) place -= 1;
    if (place === most) continue;
    first.splice(place, 0, own);
    if (first.length > most) first.pop();
  }
  return first.map(({ hit }) => hit);
}

/** Loads files of a folder, of this site alone; those that `early.js` has begun to load are taken from there, once. */
export function fetched(folder) {
  return async (name) => {
    const url = new URL(`${folder}/${name}`, location.href).href;
    const begun = globalThis.modhubEarly?.get(url);
    if (begun) {
      globalThis.modhubEarly.delete(url);
      try {
        return await begun;
      } catch {
        // It is asked for again, to be told why.
      }
    }
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(`${name} cannot be loaded (${answer.status})`);
    return answer.json();
  };
}
