import {
  Client,
  Connection,
  defaultGrpcRetryOptions,
  makeGrpcRetryInterceptor,
  type ConnectionOptions,
  type GrpcRetryOptions,
} from "@temporalio/client";
import type { Settings } from "../settings.ts";

/**
 * A client on a connection of its own; close it with `client.connection.close()`.
 * Every call has a deadline: 10 s, or 70 s for the calls that the server holds open until something happens.
 * Inside `client.connection.withDeadline` that one counts.
 */
export async function connectTemporal(settings: Settings): Promise<Client> {
  const interceptors = [deadlines, makeGrpcRetryInterceptor(retries)];
  const connection = await Connection.connect({ ...target(settings), interceptors, connectTimeout: "10s" });
  return new Client({ connection, namespace: settings.TEMPORAL_NAMESPACE });
}

// The SDK's pauses between retries grow to seconds and end after the deadline of the call; it ignores a `maxIntervalMs` that is given.
const PAUSE_MS = 500;
const defaults = defaultGrpcRetryOptions();
const retries: GrpcRetryOptions = {
  ...defaults,
  delayFunction: (attempt, status) => Math.min(PAUSE_MS, defaults.delayFunction(attempt, status)),
};

/** Where Temporal is and how it knows us. */
export const target = (settings: Settings) => ({
  address: settings.TEMPORAL_ADDRESS ?? "127.0.0.1:7233",
  tls: settings.TEMPORAL_TLS,
  ...(settings.TEMPORAL_API_KEY !== undefined && { apiKey: settings.TEMPORAL_API_KEY }),
});

type Interceptor = NonNullable<ConnectionOptions["interceptors"]>[number];

// Without one a call to a server that has hung waits for ever.
const deadlines: Interceptor = (options, nextCall) => {
  const held = /\/(GetWorkflowExecutionHistory|PollWorkflowExecutionUpdate|UpdateWorkflowExecution|ExecuteMultiOperation)$/;
  const limitMs = held.test(options.method_definition.path) ? 70_000 : 10_000;
  // grpc-js asks only for the interface; its type names the class.
  return nextCall({ ...options, deadline: options.deadline ?? Date.now() + limitMs }) as ReturnType<Interceptor>;
};
