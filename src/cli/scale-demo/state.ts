// The folder of the demo's state, below that of the state of npm start: each demo begins with an empty one. It is known by a file that is
// written there first, as whatever else has its name, such as a state of npm start, is a person's own.
import { existsSync, lstatSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const MARK = "made-by-scale-demo.txt";
const MARK_TEXT = "npm start -- --scale-demo has made this folder, and removes it when it runs again.\n";

/**
 * Makes the folder anew and returns it; throws a sentence where something else is there. The broker keeps records of its machines for half a
 * minute after their ends, until a list shows that they are gone; the agent that would answer it ends with the demo, so that a later broker of
 * the same state would go on asking.
 */
export function makeDemoState(state: string): string {
  const folder = join(state, "scale-demo");
  if (!isReplaceable(folder)) {
    throw new Error(
      `${folder} is not of an earlier scale demo, as it has no file ${MARK}. The demo begins with an empty folder there: ` +
        "move it away or remove it, or choose another state with --state DIR.",
    );
  }
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, MARK), MARK_TEXT);
  return folder;
}

/** Is nothing there that a person may want to keep? */
function isReplaceable(folder: string): boolean {
  const found = lstatSync(folder, { throwIfNoEntry: false });
  if (found === undefined) return true;
  return found.isDirectory() && (existsSync(join(folder, MARK)) || readdirSync(folder).length === 0);
}
