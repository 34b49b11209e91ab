// Build the pages:
//   node build.mjs remote FOLDER   the page at `/` of `mien serve`, which is committed in src/mien/serve/static
//   node build.mjs local FOLDER    the page with nothing uploaded: any web server hosts this folder
//   node build.mjs golden FOLDER   what reads pictures in Node, for tests

import { build } from "esbuild";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src blob:; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'";
const LOCAL_POLICY = POLICY.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'");

const ASSETS = join(HERE, "../src/mien/assets");
const MODELS = ["yunet.onnx", "swift-nano.onnx", "covered.f32"];
const RUNTIME = ["ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"];

/** Let the worker take ONNX Runtime from the file beside it. */
const runtimeBeside = {
  name: "runtime-beside",
  setup(building) {
    building.onResolve({ filter: /^onnxruntime-web\/wasm$/ }, () => ({ path: `./${RUNTIME[0]}`, external: true }));
  },
};

async function bundle(entry, file, more = {}) {
  await build({
    absWorkingDir: HERE,
    entryPoints: [`src/${entry}.ts`],
    outfile: file,
    bundle: true,
    minify: true,
    format: "esm",
    target: ["chrome123", "firefox120", "safari17.5"],
    legalComments: "none",
    logLevel: "warning",
    ...more,
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

async function buildLocal(folder) {
  await writePage(folder, LOCAL_POLICY);
  await bundle("main_local", join(folder, "page.js"));
  await bundle("worker", join(folder, "worker.js"), { plugins: [runtimeBeside] });
  await mkdir(join(folder, "models"), { recursive: true });
  for (const name of ["LICENSE", "NOTICE"]) await copyFile(join(HERE, "..", name), join(folder, `${name}.txt`));
  for (const name of MODELS) await copyFile(join(ASSETS, name), join(folder, "models", name));
  for (const name of RUNTIME) await copyFile(join(HERE, "node_modules/onnxruntime-web/dist", name), join(folder, name));
}

async function buildGolden(folder) {
  await bundle("golden", join(folder, "golden.mjs"), { platform: "node", target: "node18", minify: false });
}

const BUILDERS = { remote: buildRemote, local: buildLocal, golden: buildGolden };
const [what, place] = process.argv.slice(2);
if (what in BUILDERS && place) await BUILDERS[what](resolve(place));
else {
  console.error("usage: node build.mjs remote|local|golden FOLDER");
  process.exitCode = 2;
}
