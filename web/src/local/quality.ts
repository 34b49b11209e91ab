/** Quality words: whether a found face can be relied on. `mien/detect/quality.py` and `mien/detect/covered.py`. */

import { rollAngle, SIDE } from "./align";
import type { Found } from "./boxes";
import type { Pixels } from "./pixels";

const SMALL = 20; // pixels: a narrower face shows too little
const UNSURE = 0.75; // confidence of the detector, below which it may be no face
const SIDEWAYS = 45; // degrees: a face that leans further lies on its side or stands on its head
const TURNED = 0.2; // how near to an eye the nose's tip may be, as a share of the eyes' distance

const CELL = 6; // pixels: the side of a cell
const BINS = 8; // directions of an edge
const CELLS = SIDE / CELL;
const FLAT = 5; // grey levels: the spread below which a crop shows no face, covered or not

/** Return `good`, or what is wrong with a face, joined by `+`. `weights`: of the regression that knows covered mouths. */
export function quality(face: Found, cropped: Pixels, weights: Float32Array): string {
  const words: string[] = [];
  const degrees = rollAngle(face.landmarks);
  const [small, turned] = [face.box[2] - face.box[0] < SMALL, isTurned(face.landmarks)];
  if (Math.abs(degrees) > SIDEWAYS) words.push(`sideways:${degrees.toFixed(0)}`);
  if (small) words.push("small");
  if (turned) words.push("turned");
  if (!small && !turned && coveredProbability(cropped, weights) > 0.5) words.push("covered");
  if (face.score < UNSURE) words.push("unsure");
  return words.join("+") || "good";
}

/** Tell whether the nose's tip, seen along the line between the eyes, is near an eye or beyond it. */
function isTurned([oneX, oneY, otherX, otherY, noseX, noseY]: number[]): boolean {
  const [x, y] = [otherX - oneX, otherY - oneY];
  const apart = x * x + y * y;
  const place = (noseX - oneX) * x + (noseY - oneY) * y; // 0 at one eye, `apart` at the other
  return place < TURNED * apart || place > (1 - TURNED) * apart;
}

function coveredProbability({ data }: Pixels, weights: Float32Array): number {
  const spread = deviation(data);
  if (spread < FLAT) return 0;
  const mean = meanOf(data);
  const face = Float32Array.from(data, (value) => (value - mean) / (spread + 4));
  const features = coveredFeatures(face);
  const logit = features.reduce((sum, feature, place) => sum + feature * weights[place], weights[features.length]);
  return 1 / (1 + Math.exp(-logit));
}

/** For each cell: the root of the strength of edges in each direction, then the mean and the spread of brightness. */
function coveredFeatures(face: Float32Array): number[] {
  const count = CELLS * CELLS;
  const [edges, sums, squares] = [new Array<number>(BINS * count).fill(0), new Array<number>(count).fill(0), new Array<number>(count).fill(0)];
  const share = 1 / (CELL * CELL);
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const cell = Math.floor(y / CELL) * CELLS + Math.floor(x / CELL);
      const value = face[y * SIDE + x];
      const [down, across] = [slope(face, x, y, 0, 1), slope(face, x, y, 1, 0)];
      const turn = Math.atan2(down, across) / Math.PI;
      const direction = Math.trunc((((turn % 1) + 1) % 1) * BINS) % BINS;
      edges[direction * count + cell] += Math.hypot(down, across) * share;
      sums[cell] += value * share;
      squares[cell] += value * value * share;
    }
  }
  const spreads = squares.map((square, cell) => Math.sqrt(Math.max(square - sums[cell] ** 2, 0)));
  return [...edges.map(Math.sqrt), ...sums, ...spreads];
}

/** Return the central difference along an axis, at the edges the one-sided one. */
function slope(face: Float32Array, x: number, y: number, stepX: number, stepY: number): number {
  const at = stepX ? x : y;
  const [back, on] = [at > 0 ? 1 : 0, at < SIDE - 1 ? 1 : 0];
  const step = stepY * SIDE + stepX;
  const place = y * SIDE + x;
  return (face[place + on * step] - face[place - back * step]) / (back + on);
}

function meanOf(values: Uint8Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function deviation(values: Uint8Array): number {
  const mean = meanOf(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}
