// Runs a script of the project, such as `node src/cli/run-script.mjs src/cli/start.ts --once`, or ends in one sentence
// where Node could not load it. It is plain JavaScript with no import of a package, so that any Node can read it.
import { existsSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";

const projectFolder = fileURLToPath(new URL("../..", import.meta.url));
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
/** The first releases that run TypeScript as it is. */
const runsTypeScript = major > 23 || (major === 23 && minor >= 6) || (major === 22 && minor >= 18);

if (!existsSync(`${projectFolder}node_modules/wrangler`)) {
  fail("Run npm install first: it brings the packages of the project and the Node that they need.");
} else if (!runsTypeScript) {
  fail(
    `Node ${process.versions.node} cannot run this; npm install has brought one that can, which npm start and npm run use.`,
  );
} else {
  const [, , script = ""] = process.argv;
  const path = `${projectFolder}${script}`;
  // The script finds its own options behind its own path, as if Node had been given it.
  process.argv.splice(1, 2, path);
  await import(pathToFileURL(path).href);
}

function fail(sentence) {
  console.error(sentence);
  process.exitCode = 1;
}
