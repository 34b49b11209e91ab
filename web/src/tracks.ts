/** Numbers the faces of a clip: a face that overlaps one of a moment before is the same one. */

import { figure, SIDES, type Row } from "./backend";
import { boxIou } from "./local/boxes";

const OVERLAP = 0.2; // the least intersection over union with where the face was seen last
const PATIENCE = 1.0; // seconds for which a face may be out of sight

interface Track {
  number: number;
  box: number[];
  seconds: number;
}

export class Tracks {
  private tracks: Track[] = [];
  private count = 0;

  /** Return the rows of the next frame with their time and the number of each face. */
  follow(rows: Row[], seconds: number): Row[] {
    const old = this.tracks.filter((track) => seconds - track.seconds <= PATIENCE);
    const boxes = rows.map((row) => SIDES.map((side) => figure(row, side)));
    const pairs = boxes
      .flatMap((box, face) => old.map((track) => ({ face, track, overlap: boxIou(box, track.box) })))
      .filter(({ overlap }) => overlap >= OVERLAP)
      .sort((one, other) => other.overlap - one.overlap);
    const found = new Map<number, Track>();
    for (const { face, track } of pairs) {
      if (!found.has(face) && ![...found.values()].includes(track)) found.set(face, track);
    }
    const seen = boxes.map((box, face) => {
      const number = found.get(face)?.number ?? ++this.count;
      return { number, box, seconds };
    });
    this.tracks = [...seen, ...old.filter((track) => ![...found.values()].includes(track))];
    return rows.map(({ source, ...rest }, face) => ({
      source,
      seconds: Math.round(seconds * 1e6) / 1e6,
      track: seen[face].number,
      ...rest,
    }));
  }
}
