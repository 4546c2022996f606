// Which classes somebody has picked, kept in this browser alone: [{ref, label}], ref is namespace/model:class.

const KEY = "modhub-composer";
const REF = /^[a-z0-9][a-z0-9._-]*\/[a-z0-9][a-z0-9._-]*:[a-z0-9][a-z0-9._-]*$/;
const MOST = 500;
let here = [];

export function isRef(text) {
  return REF.test(text) && text.length <= 320;
}

/** What is kept, as far as it is what we keep. */
export function members() {
  let found = here;
  try {
    found = JSON.parse(localStorage.getItem(KEY) || "[]");
  } catch {
    // A browser that keeps nothing has it for this page.
  }
  if (!Array.isArray(found)) return [];
  return found
    .filter((each) => each && typeof each.ref === "string" && isRef(each.ref))
    .map((each) => ({ ref: each.ref, label: typeof each.label === "string" ? each.label.slice(0, 500) : null }))
    .slice(0, MOST);
}

export function keep(list) {
  here = list.slice(0, MOST);
  try {
    localStorage.setItem(KEY, JSON.stringify(here));
  } catch {
    // As above.
  }
}
