// The pure parts of npm run deploy: which steps lead from what is there to what is wanted, the one line of
// wrangler.toml that it writes, and the address among what wrangler names; and what the deploy button reads of the
// project.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { unstable_readConfig as readConfig } from "wrangler";
import { addressOf } from "../../src/cli/deploy/address.ts";
import { NO_DATABASE_ID, withDatabaseId } from "../../src/cli/deploy/database-line.ts";
import {
  type Found,
  planDeploy,
  planDestroy,
  refuseForeignQueues,
  refuseOtherDatabase,
  type Unfinished,
} from "../../src/cli/deploy/plan.ts";
import { readDevVars } from "../../src/cli/dev-secrets.ts";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";

const names = { worker: "waybill", database: "waybill", bucket: "payloads", queues: ["dispatch", "dead"] };
const wanted = {
  names,
  notedId: "db1",
  migrations: ["0001.sql", "0002.sql"],
  tag: "wb-1",
  slug: "first",
  forImport: false,
};
const whole: Found = {
  databaseId: "db1",
  stored: { applied: ["0001.sql", "0002.sql"], fingerprints: new Map(), adminKeyIds: ["k1"], slug: "ocr" },
  bucket: { expires: true },
  queues: new Map([
    ["dispatch", ["waybill"]],
    ["dead", []],
  ]),
  secrets: ["PEPPER", "ENCRYPTION_KEY"],
  tag: "wb-1",
};
const nothing: Unfinished = { hidesSecrets: false, keyId: null, hidesKey: false, knowsAddress: true };
const stored = { applied: wanted.migrations, fingerprints: new Map<string, string>(), slug: null };
const halfImported = { adminKeyIds: [], fingerprints: new Map([["importing", "f"]]) };

describe("the steps", () => {
  it.each<[string, Partial<Found>, Partial<Unfinished>, Partial<typeof wanted>, string[]]>([
    ["none where all is there", {}, {}, {}, []],
    ["note an id that wrangler.toml has not", {}, {}, { notedId: NO_DATABASE_ID }, ["note-database"]],
    ["make a bucket with its rule", { bucket: null }, {}, {}, ["create-bucket", "add-expiry"]],
    ["add a rule that is missing", { bucket: { expires: false } }, {}, {}, ["add-expiry"]],
    ["make a queue that is missing", { queues: new Map([["dispatch", []]]) }, {}, {}, ["create-queue"]],
    ["set one secret and deploy", { secrets: ["PEPPER"] }, {}, {}, ["make-secrets", "deploy"]],
    ["show what was set and not shown", {}, { hidesSecrets: true }, {}, ["show-secrets"]],
    ["migrate", { stored: { ...stored, applied: ["0001.sql"], adminKeyIds: ["k1"] } }, {}, {}, ["migrate"]],
    ["deploy other code", { tag: "wb-0" }, {}, {}, ["deploy"]],
    ["deploy where the address is not known", {}, { knowsAddress: false }, {}, ["deploy"]],
    ["make a key and an endpoint", { stored: { ...stored, adminKeyIds: [] } }, {}, {}, ["make-key", "make-endpoint"]],
    ["make neither for an import", { stored: { ...stored, adminKeyIds: [] } }, {}, { forImport: true }, []],
    ["set the secrets that an import needs", { secrets: [] }, {}, { forImport: true }, ["set-secrets", "deploy"]],
    ["make no key in an import that has not ended", { stored: { ...stored, ...halfImported } }, {}, {}, []],
    ["make no endpoint for a key of somebody else's", { stored: { ...stored, adminKeyIds: ["k1"] } }, {}, {}, []],
    [
      "show a key of ours and make its endpoint",
      { stored: { ...stored, adminKeyIds: ["k1"] } },
      { keyId: "k1", hidesKey: true },
      {},
      ["show-key", "make-endpoint"],
    ],
    ["forget a key of ours that the database does not have", {}, { keyId: "k2", hidesKey: true }, {}, []],
  ])("%s", (_name, found, unfinished, other, kinds) => {
    const steps = planDeploy({ ...wanted, ...other }, { ...whole, ...found }, { ...nothing, ...unfinished });
    expect(steps.map(({ kind }) => kind)).toEqual(kinds);
  });

  it("refuse a queue that another Worker reads", () => {
    expect(() => refuseForeignQueues(names, new Map([["dispatch", ["waybill", "shop"]]]))).toThrow(
      "the queue dispatch is read by the Worker shop",
    );
    expect(() => refuseForeignQueues(names, whole.queues)).not.toThrow();
  });

  it("refuse a database that is not the one of wrangler.toml", () => {
    expect(() => refuseOtherDatabase(names, "db2", whole)).toThrow(
      "wrangler.toml names the database db2, but in this account another database has the name waybill: choose",
    );
    expect(() => refuseOtherDatabase(names, "db2", { ...whole, databaseId: null })).toThrow(
      "but this account has no database waybill: choose the right account, or write 00000000-",
    );
    for (const id of ["", NO_DATABASE_ID, "db1"]) expect(() => refuseOtherDatabase(names, id, whole)).not.toThrow();
  });

  it("of a deletion begin with the Worker and leave out what is not there", () => {
    expect(planDestroy(names, whole, "db1").map(({ kind }) => kind)).toEqual([
      ...["worker", "queue", "queue", "bucket", "note", "database"],
    ]);
    const rest: Found = { ...whole, secrets: null, queues: new Map(), databaseId: null };
    expect(planDestroy(names, rest, NO_DATABASE_ID)).toEqual([{ kind: "bucket", name: "payloads" }]);
  });
});

