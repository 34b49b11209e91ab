/** The page that uploads nothing: the browser reads the pictures. */

import { Local } from "./local";
import { Page } from "./page";

new Page(new Local());
