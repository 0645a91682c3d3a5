// Tells when the npm that has started this process is gone. npx and npm run run a command in a shell: kill -9 ends npm alone, and SIGTERM both of
// them and not what the shell has started.
import { parentOf } from "../dev-processes.ts";

const LOOKS_EVERY_MS = 1_000;

/** Calls back once. Does nothing where no npm has started this. What it returns ends the watch. */
export function watchNpm(gone: () => void): () => void {
  if (process.env.npm_command === undefined) return () => undefined;
  const shell = process.ppid;
  const npm = parentOf(shell);
  const timer = setInterval(() => {
    if (process.ppid === shell && parentOf(shell) === npm) return;
    clearInterval(timer);
    gone();
  }, LOOKS_EVERY_MS);
  return () => clearInterval(timer);
}
