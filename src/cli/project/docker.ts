// The image of a worker, built and pushed by Docker where there is one. `docker build` and `docker push` are known to every Docker, also without
// the plugin buildx.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import { messageOf } from "../../core/failure.ts";
import { Failed } from "../wrong-use.ts";

/** What machines with GPUs run, whatever the machine is that builds. */
const PLATFORM = "linux/amd64";
/** A daemon on another machine, by SSH, takes some seconds. */
const ANSWER_MAX_MS = 15_000;

/** The arguments of the two commands that make an image. */
export function dockerCommands(image: string): readonly (readonly string[])[] {
  return [
    ["build", "--platform", PLATFORM, "--tag", image, "."],
    ["push", image],
  ];
}

/** Does a Docker daemon answer? A client alone builds nothing. */
export async function isDockerUp(): Promise<boolean> {
  try {
    await promisify(execFile)("docker", ["version"], { timeout: ANSWER_MAX_MS, killSignal: "SIGKILL" });
    return true;
  } catch {
    return false;
  }
}

/** Builds the image of a folder and pushes it. What Docker prints goes to standard error. */
export async function buildImage(folder: string, image: string): Promise<void> {
  for (const args of dockerCommands(image)) await docker(folder, args);
}

async function docker(folder: string, args: readonly string[]): Promise<void> {
  const child = spawn("docker", args, {
    cwd: folder,
    // Else BuildKit makes an index of the image and of a record of how it was built, which not every registry takes.
    env: { ...process.env, BUILDX_NO_DEFAULT_ATTESTATIONS: "1" },
    stdio: ["inherit", process.stderr, process.stderr],
  });
  const [code, signal] = await once(child, "close").catch((error: unknown) => [messageOf(error), null]);
  if (code === 0) return;
  throw new Failed("failed", `docker ${args[0]} ended with ${signal ?? code}: nothing is changed at the broker`);
}
