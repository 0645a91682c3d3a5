// What is there and what is wanted -> the steps between. Pure, so that --dry-run says exactly what a run would do.

import { MARK } from "../../db/importing.ts";
import { NO_DATABASE_ID } from "./database-line.ts";

/** The names of the parts of a deployment, of wrangler.toml. */
export interface Names {
  readonly worker: string;
  readonly database: string;
  readonly bucket: string;
  readonly queues: readonly string[];
}

/** What the database holds, as far as a deploy asks. */
export interface Stored {
  /** The migrations that are applied. */
  readonly applied: readonly string[];
  /** Of the secrets that it was set up with, by their names, among other facts. */
  readonly fingerprints: ReadonlyMap<string, string>;
  /** Null: it is of an earlier release, which cannot be asked. */
  readonly adminKeyIds: readonly string[] | null;
  /** Of its first endpoint; null: it has none, or it cannot be asked. */
  readonly slug: string | null;
}

/** What the account has. Null stands for a part that it does not have. */
export interface Found {
  readonly databaseId: string | null;
  readonly stored: Stored | null;
  readonly bucket: { readonly expires: boolean } | null;
  /** The Workers that read each queue. */
  readonly queues: ReadonlyMap<string, readonly string[] | null>;
  /** The names of the Worker's secrets. */
  readonly secrets: readonly string[] | null;
  /** Of the deployed version. */
  readonly tag: string | null;
}

/** What this machine knows of earlier runs, as far as they have not come to their end. */
export interface Unfinished {
  /** Made here and not shown yet. */
  readonly hidesSecrets: boolean;
  /** The id of the first key, made here. */
  readonly keyId: string | null;
  readonly hidesKey: boolean;
  /** A deploy names the address; nothing else does. */
  readonly knowsAddress: boolean;
}

export interface Wanted {
  readonly names: Names;
  /** The database's id in wrangler.toml. */
  readonly notedId: string;
  readonly migrations: readonly string[];
  /** Of what would be sent; null: it was not built, because nothing is deployed that it could equal. */
  readonly tag: string | null;
  /** Of the first endpoint. */
  readonly slug: string;
  /** An export will be imported: it has the keys and endpoints, and the operator gives the secrets that it was made with. */
  readonly forImport: boolean;
}

export type Step =
  | { readonly kind: "create-database" | "create-bucket" | "create-queue"; readonly name: string }
  | { readonly kind: "note-database" }
  | { readonly kind: "add-expiry"; readonly name: string }
  | { readonly kind: "make-secrets" | "set-secrets"; readonly names: readonly SecretName[] }
  | { readonly kind: "migrate"; readonly names: readonly string[] }
  | { readonly kind: "show-secrets" | "show-key" | "deploy" }
  | { readonly kind: "make-key"; readonly isSure: boolean }
  | { readonly kind: "make-endpoint"; readonly name: string };

export const SECRETS = ["PEPPER", "ENCRYPTION_KEY"] as const;
export type SecretName = (typeof SECRETS)[number];

/** Longer than any job is kept, so that the rule only takes what was left behind by mistake. */
export const EXPIRY_DAYS = 30;
/** The name of that rule, which the steps by hand have always given it. */
export const EXPIRY_RULE = "orphans";

/** The steps in their order; none: all is as wanted. */
export function planDeploy(wanted: Wanted, found: Found, unfinished: Unfinished): readonly Step[] {
  const { names } = wanted;
  const missing = SECRETS.filter((name) => found.secrets?.includes(name) !== true);
  const pending = wanted.migrations.filter((name) => found.stored?.applied.includes(name) !== true);
  const keys = found.stored === null ? [] : found.stored.adminKeyIds;
  const importFollows = wanted.forImport || isImporting(found);
  const makesKey = !importFollows && (keys === null || keys.length === 0);
  const isKeyOurs = unfinished.keyId !== null && keys?.includes(unfinished.keyId) === true;
  const steps: (Step | false)[] = [
    found.databaseId === null && { kind: "create-database", name: names.database },
    (found.databaseId === null || found.databaseId !== wanted.notedId) && { kind: "note-database" },
    found.bucket === null && { kind: "create-bucket", name: names.bucket },
    found.bucket?.expires !== true && { kind: "add-expiry", name: names.bucket },
    ...names.queues.map((name) => (found.queues.get(name) ?? null) === null && { kind: "create-queue" as const, name }),
    missing.length > 0 && { kind: wanted.forImport ? "set-secrets" : "make-secrets", names: missing },
    missing.length === 0 && unfinished.hidesSecrets && { kind: "show-secrets" },
    pending.length > 0 && { kind: "migrate", names: pending },
    makesKey && { kind: "make-key", isSure: keys !== null },
    isKeyOurs && unfinished.hidesKey && { kind: "show-key" },
    // New secrets are a version of their own, which has no tag.
    (missing.length > 0 || found.tag === null || found.tag !== wanted.tag || !unfinished.knowsAddress) && {
      kind: "deploy",
    },
    (makesKey || isKeyOurs) && (found.stored?.slug ?? null) === null && { kind: "make-endpoint", name: wanted.slug },
  ];
  return steps.filter((step) => step !== false);
}

