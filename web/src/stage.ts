/** What stands on the page in large: a picture, or the frame that a clip is at, with its faces marked. */

import { annotate } from "./annotate";
import type { Row } from "./backend";
import { byId } from "./dom";

export const MOST_PIXELS = 16_000_000; // of a canvas: phones allow hardly more
const [SHORTEST, LONGEST] = [320, 1024]; // pixels: smaller pictures are enlarged, so that words fit, but not beyond

export class Stage {
  readonly canvas = byId<HTMLCanvasElement>("picture");
  /** The rows that are drawn. */
  rows: Row[] = [];
  /** The size that the rows count in, in pixels. */
  width = 1;
  height = 1;
  private ground: CanvasImageSource | undefined;
  private selected = -1;

  /** Take a picture, or the frame that a clip is at, as what is drawn on. */
  show(ground: HTMLCanvasElement | HTMLVideoElement): void {
    this.ground = ground;
    if (ground instanceof HTMLVideoElement) this.setSize(ground.videoWidth, ground.videoHeight);
    else this.setSize(ground.width, ground.height);
  }

  /** Say in which size the rows count. */
  setSize(width: number, height: number): void {
    [this.width, this.height] = [width, height];
  }

  select(place: number): void {
    if (place === this.selected) return;
    this.selected = place;
    this.draw(this.rows);
  }

  draw(rows: Row[]): void {
    if (!this.ground) return;
    if (rows !== this.rows && rows.length !== this.rows.length) this.selected = -1;
    this.rows = rows;
    const scale = this.scale();
    const [width, height] = [Math.round(this.width * scale), Math.round(this.height * scale)];
    if (this.canvas.width !== width || this.canvas.height !== height) {
      [this.canvas.width, this.canvas.height] = [width, height];
    }
    const brush = this.canvas.getContext("2d") as CanvasRenderingContext2D;
    brush.drawImage(this.ground, 0, 0, width, height);
    annotate(brush, rows, scale, this.selected);
    this.canvas.hidden = false;
    const words = rows.map((row) => String(row.expression)).join(", ");
    this.canvas.setAttribute("aria-label", words ? `The picture, with faces marked: ${words}` : "The picture");
  }

  private scale(): number {
    const [shorter, longer] = [Math.min(this.width, this.height), Math.max(this.width, this.height)];
    const larger = Math.max(1, Math.min(Math.ceil(SHORTEST / shorter), Math.floor(LONGEST / longer)));
    return Math.min(larger, Math.sqrt(MOST_PIXELS / (this.width * this.height)));
  }
}
