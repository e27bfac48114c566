import { createRequire } from "node:module";
import path from "node:path";
import { z } from "zod";
import { Fault } from "../contracts/faults.ts";
import { openApiDocument } from "./openapi.ts";
import { ok, route, type Answer, type Call, type Route } from "./route.ts";

/** Open without a key: they show the document and nothing of anybody's. */
export const documentationRoutes = (all: () => readonly Route[]): Route[] => [
  route({
    id: "getOpenApi",
    method: "get",
    path: "/api/v2/openapi.json",
    summary: "This document",
    tag: "Documentation",
    scope: "open",
    answers: { 200: { description: "OpenAPI 3.1.", schema: z.record(z.string(), z.unknown()) } },
    handle: async () => ok((document ??= openApiDocument(all()))),
  }),
  route({
    id: "getDocs",
    method: "get",
    path: "/docs",
    summary: "This document for people",
    tag: "Documentation",
    scope: "open",
    answers: { 200: { description: "A page.", mediaType: "text/html" } },
    handle: async ({ response }) => sendText(response, "text/html", page),
  }),
  route({
    id: "getDocsAsset",
    method: "get",
    path: "/docs/{asset}",
    summary: "Style and scripts of the page",
    tag: "Documentation",
    scope: "open",
    params: z.object({ asset: z.string().max(100) }),
    answers: { 200: { description: "A file.", mediaType: "application/octet-stream" } },
    faults: ["not_found"],
    handle: sendAsset,
  }),
];

// Made once, when first asked for.
let document: ReturnType<typeof openApiDocument> | undefined;

// Resolved, not imported: importing the package loads the whole user interface.
const assetFolder = path.dirname(createRequire(import.meta.url).resolve("swagger-ui-dist/package.json"));
const assets = new Set(["swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"]);

async function sendAsset({ response, params }: Call<{ asset: string }>): Promise<Answer> {
  if (params.asset === "start.js") return sendText(response, "text/javascript", script);
  if (!assets.has(params.asset)) throw new Fault("not_found", "There is no such file.");
  await new Promise<void>((resolve, reject) => {
    response.sendFile(params.asset, { root: assetFolder, etag: false, lastModified: false, acceptRanges: false }, (error) =>
      error ? reject(error) : resolve(),
    );
  });
  return "streamed";
}

const page = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>Tenuto API</title>
    <link rel="stylesheet" href="/docs/swagger-ui.css" />
    <link rel="icon" href="/docs/favicon-32x32.png" />
  </head>
  <body>
    <div id="document"></div>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script src="/docs/start.js"></script>
  </body>
</html>
`;

const script = `SwaggerUIBundle({ url: "/api/v2/openapi.json", dom_id: "#document", deepLinking: true, validatorUrl: null });\n`;

function sendText(response: Call["response"], type: string, text: string): Answer {
  response.type(type).send(text);
  return "streamed";
}
