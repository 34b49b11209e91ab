/**
 * Pictures as arrays, and how Pillow makes them smaller, larger, turned and grey: to the same values, bit for bit.
 * Sizes are small, so each step is one plain loop.
 */

/** A picture: `channels` 3 for RGB, 1 for grey; row by row, the channels of a pixel together. */
export interface Pixels {
  width: number;
  height: number;
  channels: 1 | 3;
  data: Uint8Array;
}

export function newPixels(width: number, height: number, channels: 1 | 3): Pixels {
  return { width, height, channels, data: new Uint8Array(width * height * channels) };
}

/** Return the RGB of RGBA that a canvas gave. */
export function fromCanvas({ width, height, data }: ImageData): Pixels {
  const picture = newPixels(width, height, 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    picture.data[to] = data[from];
    picture.data[to + 1] = data[from + 1];
    picture.data[to + 2] = data[from + 2];
  }
  return picture;
}

/** Return a part, from `left`, `top` up to `right`, `bottom`, all inside of the picture. */
export function crop(picture: Pixels, left: number, top: number, right: number, bottom: number): Pixels {
  const part = newPixels(right - left, bottom - top, picture.channels);
  const length = part.width * part.channels;
  for (let y = 0; y < part.height; y++) {
    const start = ((top + y) * picture.width + left) * picture.channels;
    part.data.set(picture.data.subarray(start, start + length), y * length);
  }
  return part;
}

/** Return the luma of ITU-R 601, as `Image.convert("L")` does. */
export function luma(red: number, green: number, blue: number): number {
  return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
}

/** Return the means of rectangles of pixels, as `Image.reduce` does; at the right and lower edge of what is left. */
export function reduce(picture: Pixels, across: number, down: number): Pixels {
  if (across === 1 && down === 1) return picture;
  const { width, height, channels, data } = picture;
  const small = newPixels(Math.ceil(width / across), Math.ceil(height / down), channels);
  const length = small.width * channels;
  const sums = new Int32Array(length);
  for (let y = 0; y < small.height; y++) {
    const rows = Math.min((y + 1) * down, height) - y * down;
    sums.fill(0);
    for (let row = y * down; row < y * down + rows; row++) addRow(sums, data, row * width * channels, picture, across);
    for (let x = 0, place = 0; x < small.width; x++) {
      const count = rows * (Math.min((x + 1) * across, width) - x * across);
      const multiplier = Math.floor(Math.fround(4294967296 / (256 * count))); // in fixed point, as Pillow divides
      for (let channel = 0; channel < channels; channel++, place++) {
        small.data[y * length + place] = ((sums[place] + (count >> 1)) * multiplier) / 16777216;
      }
    }
  }
  return small;
}

/** Add a row of pixels to the sums of the rectangles that it lies in. Most of the time of `reduce` is spent here. */
function addRow(sums: Int32Array, data: Uint8Array, from: number, { width, channels }: Pixels, across: number): void {
  const length = width * channels;
  const step = across * channels;
  for (let channel = 0; channel < channels; channel++) {
    for (let start = 0, to = channel; start < length; start += step, to += channels) {
      const end = Math.min(start + step, length);
      let sum = 0;
      for (let at = start + channel; at < end; at += channels) sum += data[from + at];
      sums[to] += sum;
    }
  }
}

interface Filter {
  support: number;
  weight: (x: number) => number;
}

export const BILINEAR: Filter = { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) };
export const BICUBIC: Filter = {
  support: 2,
  weight: (signed) => {
    const x = Math.abs(signed);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
  },
};

/** Resample the part `box` (left, top, right, bottom; fractions count) to a size, as `Image.resize` does. */
export function resize(picture: Pixels, width: number, height: number, filter: Filter, box?: number[]): Pixels {
  const [left, top, right, bottom] = (box ?? [0, 0, picture.width, picture.height]).map(Math.fround);
  let result = picture;
  if (width !== picture.width || left !== 0 || right !== width) {
    result = resampleRows(result, width, weightsOf(picture.width, left, right, width, filter));
  }
  if (height !== picture.height || top !== 0 || bottom !== height) {
    result = resampleColumns(result, height, weightsOf(picture.height, top, bottom, height, filter));
  }
  return result;
}

const PRECISION = 22; // bits behind the point of a weight

/** For each pixel of the result: the first pixel that counts, and the weights from there on. */
type Weights = { start: number; weights: Int32Array }[];

