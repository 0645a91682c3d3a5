// The package `waybill` as a tarball: it is in no registry, so that a worker's folder has it beside the code.
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { messageOf } from "../../core/failure.ts";
import { parseJson, textOf } from "../../core/json/value.ts";
import { IS_PROJECT } from "../program.ts";
import { Failed } from "../wrong-use.ts";
import { ownFolder } from "./own-folder.ts";

/** The name of the tarball, which has the release in it. */
export function tarballName(): string {
  const manifest = parseJson(readFileSync(join(packageFolder(), "package.json"), "utf8"));
  return `waybill-${textOf(manifest, "version")}.tgz`;
}

/** Writes the package that runs this into the folder, as a tarball of this name. Needs npm, and no network. */
export async function packOwn(folder: string, name: string): Promise<void> {
  // Packed beside its place, so that it gets there as a whole.
  const beside = mkdtempSync(join(ownFolder(folder), "pack-"));
  const built = IS_PROJECT ? await build() : null;
  try {
    await pack(built ?? packageFolder(), beside);
    renameSync(join(beside, name), join(folder, name));
  } finally {
    for (const made of [beside, built]) if (made !== null) rmSync(made, { recursive: true, force: true });
  }
}

/** The folder of the manifest that this file belongs to. */
function packageFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) folder = dirname(folder);
  return folder;
}

/** The project is not the package, which has to be built. The package has nothing of what builds it, so no bundler may see the name. */
async function build(): Promise<string> {
  const builder = new URL("../package/build.ts", import.meta.url).href;
  const { buildPackage } = (await import(builder)) as typeof import("../package/build.ts");
  const folder = mkdtempSync(join(tmpdir(), "waybill-package-"));
  await buildPackage(folder);
  return folder;
}

async function pack(folder: string, into: string): Promise<void> {
  try {
    await promisify(execFile)("npm", ["pack", "--ignore-scripts", "--pack-destination", into], { cwd: folder });
  } catch (error) {
    throw new Failed("failed", `npm could not pack ${folder}: ${textOf(error, "stderr") || messageOf(error)}`);
  }
}
