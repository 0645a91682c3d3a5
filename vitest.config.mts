// Kinds of tests: pure ones in Node, ones inside workerd, and three against a running broker: its own, the long ones (load),
// and other people's clients (conformance). `npm test` runs the first three.
import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

const migrations = await readD1Migrations("migrations");

export default defineConfig({
  // Not in node_modules: the broker of the running tests would see the change there and reload in the middle of a test.
  cacheDir: ".waybill/vite",
  test: {
    projects: [
      {
        test: { name: "node", include: ["test/core/**/*.test.ts", "test/sim/**/*.test.ts", "test/node/**/*.test.ts"] },
      },
      {
        plugins: [
          cloudflareTest({
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
          }),
        ],
        test: {
          name: "workerd",
          include: ["test/{payload,outbound,db,account,dispatch,broker,consumers,http}/**/*.test.ts"],
          setupFiles: ["test/support/migrate.ts"],
        },
      },
      { test: { name: "running", include: ["test/running/**/*.test.ts"], testTimeout: 120_000, hookTimeout: 120_000 } },
      { test: { name: "load", include: ["test/load/**/*.test.ts"], testTimeout: 180_000, hookTimeout: 120_000 } },
      {
        test: {
          name: "conformance",
          include: ["test/conformance/**/*.test.ts"],
          globalSetup: "test/conformance/python.ts",
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
