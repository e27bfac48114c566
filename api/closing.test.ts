import { once } from "node:events";
import { createServer, type Server } from "node:http";
import net, { type AddressInfo, type Socket } from "node:net";
import { expect, test } from "@jest/globals";
import { close } from "./closing.ts";

test("a request over a kept-alive connection is answered while the server ends, and its client told to take another one", async () => {
  const server = await serve();
  const client = connect(server);
  expect(await ask(client)).toMatch(/^connection: keep-alive/im);
  const closed = close(server);
  const answer = await ask(client);
  expect(answer).toMatch(/^connection: close/im);
  expect(answer).toMatch(/done$/);
  await Promise.all([closed, once(client, "close")]);
});

test("nobody new gets in while the server ends, and a kept-alive connection that nobody uses does not hold it up", async () => {
  const server = await serve();
  await ask(connect(server));
  const { port } = server.address() as AddressInfo;
  const closed = close(server);
  await expect(once(net.connect({ port, host: "127.0.0.1" }), "connect")).rejects.toThrow("ECONNREFUSED");
  await closed;
});

async function serve(): Promise<Server> {
  const server = createServer((_, response) => response.end("done"));
  await once(server.listen(0, "127.0.0.1"), "listening");
  return server;
}

const connect = (server: Server): Socket =>
  net.connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1" }).setEncoding("utf8");

async function ask(client: Socket): Promise<string> {
  client.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  return ((await once(client, "data")) as [string])[0];
}
