/** Faces on their side or on their head: `mien/detect/orientation.py`. */

import { largestFirst, nonMaxSuppression, placed, type Found } from "./boxes";
import { BICUBIC, crop, newPixels, reduce, resize, rotate, type Pixels } from "./pixels";
import type { Search } from "./yunet";

const DOUBTFUL = 0.9; // the confidence below which a face may be a turned one
const [SURE, BETTER] = [0.86, 0.02]; // the least confidence of a turned face, and how much more it must be than upright
const MOST = 16; // doubtful faces that are looked at, the largest first
const CLOSE_UP = 128; // pixels: the side of a view of one face and its surroundings
const SURROUNDINGS = 2; // times a face's side: the side of that view
const CENTRE = 0.15; // of the view: how far from its middle the face may be found
const [QUARTERS, EIGHTHS] = [[90, 180, 270], [45, 135, 225, 315]]; // degrees counterclockwise
const OPEN = 0.84;

interface Doubt {
  face: number;
  left: number;
  top: number;
  side: number;
  view: Pixels;
  upright: Found | undefined;
}

/** Return the faces of a picture with those set right that lie on their side or stand on their head. */
export async function turnDoubtfulFaces(
  picture: Pixels,
  found: Found[],
  search: Search,
  overlap: number,
): Promise<Found[]> {
  const faces = [...found];
  let doubts = faces
    .map((face, place) => ({ face, place }))
    .filter(({ face }) => face.score < DOUBTFUL)
    .slice(0, MOST)
    .map(({ face, place }) => closeUp(picture, face, place));
  if (!doubts.length) return faces;
  const take = ({ face, left, top, side }: Doubt, best: Found): void => {
    faces[face] = placed(best, side / CLOSE_UP, left, top);
  };
  const upright = await lookTurned(doubts, [0], search); // a small face is surer in a close-up, however it is turned
  doubts.forEach((doubt, place) => {
    const look = (doubt.upright = upright[place]);
    if (look && look.score > faces[doubt.face].score && leans(faces[doubt.face])) take(doubt, look);
  });
  for (const angles of [QUARTERS, EIGHTHS]) {
    const best = await lookTurned(doubts, angles, search);
    const open = doubts.filter((doubt, place) => {
      const look = best[place];
      const rival = Math.max(faces[doubt.face].score, doubt.upright?.score ?? -1);
      if (look && look.score >= Math.max(SURE, rival + BETTER)) take(doubt, look);
      return look && look.score >= OPEN && faces[doubt.face].score < DOUBTFUL;
    });
    doubts = open;
    if (!doubts.length) break;
  }
  return largestFirst(nonMaxSuppression(faces, overlap)); // two doubtful faces may have been the same one
}

/** Return faces on their side or head in a small view of a picture. */
export async function findTurnedFaces(view: Pixels, search: Search): Promise<Found[]> {
  const found: Found[] = [];
  for (const degrees of QUARTERS) {
    const [seen] = await search([rotate(view, degrees)]);
    const sure = seen.filter(({ score }) => score >= SURE);
    found.push(...sure.map((face) => turnBack(face, degrees, view.width, view.height)));
  }
  return found;
}

/** Tell whether a face leans by more than 45 degrees: by the line between its eyes. */
function leans({ landmarks }: Found): boolean {
  return landmarks[2] - landmarks[0] < Math.abs(landmarks[3] - landmarks[1]);
}

