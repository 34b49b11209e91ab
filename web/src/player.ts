/** Plays a clip: a button, a slider, and a call for each moment that is to be drawn. */

import { PlainError } from "./backend";
import { byId, clock } from "./dom";

export class Player {
  readonly video = document.createElement("video");
  private readonly controls = byId("player");
  private readonly button = byId("play");
  private readonly slider = byId<HTMLInputElement>("seek");

  /** @param onMoment is called while the clip plays, and when it was moved to another time */
  constructor(private readonly onMoment: () => void) {
    this.video.playsInline = true;
    this.video.muted = true;
    this.button.addEventListener("click", () => void (this.video.paused ? this.video.play() : this.video.pause()));
    this.slider.addEventListener("input", () => (this.video.currentTime = Number(this.slider.value)));
    for (const event of ["play", "pause", "ended"]) this.video.addEventListener(event, () => this.tell());
    this.video.addEventListener("play", () => this.follow());
    this.video.addEventListener("seeked", () => this.tell());
  }

  /** Open a clip; resolves when its first frame can be drawn. */
  async open(file: Blob): Promise<void> {
    this.close();
    this.video.src = URL.createObjectURL(file);
    await new Promise<void>((resolve, reject) => {
      this.video.onloadeddata = () => resolve();
      this.video.onerror = () => reject(new PlainError("this is no clip that the browser can play"));
    });
    if (!Number.isFinite(this.video.duration)) await this.seek(1e9); // a clip recorded by a browser does not say its length
    await this.seek(0); // some browsers can draw a frame only then
  }

  /** Show the controls. */
  ready(): void {
    this.slider.max = String(this.video.duration);
    this.controls.hidden = false;
    this.tell();
  }

  close(): void {
    this.controls.hidden = true;
    if (!this.video.src) return;
    this.video.pause();
    this.video.onerror = null;
    URL.revokeObjectURL(this.video.src);
    this.video.removeAttribute("src");
    this.video.load();
  }

  /** Move to a time, and wait until its frame can be drawn. */
  async seek(seconds: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.video.addEventListener("seeked", () => resolve(), { once: true });
      this.video.currentTime = seconds;
    });
  }

  private follow(): void {
    if (this.video.paused || this.controls.hidden) return;
    this.tell();
    requestAnimationFrame(() => this.follow());
  }

  private tell(): void {
    if (this.controls.hidden) return;
    this.button.textContent = this.video.paused ? "Play" : "Pause";
    this.slider.value = String(this.video.currentTime);
    this.slider.setAttribute("aria-valuetext", clock(this.video.currentTime));
    this.onMoment();
  }
}
