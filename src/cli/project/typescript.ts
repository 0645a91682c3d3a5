// Whether the Node that runs a worker takes TypeScript as it is.
import { IS_PROJECT } from "../program.ts";

/** The first releases that do without an option: 22.18 and 23.6. */
export function runsTypeScript(release = process.versions.node): boolean {
  const [major = 0, minor = 0] = release.split(".").map(Number);
  return major > 23 || (major === 23 && minor >= 6) || (major === 22 && minor >= 18);
}

/** The release of Node that a person's commands have: the project runs by one of its own, beside that of the npm that was typed. */
export function releaseOfPerson(agent = process.env.npm_config_user_agent ?? ""): string {
  const [, release] = (IS_PROJECT && / node\/v(\d+\.\d+\.\d+)/.exec(agent)) || [];
  return release ?? process.versions.node;
}
