import { checkSchema, validateValue } from "../language/validate.ts";
import { languageJsonSchema } from "../language/json-schema.ts";
import { z } from "zod";
const c = (s: any) => console.log(JSON.stringify(s).slice(0,80), checkSchema(s));
c({}); c({type:"nope"}); c({$ref:"#"}); c({allOf:[{$ref:"#"}]}); c({type:"object",properties:{a:{$ref:"#"}}}); c({$ref:"http://x"}); c({pattern:"(a+)+$"}); c({pattern:"("}); c({$ref:"#/$defs/x"}); c(z.toJSONSchema(z.object({e:z.email(),u:z.uuid(),d:z.iso.datetime()}))); c({$id:"a"}); c({$id:"a",type:"object"}); c({uniqueItems:true}); c({$schema:"http://json-schema.org/draft-07/schema#"}); c({pattern:"^[a-z]+(-[a-z]+)*$"}); c({pattern:"^(ab)+$"});
console.log(validateValue({type:"object",required:["a"],properties:{a:{type:"number"},b:{enum:[1,2]}},additionalProperties:false},{b:3,"c/d":1}));
console.log(validateValue({type:"string",format:"email"},"x"), JSON.stringify(languageJsonSchema()).length);
const s: any = {type:"object",properties:{a:{$ref:"#"}}}; let v: any = {}; for (let i=0;i<60000;i++) v={a:v}; try { console.log(validateValue(s,v).length) } catch(e){console.log(String(e))}
c({pattern:"(?=a)"}); c({pattern:"^\\p{L}+$"}); console.log(validateValue({pattern:"^[a-z]+(-[a-z]+)*$"},"a-b"),validateValue({pattern:"^[a-z]+(-[a-z]+)*$"},"a--b"), validateValue({pattern:"a",allOf:[{pattern:"b"}]},"a"), validateValue({pattern:"a"},"b".repeat(5000)), validateValue({patternProperties:{"^x":{type:"number"}}},{x1:"a",y:"b"}));
console.time("x"); console.log(validateValue({pattern:"(a|aa)+$"},"a".repeat(3000)+"b")); console.timeEnd("x");
