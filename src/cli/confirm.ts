// Asks the person at the terminal before something is done.
import { createInterface } from "node:readline";

/** True for y or yes. The question goes to standard error, as the answer of a command may go into a file. */
export function confirm(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  return new Promise((resolve) => {
    // Behind an answer this comes second. By itself it is the end of the input, or Ctrl-C.
    terminal.once("close", () => resolve(false));
    terminal.question(`${question} [y/N] `, (answer) => {
      resolve(/^y(es)?$/i.test(answer.trim()));
      terminal.close();
    });
  });
}
