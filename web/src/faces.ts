/** The list of faces beside the picture: for each a line that opens, with a table of its probabilities. */

import { classNames, figure, percent, type Row } from "./backend";
import { colourOf } from "./colours";
import { byId, clock, make } from "./dom";

const OPEN = 2; // faces whose tables are open from the beginning

/** A face and what is said of it: of a picture its row, of a clip the means over its rows. */
export interface Face {
  name: string;
  row: Row;
  /** When a face of a clip was seen. */
  when?: string;
}

export class FaceList {
  private readonly list = byId<HTMLOListElement>("faces");
  private shown = 0;

  /** @param onSelect is called with the place of the face that is opened or reached by the keyboard */
  constructor(private readonly onSelect: (place: number) => void) {}

  /** Show faces. With as many faces as before the elements stay, so that the keyboard's place is kept. */
  show(faces: Face[]): void {
    if (faces.length !== this.shown || faces.length === 0) {
      this.list.replaceChildren(...faces.map((_, place) => this.item(place)));
      this.shown = faces.length;
    }
    faces.forEach((face, place) => fill(this.list.children[place] as HTMLElement, face));
  }

  /** Open a face's table and go there. */
  open(place: number): void {
    const details = this.list.children[place]?.querySelector("details");
    if (!details) return;
    details.open = true;
    details.querySelector("summary")?.focus();
  }

  private item(place: number): HTMLElement {
    const summary = make("summary");
    const table = make("table", {}, make("caption"), make("tbody"));
    const details = make("details", {}, summary, table);
    details.open = place < OPEN;
    summary.addEventListener("focus", () => this.onSelect(place));
    summary.addEventListener("pointerenter", () => this.onSelect(place));
    return make("li", {}, details);
  }
}

function fill(item: HTMLElement, face: Face): void {
  const { row } = face;
  const answer = `${row.expression}, ${percent(figure(row, "confidence"))}`;
  const [summary, table] = [item.querySelector("summary"), item.querySelector("table")] as [HTMLElement, HTMLTableElement];
  summary.textContent = `${face.name}: ${answer}${face.when ? ` (${face.when})` : ""}`;
  if (table.caption) table.caption.textContent = `Probabilities of ${face.name.toLowerCase()}`;
  const classes = classNames(row);
  const ranked = [...classes].sort((one, other) => figure(row, other) - figure(row, one));
  const lines = ranked.map((name) => {
    const bar = make("div", { class: "bar" });
    bar.style.width = percent(figure(row, name));
    bar.style.backgroundColor = colourOf(name, classes);
    const track = make("td", { class: "track", "aria-hidden": "true" }, bar);
    return make("tr", {}, make("th", { scope: "row" }, name), track, make("td", {}, percent(figure(row, name))));
  });
  table.tBodies[0].replaceChildren(...lines);
}

/** Return the faces of a picture. */
export function facesOfPicture(rows: Row[]): Face[] {
  return rows.map((row, place) => ({ name: `Face ${place + 1}`, row }));
}

/** Return the faces of a clip, by their track, in the order in which they were first seen. */
export function facesOfClip(rows: Row[]): Face[] {
  return [...tracksOf(rows)].map(([track, own]) => {
    const classes = classNames(own[0]);
    const means = Object.fromEntries(
      classes.map((name) => [name, own.reduce((sum, row) => sum + figure(row, name), 0) / own.length]),
    );
    const expression = classes.reduce((one, other) => (means[other] > means[one] ? other : one));
    const row = { expression, confidence: means[expression], ...means };
    const times = own.map((row) => figure(row, "seconds"));
    const when = `${clock(Math.min(...times))} to ${clock(Math.max(...times))}`;
    return { name: `Face #${track}`, row, when };
  });
}

/** Return the rows of each track. */
export function tracksOf(rows: Row[]): Map<number, Row[]> {
  const tracks = new Map<number, Row[]>();
  for (const row of rows) {
    const track = figure(row, "track");
    tracks.set(track, [...(tracks.get(track) ?? []), row]);
  }
  return tracks;
}
