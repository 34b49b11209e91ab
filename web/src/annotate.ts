/** Boxes, plates and bars on a canvas: what `mien predict --draw` draws. */

import { classNames, figure, percent, SIDES, type Row } from "./backend";
import { colourOf, DARK, inkOn, LIGHT } from "./colours";

interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/**
 * Draw rows over what a canvas shows.
 * @param scale pixels of the canvas for one of the picture
 * @param selected the row whose box is drawn thicker; -1: none
 */
export function annotate(brush: CanvasRenderingContext2D, rows: Row[], scale: number, selected = -1): void {
  const boxes = rows.map((row) => boxOf(row, scale));
  const canvas = brush.canvas;
  const line = Math.max(2, Math.round(Math.min(canvas.width, canvas.height) / 240));
  for (let face = rows.length - 1; face >= 0; face--) {
    outline(brush, boxes[face], colour(rows[face]), face === selected ? 2 * line : line); // the largest last, on top
  }
  const taken = [...boxes];
  rows.forEach((row, face) => {
    const others = taken.filter((box) => box !== boxes[face]);
    taken.push(plate(brush, plateText(row, face, rows.length), colour(row), boxes[face], others));
  });
  rows.forEach((row, face) => {
    const panel = bars(brush, row, boxes[face], taken, 2 * line);
    if (panel) taken.push(panel);
  });
}

/** Return the place of the smallest face that a point of the picture lies in, or -1. */
export function faceAt(rows: Row[], x: number, y: number): number {
  let found = -1;
  rows.forEach((row, face) => {
    const box = boxOf(row, 1);
    if (x >= box.left && x <= box.right && y >= box.top && y <= box.bottom) found = face; // rows go from large to small
  });
  return found;
}

function boxOf(row: Row, scale: number): Box {
  const [left, top, right, bottom] = SIDES.map((name) => figure(row, name) * scale);
  return { left, top, right, bottom };
}

function colour(row: Row): string {
  return colourOf(String(row.expression), classNames(row));
}

function outline(brush: CanvasRenderingContext2D, box: Box, ink: string, width: number): void {
  for (const [colour, more] of [[DARK, 2], [ink, 0]] as const) {
    brush.strokeStyle = colour; // a thin dark rim lets every colour stand out
    brush.lineWidth = width + more;
    brush.strokeRect(box.left, box.top, box.right - box.left, box.bottom - box.top);
  }
}

function letters(brush: CanvasRenderingContext2D, box: Box): number {
  const side = Math.min(brush.canvas.width, brush.canvas.height);
  return Math.max(4, Math.round(Math.min(Math.max(12, side / 38, (box.bottom - box.top) / 8), side / 14)));
}

/** Return a face's number, if there are several, its expression and how sure that is. */
function plateText(row: Row, face: number, faces: number): string {
  const number = row.track !== undefined ? `#${row.track} ` : faces > 1 ? `${face + 1} ` : "";
  return `${number}${row.expression} ${percent(figure(row, "confidence"))}`;
}

/** Write a text near a face's box, where that covers the least of what is there. */
function plate(brush: CanvasRenderingContext2D, text: string, ground: string, box: Box, taken: Box[]): Box {
  const size = letters(brush, box);
  brush.font = font(size);
  const [width, height] = [brush.measureText(text).width + (2 * size) / 3, size * 1.35];
  const { width: most, height: lowest } = brush.canvas;
  let best: Box | undefined;
  for (const top of [box.top - height, box.bottom, box.top, box.bottom - height]) {
    for (const left of [box.left, box.right - width]) {
      const place = at(clamp(left, most - width), clamp(top, lowest - height), width, height);
      if (!best || covered(place, taken) < covered(best, taken)) best = place;
    }
  }
  const found = best as Box;
  brush.fillStyle = ground;
  brush.fillRect(found.left, found.top, width, height);
  brush.fillStyle = inkOn(ground);
  brush.textBaseline = "middle";
  brush.textAlign = "left";
  brush.fillText(text, found.left + size / 3, (found.top + found.bottom) / 2);
  return found;
}

/** Draw a bar for each class beside a large face, the most probable first, where there is room. */
function bars(brush: CanvasRenderingContext2D, row: Row, box: Box, taken: Box[], gap: number): Box | undefined {
  const size = letters(brush, box) * 0.8;
  if (box.bottom - box.top < 7.5 * size) return undefined;
  brush.font = font(size);
  const classes = classNames(row);
  const names = Math.max(...classes.map((name) => brush.measureText(name).width));
  const [pad, step, length] = [size * 0.6, size * 1.4, size * 5];
  const width = names + length + brush.measureText("100%").width + 4 * pad;
  const height = step * classes.length + pad;
  const top = clamp(box.top, brush.canvas.height - height);
  const places = [box.right + gap, box.left - gap - width].map((left) => at(left, top, width, height));
  const panel = places.find(
    (place) =>
      place.left >= 0 && place.right <= brush.canvas.width && height <= brush.canvas.height && !covered(place, taken),
  );
  if (!panel) return undefined;
  brush.fillStyle = "rgb(24 24 27 / 0.8)";
  brush.fillRect(panel.left, panel.top, width, height);
  brush.textBaseline = "middle";
  brush.textAlign = "right";
  classes.sort((one, other) => figure(row, other) - figure(row, one));
  classes.forEach((name, rank) => {
    const middle = panel.top + pad / 2 + step * (rank + 0.5);
    brush.fillStyle = LIGHT;
    brush.fillText(name, panel.left + pad + names, middle);
    brush.fillText(percent(figure(row, name)), panel.right - pad, middle);
    brush.fillStyle = colourOf(name, classNames(row));
    const start = panel.left + 2 * pad + names;
    brush.fillRect(start, middle - size * 0.35, Math.max(length * figure(row, name), 1), size * 0.7);
  });
  return panel;
}

function font(size: number): string {
  return `${size}px system-ui, sans-serif`;
}

function at(left: number, top: number, width: number, height: number): Box {
  return { left, top, right: left + width, bottom: top + height };
}

function clamp(value: number, most: number): number {
  return Math.max(0, Math.min(value, most));
}

/** Return how much of other boxes a box covers, in square pixels, added up. */
function covered(box: Box, others: Box[]): number {
  let sum = 0;
  for (const other of others) {
    const across = Math.min(box.right, other.right) - Math.max(box.left, other.left);
    const down = Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top);
    sum += Math.max(across, 0) * Math.max(down, 0);
  }
  return sum;
}
