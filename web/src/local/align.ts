/** A face cut out of its picture, upright and as large as the model takes it: `mien/detect/align.py`, step by step. */

import { BICUBIC, luma, newPixels, resize, transform, type Pixels } from "./pixels";
import type { Found } from "./boxes";

export const SIDE = 48; // pixels of a crop
const MARGIN = -0.03; // share of a box's longer side
const BORDER = 4; // pixels around a crop that the filter may look at

/** Cut a face out of an RGB picture, 48x48 grey. */
export function cropFace(picture: Pixels, { box, landmarks }: Found): Pixels {
  const [left, top, right, bottom] = box;
  const degrees = rollAngle(landmarks);
  const side = Math.max(right - left, bottom - top) * (1 + 2 * MARGIN);
  const angle = (degrees * Math.PI) / 180;
  const across = [(side / 2) * Math.cos(angle), (side / 2) * Math.sin(angle)];
  const down = [-across[1], across[0]];
  const centre = [(left + right) / 2, (top + bottom) / 2];
  const reach = [0, 1].map((axis) => Math.abs(across[axis]) + Math.abs(down[axis]));
  const start = centre.map((middle, axis) => Math.floor(middle - reach[axis]) - BORDER);
  const end = centre.map((middle, axis) => Math.ceil(middle + reach[axis]) + BORDER);
  const region = greyRegion(picture, start, end);
  const corner = centre.map((middle, axis) => middle - across[axis] - down[axis] - start[axis]);
  if (degrees === 0) return resize(region, SIDE, SIDE, BICUBIC, [...corner, corner[0] + side, corner[1] + side]);
  const fine = SIDE * Math.max(1, Math.ceil(side / SIDE)); // at least the picture's own resolution
  const [a, d, b, e] = [...across, ...down].map((value) => (2 * value) / fine);
  return resize(transform(region, fine, fine, [a, b, corner[0], d, e, corner[1]], true), SIDE, SIDE, BICUBIC);
}

/** Return how far a face leans, in degrees clockwise: the slope of the line between its eyes. */
export function rollAngle(landmarks: number[]): number {
  const degrees = (Math.atan2(landmarks[3] - landmarks[1], landmarks[2] - landmarks[0]) * 180) / Math.PI;
  return Number.isFinite(degrees) ? degrees : 0;
}

/** Return the picture in grey from x, y `start` up to `end`, its edge pixels repeated beyond its edges. */
function greyRegion(picture: Pixels, start: number[], end: number[]): Pixels {
  const { width, height, data } = picture;
  const region = newPixels(end[0] - start[0], end[1] - start[1], 1);
  for (let y = start[1], to = 0; y < end[1]; y++) {
    const row = Math.min(Math.max(y, 0), height - 1) * width;
    for (let x = start[0]; x < end[0]; x++, to++) {
      const from = (row + Math.min(Math.max(x, 0), width - 1)) * 3;
      region.data[to] = luma(data[from], data[from + 1], data[from + 2]);
    }
  }
  return region;
}
