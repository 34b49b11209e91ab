/** Reads pictures by the service that the page came from. */

import { PlainError, type Answer, type Backend, type ClipAnswer, type OnProgress, type Picture, type Row } from "./backend";
import type { Player } from "./player";

const POLL = 500; // milliseconds between two questions about a clip
const PATIENCE = 5; // times that a busy service is asked again
const QUALITY = 0.9; // of the JPEG of a camera's picture

interface Job {
  id: string;
  state: string;
  progress: number | null;
  rows: Row[] | null;
  warning: string | null;
  error: string | null;
}

/** Asks for the service's token; resolves with what was typed. */
export type AskToken = () => Promise<string>;

export class Remote implements Backend {
  readonly promise =
    "Pictures and clips go to the service that this page came from. It keeps nothing once they are answered.";
  private token = "";

  constructor(private readonly askToken: AskToken) {}

  async prepare(): Promise<void> {
    await this.fetch("v1/models", {});
  }

  async predict(picture: Picture, signal: AbortSignal): Promise<Answer> {
    const form = new FormData();
    form.append("picture", picture.file ?? (await jpeg(picture.canvas)), picture.name);
    const answer = await this.fetch("v1/predict", { method: "POST", body: form, signal });
    return (answer as { pictures: Answer[] }).pictures[0];
  }

  async predictClip(file: File, _player: Player, onProgress: OnProgress, signal: AbortSignal): Promise<ClipAnswer> {
    onProgress(0, "sending the clip");
    const form = new FormData();
    form.append("clip", file, file.name);
    let job = (await this.fetch("v1/video", { method: "POST", body: form, signal })) as Job;
    const path = `v1/jobs/${encodeURIComponent(job.id)}`;
    try {
      while (job.state === "queued" || job.state === "running") {
        onProgress(job.progress ?? 0, job.state === "queued" ? "waiting for others" : "reading the clip");
        await pause(POLL, signal);
        job = (await this.fetch(path, { signal })) as Job;
      }
    } catch (error) {
      if (signal.aborted) await this.fetch(path, { method: "DELETE" }).catch(() => undefined); // it may have ended
      throw error;
    }
    onProgress(1, "reading the clip");
    if (!job.rows) throw new PlainError(job.error ?? "the clip could not be read");
    return { rows: job.rows, warning: job.warning };
  }

  /** Return the JSON of an answer. Ask for the token where the service wants one, and again where it is busy. */
  private async fetch(path: string, request: RequestInit): Promise<unknown> {
    for (let tries = 1; ; ) {
      const headers: HeadersInit = this.token ? { Authorization: `Bearer ${this.token}` } : {};
      const response = await fetch(path, { ...request, headers }).catch((error: unknown) => {
        if (error instanceof DOMException && error.name === "AbortError") throw error;
        throw new PlainError("the service does not answer; is it still running?");
      });
      if (response.ok) return response.status === 204 ? null : response.json();
      const wait = Number(response.headers.get("Retry-After"));
      if (response.status === 401) this.token = await this.askToken();
      else if (wait && tries++ < PATIENCE) await pause(1000 * wait, request.signal ?? undefined);
      else throw new PlainError(await refusal(response));
    }
  }
}

async function refusal(response: Response): Promise<string> {
  const answer = (await response.json().catch(() => ({}))) as { detail?: unknown };
  return typeof answer.detail === "string" ? answer.detail : `the service answered ${response.status}`;
}

async function jpeg(canvas: HTMLCanvasElement): Promise<Blob> {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no JPEG"))), "image/jpeg", QUALITY);
  });
}

async function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  signal?.throwIfAborted();
}
