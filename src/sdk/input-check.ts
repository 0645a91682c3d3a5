// Checks a job's input before its handler sees it, by whatever schema the worker has, and gives the same as JSON Schema for the endpoint.
import { type Fields, fieldsOf } from "../core/json/value.ts";
import { assertRules, type CheckedInput, checkByRules, type InputRules, schemaOfRules } from "./input-rules.ts";

/** What zod, Valibot, ArkType and others have in common: https://standardschema.dev. */
export interface StandardSchema<Output = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
    /** Of those that can tell their JSON Schema, such as zod from 4.2 on. */
    readonly jsonSchema?: { readonly input: (options: { readonly target: "draft-2020-12" }) => unknown } | undefined;
  };
}

type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] };

interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

export type InputCheck = (input: unknown) => CheckedInput | Promise<CheckedInput>;

/** The check of a worker's schema; none: whatever comes is taken. Throws where the schema itself is wrong. */
export function makeInputCheck(schema: StandardSchema | InputRules | undefined): InputCheck {
  if (schema === undefined) return (input) => ({ ok: true, input });
  if (isStandard(schema)) return (input) => checkByStandard(schema, input);
  assertRules(schema);
  return (input) => checkByRules(schema, input);
}

/** The JSON Schema that an endpoint can check by before it takes a job; null: there is none, or it cannot be told. */
export function inputSchemaOf(schema: StandardSchema | InputRules | undefined): Fields | null {
  if (schema === undefined) return null;
  if (!isStandard(schema)) return schemaOfRules(schema);
  return fieldsOf(schema["~standard"].jsonSchema?.input({ target: "draft-2020-12" }));
}

/** What is wrong with an input, as the text of its job's error. */
export function shownProblems(checked: Extract<CheckedInput, { ok: false }>): string {
  return checked.problems.map(({ path, message }) => `${path}: ${message}`).join("; ");
}

function isStandard(schema: StandardSchema | InputRules): schema is StandardSchema {
  return "~standard" in schema;
}

async function checkByStandard(schema: StandardSchema, input: unknown): Promise<CheckedInput> {
  const result = await schema["~standard"].validate(input);
  if (result.issues === undefined) return { ok: true, input: result.value };
  return { ok: false, problems: result.issues.map(({ path, message }) => ({ path: shownPath(path ?? []), message })) };
}

function shownPath(path: NonNullable<StandardIssue["path"]>): string {
  const keys = path.map((each) => (typeof each === "object" ? each.key : each));
  return keys.reduce<string>(
    (shown, key) => (typeof key === "number" ? `${shown}[${key}]` : `${shown}.${String(key)}`),
    "input",
  );
}
