/** The face detector: `mien/detect/yunet.py`. */

import { largestFirst, nonMaxSuppression, placed, type Found } from "./boxes";
import { findTurnedFaces, turnDoubtfulFaces } from "./orientation";
import { newPixels, type Pixels } from "./pixels";
import { finestFactor, SMALLEST, smallView, tiles, wholeViews, type View } from "./views";

const STEP = 32; // pixels: the network takes sides that are multiples of this
const GIANT = 4; // a picture that had to be made that much smaller shows no small faces that would be a hint
const [HINT, TINY] = [0.5, 1.5 * SMALLEST]; // confidence, pixels: something that narrow tells that more may be missed
const LEAST = 0.01; // confidence of anything that is looked at further

/** What the network gives for each of N pictures, of `cells` places. */
export interface Outputs {
  scores: Float32Array;
  boxes: Float32Array;
  landmarks: Float32Array;
}

/** Runs the network on N pictures of one size, whose sides are multiples of 32. */
export type RunNetwork = (data: Uint8Array, count: number, height: number, width: number) => Promise<Outputs>;

/** Finds what may be a face in each of several views of one size. */
export type Search = (views: Pixels[]) => Promise<Found[][]>;

export interface Settings {
  minFace: number;
  threshold: number;
  overlap: number;
  maxSide: number;
  turned: boolean;
}

/** What is read: a photo as by Python's `YuNet()`; a frame of a clip or a camera sooner, since the next one follows. */
export type Kind = "photo" | "clip" | "camera";

const PHOTO: Settings = { minFace: 20, threshold: 0.75, overlap: 0.3, maxSide: 2048, turned: true };
export const SETTINGS: Record<Kind, Settings> = {
  photo: PHOTO,
  clip: { ...PHOTO, maxSide: 640, turned: false },
  camera: { ...PHOTO, minFace: 48, maxSide: 640, turned: false },
};

export class YuNet {
  constructor(
    private readonly run: RunNetwork,
    private readonly settings: Settings,
  ) {}

  /** Find the faces of an RGB picture, the largest first. */
  async detect(picture: Pixels): Promise<Found[]> {
    const { minFace, maxSide, overlap, turned } = this.settings;
    const views = wholeViews(picture, minFace, maxSide);
    const found: Found[][] = [];
    for (const view of views) found.push(await this.searchView(view));
    found.push(...(await this.searchTiles(picture, found[0], views[0].scale)));
    let faces = this.merge(found.flat());
    if (!turned) return faces;
    if (!faces.length) {
      const view = smallView(views[0]);
      const seen = await findTurnedFaces(view.pixels, this.search);
      faces = this.merge(seen.map((face) => placed(face, view.scale, 0, 0)));
    }
    return turnDoubtfulFaces(picture, faces, this.search, overlap);
  }

  /** Return what may be faces in a view, in the whole picture. */
  private async searchView(view: View): Promise<Found[]> {
    const [left, top, right, bottom] = view.edges;
    const [candidates] = await this.search([view.pixels]);
    return candidates
      .filter(({ score, box }) => score >= Math.min(this.settings.threshold, HINT) && box[2] > box[0] && box[3] > box[1])
      .map((face) => placed(face, view.scale, view.left, view.top))
      .filter(({ box }) => box[0] > left && box[1] > top && box[2] < right && box[3] < bottom)
      .filter(({ box }) => box[2] - box[0] <= view.widest);
  }

  /** Search a large picture tile by tile, at ever finer scales, as long as there may be smaller faces in it. */
  private async searchTiles(picture: Pixels, whole: Found[], first: number): Promise<Found[][]> {
    const finest = finestFactor(picture, this.settings.minFace);
    const results: Found[][] = [];
    let [found, scale] = [whole, first];
    while (scale > finest && (scale > GIANT || showsTinyFaces(found, scale))) {
      const finer = scale > GIANT ? Math.max(finest, Math.trunc(scale / 2)) : finest;
      const searched: Found[][] = [];
      for (const tile of tiles(picture, finer, scale)) searched.push(await this.searchView(tile));
      results.push(...searched);
      [found, scale] = [searched.flat(), finer];
    }
    return results;
  }

  private readonly search: Search = async (views) => {
    const [width, height] = [views[0].width, views[0].height].map((side) => Math.ceil(side / STEP) * STEP);
    const size = width * height * 3;
    const data = new Uint8Array(views.length * size);
    views.forEach((view, place) => data.set(padded(view, width, height).data, place * size));
    const { scores, boxes, landmarks } = await this.run(data, views.length, height, width);
    const cells = scores.length / views.length;
    return views.map((_, view) => {
      const found: Found[] = [];
      for (let cell = view * cells; cell < (view + 1) * cells; cell++) {
        if (scores[cell] < LEAST) continue;
        const box = Array.from(boxes.subarray(4 * cell, 4 * cell + 4));
        found.push({ score: scores[cell], box, landmarks: Array.from(landmarks.subarray(10 * cell, 10 * cell + 10)) });
      }
      return found;
    });
  };

  /** Return what is surely enough a face, each once. */
  private merge(found: Found[]): Found[] {
    const sure = found.filter(({ score }) => score >= this.settings.threshold);
    return largestFirst(nonMaxSuppression(sure, this.settings.overlap));
  }
}

/** Return a view with black to its right and below it. */
function padded(view: Pixels, width: number, height: number): Pixels {
  if (view.width === width && view.height === height) return view;
  const larger = newPixels(width, height, 3);
  for (let y = 0; y < view.height; y++) {
    larger.data.set(view.data.subarray(y * view.width * 3, (y + 1) * view.width * 3), y * width * 3);
  }
  return larger;
}

/** Tell whether there may be faces that are too small at this scale, since some hardly larger are there. */
function showsTinyFaces(found: Found[], scale: number): boolean {
  return found.some(({ box }) => box[2] - box[0] < TINY * scale);
}
