/** A colour for each expression, the same as in `mien.labels`, and one for every other class. */

export const COLOURS: Record<string, string> = {
  angry: "#d55e00",
  disgust: "#009e73",
  fear: "#cc79a7",
  happy: "#f0e442",
  sad: "#0072b2",
  surprise: "#e69f00",
  neutral: "#a0a0a0",
};
const OTHERS = ["#606070", "#8c785a", "#3c3c3c", "#c8beaa"]; // of classes that have no colour of their own

export const DARK = "#18181b";
export const LIGHT = "#f4f4f5";

/** Return the colour of a class; `classes`: all of them, so that two others differ. */
export function colourOf(name: string, classes: string[]): string {
  const place = classes.filter((each) => !(each in COLOURS)).indexOf(name);
  return COLOURS[name] ?? OTHERS[Math.max(place, 0) % OTHERS.length];
}

/** Return dark or light, whichever reads better on a colour (its luma after ITU-R 601). */
export function inkOn(colour: string): string {
  const [red, green, blue] = [1, 3, 5].map((place) => parseInt(colour.slice(place, place + 2), 16));
  return 0.299 * red + 0.587 * green + 0.114 * blue > 110 ? DARK : LIGHT;
}
