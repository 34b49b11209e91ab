/** Tables as CSV, as Python's csv module reads them, and files that the browser saves. */

import type { Row } from "./backend";

/** Return rows as CSV. A row may lack columns that others have; these cells are empty. */
export function toCsv(rows: Row[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const lines = [columns, ...rows.map((row) => columns.map((name) => row[name] ?? ""))];
  return lines.map((line) => line.map(cell).join(",") + "\n").join("");
}

function cell(value: string | number): string {
  const text = String(value).replaceAll("\r", "\ufffd");
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Let the browser save a file. */
export function save(content: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000); // the browser has begun to save it by then
}

/** Return a file's name without its ending. */
export function stem(name: string): string {
  return name.replace(/\.[^.]*$/, "") || "picture";
}
