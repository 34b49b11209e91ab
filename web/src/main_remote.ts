/** The page at `/` of `mien serve`: the service reads the pictures. */

import { byId, make } from "./dom";
import { Page } from "./page";
import { Remote } from "./remote";

/** Show the field for the service's token, and wait until it is sent. */
async function askToken(): Promise<string> {
  const form = byId<HTMLFormElement>("token");
  const field = byId<HTMLInputElement>("token-field");
  form.hidden = false;
  field.focus();
  await new Promise<void>((resolve) => {
    form.onsubmit = (event) => {
      event.preventDefault();
      resolve();
    };
  });
  const typed = field.value;
  field.value = "";
  form.hidden = true;
  return typed;
}

new Page(new Remote(askToken));
byId("promise").append(" ", make("a", { href: "local", id: "other" }, "A page that sends nothing"));
