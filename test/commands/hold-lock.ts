// A process that takes the lock of the folder in its arguments, says so, and keeps it until its input ends or it is killed.
// With `serve` it has started a process group before, which outlives it as wrangler's does.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { takeStateLock } from "../../src/cli/dev-lock.ts";

const [folder = "", port = "", what] = process.argv.slice(2);

try {
  const lock = takeStateLock(folder, Number(port));
  if (what === "serve") {
    // A leader with a child, as wrangler has workerd.
    const script = 'require("node:child_process").spawn(process.execPath, ["-e", "setTimeout(() => {}, 60000)"])';
    const leader = spawn(process.execPath, ["-e", `${script}; console.log("up")`], {
      detached: true,
      stdio: ["ignore", "pipe", "ignore"],
    });
    lock.noteGroup(leader.pid ?? 0);
    await once(leader.stdout, "data");
    console.log(`group ${leader.pid}`);
  }
  console.log("held");
  process.stdin.on("end", () => {
    lock.release();
    process.exit(0);
  });
  process.stdin.resume();
} catch (error) {
  console.log(error instanceof Error ? error.message : String(error));
  process.exit(3);
}
