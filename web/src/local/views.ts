/** The views of a picture that are searched for faces: `mien/detect/views.py`. */

import { BILINEAR, crop, reduce, resize, type Pixels } from "./pixels";

export const SMALLEST = 16; // pixels: the width from which on the network finds upright faces
const LEAST_SIDE = 192; // pixels: no picture's longer side gets below this
const [LARGE, CLOSE_UP] = [400, 256]; // pixels: what is longer than the first is searched again at most as the second
const SMALL = 400; // pixels: the longer side of a view that is searched several times
const TILE = 1024; // pixels: the side of a tile, as it is searched
const WIDEST = 3 * SMALLEST; // pixels of the whole view: wider faces are surely found there
const CONTEXT = 16; // pixels of the whole view around a face that a tile shows at least

/** A part of a picture, made smaller or larger; the fields are those of `View` in Python. */
export interface View {
  pixels: Pixels;
  scale: number;
  left: number;
  top: number;
  edges: number[];
  widest: number;
}

function whole(pixels: Pixels, scale: number): View {
  return { pixels, scale, left: 0, top: 0, edges: [-Infinity, -Infinity, Infinity, Infinity], widest: Infinity };
}

function longer({ width, height }: Pixels): number {
  return Math.max(width, height);
}

/** Return by how much a picture may be made smaller so that faces of `minFace` pixels are still found. */
export function finestFactor(picture: Pixels, minFace: number): number {
  return Math.max(1, Math.trunc(Math.min(minFace / SMALLEST, longer(picture) / LEAST_SIDE)));
}

/** Return the whole picture at the scale that `minFace` needs and `maxSide` allows, then perhaps once more, smaller. */
export function wholeViews(picture: Pixels, minFace: number, maxSide: number): View[] {
  const longest = longer(picture);
  if (longest < LEAST_SIDE) {
    const factor = Math.ceil(LEAST_SIDE / longest);
    const enlarged = resize(picture, picture.width * factor, picture.height * factor, BILINEAR);
    return [whole(enlarged, 1 / factor)];
  }
  const factor = Math.max(finestFactor(picture, minFace), Math.ceil(longest / maxSide));
  const pixels = reduce(picture, factor, factor);
  const views = [whole(pixels, factor)];
  if (longer(pixels) > LARGE) {
    const further = Math.ceil(longer(pixels) / CLOSE_UP);
    views.push(whole(reduce(pixels, further, further), factor * further));
  }
  return views;
}

/** Return a view of the whole picture that is small enough to be searched several times. */
export function smallView(view: View): View {
  const factor = Math.ceil(longer(view.pixels) / SMALL);
  return whole(reduce(view.pixels, factor, factor), view.scale * factor);
}

/** Return a large picture part by part, made smaller by `factor`, for faces too small in the view of scale `scale`. */
export function* tiles(picture: Pixels, factor: number, scale: number): Generator<View> {
  const { width, height } = picture;
  const [side, shared] = [TILE * factor, Math.trunc((WIDEST + 2 * CONTEXT) * scale)];
  for (let top = 0; top < Math.max(1, height - shared); top += side - shared) {
    for (let left = 0; left < Math.max(1, width - shared); left += side - shared) {
      const [right, bottom] = [Math.min(left + side, width), Math.min(top + side, height)];
      const edges = [
        left || -Infinity,
        top || -Infinity,
        right < width ? right : Infinity,
        bottom < height ? bottom : Infinity,
      ];
      const pixels = reduce(crop(picture, left, top, right, bottom), factor, factor);
      yield { pixels, scale: factor, left, top, edges, widest: WIDEST * scale };
    }
  }
}
