/** What the page and its worker send each other. */

import type { Row } from "./backend";
import type { Kind } from "./local/yunet";

export interface ToWorker {
  id: number;
  pixels: ImageData;
  source: string;
  kind: Kind;
}

export type FromWorker =
  | { progress: number }
  | { ready: boolean; error?: string }
  | { id: number; rows?: Row[]; error?: string };
