/** The ways in which a file comes to the page: chosen, dropped or pasted. */

import { byId } from "./dom";

/** Call `take` with each file that the page is given. */
export function listen(take: (file: File) => void): void {
  const input = byId<HTMLInputElement>("file");
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    if (file) take(file);
    input.value = ""; // so that the same file may be chosen again
  });
  const drop = byId("drop");
  let inside = 0; // elements of the page that the pointer is inside of, with a file
  document.addEventListener("dragenter", (event) => {
    event.preventDefault();
    inside += 1;
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", () => {
    inside -= 1;
    if (inside <= 0) drop.classList.remove("over");
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    inside = 0;
    drop.classList.remove("over");
    const file = event.dataTransfer?.files[0];
    if (file) take(file);
  });
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData?.files[0];
    if (file) take(file);
  });
}
