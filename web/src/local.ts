/** Reads pictures in the browser, in a worker. Nothing is sent anywhere. */

import { figure, PlainError, SIDES, type Answer, type Backend, type ClipAnswer, type OnProgress, type Picture, type Row } from "./backend";
import { roundRow } from "./local/recognise";
import type { Kind } from "./local/yunet";
import type { FromWorker, ToWorker } from "./messages";
import type { Player } from "./player";
import { Tracks } from "./tracks";

const STEP = 0.2; // seconds from one frame of a clip that is read to the next
const MOST_FRAMES = 600; // of a clip: in longer ones the steps are longer
const LONGEST = 1280; // pixels: frames of clips are made smaller than this first

export class Local implements Backend {
  readonly promise =
    "Nothing is sent: this device reads your pictures, and keeps nothing once the page is closed. " +
    "It does so by a small model, which is wrong more often than the large one of the service.";
  private readonly worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  private readonly waiting = new Map<number, (message: { rows?: Row[]; error?: string }) => void>();
  private count = 0;

  prepare(onProgress: OnProgress): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (why: string): void => reject(new PlainError(`the page could not load its models: ${why}`));
      this.worker.onerror = (event) => fail(event.message || "the worker did not start");
      this.worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
        if ("progress" in data) onProgress(data.progress, "loading");
        else if ("id" in data) this.waiting.get(data.id)?.(data);
        else if (!data.ready) fail(data.error ?? "");
        else {
          onProgress(1, "loading");
          resolve();
        }
      };
    });
  }

  async predict({ name, canvas, file, scale }: Picture): Promise<Answer> {
    const rows = await this.rows(canvas, name, file ? "photo" : "camera");
    return { width: canvas.width * scale, height: canvas.height * scale, rows: enlarge(rows, scale) };
  }

  async predictClip(file: File, player: Player, onProgress: OnProgress, signal: AbortSignal): Promise<ClipAnswer> {
    const { video } = player;
    const { videoWidth, videoHeight, duration } = video;
    const scale = Math.max(1, Math.max(videoWidth, videoHeight) / LONGEST);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [Math.round(videoWidth / scale), Math.round(videoHeight / scale)];
    const brush = canvas.getContext("2d", { willReadFrequently: true }) as CanvasRenderingContext2D;
    const step = Math.max(STEP, duration / MOST_FRAMES);
    const tracks = new Tracks();
    const rows: Row[] = [];
    const frames = Math.max(1, Math.ceil(duration / step - 0.01));
    for (let frame = 0; frame < frames; frame++) {
      const seconds = frame * step;
      await player.seek(seconds);
      signal.throwIfAborted();
      brush.drawImage(video, 0, 0, canvas.width, canvas.height);
      const found = enlarge(await this.rows(canvas, file.name, "clip"), scale);
      rows.push(...tracks.follow(found, seconds));
      onProgress((frame + 1) / (frames + 1), "reading the clip");
    }
    await player.seek(0);
    onProgress(1, "reading the clip");
    return { rows };
  }

  private rows(canvas: HTMLCanvasElement, source: string, kind: Kind): Promise<Row[]> {
    const brush = canvas.getContext("2d", { willReadFrequently: true }) as CanvasRenderingContext2D;
    const pixels = brush.getImageData(0, 0, canvas.width, canvas.height);
    const id = this.count++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, ({ rows, error }) => {
        this.waiting.delete(id);
        if (rows) resolve(rows);
        else reject(new PlainError(error ?? "the picture could not be read"));
      });
      const message: ToWorker = { id, pixels, source, kind };
      this.worker.postMessage(message, [pixels.data.buffer]);
    });
  }
}

/** Return rows of a smaller picture as those of the picture. */
function enlarge(rows: Row[], scale: number): Row[] {
  const sides = (row: Row): Row => Object.fromEntries(SIDES.map((side) => [side, figure(row, side) * scale]));
  return scale === 1 ? rows : rows.map((row) => roundRow({ ...row, ...sides(row) }));
}
