import { z } from "zod";
const handler = z.strictObject({
  errors: z.array(z.string()).optional(),
  get steps(): z.ZodArray<typeof stepSchema> { return z.array(stepSchema); },
});
const common = { id: z.string(), catch: z.array(handler).optional() };
const setStep = z.strictObject({ ...common, type: z.literal("set"), values: z.record(z.string(), z.unknown()) });
const seqStep = z.strictObject({ ...common, type: z.literal("sequence"), get steps(): z.ZodArray<typeof stepSchema> { return z.array(stepSchema); } });
const par = z.strictObject({ ...common, type: z.literal("parallel"), get branches(): z.ZodRecord<z.ZodString, z.ZodArray<typeof stepSchema>> { return z.record(z.string(), z.array(stepSchema)); } });
export const stepSchema = z.discriminatedUnion("type", [setStep, seqStep, par]);
type Step = z.infer<typeof stepSchema>;
export const f = (s: Step): string => s.type === "sequence" ? s.steps[0]!.id : s.type === "parallel" ? s.branches["a"]![0]!.type : s.catch![0]!.steps[0]!.id;
console.log(JSON.stringify(stepSchema.safeParse({id:"a",type:"sequence",steps:[{id:"b",type:"set",values:{},x:1},{id:3,type:"nope"},{id:3},4]}).error?.issues));
console.log(JSON.stringify(stepSchema.safeParse({id:"a",type:"parallel",branches:{a:[1]}}).error?.issues));
