// The endpoint that the path of a route names.
import * as z from "zod";

export const endpointParams = z.object({ endpoint: z.string().meta({ description: "Id or slug of an endpoint" }) });
export type EndpointParams = z.infer<typeof endpointParams>;
