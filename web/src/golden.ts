/**
 * Reads pictures in Node as the page does in the browser, for a test that compares with Python.
 *
 *   node golden.mjs DIST PICTURES > rows.json
 *
 * DIST is the built page. PICTURES holds a list of pictures, index.json, and the bytes of each, NAME.rgb. An entry of the
 * list has name, width, height.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as ort from "onnxruntime-web/wasm";
import { makeRecogniser } from "./local/sessions";

interface Entry {
  name: string;
  width: number;
  height: number;
}

const [dist, pictures] = process.argv.slice(2);
const read = (folder: string, name: string): Uint8Array => new Uint8Array(readFileSync(join(folder, name)));
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmBinary = read(dist, "ort-wasm-simd-threaded.wasm").buffer as ArrayBuffer;
const recogniser = await makeRecogniser(ort, {
  detector: read(dist, "models/yunet.onnx"),
  classifier: read(dist, "models/swift-nano.onnx"),
  covered: read(dist, "models/covered.f32"),
});
const entries = JSON.parse(readFileSync(join(pictures, "index.json"), "utf8")) as Entry[];
const answers = [];
for (const { name, width, height } of entries) {
  const picture = { width, height, channels: 3 as const, data: read(pictures, `${name}.rgb`) };
  answers.push(await recogniser.rows(picture, name, "photo"));
}
console.log(JSON.stringify(answers));
