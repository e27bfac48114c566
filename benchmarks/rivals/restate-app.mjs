import { createRequire } from "node:module";
import path from "node:path";

// Its SDK is written for Node 22; this is all that Node 20 lacks of it.
Promise.withResolvers ??= () => {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};

// The same work for Restate: a service that its server calls. Arguments: folder of its packages, port.
const [folder, port] = process.argv.slice(2);
const restate = createRequire(path.join(folder, "package.json"))("@restatedev/restate-sdk");

const noop = (context, step) => context.run(`step${step}`, async () => null);

const service = restate.service({
  name: "bench",
  handlers: {
    W1: async (context) => {
      for (let step = 0; step < 12; step++) await noop(context, step);
      return null;
    },
    W2: async (context) => restate.RestatePromise.all(Array.from({ length: 50 }, (_, step) => noop(context, step))),
  },
});

process.once("disconnect", () => process.exit(0));
process.once("SIGTERM", () => process.exit(0));
await restate.serve({ services: [service], port: Number(port) });
process.send({ ready: true });
