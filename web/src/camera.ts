/** The camera: frames that are read one after the other, each as soon as the one before is answered. */

import { PlainError } from "./backend";

const SIZE = { width: { ideal: 640 }, height: { ideal: 480 } };
const RECENT = 30; // frames over which the rate is taken

export class Camera {
  /** Frames read in a second, lately. */
  rate = 0;
  private stream: MediaStream | undefined;
  private readonly video = document.createElement("video");

  get runs(): boolean {
    return this.stream !== undefined;
  }

  /** Start, and give each frame to `read`, which resolves when it is done with it; ends when stopped. */
  async run(read: (canvas: HTMLCanvasElement) => Promise<void>): Promise<void> {
    const stream = await open();
    this.stream = stream;
    try {
      this.video.muted = true;
      this.video.playsInline = true;
      this.video.srcObject = stream;
      await this.video.play();
      await this.readAll(stream, read);
    } finally {
      stream.getTracks().forEach((track) => track.stop());
      if (this.stream === stream) this.stop();
    }
  }

  stop(): void {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = undefined;
    this.video.srcObject = null;
    this.rate = 0;
  }

  private async readAll(stream: MediaStream, read: (canvas: HTMLCanvasElement) => Promise<void>): Promise<void> {
    const times: number[] = [];
    const frames = new FrameClock(this.video);
    for (await frames.next(); this.stream === stream; await frames.next()) {
      const canvas = document.createElement("canvas");
      canvas.width = this.video.videoWidth;
      canvas.height = this.video.videoHeight;
      canvas.getContext("2d", { willReadFrequently: true })?.drawImage(this.video, 0, 0);
      await read(canvas);
      times.push(performance.now());
      if (times.length > RECENT) times.shift();
      if (times.length > 1) this.rate = ((times.length - 1) * 1000) / (times[times.length - 1] - times[0]);
    }
  }
}

async function open(): Promise<MediaStream> {
  if (!navigator.mediaDevices) throw new PlainError("the browser gives a camera only to pages from https or localhost");
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { ...SIZE, facingMode: "user" } });
  } catch (error) {
    const name = error instanceof DOMException ? error.name : "";
    if (name === "NotAllowedError") throw new PlainError("the browser was not allowed to use the camera");
    throw new PlainError("there is no camera that the browser can use");
  }
}

/** Tells whether a video has shown another frame since it was last asked. */
class FrameClock {
  private fresh = true;
  private wake = (): void => undefined;

  constructor(private readonly video: HTMLVideoElement) {
    this.watch();
  }

  /** Wait for a frame that was not taken yet, at most a second: an unplugged camera gives no more. */
  async next(): Promise<void> {
    if (!this.fresh) {
      await new Promise<void>((resolve) => {
        const limit = setTimeout(resolve, 1000);
        this.wake = () => {
          clearTimeout(limit);
          resolve();
        };
      });
    }
    this.fresh = false;
  }

  private watch(): void {
    const seen = (): void => {
      this.fresh = true;
      this.wake();
      if (this.video.srcObject) this.watch();
    };
    if ("requestVideoFrameCallback" in this.video) this.video.requestVideoFrameCallback(seen);
    else requestAnimationFrame(seen);
  }
}
