// Scripts by which shells complete the command, made of the table: words first, then options and their choices.
import type { Command, OptionSpecs } from "./commands/command.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;
type Shell = (typeof SHELLS)[number];

/** The script for a shell. `program`: the command's name. `common`: the options that every command has. */
export function completionScript(
  shell: Shell,
  program: string,
  commands: readonly Command[],
  common: OptionSpecs,
): string {
  switch (shell) {
    case "bash":
      return bashScript(program, commands, common);
    case "zsh":
      // zsh runs the script of bash by a part of its own.
      return `autoload -U +X bashcompinit && bashcompinit\n${bashScript(program, commands, common)}`;
    case "fish":
      return fishScript(program, commands, common);
  }
}

/** A `case` by the words that are typed already: what may come next, and behind an option its choices. */
function bashScript(program: string, commands: readonly Command[], common: OptionSpecs): string {
  const first = unique(commands.map(({ words }) => words.split(" ")[0] ?? ""));
  return [
    `_${program}() {`,
    `  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" typed="" next="" each`,
    `  for each in "\${COMP_WORDS[@]:1:$((COMP_CWORD-1))}"; do`,
    `    case "$each" in -*) break ;; *) typed="$typed\${typed:+ }$each" ;; esac`,
    "  done",
    '  case "$typed" in',
    `    "") next="${first.join(" ")}" ;;`,
    ...followers(commands).map(([words, after]) => `    "${words}") next="${after.join(" ")}" ;;`),
    "  esac",
    '  case "$typed" in',
    ...commands.map(({ words, options }) => {
      const names = Object.keys(shownOf({ ...options, ...common })).map((name) => `--${name}`);
      // A word behind the command's own is one that may be typed without the name of its option.
      return `    "${words}"|"${words} "*) next="$next ${names.join(" ")}" ;;`;
    }),
    "  esac",
    '  case "$before" in',
    ...choicesOf(commands, common).map(([name, choices]) => `    --${name}) next="${choices.join(" ")}" ;;`),
    "  esac",
    '  COMPREPLY=($(compgen -W "$next" -- "$word"))',
    "}",
    `complete -o default -F _${program} ${program}`,
  ].join("\n");
}

function fishScript(program: string, commands: readonly Command[], common: OptionSpecs): string {
  const lines = [`complete -c ${program} -f`];
  for (const { words, summary, options } of commands) {
    const [first = "", second] = words.split(" ");
    lines.push(
      second === undefined
        ? `complete -c ${program} -n __fish_use_subcommand -a ${first} -d ${quoted(summary)}`
        : `complete -c ${program} -n ${quoted(`__fish_seen_subcommand_from ${first}`)} -a ${second} -d ${quoted(summary)}`,
    );
    const isOf = quoted(
      words
        .split(" ")
        .map((word) => `__fish_seen_subcommand_from ${word}`)
        .join("; and "),
    );
    for (const [name, { about, type, choices }] of Object.entries(shownOf(options))) {
      const value = type === "flag" ? "" : choices === undefined ? " -r -F" : ` -x -a ${quoted(choices.join(" "))}`;
      lines.push(`complete -c ${program} -n ${isOf} -l ${name} -d ${quoted(about)}${value}`);
    }
  }
  const groups = unique(
    commands.filter(({ words }) => words.includes(" ")).map(({ words }) => words.split(" ")[0] ?? ""),
  );
  lines.push(...groups.map((group) => `complete -c ${program} -n __fish_use_subcommand -a ${group}`));
  for (const [name, { about, type }] of Object.entries(shownOf(common))) {
    lines.push(`complete -c ${program} -l ${name} -d ${quoted(about)}${type === "flag" ? "" : " -r -F"}`);
  }
  return lines.join("\n");
}

/** What may follow the first word of commands with two. */
function followers(commands: readonly Command[]): [string, string[]][] {
  const after = new Map<string, string[]>();
  for (const { words } of commands) {
    const [first = "", second] = words.split(" ");
    if (second !== undefined) after.set(first, [...(after.get(first) ?? []), second]);
  }
  return [...after];
}

/** Options with choices that are the same in every command: behind such an option nothing else makes sense. */
function choicesOf(commands: readonly Command[], common: OptionSpecs): [string, readonly string[]][] {
  const found = new Map<string, readonly string[]>();
  for (const options of [common, ...commands.map((each) => each.options)]) {
    for (const [name, { choices }] of Object.entries(options)) {
      if (choices !== undefined) found.set(name, unique([...(found.get(name) ?? []), ...choices]));
    }
  }
  return [...found];
}

function shownOf(options: OptionSpecs): OptionSpecs {
  return Object.fromEntries(Object.entries(options).filter(([, { isFormer }]) => isFormer !== true));
}

function unique(words: readonly string[]): string[] {
  return [...new Set(words)];
}

/** Single quotes keep everything but themselves, in fish as elsewhere. */
function quoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
