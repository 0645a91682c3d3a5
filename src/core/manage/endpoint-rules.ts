// The rules by which the settings of an endpoint fit each other, for whoever has to know: the management API refuses what breaks one, and
// a deploy of the command line asks before it builds an image. Each field by itself was checked before.
import { slugProblem } from "../access/endpoint-name.ts";
import { isWideForm, openAiRoutesProblem } from "../openai/routes.ts";
import { compileSchema } from "../schema/compile.ts";
import { type FleetFacts, fleetProblem, type SettingProblem } from "./fleet-rules.ts";

/** The settings as they would be stored. */
export interface EndpointFacts {
  /** Null: it has none yet. */
  readonly id: string | null;
  readonly slug: string;
  readonly kind: FleetFacts["kind"];
  readonly fleet: Omit<FleetFacts, "kind">;
  readonly openaiRoutes: string;
  /** Open to every tenant with a key. */
  readonly shared: boolean;
  /** JSON; null: any input is taken. */
  readonly inputSchema: string | null;
}

/** The first rule that is broken; null: none is. `needsHardware`: RunPod wants a GPU or a CPU of each endpoint. */
export function endpointProblem(endpoint: EndpointFacts, needsHardware: boolean): SettingProblem | null {
  const { id, slug, kind, fleet, openaiRoutes, shared, inputSchema } = endpoint;
  const wrongSlug = slug === id ? null : slugProblem(slug);
  if (wrongSlug !== null) return { field: "slug", message: wrongSlug };
  const wrongRoutes = openAiRoutesProblem(openaiRoutes);
  if (wrongRoutes !== null) return { field: "inferenceRoutes", message: wrongRoutes };
  if (shared && isWideForm(openaiRoutes)) return WIDE_AND_PUBLIC;
  const wrongSchema = inputSchema === null ? null : schemaProblem(kind, inputSchema);
  if (wrongSchema !== null) return { field: "inputSchema", message: wrongSchema };
  return fleetProblem({ ...fleet, kind }, needsHardware);
}

function schemaProblem(kind: EndpointFacts["kind"], text: string): string | null {
  if (kind === "load_balancer") return "is for endpoints of jobs: a load-balanced one has no input";
  const compiled = compileSchema(text);
  return compiled.ok ? null : `${compiled.problem.place} ${compiled.problem.message}`;
}

const WIDE_AND_PUBLIC = {
  field: "inferenceRoutes",
  message: 'all is not for a public endpoint: name the routes, such as "inference,GET /v1/files/*"',
} as const;
