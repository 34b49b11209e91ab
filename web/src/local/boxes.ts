/** What the detector finds, and which of several boxes that overlap stays: `mien/detect/boxes.py`. */

/** A face: left, top, right, bottom in pixels, and x, y of right eye, left eye, nose and the corners of the mouth. */
export interface Found {
  score: number;
  box: number[];
  landmarks: number[];
}

export function area([left, top, right, bottom]: number[]): number {
  return (right - left) * (bottom - top);
}

/** Return the intersection over union of two boxes. */
export function boxIou(one: number[], other: number[]): number {
  const across = Math.min(one[2], other[2]) - Math.max(one[0], other[0]);
  const down = Math.min(one[3], other[3]) - Math.max(one[1], other[1]);
  const shared = Math.max(across, 0) * Math.max(down, 0);
  return shared / (area(one) + area(other) - shared);
}

/** Return the faces that stay, best first: each overlaps no better one that stays by more than `overlap`. */
export function nonMaxSuppression(faces: Found[], overlap: number): Found[] {
  const kept: Found[] = [];
  for (const face of [...faces].sort((one, other) => other.score - one.score)) {
    if (kept.every((better) => boxIou(better.box, face.box) <= overlap)) kept.push(face);
  }
  return kept;
}

/** Return faces as `Detections` sorts them: the largest first. */
export function largestFirst(faces: Found[]): Found[] {
  return [...faces].sort((one, other) => area(other.box) - area(one.box));
}

/** Return a face of a view as one of the picture. */
export function placed(face: Found, scale: number, left: number, top: number): Found {
  const move = (value: number, axis: number): number => value * scale + (axis % 2 ? top : left);
  return { score: face.score, box: face.box.map(move), landmarks: face.landmarks.map(move) };
}
