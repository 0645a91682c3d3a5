// A program `docker` that only notes what it is asked, because no daemon runs where the tests do.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

/** Notes each call with its folder; a file in FAKE_DOCKER makes one kind of call fail. */
const DOCKER = `#!/bin/sh
echo "$* in $PWD" >> "$FAKE_DOCKER/calls"
echo "docker prints $1"
if [ -e "$FAKE_DOCKER/fails-$1" ]; then
  echo "docker cannot $1" >&2
  exit 17
fi
`;

export class FakeDocker {
  readonly #folder = mkdtempSync(join(tmpdir(), "fake-docker-"));
  /** By which whoever starts a program lets it find this Docker. */
  readonly environment = {
    PATH: `${join(this.#folder, "bin")}${delimiter}${process.env.PATH}`,
    FAKE_DOCKER: this.#folder,
  };

  constructor() {
    mkdirSync(join(this.#folder, "bin"));
    writeFileSync(join(this.#folder, "bin/docker"), DOCKER, { mode: 0o755 });
  }

  /** Lets `docker WORD` fail, or not any more. */
  break(word: "version" | "build" | "push", isBroken = true): void {
    const path = join(this.#folder, `fails-${word}`);
    if (isBroken) writeFileSync(path, "");
    else rmSync(path);
  }

  /** What it was asked to do; that it was asked whether it is there is left out. */
  calls(): string[] {
    const path = join(this.#folder, "calls");
    const calls = existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
    return calls.filter((call) => !call.startsWith("version "));
  }

  discard(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
