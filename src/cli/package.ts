// npm run package [-- --out FOLDER]: writes the npm package `waybill`, ready for `npm pack`.
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { PROJECT_FOLDER } from "./folders.ts";
import { buildPackage } from "./package/build.ts";
import { endWith } from "./wrong-use.ts";

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { out: { type: "string" } } });
  const folder = resolve(values.out ?? join(PROJECT_FOLDER, "dist/package"));
  await buildPackage(folder);
  const shown = relative(process.cwd(), folder);
  console.log(`The package is in ${shown}. To make a tarball of it: npm pack "./${shown}"`);
}

main().catch(endWith);
