/** The page: takes a photo, a clip or the camera, asks the back end, and shows what it answers. */

import { faceAt } from "./annotate";
import { figure, PlainError, type Answer, type Backend, type Row } from "./backend";
import { Camera } from "./camera";
import { save, stem, toCsv } from "./csv";
import { byId } from "./dom";
import { FaceList, facesOfClip, facesOfPicture, type Face } from "./faces";
import { listen } from "./inputs";
import { Player } from "./player";
import { MOST_PIXELS, Stage } from "./stage";
import { showTime, showTimeline } from "./timeline";

const SPOKEN_EVERY = 3000; // milliseconds: how often a screen reader hears of the camera's faces

export class Page {
  private readonly stage = new Stage();
  private readonly list = new FaceList((place) => this.select(place));
  private readonly camera = new Camera();
  private readonly player = new Player(() => this.showMoment());
  private work = new AbortController();
  private name = "";
  private rows: Row[] = []; // of the picture, or of the whole clip
  private clip = false;
  private spokenAt = 0;

  constructor(private readonly backend: Backend) {
    byId("promise").textContent = backend.promise;
    listen((file) => void this.attempt(() => this.take(file)));
    byId("camera").addEventListener("click", () => void this.attempt(() => this.toggleCamera()));
    byId("save-csv").addEventListener("click", () => {
      save(new Blob([toCsv(this.rows)], { type: "text/csv" }), `${stem(this.name)}.csv`);
    });
    byId("save-picture").addEventListener("click", () => {
      this.stage.canvas.toBlob((blob) => blob && save(blob, `${stem(this.name)}-faces.jpg`), "image/jpeg", 0.92);
    });
    this.stage.canvas.addEventListener("click", (event) => this.open(event.offsetX, event.offsetY));
    void this.attempt(() => this.backend.prepare((share, what) => this.progress(share, what)));
  }