/** Has an import begun that has not ended? A key of ours would be in its way. */
export function isImporting({ stored }: Found): boolean {
  return stored?.fingerprints.has(MARK) === true;
}

/** One line that says what a step does, in the imperative. */
export function sentenceOf(step: Step): string {
  switch (step.kind) {
    case "create-database":
      return `create the database ${step.name}`;
    case "note-database":
      return "write the database's id into wrangler.toml";
    case "create-bucket":
      return `create the bucket ${step.name}`;
    case "add-expiry":
      return `let the bucket ${step.name} delete objects after ${EXPIRY_DAYS} days`;
    case "create-queue":
      return `create the queue ${step.name}`;
    case "make-secrets":
      return `set ${step.names.join(" and ")}, and show what was made, once`;
    case "set-secrets":
      return `set ${step.names.join(" and ")} to those of the deployment that was exported`;
    case "show-secrets":
      return "show the secrets that an earlier run has set";
    case "migrate":
      return `apply ${migrationsIn(step.names)}`;
    case "make-key":
      return `make the first tenant and its admin key${step.isSure ? "" : ", if there is none"}, and show the key once`;
    case "show-key":
      return "show the admin key that an earlier run has made";
    case "deploy":
      return "deploy the Worker";
    case "make-endpoint":
      return `make the endpoint ${step.name}`;
  }
}

function migrationsIn(names: readonly string[]): string {
  const [first = ""] = names;
  return names.length === 1 ? `the migration ${first}` : `${names.length} migrations, ${first} to ${names.at(-1)}`;
}

/**
 * An id in wrangler.toml that is not that of the account's database: this is another account, or another database has its
 * name. Throws a sentence, because a second deployment would be made beside the first, or the wrong one deleted.
 */
export function refuseOtherDatabase({ database }: Names, notedId: string, { databaseId }: Found): void {
  if (notedId === "" || notedId === NO_DATABASE_ID || notedId === databaseId) return;
  const here = databaseId === null ? "this account has no database" : "in this account another database has the name";
  throw new Error(
    `wrangler.toml names the database ${notedId}, but ${here} ${database}: choose the right account, or write ${NO_DATABASE_ID} in its place`,
  );
}

/** A queue that another Worker reads is another project's: throws a sentence that names both. */
export function refuseForeignQueues(names: Names, queues: Found["queues"]): void {
  for (const [queue, readers] of queues) {
    const foreign = readers?.find((reader) => reader !== names.worker);
    if (foreign === undefined) continue;
    throw new Error(
      `the queue ${queue} is read by the Worker ${foreign}: give the queues of this one other names in wrangler.toml`,
    );
  }
}

export type Deletion =
  | { readonly kind: "worker" | "queue" | "bucket"; readonly name: string }
  | { readonly kind: "database"; readonly name: string; readonly id: string }
  | { readonly kind: "note" };

/** What is deleted, in this order: nothing writes any more once the Worker is gone. */
export function planDestroy(names: Names, found: Found, notedId: string): readonly Deletion[] {
  const deletions: (Deletion | false)[] = [
    found.secrets !== null && { kind: "worker", name: names.worker },
    ...names.queues.map((name) => (found.queues.get(name) ?? null) !== null && { kind: "queue" as const, name }),
    found.bucket !== null && { kind: "bucket", name: names.bucket },
    // The note goes first: a run that ends between them finds the database by its name, and no id that leads nowhere.
    notedId !== NO_DATABASE_ID && { kind: "note" },
    found.databaseId !== null && { kind: "database", name: names.database, id: found.databaseId },
  ];
  return deletions.filter((deletion) => deletion !== false);
}
