// Parts of the agent of the provider `local` that need no process: the words of arguments, the last words of a program, and its logs.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { LastWords } from "../../src/cli/agent/last-words.ts";
import { LogFolder } from "../../src/cli/agent/log-folder.ts";
import { splitWords } from "../../src/cli/agent/split-words.ts";

describe("arguments in one text", () => {
  it.each([
    "",
    "  one   two\tthree ",
    `--name 'a b' --other="c d"`,
    `a'b'"c"\\ d ''`,
    String.raw`"a \"b\" \\ \n" 'c \n' \e\'`,
    "ü '日本' \"😀\"",
  ])("are taken apart as a shell does it: %j", (text) => {
    const printed = execFileSync("sh", ["-c", `for word in ${text}; do printf '%s\\0' "$word"; done`], {
      encoding: "utf8",
    });
    expect(splitWords(text)).toEqual(printed.split("\0").slice(0, -1));
  });

  it("mean nothing else than themselves", () => {
    expect(splitWords("$HOME * ; | `id` $(id) ~ #")).toEqual(["$HOME", "*", ";", "|", "`id`", "$(id)", "~", "#"]);
  });

  it.each(["'one", 'one "two', "one\\"])("that are not closed are none: %j", (text) => {
    expect(splitWords(text)).toBeNull();
  });
});

describe("last words", () => {
  const SECRET = "hf_0123456789abcdef";
  const wordsOf = (...pieces: readonly string[]) => {
    const words = new LastWords();
    for (const piece of pieces) words.add(Buffer.from(piece));
    return words.read([SECRET, "is"]);
  };

  it("are the last ten lines that are not empty, and at most 400 characters of them", () => {
    const lines = Array.from({ length: 20 }, (_, at) => `line ${at}`);
    expect(wordsOf(`${lines.join("\n\n")}\n\n`)).toBe(lines.slice(-10).join("\n"));
    const long = wordsOf(`${"x".repeat(1_000)}\nthe reason`);
    expect([long.length, long.endsWith("x\nthe reason")]).toEqual([400, true]);
    expect(wordsOf()).toBe("");
  });

  it("have each step of a progress bar as a line, and no colours", () => {
    const steps = Array.from({ length: 1_000 }, (_, at) => `\r${at / 10}%`).join("");
    expect(wordsOf(`${steps}\n\u001b[31mno memory\u001b[0m`)).toMatch(/^99\.1%\n[\s\S]*99\.9%\nno memory$/);
  });

  it("have asterisks for a secret, however its output came in pieces and however much came before", () => {
    for (const before of [0, 100, 160 * 1024 - 10, 400 * 1024]) {
      const text = `${"x".repeat(before)}\nthe token is ${SECRET} here`;
      const pieces = text.match(/[\s\S]{1,7}/g) ?? [];
      expect(wordsOf(...pieces)).toContain(`the token is ${"*".repeat(SECRET.length)} here`);
    }
  });
});

describe("the folder of logs", () => {
  it("has those of the newest hundred machines, and nothing else of it is touched", () => {
    const folder = mkdtempSync(join(tmpdir(), "waybill-logs-"));
    const logs = new LogFolder(folder);
    const nameOf = (at: number) => `wb-0123-m${String(at).padStart(3, "0")}`;
    writeFileSync(join(folder, "notes.log"), "");
    for (let at = 0; at < 150; at += 1) {
      const path = logs.pathOf(nameOf(at));
      for (const file of [path, `${path}.1`]) writeFileSync(file, "");
      // Each is written to later than the one before.
      utimesSync(path, at, at);
    }
    const kept = readdirSync(folder).toSorted();
    expect(kept.filter((file) => file.endsWith(".log"))).toEqual([
      "notes.log",
      ...Array.from({ length: 100 }, (_, at) => `${nameOf(50 + at)}.log`),
    ]);
    expect(kept.filter((file) => file.endsWith(".log.1"))).toHaveLength(100);
    rmSync(folder, { recursive: true });
  });
});
