// Options that a person has typed before the `--` which npm wants: npm takes them for its own, and the command gets
// none of them, or a value without its name.
import { WrongUse } from "./wrong-use.ts";

/** Throws a sentence with the right form if npm has taken any of these options. `command`: what a person types. */
export function refuseSwallowed(command: string, names: readonly string[], env = process.env): void {
  const taken = names.flatMap((name) => {
    const value = env[`npm_config_${name.replaceAll("-", "_")}`];
    if (value === undefined || value === "") return [];
    return [value === "true" ? `--${name}` : `--${name} ${value}`];
  });
  if (taken.length === 0) return;
  throw new WrongUse(
    `npm has taken ${taken.join(" ")} for itself: put -- before all options, as in ${command.replace(/ --$/, "")} -- ${taken.join(" ")}`,
  );
}
