// Providers of machines as /v1 shows and takes them.
import * as z from "zod";
import { OFFER_NANODOLLARS_PER_HOUR_MAX, OFFERS_MAX } from "../../core/manage/limits.ts";
import { PROVIDER_KINDS } from "../fleet.ts";
import { dollarsSchema } from "./dollars.ts";

const URL_MAX_CHARS = 2_048;
/** A header that a server takes is at most 8 KB in all. */
const CREDENTIAL_MAX_CHARS = 4_096;

const name = z.string().min(1).max(200).meta({ description: "A name for people; it need not be unique" });
const kind = z.enum(PROVIDER_KINDS).meta({
  description:
    "none: no machine is started, and it can be seen which would be; webhook: your own hook is sent all that is wanted, signed; " +
    "runpod: RunPod's pods; local: an agent on a machine of your own, by the protocol of webhook",
});
const url = z.string().min(1).max(URL_MAX_CHARS).meta({
  description:
    "webhook, local: where calls go. runpod: the base address of an API that is RunPod's; without it RunPod's own",
});
const credential = z
  .string()
  .min(1)
  .max(CREDENTIAL_MAX_CHARS)
  .regex(/^[\x21-\x7e]*$/, "must be printable ASCII without spaces")
  .meta({
    description:
      "runpod: an API key. webhook, local: the secret that signs calls, whsec_ and base64; one is made where none is given. Sealed at rest, and shown to nobody",
  });
const isDefault = z
  .boolean()
  .meta({ description: "Endpoints of its tenant that have an image and name no provider use it" });

const gpuTypeId = z
  .string()
  .min(1)
  .max(200)
  .meta({ description: "A GPU type of /v2/catalog/gpus, or CPU for a machine without a GPU" });
const tier = z
  .string()
  .min(1)
  .max(100)
  .meta({ description: "Id of the GPU type (/v1/gpu-types) by which its work is billed, in place of its pool's" });

const offers = z
  .array(
    z.strictObject({
      gpuTypeId,
      pricePerHour: dollarsSchema(OFFER_NANODOLLARS_PER_HOUR_MAX).meta({
        description: "Dollars that one GPU, or a machine without one, costs at most in an hour",
        examples: ["0.69"],
      }),
      tier: tier.optional(),
    }),
  )
  .min(1)
  .max(OFFERS_MAX)
  .refine((all) => new Set(all.map((one) => one.gpuTypeId)).size === all.length, "may name each GPU type once")
  .meta({ description: "The machines that it has. An endpoint gets the cheapest one of those that it selects" });

export const createProviderSchema = z
  .strictObject({
    tenantId: z
      .string()
      .min(1)
      .max(100)
      .optional()
      .meta({ description: "With the scope admin: whose provider it becomes" }),
    name,
    kind,
    url: url.nullable().default(null),
    credential: credential.optional(),
    offers,
    default: isDefault.default(false),
  })
  .meta({ id: "NewProvider" });
export type CreateProvider = z.infer<typeof createProviderSchema>;

export const patchProviderSchema = z
  .strictObject({
    name: name.optional(),
    url: url.nullable().optional().meta({ description: "The one that it has: another one is refused with 409" }),
    credential: credential.optional(),
    offers: offers.optional(),
    default: isDefault.optional(),
  })
  .meta({ id: "ProviderPatch" });
export type PatchProvider = z.infer<typeof patchProviderSchema>;

const providerShape = {
  id: z.string(),
  tenantId: z.string(),
  name: z.string(),
  kind,
  url: z.string().nullable(),
  hasCredential: z.boolean(),
  offers: z.array(
    z.object({
      gpuTypeId: z.string(),
      pricePerHour: z.string().meta({ description: "Exact, with nine decimals" }),
      tier: tier.optional(),
    }),
  ),
  default: isDefault,
  pricedBy: z.enum(["operator", "tenant"]).meta({
    description:
      "Who has set the offers. The tenant does not change what an operator has set, nor the credential beside it",
  }),
  version: z.int(),
  createdAt: z.iso.datetime(),
};
export const providerSchema = z.object(providerShape).meta({ id: "Provider" });
export type ShownProvider = z.infer<typeof providerSchema>;

const applied = z.boolean().meta({
  description: "The brokers of all endpoints that use it have the change; false: the others get it within 5 min",
});
export const changedProviderSchema = z.object({ ...providerShape, applied }).meta({ id: "ChangedProvider" });
export const createdProviderSchema = z
  .object({
    ...providerShape,
    applied,
    secret: z.string().optional().meta({
      description:
        "webhook, local: the secret that was made to sign calls; shown here alone, and not where a creation is repeated",
    }),
  })
  .meta({ id: "CreatedProvider" });
export const removedProviderSchema = z.object({ id: z.string() }).meta({ id: "RemovedProvider" });