describe("the id of the database", () => {
  it("is written into wrangler.toml, of which all else stays, and back", () => {
    const text = readFileSync(join(PROJECT_FOLDER, "wrangler.toml"), "utf8");
    const noted = withDatabaseId(text, "11111111-1111-4111-8111-111111111111");
    expect(noted.split("\n").filter((line, at) => line !== text.split("\n")[at])).toEqual([
      'database_id = "11111111-1111-4111-8111-111111111111"',
    ]);
    expect(withDatabaseId(noted, NO_DATABASE_ID)).toBe(text);
  });

  it.each([
    [
      "of the binding DB, whatever stands before and behind it",
      '[[d1_databases]]\nbinding = "OTHER"\ndatabase_id = "x"\n\n[[d1_databases]] # ours\n  database_id = \'y\' # a comment\n  binding = "DB"\n[vars]\ndatabase_id = "z"\n',
      '[[d1_databases]]\nbinding = "OTHER"\ndatabase_id = "x"\n\n[[d1_databases]] # ours\n  database_id = "new" # a comment\n  binding = "DB"\n[vars]\ndatabase_id = "z"\n',
    ],
    [
      "where there is no such line",
      '[[d1_databases]]\nbinding = "DB"\ndatabase_name = "w"\n[vars]\n',
      '[[d1_databases]]\nbinding = "DB"\ndatabase_id = "new"\ndatabase_name = "w"\n[vars]\n',
    ],
    [
      "with the line ends of Windows",
      '[[d1_databases]]\r\nbinding = "DB"\r\ndatabase_id = "x"\r\n',
      '[[d1_databases]]\r\nbinding = "DB"\r\ndatabase_id = "new"\r\n',
    ],
  ])("%s", (_name, before, after) => {
    expect(withDatabaseId(before, "new")).toBe(after);
  });

  it("has no place in a file without the binding", () => {
    expect(() => withDatabaseId('[[d1_databases]]\nbinding = "OTHER"\n', "new")).toThrow(
      "wrangler.toml has no [[d1_databases]] with the binding DB",
    );
  });
});

it.each([
  [
    "the operator's own",
    ["https://waybill.acme.workers.dev"],
    "https://waybill.example.com",
    "https://waybill.example.com",
  ],
  [
    "that of workers.dev",
    ["Producer for dispatch", "https://waybill.acme.workers.dev"],
    null,
    "https://waybill.acme.workers.dev",
  ],
  [
    "a domain before it",
    ["https://waybill.acme.workers.dev", "w.example.com (custom domain)"],
    null,
    "https://w.example.com",
  ],
  [
    "none of a route with a wildcard",
    ["*.lb.example.com/* (zone name: example.com)", "schedule: */5 * * * *"],
    null,
    null,
  ],
])("the address is %s", (_name, targets, publicUrl, address) => {
  expect(addressOf(targets, publicUrl)).toBe(address);
});

interface Named {
  readonly name: string;
}

describe("the deploy button", () => {
  const config = readConfig({ config: join(PROJECT_FOLDER, "wrangler.toml") });
  const manifest = JSON.parse(readFileSync(join(PROJECT_FOLDER, "package.json"), "utf8"));

  it("finds a name for each part that it makes, and a deploy script", () => {
    for (const { database_name, database_id } of config.d1_databases) expect(database_name && database_id).toBeTruthy();
    for (const { bucket_name } of config.r2_buckets) expect(bucket_name).toBeTruthy();
    for (const { queue } of config.queues.producers ?? []) expect(queue).toBeTruthy();
    expect(manifest.scripts.deploy).toBe("node src/cli/run-script.mjs src/cli/deploy.ts");
  });

  it("asks for each secret, for which the file has no value that a deployment could keep", () => {
    const asked = readDevVars(join(PROJECT_FOLDER, ".dev.vars.example"));
    expect([...asked.keys()]).toEqual(config.secrets?.required);
    for (const value of asked.values()) expect(value).toMatch(/^(#|$)/);
  });

  it("describes every binding, variable and secret in a sentence", () => {
    const bindings = [
      ...(config.secrets?.required ?? []),
      ...[...config.d1_databases, ...config.r2_buckets, ...(config.queues.producers ?? [])].map(
        ({ binding }) => binding,
      ),
      ...config.durable_objects.bindings.map(({ name }: Named) => name),
      ...(config.ratelimits ?? []).map(({ name }: Named) => name),
      ...(config.assets?.binding === undefined ? [] : [config.assets.binding]),
      ...Object.keys(config.vars),
    ];
    expect(Object.keys(manifest.cloudflare.bindings).sort()).toEqual(bindings.sort());
    for (const { description } of Object.values<{ description: string }>(manifest.cloudflare.bindings))
      expect(description).toMatch(/^[A-Z].*\.$/);
  });
});
