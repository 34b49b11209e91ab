// Build the pages:
//   node build.mjs remote FOLDER   the page at `/` of `mien serve`, which is committed in src/mien/serve/static
//   node build.mjs local FOLDER    the page with nothing uploaded: any web server hosts this folder

import { build } from "esbuild";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src blob:; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'";
const LOCAL_POLICY = POLICY.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'");

async function bundle(entry, file) {
  await build({
    absWorkingDir: HERE,
    entryPoints: [`src/${entry}.ts`],
    outfile: file,
    bundle: true,
    minify: true,
    format: "esm",
    target: ["chrome123", "firefox120", "safari17.5"],
    external: ["./ort.wasm.bundle.min.mjs"],
    legalComments: "none",
    logLevel: "warning",
  });
}

async function writePage(folder, policy) {
  await mkdir(folder, { recursive: true });
  const page = await readFile(join(HERE, "public", "index.html"), "utf8");
  await writeFile(join(folder, "index.html"), page.replace("{{policy}}", policy));
  await copyFile(join(HERE, "public", "page.css"), join(folder, "page.css"));
}

async function buildRemote(folder) {
  await writePage(folder, POLICY);
  await bundle("main_remote", join(folder, "page.js"));
}

const [what, place] = process.argv.slice(2);
const folder = place && resolve(place);
if (what === "remote" && folder) await buildRemote(folder);
else {
  console.error("usage: node build.mjs remote|local FOLDER");
  process.exitCode = 2;
}
