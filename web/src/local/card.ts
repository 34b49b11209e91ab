/** The card in a model file: `read_metadata` of `mien/classify/card.py`. */

const METADATA = 14; // the number of the field `metadata_props` in ONNX's ModelProto

export interface Card {
  name: string;
  class_names: string[];
  side: number;
}

/** Return the card of a model from its file's content. */
export function readCard(model: Uint8Array): Card {
  for (const [field, content] of fields(model)) {
    if (field !== METADATA) continue;
    const pair = new Map(fields(content));
    const [key, value] = [1, 2].map((number) => new TextDecoder().decode(pair.get(number)));
    if (key === "mien") return JSON.parse(value) as Card;
  }
  throw new Error("the model has no card of mien");
}

/** Give the number and content of each field of a protobuf message that has a length. */
function* fields(message: Uint8Array): Generator<[number, Uint8Array]> {
  let place = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = message[place++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (place < message.length) {
    const tag = varint();
    if ((tag & 7) === 0) varint();
    else if ((tag & 7) === 1) place += 8;
    else if ((tag & 7) === 5) place += 4;
    else {
      const length = varint();
      yield [Math.floor(tag / 8), message.subarray(place, place + length)];
      place += length;
    }
  }
}