/** Look at the square around a face; black beyond the picture's edge. */
function closeUp(picture: Pixels, { box }: Found, face: number): Doubt {
  const side = Math.max(box[2] - box[0], box[3] - box[1]) * SURROUNDINGS;
  const [left, top] = [(box[0] + box[2] - side) / 2, (box[1] + box[3] - side) / 2];
  const [startX, startY] = [Math.floor(left), Math.floor(top)];
  const reach = Math.ceil(side) + 1;
  const region = newPixels(reach, reach, 3);
  const [from, to] = [Math.max(startX, 0), Math.min(startX + reach, picture.width)];
  for (let y = Math.max(startY, 0); y < Math.min(startY + reach, picture.height); y++) {
    const row = picture.data.subarray((y * picture.width + from) * 3, (y * picture.width + to) * 3);
    region.data.set(row, ((y - startY) * reach + from - startX) * 3);
  }
  const [x, y] = [left - startX, top - startY];
  const square = [x, y, Math.min(x + side, reach), Math.min(y + side, reach)];
  return { face, left, top, side, view: shrinkSquare(region, square), upright: undefined };
}

/** Resample a square to the side of a close-up, as `Image.resize` does with `reducing_gap=2.0`. */
function shrinkSquare(region: Pixels, square: number[]): Pixels {
  const [left, top, right, bottom] = square;
  const [across, down] = [(right - left) / CLOSE_UP, (bottom - top) / CLOSE_UP];
  const [factorX, factorY] = [across, down].map((scale) => Math.trunc(scale / 2) || 1);
  if (factorX === 1 && factorY === 1) return resize(region, CLOSE_UP, CLOSE_UP, BICUBIC, square);
  const support = BICUBIC.support - 0.5;
  const [safeLeft, safeTop] = [Math.max(0, Math.trunc(left - support * across)), Math.max(0, Math.trunc(top - support * down))];
  const safeRight = Math.min(region.width, Math.ceil(right + support * across));
  const safeBottom = Math.min(region.height, Math.ceil(bottom + support * down));
  const small = reduce(crop(region, safeLeft, safeTop, safeRight, safeBottom), factorX, factorY);
  const box = [
    (left - safeLeft) / factorX,
    (top - safeTop) / factorY,
    (right - safeLeft) / factorX,
    (bottom - safeTop) / factorY,
  ];
  return resize(small, CLOSE_UP, CLOSE_UP, BICUBIC, box);
}

/** Return the surest face in the middle of each close-up among its turned copies, turned back; undefined: none. */
async function lookTurned(doubts: Doubt[], angles: number[], search: Search): Promise<(Found | undefined)[]> {
  const found = await search(doubts.flatMap(({ view }) => angles.map((degrees) => rotate(view, degrees))));
  return doubts.map((_, doubt) => {
    let best: Found | undefined;
    angles.forEach((degrees, turn) => {
      for (const face of found[doubt * angles.length + turn]) {
        if (inMiddle(face) && face.score > (best?.score ?? -1)) best = turnBack(face, degrees, CLOSE_UP, CLOSE_UP);
      }
    });
    return best;
  });
}

function inMiddle({ box }: Found): boolean {
  const off = [box[0] + box[2], box[1] + box[3]].map((sum) => Math.abs(sum / 2 - CLOSE_UP / 2));
  return Math.max(...off) <= CENTRE * CLOSE_UP;
}

/** Return a face of a turned view as one of the view, width x height. */
function turnBack({ score, box, landmarks }: Found, degrees: number, width: number, height: number): Found {
  const angle = (degrees * Math.PI) / 180;
  const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
  const lies = degrees % 180 === 90;
  const [middleX, middleY] = lies ? [height / 2, width / 2] : [width / 2, height / 2];
  const back = (x: number, y: number): [number, number] => [
    (x - middleX) * cosine - (y - middleY) * sine + width / 2,
    (x - middleX) * sine + (y - middleY) * cosine + height / 2,
  ];
  const [x, y] = back((box[0] + box[2]) / 2, (box[1] + box[3]) / 2);
  const [wide, high] = lies ? [box[3] - box[1], box[2] - box[0]] : [box[2] - box[0], box[3] - box[1]];
  const points = [0, 2, 4, 6, 8].flatMap((at) => back(landmarks[at], landmarks[at + 1]));
  return { score, box: [x - wide / 2, y - high / 2, x + wide / 2, y + high / 2], landmarks: points };
}
