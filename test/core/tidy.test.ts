// Rules of the source that a reviewer should not have to look for: layers, pure core, guarded fetch, size, dead exports.
/// <reference types="vite/types/importMeta.d.ts" />
import { describe, expect, it } from "vitest";

// The build tool reads the files, so that this test needs no types of Node beside those of the platform.
const SRC_TEXTS = import.meta.glob<string>(["/src/**/*.ts", "!**/*.d.ts"], {
  query: "?raw",
  import: "default",
  eager: true,
});
const OTHER_TEXTS = import.meta.glob<string>(
  ["/test/**/*.ts", "/examples/**/*.ts", "!**/node_modules/**", "!**/*.d.ts"],
  {
    query: "?raw",
    import: "default",
    eager: true,
  },
);
const LINES_MAX = 400;

/** Layer → what it may import beside its own folder. A file straight in src is a layer by its own name. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  core: [],
  "config.ts": ["core"],
  "log.ts": ["core"],
  contract: ["core"],
  db: ["core", "contract", "config.ts", "log.ts"],
  outbound: ["core", "contract", "config.ts", "log.ts"],
  payload: ["core", "contract", "config.ts", "log.ts"],
  dispatch: ["core", "contract", "db", "outbound", "payload", "config.ts", "log.ts"],
  fleet: ["core", "contract", "db", "outbound", "config.ts", "log.ts"],
  account: ["core", "contract", "db", "outbound", "payload", "config.ts", "log.ts"],
  broker: ["core", "contract", "db", "outbound", "payload", "dispatch", "config.ts", "log.ts"],
  consumers: ["core", "contract", "db", "outbound", "payload", "dispatch", "account", "broker", "config.ts", "log.ts"],
  manage: ["core", "contract", "db", "outbound", "dispatch", "config.ts", "log.ts"],
  http: [
    "core",
    "contract",
    "db",
    "outbound",
    "payload",
    "dispatch",
    "account",
    "broker",
    "manage",
    "config.ts",
    "log.ts",
  ],
  // A page in a browser.
  docs: [],
  // Workers, in Node: bundled into a package of its own.
  sdk: ["core", "contract"],
  cli: ["core", "contract", "db", "outbound"],
  "index.ts": ["dispatch", "fleet", "account", "broker", "consumers", "http", "contract", "config.ts", "log.ts"],
};

/**
 * The folders inside the large layers. Those of the core stand in order: each may import itself and those before it. A family of
 * routes may import its own folder and `kit`, so that one can be read, or taken away, without the others.
 */
const FOLDERS: Readonly<Record<string, readonly string[]>> = {
  core: [
    "bytes",
    "json",
    "schema",
    "sse",
    "access",
    "openai",
    "job",
    "scheduling",
    "lb",
    "fleet",
    "meter",
    "manage",
    "endpoint",
  ],
  broker: ["store", "fleet", "jobs", "workers", "lb", "webhooks", "usage"],
  http: ["kit", "jobs", "openai", "lb", "workers", "manage", "runpod", "graphql", "openapi", "pages"],
};

interface Source {
  readonly path: string;
  readonly text: string;
}

/** Files with paths from the root, without a leading slash. */
function sources(texts: Readonly<Record<string, string>>): Source[] {
  return Object.entries(texts).map(([path, text]) => ({ path: path.slice(1), text }));
}

