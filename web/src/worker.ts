/** The worker of the page that uploads nothing: it loads the networks from beside it, and reads pictures. */

import * as ort from "onnxruntime-web/wasm";
import { fromCanvas } from "./local/pixels";
import type { Recogniser } from "./local/recognise";
import { makeRecogniser } from "./local/sessions";
import type { FromWorker, ToWorker } from "./messages";

const BYTES = 15_500_000; // of all files together, about: what the progress counts to

const tell = (message: FromWorker): void => postMessage(message);
const ready = load();
ready.then(
  () => tell({ ready: true }),
  (error: unknown) => tell({ ready: false, error: String(error) }),
);

addEventListener("message", ({ data }: MessageEvent<ToWorker>) => {
  const { id, pixels, source, kind } = data;
  const rows = ready.then((recogniser) => recogniser.rows(fromCanvas(pixels), source, kind));
  rows.then(
    (found) => tell({ id, rows: found }),
    (error: unknown) => tell({ id, error: String(error) }),
  );
});

async function load(): Promise<Recogniser> {
  let received = 0;
  const fetchFile = async (name: string): Promise<Uint8Array> => {
    const response = await fetch(new URL(name, import.meta.url));
    if (!response.ok || !response.body) throw new Error(`${name} is not there: ${response.status}`);
    const parts: Uint8Array[] = [];
    const reader = response.body.getReader();
    for (let part = await reader.read(); part.value; part = await reader.read()) {
      parts.push(part.value);
      received += part.value.length;
      tell({ progress: Math.min(received / BYTES, 0.99) });
    }
    return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
  };
  const [runtime, detector, classifier, covered] = await Promise.all(
    ["ort-wasm-simd-threaded.wasm", "models/yunet.onnx", "models/swift-nano.onnx", "models/covered.f32"].map(fetchFile),
  );
  ort.env.wasm.wasmBinary = runtime.buffer as ArrayBuffer;
  ort.env.wasm.numThreads = 1; // more would need headers that not every web server sends
  return makeRecogniser(ort, { detector, classifier, covered });
}