function weightsOf(size: number, from: number, to: number, count: number, filter: Filter): Weights {
  const scale = (to - from) / count;
  const stretch = Math.max(scale, 1);
  const support = filter.support * stretch;
  return Array.from({ length: count }, (_, place) => {
    const centre = from + (place + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(size, Math.trunc(centre + support + 0.5));
    const exact: number[] = [];
    for (let at = start; at < end; at++) exact.push(filter.weight((at - centre + 0.5) / stretch));
    const sum = exact.reduce((one, other) => one + other, 0);
    const fixed = exact.map((weight) => (sum ? weight / sum : weight) * (1 << PRECISION));
    return { start, weights: Int32Array.from(fixed, (weight) => Math.trunc(weight + (weight < 0 ? -0.5 : 0.5))) };
  });
}

function resampleRows(picture: Pixels, width: number, table: Weights): Pixels {
  const { channels, data } = picture;
  const result = newPixels(width, picture.height, channels);
  for (let y = 0, to = 0; y < picture.height; y++) {
    for (const { start, weights } of table) {
      for (let channel = 0; channel < channels; channel++, to++) {
        let sum = 1 << (PRECISION - 1);
        let from = (y * picture.width + start) * channels + channel;
        for (let at = 0; at < weights.length; at++, from += channels) sum += data[from] * weights[at];
        result.data[to] = clip(sum >> PRECISION);
      }
    }
  }
  return result;
}

function resampleColumns(picture: Pixels, height: number, table: Weights): Pixels {
  const { channels, data } = picture;
  const length = picture.width * channels;
  const result = newPixels(picture.width, height, channels);
  table.forEach(({ start, weights }, y) => {
    for (let x = 0; x < length; x++) {
      let sum = 1 << (PRECISION - 1);
      for (let at = 0, from = start * length + x; at < weights.length; at++, from += length) {
        sum += data[from] * weights[at];
      }
      result.data[y * length + x] = clip(sum >> PRECISION);
    }
  });
  return result;
}

function clip(value: number): number {
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

/** From a place of the result to one of the picture: x' = a x + b y + c, y' = d x + e y + f. */
export type Affine = [a: number, b: number, c: number, d: number, e: number, f: number];
type Sample = (data: Uint8Array, places: number[][], dx: number, dy: number) => number;

/** Look up each pixel of the result in the picture, as `Image.transform` does; black beyond the picture's edge. */
export function transform(picture: Pixels, width: number, height: number, affine: Affine, cubic: boolean): Pixels {
  const { channels, data } = picture;
  const [a, b, c, d, e, f] = affine;
  const result = newPixels(width, height, channels);
  const [first, last] = cubic ? [-1, 2] : [0, 1]; // neighbours that count
  const sample: Sample = cubic ? sampleCubic : sampleLinear;
  const columns = new Array<number>(last - first + 1);
  const places = columns.fill(0).map(() => new Array<number>(last - first + 1).fill(0));
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const inX = a * (x + 0.5) + b * (y + 0.5) + c;
      const inY = d * (x + 0.5) + e * (y + 0.5) + f;
      if (inX < 0 || inX >= picture.width || inY < 0 || inY >= picture.height) continue;
      const [left, top] = [Math.floor(inX - 0.5), Math.floor(inY - 0.5)];
      for (let channel = 0; channel < channels; channel++) {
        for (let row = first; row <= last; row++) {
          const start = inside(top + row, picture.height) * picture.width;
          for (let column = first; column <= last; column++) {
            const place = (start + inside(left + column, picture.width)) * channels + channel;
            places[row - first][column - first] = place;
          }
        }
        const value = sample(data, places, inX - 0.5 - left, inY - 0.5 - top);
        result.data[(y * width + x) * channels + channel] = clip(Math.trunc(value));
      }
    }
  }
  return result;
}

function inside(place: number, size: number): number {
  return place < 0 ? 0 : place < size ? place : size - 1;
}

function sampleLinear(data: Uint8Array, [upper, lower]: number[][], dx: number, dy: number): number {
  const one = data[upper[0]] + (data[upper[1]] - data[upper[0]]) * dx;
  const other = data[lower[0]] + (data[lower[1]] - data[lower[0]]) * dx;
  return one + (other - one) * dy;
}

function sampleCubic(data: Uint8Array, places: number[][], dx: number, dy: number): number {
  const [one, two, three, four] = places.map((row) => cubic(data[row[0]], data[row[1]], data[row[2]], data[row[3]], dx));
  return cubic(one, two, three, four, dy);
}

/** Return the value at `d` between `v2` and `v3` of the cubic through four values in a row (a = -1). */
function cubic(v1: number, v2: number, v3: number, v4: number, d: number): number {
  return v2 + d * (v3 - v1 + d * (2 * (v1 - v2) + v3 - v4 + d * (v2 - v1 + v4 - v3)));
}

/** Turn a picture counterclockwise by quarters, or by other angles about its middle, as `Image.rotate` does. */
export function rotate(picture: Pixels, degrees: number): Pixels {
  let turned = picture;
  if (degrees % 90 === 0) {
    for (let quarter = 0; quarter < degrees / 90; quarter++) turned = quarterTurn(turned);
    return turned;
  }
  const angle = (-degrees * Math.PI) / 180;
  const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
  const [x, y] = [picture.width / 2, picture.height / 2];
  const affine: Affine = [cosine, sine, x - cosine * x - sine * y, -sine, cosine, y + sine * x - cosine * y];
  return transform(picture, picture.width, picture.height, affine, false);
}

function quarterTurn({ width, height, channels, data }: Pixels): Pixels {
  const turned = newPixels(height, width, channels);
  for (let y = 0, to = 0; y < turned.height; y++) {
    for (let x = 0; x < turned.width; x++) {
      const from = (x * width + width - 1 - y) * channels;
      for (let channel = 0; channel < channels; channel++, to++) turned.data[to] = data[from + channel];
    }
  }
  return turned;
}