/** The text without comments, so that a word in prose is not taken for a call. */
function code(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|[^:"'`])\/\/.*$/gm, "$1");
}

/**
 * Relative modules a file names, by any kind of import or re-export, with what is asked of them: of a module that is imported whole,
 * the members that are named.
 */
function imports({ path, text }: Source): { readonly target: string; readonly names: readonly string[] }[] {
  const found: { target: string; names: string[] }[] = [];
  const pattern =
    /(?:import|export)\s+(?:type\s+)?([^;"']*?)\s*from\s*["'](\.[^"']+)["']|import\(\s*["'](\.[^"']+)["']/g;
  for (const [, clause = "*", fixed, dynamic] of code(text).matchAll(pattern)) {
    const target = new URL(fixed ?? dynamic ?? "", `file:///${path}`).pathname.slice(1);
    const whole = /\*\s+as\s+(\w+)/.exec(clause)?.[1];
    const names =
      whole !== undefined
        ? [...code(text).matchAll(new RegExp(`\\b${whole}\\.(\\w+)`, "g"))].map((one) => one[1] ?? "")
        : clause.includes("*")
          ? ["*"]
          : [...clause.replace(/\btype\b/g, "").matchAll(/(\w+)(?:\s+as\s+\w+)?/g)].map((one) => one[1] ?? "");
    found.push({ target, names });
  }
  return found;
}

/** Exported names; a type or interface that its own file uses belongs to another export's signature and is left out. */
function exportsOf({ text }: Source): string[] {
  const kinds = "const|let|function\\*?|class|interface|type";
  const pattern = new RegExp(`^export\\s+(?:abstract\\s+)?(?:async\\s+)?(${kinds})\\s+(\\w+)`, "gm");
  const bare = code(text);
  return [...bare.matchAll(pattern)]
    .filter(([, kind, name]) => {
      const isShape = kind === "type" || kind === "interface";
      return !isShape || (bare.match(new RegExp(`\\b${name}\\b`, "g")) ?? []).length < 2;
    })
    .map(([, , name]) => name ?? "");
}

function layerOf(path: string): string {
  return path.split("/")[1] ?? "";
}

/** The folder inside a layer; "" for files straight in it. */
function folderOf(path: string): string {
  return path.split("/").slice(2, -1).join("/");
}

const src = sources(SRC_TEXTS);
const users = [...src, ...sources(OTHER_TEXTS)];

describe("the source", () => {
  it("imports only to the left in the order of layers", () => {
    const wrong = src.flatMap((file) =>
      imports(file)
        .filter(({ target }) => target.startsWith("src/") && layerOf(target) !== layerOf(file.path))
        .filter(({ target }) => !(LAYERS[layerOf(file.path)] ?? []).includes(layerOf(target)))
        .map(({ target }) => `${file.path} imports ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  it("keeps each family of routes apart from the others", () => {
    const wrong = src
      .filter((file) => layerOf(file.path) === "http" && folderOf(file.path) !== "")
      .flatMap((file) =>
        imports(file)
          .filter(({ target }) => layerOf(target) === "http" && folderOf(target) !== folderOf(file.path))
          .filter(({ target }) => folderOf(target) !== "kit")
          .map(({ target }) => `${file.path} imports ${target}`),
      );
    expect(wrong).toEqual([]);
  });

  it("imports inside the core only to the left in the order of subjects", () => {
    const order = ["", ...(FOLDERS.core ?? [])];
    const wrong = src
      .filter((file) => layerOf(file.path) === "core")
      .flatMap((file) =>
        imports(file)
          .filter(({ target }) => order.indexOf(folderOf(target)) > order.indexOf(folderOf(file.path)))
          .map(({ target }) => `${file.path} imports ${target}`),
      );
    expect(wrong).toEqual([]);
  });

  it("has its files in the folders of their subjects", () => {
    for (const [layer, folders] of Object.entries(FOLDERS)) {
      const found = src.filter((file) => layerOf(file.path) === layer).map((file) => folderOf(file.path));
      expect(new Set(found)).toEqual(new Set(["", ...folders]));
    }
    expect(
      src.filter((file) => layerOf(file.path) === "core" && folderOf(file.path) === "").map(({ path }) => path),
    ).toEqual(["src/core/failure.ts", "src/core/limits.ts"]);
  });

  it("imports nothing in a circle", () => {
    const targets = new Map(src.map((file) => [file.path, imports(file).map(({ target }) => target)]));
    const done = new Set<string>();
    const circles: string[] = [];
    const walk = (path: string, way: readonly string[]): void => {
      if (way.includes(path)) circles.push([...way.slice(way.indexOf(path)), path].join(" → "));
      if (way.includes(path) || done.has(path)) return;
      for (const target of targets.get(path) ?? []) walk(target, [...way, path]);
      done.add(path);
    };
    for (const path of targets.keys()) walk(path, []);
    expect(circles).toEqual([]);
  });

  it("has no folder or top file outside the known layers", () => {
    expect(src.map((file) => file.path).filter((path) => LAYERS[layerOf(path)] === undefined)).toEqual([]);
  });

  it("keeps the core free of clocks, chance, network and platform", () => {
    const banned = ["Date.now", "new Date()", "Math.random", "crypto.", "fetch(", "cloudflare:", '"hono', '"node:'];
    const wrong = src
      .filter((file) => layerOf(file.path) === "core")
      .flatMap((file) =>
        banned.filter((word) => code(file.text).includes(word)).map((word) => `${file.path}: ${word}`),
      );
    expect(wrong).toEqual([]);
  });

  it("calls fetch by itself only in outbound, and in what is a client itself", () => {
    const wrong = src
      .filter((file) => !["outbound", "cli", "docs", "sdk"].includes(layerOf(file.path)))
      .filter((file) =>
        /(?<![\w.#])(?:globalThis\.)?fetch\(/.test(
          code(file.text).replace(/^\s*(?:async\s+)?fetch\([^)]*\)[^;]*\{/gm, ""),
        ),
      )
      .map((file) => file.path);
    expect(wrong).toEqual([]);
  });

  // `import { z }` bundles all of zod, its messages in 51 languages too, and the Worker has twice the size.
  it("imports zod as a namespace", () => {
    const wrong = src
      .filter((file) => /^import (?!(?:type )?\* as z )[^;]* from "zod/m.test(file.text))
      .map((file) => file.path);
    expect(wrong).toEqual([]);
  });

  it("sends each statement of a broker through its meter", () => {
    const wrong = src
      .filter((file) => layerOf(file.path) === "broker" && file.path !== "src/broker/store/metered-sql.ts")
      .filter((file) => /\.sql\b|\bSqlStorage\b|\.exec\(|\.transactionSync\(/.test(code(file.text)))
      .map((file) => file.path);
    expect(wrong).toEqual([]);
  });

  it(`has no file over ${LINES_MAX} lines`, () => {
    expect(src.filter((file) => file.text.trimEnd().split("\n").length > LINES_MAX).map((file) => file.path)).toEqual(
      [],
    );
  });

  it("exports nothing that no other file asks for, shapes of its own exports aside", () => {
    const asked = new Set<string>();
    for (const file of users) {
      for (const { target, names } of imports(file)) for (const name of names) asked.add(`${target} ${name}`);
    }
    const dead = src
      .filter((file) => file.path !== "src/index.ts" && !asked.has(`${file.path} *`))
      .flatMap((file) => exportsOf(file).map((name) => `${file.path} ${name}`))
      .filter((entry) => !asked.has(entry));
    expect(dead).toEqual([]);
  });
});
