import { readDefinition } from "../language/index.ts";
import { createHash } from "node:crypto";
const hashOf = (t: string) => createHash("sha256").update(t).digest("hex");
const show = (t: string, f: "yaml"|"json" = "yaml") => { const r = readDefinition(t, f, {hashOf}); console.log(r.ok ? JSON.stringify(r.plan).slice(0, 400) : r.problems); };
show("name: a\nversion: 1.0.0\nsteps:\n  - {id: a, type: set, values: {x: '${input.y}'}}\n");
show("name: a\nversion: 1.0\nstpes: []\nsteps:\n  - {id: a, type: sett, values: 1}\n  - id: 1b\n    type: http\n    tool: x\n    retry: {maxAttempts: '${3}', while: 4}\n  - {id: q, type: raise, error: {type: 4}}\n  - x\n");
show('{"a": 1, // foo\n "b": \'x\', "c": tru,}', "json");
show('{"a": 1, "a": 2, "name": "\\ud800"}', "json");
show(''); show('# c'); show('', "json"); show('[1,2', "json"); show('{"a"', "json");
show("[".repeat(500000)); show("a: &a [*a]\nb: !foo 1\n__proto__: 1\n$tenutoRef: 2\nb: 3\nc: .inf"); show("a: 1\n---\nb: 1"); show("a: b: c\nd: [\ne: }");
console.log("=======");
show(`name: t
version: 1.0.0
input: { type: object, required: [fileId, limit], properties: { fileId: { type: string }, limit: { type: number } } }
steps:
  - { id: extract, type: tool, tool: files.extractText, arguments: { fileId: "\${input.fileIdd}", x: "\${steps.nope.output}" } }
  - { id: classify, type: llm, model: fast, prompt: "Assess the risk of: \${steps.extract.output.text}", outputSchema: {type: object, properties: {risk: {type: number}, items: {type: array, items: {type: object, properties: {sku: {type: string}}}}}} }
  - id: gate
    type: switch
    cases:
      - when: "\${steps.classify.output.risk > 0.7 || steps.extract.output.pages > input.limit}"
        steps: [{ id: ask, type: approval, title: "Risk \${steps.classify.output.risk}. Pay?", assignees: ["role:finance"], expiresAfter: 2d }]
      - when: "\${input.limit}"
        steps: [{ id: w, type: wait, duration: 2y }, {id: ag, type: agent, foo: 1}]
    default: [{ id: auto, type: set, values: { approved: true } }]
  - id: annotate
    type: foreach
    items: "\${steps.classify.output.items}"
    concurrency: 4
    steps: [{ id: note, type: llm, model: cheap, prompt: "Comment on \${item.skuu} \${steps.note.output} \${secrets.x}" }]
  - {id: a, type: set, values: "\${steps.b.output}", needs: [b]}
  - {id: b, type: set, values: 1, needs: [a, zz], lock: {key: x}}
output: { approved: "\${steps.gate.output.approved}", notes: "\${steps.annotate.output}", n: "\${steps.note.output}", bad: "\${1 +}" }
`);
