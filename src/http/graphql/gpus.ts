// `gpuTypes`: the GPU types of the catalogue, as RunPod's Python package 1.12 asks for them before it names one.
import * as z from "zod";
import { ok } from "../../core/failure.ts";
import { GPU_TYPES, type GpuType } from "../../core/manage/catalogue.ts";
import type { ManageContext } from "../../manage/context.ts";
import { checkValue } from "../kit/checked.ts";
import type { Resolved } from "./call.ts";

const argsSchema = z.strictObject({ input: z.strictObject({ id: z.string() }).optional() });

/** All types, or those of an id: the client takes an empty list for "there is no such GPU". */
export async function gpuTypes(_context: ManageContext, args: unknown): Promise<Resolved> {
  const checked = checkValue(argsSchema, args, "body");
  if (!checked.ok) return checked;
  const { input } = checked.value;
  return ok(GPU_TYPES.filter(({ id }) => input === undefined || id === input.id).map(show));
}

/** What RunPod asks of pods has no value here: there are none. */
function show({ id, name, memoryGb }: GpuType) {
  return {
    id,
    displayName: name,
    memoryInGb: memoryGb,
    manufacturer: "Nvidia",
    secureCloud: false,
    communityCloud: false,
    lowestPrice: { minimumBidPrice: null, uninterruptablePrice: null },
  };
}