  /** Do something that may fail, and say so if it does. */
  private async attempt(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return; // something newer took its place
      this.busy(false);
      byId("rate").textContent = "";
      this.say(error instanceof PlainError ? error.message : "something went wrong; the browser's console says what", true);
      if (!(error instanceof PlainError)) console.error(error);
    }
  }

  private async take(file: File): Promise<void> {
    const signal = this.begin(file.name || "picture");
    if (file.type.startsWith("video/")) await this.takeClip(file, signal);
    else await this.takePicture(file, signal);
  }

  /** Drop what went on before. */
  private begin(name: string): AbortSignal {
    this.work.abort();
    this.work = new AbortController();
    this.stopCamera();
    this.player.close();
    this.name = name;
    this.clip = false;
    this.show([], []);
    showTimeline([], 0, () => undefined);
    return this.work.signal;
  }

  private async takePicture(file: File, signal: AbortSignal): Promise<void> {
    this.busy(true);
    this.say(`Reading ${this.name}`);
    const { canvas, scale } = await decode(file);
    signal.throwIfAborted();
    this.stage.show(canvas);
    this.stage.draw([]);
    const answer = await this.backend.predict({ name: this.name, canvas, file, scale }, signal);
    signal.throwIfAborted();
    this.busy(false);
    this.showAnswer(answer);
    this.say(summary(answer.rows));
  }

  private async takeClip(file: File, signal: AbortSignal): Promise<void> {
    this.busy(true);
    this.say(`Reading ${this.name}`);
    await this.player.open(file);
    signal.throwIfAborted();
    this.stage.show(this.player.video);
    this.stage.draw([]);
    const tell = (share: number, what: string): void => this.progress(share, what);
    const { rows, warning } = await this.backend.predictClip(file, this.player, tell, signal);
    signal.throwIfAborted();
    this.busy(false);
    this.clip = true;
    const faces = facesOfClip(rows);
    this.show(rows, faces);
    const { video } = this.player;
    showTimeline(rows, video.duration, (seconds) => (video.currentTime = seconds));
    this.player.ready();
    this.say(`${count(faces.length)} in ${this.name}.${warning ? ` ${warning}` : ""}`);
  }

  private async toggleCamera(): Promise<void> {
    if (this.camera.runs) {
      this.stopCamera();
      this.say(summary(this.rows));
      return;
    }
    const signal = this.begin("camera");
    this.say("Starting the camera");
    byId("camera").textContent = "Stop the camera";
    try {
      await this.camera.run(async (canvas) => {
        const answer = await this.backend.predict({ name: this.name, canvas, scale: 1 }, signal);
        signal.throwIfAborted();
        this.stage.show(canvas);
        this.showAnswer(answer);
        byId("rate").textContent = this.camera.rate ? `${this.camera.rate.toFixed(0)} pictures a second` : "";
        if (performance.now() - this.spokenAt > SPOKEN_EVERY) this.say(summary(answer.rows));
      });
    } finally {
      if (!signal.aborted) this.stopCamera();
    }
  }

  private stopCamera(): void {
    this.camera.stop();
    byId("camera").textContent = "Use the camera";
    byId("rate").textContent = "";
  }

  private showAnswer(answer: Answer): void {
    this.stage.setSize(answer.width, answer.height);
    this.show(answer.rows, facesOfPicture(answer.rows));
    this.stage.draw(answer.rows);
  }

  private show(rows: Row[], faces: Face[]): void {
    this.rows = rows;
    this.list.show(faces);
    byId("results").hidden = rows.length === 0;
  }

  /** Draw the boxes of the moment that the clip is at. */
  private showMoment(): void {
    if (!this.clip) return;
    const { currentTime, duration } = this.player.video;
    this.stage.draw(rowsAt(this.rows, currentTime));
    showTime(duration ? currentTime / duration : 0);
  }

  private select(place: number): void {
    if (!this.clip) this.stage.select(place);
  }

  /** Open the table of the face at a place of the canvas, in pixels of the page. */
  private open(x: number, y: number): void {
    const { clientWidth, clientHeight } = this.stage.canvas;
    const [across, down] = [(x / clientWidth) * this.stage.width, (y / clientHeight) * this.stage.height];
    const place = faceAt(this.stage.rows, across, down);
    if (place >= 0 && !this.clip) this.list.open(place);
  }

  private busy(is: boolean): void {
    byId("main").setAttribute("aria-busy", String(is));
    byId<HTMLProgressElement>("progress").hidden = !is;
    byId("progress").removeAttribute("value");
  }

  private progress(share: number, what: string): void {
    const bar = byId<HTMLProgressElement>("progress");
    bar.hidden = share >= 1;
    bar.value = share;
    byId("rate").textContent = share >= 1 ? "" : `${what}, ${Math.round(share * 100)}%`;
  }

  /** Write a line that screen readers speak. */
  private say(text: string, wrong = false): void {
    const status = byId("status");
    status.classList.toggle("wrong", wrong);
    if (status.textContent !== text) status.textContent = text;
    this.spokenAt = performance.now();
  }
}

function count(faces: number): string {
  return faces === 1 ? "1 face" : `${faces || "No"} faces`;
}

function summary(rows: Row[]): string {
  const names = rows.slice(0, 5).map((row) => String(row.expression));
  return `${count(rows.length)}${names.length ? `: ${names.join(", ")}` : ""}${rows.length > 5 ? " and more" : ""}.`;
}

/** Return the rows of the frame that a clip shows at a time. */
function rowsAt(rows: Row[], seconds: number): Row[] {
  let shown = -1;
  for (const row of rows) {
    const time = figure(row, "seconds");
    if (time <= seconds + 0.02 && time > shown) shown = time;
  }
  return seconds - shown > 1 ? [] : rows.filter((row) => figure(row, "seconds") === shown);
}

/** Decode a photo, upright as its EXIF says. */
async function decode(file: Blob): Promise<{ canvas: HTMLCanvasElement; scale: number }> {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new PlainError("this is no photo or clip that the browser can show");
  });
  const scale = Math.max(1, Math.sqrt((bitmap.width * bitmap.height) / MOST_PIXELS));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(bitmap.width / scale);
  canvas.height = Math.round(bitmap.height / scale);
  const brush = canvas.getContext("2d", { willReadFrequently: true }) as CanvasRenderingContext2D;
  brush.fillStyle = "white"; // what is transparent lies on white, as in Python
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.imageSmoothingQuality = "high";
  brush.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return { canvas, scale };
}
