// The search files of a site: loaded as far as they are needed, and searched. No page is touched here.

export const ADVISED = 1;
export const SIGNED = 2;
export const DEPRECATED = 4;
export const PARTLY_YANKED = 8;
export const UNCHECKED = 16;
const FORMAT = 1;

export class Columns {
  /** `load` gives the value of a file by its name. */
  constructor(load) {
    this.load = load;
    this.shards = new Map();
    this.abouts = new Map();
  }

  async open() {
    const [releases, classes] = await Promise.all([this.load("releases.json"), this.load("classes.json")]);
    if (releases.format !== FORMAT || classes.format !== FORMAT) {
      throw new Error("this page and its data are of different versions; reload it");
    }
    this.releases = releases;
    this.classes = classes;
    this.fitting = null;
    this.about = releases.names.map((name, number) => {
      const keywords = releases.keywords[number].map((keyword) => releases.keyword[keyword]);
      return [name, releases.datasets[releases.dataset[number]], ...keywords].join(" ").toLowerCase();
    });
    this.classTexts = classes.names.map((name, number) => {
      const slug = classes.slugs[number];
      return slug === 0 ? name.toLowerCase() : `${name} ${slug}`.toLowerCase();
    });
    return this;
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

  /** The modules of a class: releases, recalls and precisions. */
  async modulesOf(cls) {
    const number = this.shardOf(cls);
    const columns = await this.shard(number);
    return columns[cls - this.classes.shards[number]];
  }

  /** The file that has the modules of a class. */
  shardOf(cls) {
    const starts = this.classes.shards;
    let number = starts.length - 1;
    while (starts[number] > cls) number -= 1;
    return number;
  }

  /** Load what has the modules of these classes, all files at once. */
  async loadFor(classes) {
    await Promise.all([...new Set(classes.map((cls) => this.shardOf(cls)))].map((number) => this.shard(number)));
  }

  shard(number) {
    if (!this.shards.has(number)) {
      const loaded = this.load(`modules-${number}.json`).then((file) =>
        file.releases.map((differences, position) => {
          let sum = 0;
          return {
            releases: differences.map((each) => (sum += each)),
            recall: file.recall[position],
            precision: file.precision[position],
          };
        }),
      );
      this.shards.set(number, loaded);
      loaded.catch(() => this.shards.delete(number));
    }
    return this.shards.get(number);
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

function passes(columns, sizes, wanted, number) {
  const { releases } = columns;
  const size = sizes[releases.contract[number]];
  if (wanted.input && size !== wanted.input && !size.startsWith(`${wanted.input}x`)) return false;
  if (wanted.dataset && releases.datasets[releases.dataset[number]] !== wanted.dataset) return false;
  if (wanted.license && releases.licenses[releases.license[number]] !== wanted.license) return false;
  if (wanted.sound && releases.flags[number] & ADVISED) return false;
  if (wanted.signed && !(releases.flags[number] & SIGNED)) return false;
  return true;
}

/**
 * What matches: models whose own text has every word, else the modules of theirs whose class brings in the rest.
 *
 * `wanted`: {words, input, dataset, license, sound, signed, kind: "" | "modules" | "models"}.
 * Hits are {release, cls: -1 for a model, recall, precision}.
 */
export async function search(columns, wanted) {
  const sizes = columns.releases.sizes;
  const fits = columns.about.map((_, number) => passes(columns, sizes, wanted, number));
  const byRelease = wanted.words.map((word) => columns.about.map((text) => text.includes(word)));
  const byClass = wanted.words.map((word) => columns.classTexts.map((text) => text.includes(word)));
  const hits = [];
  const whole = new Set();
  if (wanted.kind !== "modules") {
    columns.about.forEach((_, number) => {
      if (fits[number] && byRelease.every((found) => found[number])) {
        whole.add(number);
        hits.push({ release: number, cls: -1, recall: -1, precision: -1 });
      }
    });
  }
  if (wanted.kind === "models" || (wanted.words.length === 0 && wanted.kind !== "modules")) return hits;
  const classes = columns.classes.names
    .map((_, cls) => cls)
    .filter((cls) => wanted.words.length === 0 || byClass.some((found) => found[cls]));
  await columns.loadFor(classes);
  for (const cls of classes) {
    const { releases, recall, precision } = await columns.modulesOf(cls);
    releases.forEach((number, position) => {
      if (!fits[number] || whole.has(number)) return;
      if (!wanted.words.every((_, word) => byRelease[word][number] || byClass[word][cls])) return;
      hits.push({ release: number, cls, recall: recall[position], precision: precision[position] });
    });
  }
  return hits;
}

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

/**
 * Hits in order: by a figure, best first; by name; or models that match by name first, then modules by recall.
 *
 * By a module's figure, classes whose whole name was typed come before those that have it in theirs.
 */
export function sorted(columns, hits, by, words) {
  const byName = (a, b) => a.release - b.release || a.cls - b.cls;
  const value = VALUES[by];
  const exact = new Map();
  const named = (hit) => {
    if (hit.cls < 0) return false;
    if (!exact.has(hit.cls)) exact.set(hit.cls, isNamed(columns, hit.cls, words));
    return exact.get(hit.cls);
  };
  if (value) {
    const isFirst = by === "recall" || by === "precision" ? named : () => false;
    const keyed = hits.map((hit) => [value(columns, hit), isFirst(hit) ? 0 : 1, hit]);
    return keyed.sort(([a, i, one], [b, j, other]) => i - j || b - a || byName(one, other)).map(([, , hit]) => hit);
  }
  if (by === "name") return [...hits].sort(byName);
  const rank = (hit) => {
    if (hit.cls < 0) return words.some((word) => columns.releases.names[hit.release].includes(word)) ? 0 : 2;
    return named(hit) ? 1 : 3;
  };
  const keyed = hits.map((hit) => [rank(hit), hit]);
  return keyed.sort(([a, one], [b, other]) => a - b || other.recall - one.recall || byName(one, other)).map(([, h]) => h);
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
