// An endpoint as its owner manages it: everything that is stored of it but its upstreams and worker keys.
import * as z from "zod";
import { fleetSchema } from "./fleet.ts";

/** As stored; what may be stored is checked where it is given (endpoint.ts). */
export const allowedOriginsSchema = z.array(z.string());

export const managedEndpointSchema = z.object({
  id: z.string(),
  tenantId: z.string(),
  /** Random, in the ids of its jobs; 0 for one that an older command line made. */
  number: z.int(),
  slug: z.string(),
  name: z.string(),
  kind: z.enum(["queue", "load_balancer"]),
  /** Raised by the database with each change of the endpoint, its upstreams, its worker keys and the providers that it uses. */
  version: z.int(),
  /** The number of its newest release. */
  release: z.int(),
  createdAtMs: z.int(),
  paused: z.boolean(),
  maxAttempts: z.int(),
  executionTimeoutMs: z.int(),
  ttlMs: z.int(),
  runRetentionMs: z.int(),
  runsyncRetentionMs: z.int(),
  bodyMaxBytes: z.int(),
  /** Open to every tenant with a key. */
  shared: z.boolean(),
  /** Which routes of an OpenAI server are open (core/openai/routes.ts). */
  openaiRoutes: z.string(),
  /** Percent of its rows and bytes that one tenant may keep; null: the default. */
  tenantSharePercent: z.int().nullable(),
  /** The JSON Schema of its jobs' inputs, as compact text; null: any input is taken. */
  inputSchema: z.string().nullable(),
  fleet: fleetSchema,
  /** The workers' environment as one sealed JSON text; null: it is empty. */
  sealedEnv: z.string().nullable(),
  /** The origins whose pages may call it from a browser. */
  allowedOrigins: allowedOriginsSchema,
  /** The template that was applied last; null: none. */
  templateId: z.string().nullable(),
});
export type ManagedEndpoint = z.infer<typeof managedEndpointSchema>;

/** What can be changed; a member that is left out stays. */
export type EndpointSetting = Partial<
  Omit<ManagedEndpoint, "id" | "tenantId" | "number" | "kind" | "version" | "createdAtMs">
>;
