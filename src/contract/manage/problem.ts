// What refused calls get: problems of RFC 9457 from the management API, and the forms that clients of jobs read.
import * as z from "zod";

const title = z.string();
const status = z.int();
const detail = z.string().meta({ description: "One sentence for a person: what is wrong, and what there is instead" });

/** Of /v1. */
export const problemSchema = z
  .object({
    title,
    status,
    detail,
    code: z.string().meta({ description: "The kind of failure, for programs", examples: ["not_found"] }),
    field: z
      .string()
      .optional()
      .meta({ description: "The first wrong field", examples: ["gpu.pools.0", "?limit"] }),
    errors: z
      .array(z.object({ field: z.string(), message: z.string() }))
      .optional()
      .meta({ description: "Every wrong field" }),
  })
  .meta({ id: "Problem" });

/** Of RunPod's management API. */
export const runPodProblemSchema = z
  .object({
    title,
    status,
    detail,
    hint: z.string().optional().meta({ description: "What to do next" }),
    errors: z.array(z.string()).optional().meta({ description: "Every wrong field, as `$.gpu.count: must be …`" }),
  })
  .meta({ id: "RunPodProblem" });

/** Of the routes of jobs and workers. */
export const jobErrorSchema = z
  .looseObject({
    error: z.string(),
    message: z.string(),
    errors: z
      .array(z.object({ field: z.string(), message: z.string() }))
      .optional()
      .meta({
        description: "Of an input that its endpoint's schema refuses: where, as input/images/0, and what was expected",
      }),
  })
  .meta({ id: "JobError" });

/** Of GraphQL calls: RunPod's clients show the first message. */
export const graphQlErrorSchema = z
  .object({ errors: z.array(z.object({ message: z.string() })).min(1) })
  .meta({ id: "GraphQLError" });

/** Of the routes of OpenAI. */
export const openAiErrorSchema = z
  .object({
    error: z.looseObject({
      message: z.string(),
      type: z.string(),
      param: z.string().nullable(),
      code: z.string().nullable(),
    }),
  })
  .meta({ id: "OpenAIError" });
