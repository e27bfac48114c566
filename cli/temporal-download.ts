import { Runtime } from "@temporalio/worker";

// A process of its own, so that its parent can end it after 20 s: the SDK's download has no time limit.
const [folder, version] = process.argv.slice(2) as [string, string];

Runtime.install({ logger: { log() {}, trace() {}, debug() {}, info() {}, warn() {}, error() {} } });
const server = await Runtime.instance().createEphemeralServer({
  type: "dev-server",
  exe: { type: "cached-download", downloadDir: folder, version, ttl: 0, sdkName: "sdk-typescript", sdkVersion: "1.24.0" },
  namespace: "default",
  ip: "127.0.0.1",
  port: null,
  uiPort: null,
  dbFilename: null,
  ui: false,
  log: { format: "pretty", level: "error" },
  extraArgs: [],
});
await Runtime.instance().shutdownEphemeralServer(server);
