// Pictures drawn from data: the photo as the classifier takes it, and over it where each module sees its class.
import { element, named, visible } from "./text.js";

const AGAINST = [84, 39, 136];
const FOR = [204, 88, 9];
const SIDE = 132;

function canvas(width, height, name) {
  return element("canvas", { width, height, role: "img", "aria-label": name });
}

function bitmap(photo, grey) {
  const bytes = Uint8Array.from(atob(photo.rgb), (letter) => letter.charCodeAt(0));
  const made = canvas(photo.width, photo.height, "");
  const image = made.getContext("2d").createImageData(photo.width, photo.height);
  for (let pixel = 0; pixel < photo.width * photo.height; pixel += 1) {
    const [red, green, blue] = bytes.subarray(3 * pixel, 3 * pixel + 3);
    const light = 0.299 * red + 0.587 * green + 0.114 * blue;
    image.data.set(grey ? [light, light, light, 255] : [red, green, blue, 255], 4 * pixel);
  }
  made.getContext("2d").putImageData(image, 0, 0);
  return made;
}

/** The scale of a photo on the screen: whole pixels, so that what the network sees is seen. */
function scaleOf(photo) {
  return Math.max(1, Math.round(SIDE / Math.max(photo.width, photo.height)));
}

/** The photo as the classifier takes it. */
export function drawPhoto(photo) {
  const scale = scaleOf(photo);
  const made = canvas(photo.width * scale, photo.height * scale, `The photo as the classifier takes it, ${photo.height} x ${photo.width} pixels`);
  const context = made.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(bitmap(photo, false), 0, 0, made.width, made.height);
  return made;
}

/** Figures, one a map, on one common scale, and what the colours mean. */
export function drawMaps(maps, photo) {
  if (!maps.length) return [];
  const most = Math.max(...maps.flatMap((map) => map.parts.flat().map(Math.abs))) || 1;
  const under = bitmap(photo, true);
  return [element("div", { class: "maps" }, ...maps.map((map) => figure(map, photo, under, most))), legend(maps, most)];
}

function figure(map, photo, under, most) {
  const scale = scaleOf(photo);
  const made = canvas(photo.width * scale, photo.height * scale, described(map));
  const context = made.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(under, 0, 0, made.width, made.height);
  const { top, left, height, width } = map.box;
  const over = heat(map.parts, most);
  context.drawImage(over, left * made.width, top * made.height, width * made.width, height * made.height);
  return element("figure", {}, made, element("figcaption", {}, named(map.label), ` ${map.counted.toFixed(2)}`));
}

function heat(parts, most) {
  const made = canvas(parts[0].length, parts.length, "");
  const context = made.getContext("2d");
  const image = context.createImageData(made.width, made.height);
  parts.flat().forEach((value, position) => {
    const strength = Math.min(1, Math.abs(value) / most);
    image.data.set([...(value < 0 ? AGAINST : FOR), Math.round(200 * strength ** 0.75)], 4 * position);
  });
  context.putImageData(image, 0, 0);
  return made;
}

/** Where the map is strongest, in words, for those who do not see it. */
function described(map) {
  const rows = map.parts.length;
  const columns = map.parts[0].length;
  const values = map.parts.flat();
  const best = values.indexOf(Math.max(...values));
  const third = (position, count, names) => names[Math.min(2, Math.floor((3 * (position + 0.5)) / count))];
  const row = third(Math.floor(best / columns), rows, ["top", "middle", "bottom"]);
  const column = third(best % columns, columns, ["left", "centre", "right"]);
  const most = values[best];
  if (most <= 0) return `${visible(map.label)}: nothing in the photo speaks for it`;
  return `${visible(map.label)}: most speaks for it at the ${row}, ${column}`;
}

function legend(maps, most) {
  const key = (name) => element("span", { class: `key ${name}`, "aria-hidden": "true" });
  const how = maps.every((map) => map.exact)
    ? "Exact: the parts and a bias add up to the margin."
    : "Gradient times activation, an approximation.";
  return element("p", { class: "note legend" },
    key("for"), "speaks for the class, ", key("against"), `against it; full at ${most.toPrecision(2)}. ${how}`);
}
