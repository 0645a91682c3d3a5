// What of an endpoint may be changed later: whether it is shared, which routes of its OpenAI servers are open, and what one tenant
// may keep of it. The first two depend on each other, so they are checked together.
import { isWideForm, openAiRoutesProblem } from "../core/openai/routes.ts";
import { type AdminContext, literal } from "./admin-book.ts";

/** Throws one sentence that says what is wrong, and what to do. */
export function checkRoutes(endpoint: { readonly openaiRoutes: string; readonly shared: boolean }): void {
  const problem = openAiRoutesProblem(endpoint.openaiRoutes);
  if (problem !== null) throw new Error(`--openai-routes: ${problem}`);
  if (endpoint.shared && isWideForm(endpoint.openaiRoutes)) {
    throw new Error(
      '--openai-routes all is not for a shared endpoint: name the routes, such as --openai-routes "inference,GET /v1/files/*"',
    );
  }
}

/** Changes what is given. Answers the endpoint whose broker is to be told. */
export async function setEndpoint(
  context: AdminContext,
  endpointId: string,
  change: { readonly shared?: boolean; readonly openaiRoutes?: string; readonly tenantSharePercent?: number },
): Promise<{ readonly endpointId: string }> {
  const [rows] = await context.execute(
    `SELECT shared, openai_routes FROM endpoints WHERE id = ${literal(endpointId)};`,
  );
  const row = rows?.[0];
  if (typeof row !== "object" || row === null || !("shared" in row) || !("openai_routes" in row)) {
    throw new Error(`there is no endpoint with the id ${endpointId} (a slug is no id)`);
  }
  const shared = change.shared ?? row.shared === 1;
  const openaiRoutes = change.openaiRoutes ?? String(row.openai_routes);
  checkRoutes({ openaiRoutes, shared });
  const { tenantSharePercent: percent } = change;
  const set = `shared = ${shared ? 1 : 0}, openai_routes = ${literal(openaiRoutes)}`;
  const share = percent === undefined ? "" : `, tenant_share_percent = ${literal(percent)}`;
  await context.execute(`UPDATE endpoints SET ${set}${share} WHERE id = ${literal(endpointId)};`);
  return { endpointId };
}
