/** The two networks, run by ONNX Runtime Web. */

import type * as Ort from "onnxruntime-web";
import { SIDE } from "./align";
import { readCard } from "./card";
import { Recogniser, type RunClassifier } from "./recognise";
import type { RunNetwork } from "./yunet";

/** The contents of the files that the page needs. */
export interface Models {
  detector: Uint8Array;
  classifier: Uint8Array;
  covered: Uint8Array;
}

/** Load the networks. `ort`: ONNX Runtime Web, set up by whoever imports it. */
export async function makeRecogniser(ort: typeof Ort, models: Models): Promise<Recogniser> {
  const detector = await ort.InferenceSession.create(models.detector);
  const classifier = await ort.InferenceSession.create(models.classifier);
  const detect: RunNetwork = async (data, count, height, width) => {
    const pictures = new ort.Tensor("uint8", data, [count, height, width, 3]);
    const outputs = await detector.run({ pictures });
    const [scores, boxes, landmarks] = ["scores", "boxes", "landmarks"].map((name) => outputs[name].data as Float32Array);
    return { scores, boxes, landmarks };
  };
  const classify: RunClassifier = async (data, count) => {
    const { probs } = await classifier.run({ faces: new ort.Tensor("uint8", data, [count, SIDE, SIDE]) });
    return probs.data as Float32Array;
  };
  const { buffer, byteOffset, byteLength } = models.covered;
  const weights = new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer);
  return new Recogniser(detect, classify, readCard(models.classifier), weights);
}
