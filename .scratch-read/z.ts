import { definitionSchema } from "../contracts/definition.schema.ts";
import { z } from "zod";
const r = definitionSchema.safeParse({ name: "a", version: 1, stpes: [], steps: [{ id: "a", type: "set" }, { id: "1a", type: "llm", model: "${x}", repairs: "${2}", messages: [{role: "x", content: 4}] }, {id: "b", type:"http", url:"x", headers: 4, retry: {while: 4}, tool: 1}, {id:"c", type:"tool", tool:"${x}", export: {"a-b": 1}, catch:[{steps:[{id:"z"}]}]}, {id:"x",type:"parallel",branches:{"a b":[]}} , {id:"r",type:"raise",error:{type:4}}] },
 { error: (i) => { if (i.code === "unrecognized_keys") console.log(i.path, Object.keys((i.inst as any)._zod.def.shape).length); return undefined; } });
console.log(JSON.stringify(r.error?.issues, null, 0).replaceAll('},{"', '},\n{"'));
const js = z.toJSONSchema(definitionSchema, { target: "draft-2020-12", unrepresentable: "any" });
console.log(JSON.stringify(js).length, Object.keys(js), JSON.stringify(js.required), Object.keys((js as any).$defs ?? {}));
console.log(JSON.stringify(js).slice(0, 1500));
