// The script by which a shell completes what is typed.
import { completionScript, SHELLS } from "../completion.ts";
import { type Command, command } from "./command.ts";

export const COMPLETION_COMMAND: Command = command({
  words: "completion",
  summary: "print the script by which a shell completes this command",
  options: {
    shell: { type: "text", value: "SHELL", choices: SHELLS, about: "bash, zsh or fish", required: true },
  },
  positional: "shell",
  notes: [
    'bash: eval "$(waybill completion bash)" in ~/.bashrc. zsh: eval "$(waybill completion zsh)" in ~/.zshrc, behind compinit.',
    "fish: waybill completion fish > ~/.config/fish/completions/waybill.fish",
  ],
  run: async ({ options: { shell }, table }) => {
    const script = completionScript(shell, "waybill", table.commands, table.common);
    return { json: { shell, script }, lines: script.split("\n") };
  },
});
