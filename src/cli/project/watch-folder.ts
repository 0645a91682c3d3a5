// Tells of changes of the files below a folder. Each folder is watched by itself: the recursive watch of Node on Linux watches each file, and
// loses one for good when an editor puts a new file in its place.
import { type FSWatcher, readdirSync, watch } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../core/failure.ts";

export interface WatchedFolder {
  close(): void;
}

interface WatchOptions {
  /** Is called with the changed files, by their paths below the folder, once a burst of changes has ended. */
  readonly changed: (names: readonly string[]) => void;
  /** Is called with a sentence where a part of the folder cannot be watched. */
  readonly fails: (sentence: string) => void;
}

/** A burst is over when nothing has changed for so long. */
const QUIET_MS = 100;
/** What editors leave beside a file while it is open. */
const OF_EDITORS = /^(\..*\.sw[a-z]|\.#.*|#.*#|.*~|4913)$/;

export function watchFolder(root: string, { changed, fails }: WatchOptions): WatchedFolder {
  let watchers: readonly FSWatcher[] = [];
  const names = new Set<string>();
  let hasFailed = false;
  let timer: NodeJS.Timeout | undefined;

  function note(name: string): void {
    if (!isWatched(name)) return;
    names.add(name);
    clearTimeout(timer);
    timer = setTimeout(tell, QUIET_MS);
  }

  function tell(): void {
    const burst = [...names];
    names.clear();
    follow();
    changed(burst);
  }

  /** Watches the folders that are there now: one that was deleted and made anew has its name, and is another one. */
  function follow(): void {
    const former = watchers;
    watchers = foldersBelow(root).flatMap((folder) => watchOne(folder));
    for (const watcher of former) watcher.close();
  }

  function watchOne(folder: string): FSWatcher[] {
    try {
      const watcher = watch(join(root, folder), (_, name) => note(join(folder, name ?? "")));
      // The folder is gone, which the one above it tells.
      watcher.on("error", () => watcher.close());
      return [watcher];
    } catch (error) {
      // What one folder lacks the others lack, too, such as the system's room for watches.
      if (!hasFailed) fails(`changes in ${folder || "this folder"} are not seen: ${messageOf(error)}`);
      hasFailed = true;
      return [];
    }
  }

  follow();
  return {
    close: () => {
      clearTimeout(timer);
      for (const watcher of watchers) watcher.close();
    },
  };
}

/** Packages are not, nor what hidden folders hold: both change by themselves. */
function isWatched(name: string): boolean {
  const parts = name.split(/[\\/]/);
  const file = parts.pop() ?? "";
  return file !== "" && file !== "node_modules" && !parts.some(isHidden) && !OF_EDITORS.test(file);
}

function isHidden(folder: string): boolean {
  return folder === "node_modules" || folder.startsWith(".");
}

/** The folder itself, as "", and all that are watched below it. */
function foldersBelow(root: string, folder = ""): string[] {
  try {
    const entries = readdirSync(join(root, folder), { withFileTypes: true });
    const below = entries.filter((entry) => entry.isDirectory() && !isHidden(entry.name));
    return [folder, ...below.flatMap((entry) => foldersBelow(root, join(folder, entry.name)))];
  } catch {
    // It is gone meanwhile.
    return [];
  }
}
