// A real Chromium for tests of pages: Debian's package, or the browser that CHROMIUM names. Without one such tests are skipped, with the
// reason in the output; with CI set they fail.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium } from "playwright-core";
import { describe, it } from "vitest";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];

function findChromium(): string | null {
  const { CHROMIUM, PATH = "" } = process.env;
  const places = PATH.split(delimiter).flatMap((folder) => NAMES.map((name) => join(folder, name)));
  return [CHROMIUM ?? "", ...places].find((file) => file !== "" && isProgram(file)) ?? null;
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const MISSING = "no Chromium is installed: apt-get install chromium, or name one in CHROMIUM";

/** Tests in a browser, which `launch` starts. */
export function describeChromium(name: string, tests: (launch: () => Promise<Browser>) => void): void {
  const executablePath = findChromium();
  if (executablePath !== null) {
    describe(name, () => tests(() => chromium.launch({ executablePath })));
    return;
  }
  // In CI nobody reads that something was skipped.
  if (process.env.CI !== undefined && process.env.CI !== "") throw new Error(MISSING);
  describe(name, () => it.skip(MISSING));
}
