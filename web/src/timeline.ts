/** The timeline of a clip: a band for each face, its colours the expressions it shows, their heights the probabilities. */

import { classNames, figure, type Row } from "./backend";
import { colourOf } from "./colours";
import { tracksOf } from "./faces";
import { byId, make } from "./dom";

const [WIDTH, HEIGHT] = [1000, 60]; // of a band, in units that the page stretches
const SVG = "http://www.w3.org/2000/svg";
const GAP = 1.0; // seconds without the face, from which on its band is interrupted

/** Show the timeline of a clip's rows; `onSeek` is called with the seconds that are clicked at. */
export function showTimeline(rows: Row[], duration: number, onSeek: (seconds: number) => void): void {
  const classes = rows.length ? classNames(rows[0]) : [];
  const bands = [...tracksOf(rows)].map(([track, own]) => {
    const picture = band(own, classes, duration);
    picture.addEventListener("click", (event) => {
      const { left, width } = picture.getBoundingClientRect();
      onSeek(((event.clientX - left) / width) * duration);
    });
    return make("div", { class: "band" }, make("span", {}, `#${track}`), picture);
  });
  const legend = classes.map((name) => {
    const spot = make("span", { class: "spot" });
    spot.style.backgroundColor = colourOf(name, classes);
    return make("span", {}, spot, name);
  });
  byId("bands").replaceChildren(...bands);
  byId("legend").replaceChildren(...legend);
  byId("timeline").hidden = bands.length === 0;
}

/** Move the line that tells the clip's time. */
export function showTime(share: number): void {
  document.querySelectorAll(".band .now").forEach((line) => {
    line.setAttribute("x1", String(share * WIDTH));
    line.setAttribute("x2", String(share * WIDTH));
  });
}

function band(rows: Row[], classes: string[], duration: number): SVGElement {
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  picture.append(svg("rect", { class: "ground", width: String(WIDTH), height: String(HEIGHT) }));
  for (const run of runs(rows)) {
    const from = new Array<number>(run.length).fill(0);
    for (const name of classes) {
      const to = run.map((row, place) => from[place] + figure(row, name));
      picture.append(layer(run, from, to, duration, colourOf(name, classes)));
      to.forEach((value, place) => (from[place] = value));
    }
  }
  picture.append(svg("line", { class: "now", x1: "0", x2: "0", y1: "0", y2: String(HEIGHT) }));
  return picture;
}

/** Return the stretches in which a face was seen without a gap. */
function runs(rows: Row[]): Row[][] {
  const found: Row[][] = [];
  let last = -Infinity;
  for (const row of [...rows].sort((one, other) => figure(one, "seconds") - figure(other, "seconds"))) {
    if (figure(row, "seconds") - last > GAP) found.push([]);
    found[found.length - 1].push(row);
    last = figure(row, "seconds");
  }
  return found;
}

/** Return the area of one class between the sums of those below it and its own. */
function layer(run: Row[], from: number[], to: number[], duration: number, colour: string): SVGElement {
  const x = run.map((row) => (figure(row, "seconds") / duration) * WIDTH);
  if (x.length === 1) x.push(x[0] + 2); // one frame is seen as well
  const y = (values: number[], place: number): number => HEIGHT * (1 - values[Math.min(place, values.length - 1)]);
  const upper = x.map((across, place) => `${across.toFixed(1)},${y(to, place).toFixed(1)}`);
  const lower = x.map((across, place) => `${across.toFixed(1)},${y(from, place).toFixed(1)}`);
  return svg("polygon", { points: [...upper, ...lower.reverse()].join(" "), fill: colour });
}

function svg(tag: string, attributes: Record<string, string>): SVGElement {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
