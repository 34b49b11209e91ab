/** What the page asks of whoever reads the pictures: the service behind it, or the browser itself. */

import type { Player } from "./player";

/** A face: the columns of `mien predict`, then a probability for each class, in their order. */
export type Row = Record<string, string | number>;

/** The rows of a picture, the largest face first, and the size in pixels that they count in. */
export interface Answer {
  width: number;
  height: number;
  rows: Row[];
}

/** The rows of a clip, each with `seconds` and `track`; `warning` says what of it could not be read. */
export interface ClipAnswer {
  rows: Row[];
  warning?: string | null;
}

/** A photo or a camera's frame, as the page shows it. */
export interface Picture {
  name: string;
  canvas: HTMLCanvasElement;
  /** The file that a photo was read from. */
  file?: Blob;
  /** Pixels of the photo for one of the canvas: more than 1 where the photo is too large for a canvas. */
  scale: number;
}

export type OnProgress = (share: number, what: string) => void;

export interface Backend {
  /** One sentence: where pictures go. */
  readonly promise: string;
  /** Get ready, so that the first picture is answered soon. */
  prepare(onProgress: OnProgress): Promise<void>;
  predict(picture: Picture, signal: AbortSignal): Promise<Answer>;
  /** Read a clip that `player` has opened as well. */
  predictClip(file: File, player: Player, onProgress: OnProgress, signal: AbortSignal): Promise<ClipAnswer>;
}

/** An error whose message is meant for whoever uses the page. */
export class PlainError extends Error {}

const COLUMNS = [
  "source", "seconds", "track", "face", "left", "top", "right", "bottom",
  "detection", "quality", "expression", "confidence",
];

/** Return the classes that a row has a probability for. */
export function classNames(row: Row): string[] {
  return Object.keys(row).filter((name) => !COLUMNS.includes(name));
}

export const SIDES = ["left", "top", "right", "bottom"];

export function figure(row: Row, name: string): number {
  return Number(row[name] ?? 0);
}

export function percent(share: number): string {
  return `${Math.round(share * 100)}%`;
}
