/** A picture to the rows of `mien predict`: find the faces, cut them out, classify them. */

import { SIDES, type Row } from "../backend";
import { cropFace, SIDE } from "./align";
import type { Card } from "./card";
import type { Pixels } from "./pixels";
import { quality } from "./quality";
import { SETTINGS, YuNet, type Kind, type RunNetwork } from "./yunet";

/** Gives for N faces, 48x48 each, the probabilities of the K classes, row by row. */
export type RunClassifier = (faces: Uint8Array, count: number) => Promise<Float32Array>;

export class Recogniser {
  /** @param weights of the regression that knows covered mouths: `covered.f32` */
  constructor(
    private readonly detector: RunNetwork,
    private readonly classify: RunClassifier,
    private readonly card: Card,
    private readonly weights: Float32Array,
  ) {}

  /** Return a row for each face, the largest first. */
  async rows(picture: Pixels, source: string, kind: Kind): Promise<Row[]> {
    const found = await new YuNet(this.detector, SETTINGS[kind]).detect(picture);
    const { minFace } = SETTINGS.photo;
    const faces = found.filter(({ box }) => box[2] - box[0] >= minFace);
    const crops = faces.map((face) => cropFace(picture, face));
    const stacked = new Uint8Array(crops.length * SIDE * SIDE);
    crops.forEach((each, place) => stacked.set(each.data, place * SIDE * SIDE));
    const probs = crops.length ? await this.classify(stacked, crops.length) : new Float32Array();
    const names = this.card.class_names;
    return faces.map((face, place) => {
      const own = Array.from(probs.subarray(place * names.length, (place + 1) * names.length));
      const confidence = Math.max(...own);
      const row: Row = { source, face: place };
      SIDES.forEach((name, side) => (row[name] = face.box[side]));
      row.detection = Math.min(Math.max(face.score, 0), 1);
      row.quality = quality(face, crops[place], this.weights);
      row.expression = names[own.indexOf(confidence)];
      row.confidence = confidence;
      names.forEach((name, number) => (row[name] = own[number]));
      return roundRow(row);
    });
  }
}

/** Return a row whose numbers have at most 6 significant digits and 6 decimals, as `round_row` does. */
export function roundRow(row: Row): Row {
  const round = (value: number): number => Number(Number(value.toPrecision(6)).toFixed(6));
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, typeof value === "number" ? round(value) : value]),
  );
}
