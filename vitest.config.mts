// Kinds of tests: pure ones in Node, ones inside workerd, and those against a running broker; `npm test` runs these three.
// What takes long is `npm run load`, with a part inside workerd and the operator's commands; other people's clients are
// `npm run conformance`.
import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

const migrations = await readD1Migrations("migrations");

const inWorkerd = cloudflareTest({
  wrangler: { configPath: "./wrangler.toml" },
  miniflare: {
    bindings: {
      TEST_MIGRATIONS: migrations,
      PEPPER: "test-pepper-test-pepper-test-pepper",
      ENCRYPTION_KEY: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
      ALLOW_PRIVATE_ADDRESSES: "yes",
      LB_DOMAIN: "lb.waybill.test",
    },
  },
});

/**
 * When a test hangs. No test is about this time: what is bounded in time is measured, as processor time where it can be. A whole run on a
 * busy machine of two cores takes some tests five times as long as they take alone.
 */
const HANGS_AFTER_MS = 30_000;

/** What a test leaves open, such as the poll of a worker, is ended with its broker when the next file begins. That is no fault of a test. */
function isEndOfFile({ message }: { readonly message: string }): boolean {
  return message === "Application called deleteAllDurableObjects().";
}

/** Each file of tests starts anew and loads these packages, which takes a tenth less time if each is one module. */
const bundled = { optimizer: { ssr: { enabled: true, include: ["zod", "hono", "uuid", "standardwebhooks"] } } };

/**
 * Files of test/load that measure no time, and of memory at most what V8 keeps once it has collected the garbage, and that leave a core
 * to others: several of them run at once. What the others measure is true on a machine that does nothing else.
 */
const SHARING = [
  "cut-requests",
  "hostile-openai",
  "large",
  "live-index-heap",
  "openai-silence",
  "planted-secrets",
  "quiet-leases",
  "refused-uploads",
  "stream-faults",
].map((name) => `test/load/${name}.test.ts`);
/** The same inside workerd. */
const SHARING_IN_WORKERD = ["closing", "large-event-ends", "outages", "pull-fuzz", "silence"].map(
  (name) => `test/load/in-workerd/${name}.test.ts`,
);

const PATIENT = "test/support/patience.ts";

function loadInWorkerd(name: string, files: { readonly include: string[]; readonly exclude?: string[] }) {
  const setupFiles = ["test/support/begin-file.ts", PATIENT];
  return { plugins: [inWorkerd], test: { name, deps: bundled, ...files, setupFiles, testTimeout: HANGS_AFTER_MS } };
}

/** Tests against processes of their own. */
function outside(name: string, include: string[], testTimeout: number) {
  return { test: { name, include, setupFiles: [PATIENT], testTimeout, hookTimeout: 120_000 } };
}

export default defineConfig({
  // Not in node_modules: the broker of the running tests would see the change there and reload in the middle of a test.
  cacheDir: ".waybill/vite",
  test: {
    onUnhandledError: (error) => !isEndOfFile(error),
    projects: [
      {
        test: {
          name: "node",
          include: [
            "test/core/**/*.test.ts",
            "test/sim/**/*.test.ts",
            "test/node/**/*.test.ts",
            "test/sdk/**/*.test.ts",
          ],
          setupFiles: [PATIENT],
          testTimeout: HANGS_AFTER_MS,
        },
      },
      {
        plugins: [inWorkerd],
        test: {
          name: "workerd",
          deps: bundled,
          // A runtime serves many files: test/support/begin-file.ts makes it as good as new for each of them.
          isolate: false,
          include: ["test/{payload,outbound,db,account,dispatch,fleet,broker,consumers,http}/**/*.test.ts"],
          setupFiles: ["test/support/begin-file.ts", PATIENT],
          testTimeout: HANGS_AFTER_MS,
        },
      },
      outside("running", ["test/running/**/*.test.ts"], 120_000),
      outside("commands", ["test/commands/**/*.test.ts"], 180_000),
      outside("load-sharing", SHARING, 180_000),
      {
        test: {
          name: "load",
          include: ["test/load/*.test.ts"],
          exclude: SHARING,
          setupFiles: [PATIENT],
          testTimeout: 180_000,
          hookTimeout: 120_000,
        },
      },
      loadInWorkerd("load-workerd-sharing", { include: SHARING_IN_WORKERD }),
      loadInWorkerd("load-workerd", { include: ["test/load/in-workerd/**/*.test.ts"], exclude: SHARING_IN_WORKERD }),
      {
        test: {
          name: "conformance",
          include: ["test/conformance/**/*.test.ts"],
          globalSetup: ["test/conformance/python.ts", "test/conformance/mcp.ts"],
          setupFiles: [PATIENT],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
