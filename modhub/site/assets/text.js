// Text from a registry on a page. It is only ever set as text: nothing here makes HTML of a string.

const UNSEEN =
  /[\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

/** The text with what turns its direction, or cannot be seen, as <U+202E>. */
export function visible(text) {
  return String(text).replace(
    UNSEEN,
    (letter) => `<U+${letter.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}>`,
  );
}

/** An element. Properties are attributes; children are nodes, or texts. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A name from a registry: visible, and of no influence on what stands beside it. */
export function named(text) {
  return element("bdi", {}, visible(text));
}

/** A share in thousandths as people read it. */
export function percent(thousandths) {
  return thousandths < 0 ? "-" : `${(thousandths / 10).toFixed(1)}%`;
}

/** A whole number with commas. The browser's own way loads its tables of languages first, which people would wait for. */
export function grouped(count) {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** Tell who cannot see what has happened. */
export function announce(text) {
  const place = document.getElementById("announce");
  if (place) place.textContent = text;
}

/** A path inside the site as a link from this page. */
export function linkTo(path) {
  return document.documentElement.dataset.root + path.split("/").map(encodeURIComponent).join("/");
}
