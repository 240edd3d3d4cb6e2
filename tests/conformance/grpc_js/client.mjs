// Stock grpc-js client against `wire_peer serve`: node client.mjs <livepeer.proto> <uri>
import grpc from "@grpc/grpc-js";
import { Checker, loadNet } from "./common.mjs";

const [protoFile, uri] = process.argv.slice(2);
const net = loadNet(protoFile);
const checker = new Checker();
const expect = checker.check.bind(checker);

const url = new URL(uri);
const credentials =
  url.protocol === "https:"
    ? grpc.credentials.createSsl(null, null, null, { rejectUnauthorized: false, checkServerIdentity: () => undefined })
    : grpc.credentials.createInsecure();
const orchestrator = new net.Orchestrator(url.host, credentials);
const transcoder = new net.Transcoder(url.host, credentials);
const ai = new net.AIWorker(url.host, credentials);
const deadline = () => new Date(Date.now() + 5000);

const unary = (client, method, request) =>
  new Promise((resolve) => {
    client[method](request, { deadline: deadline() }, (error, answer) => resolve({ error, answer }));
  });

const stream = (client, method, request, messages) =>
  new Promise((resolve) => {
    const call = client[method](request);
    const received = [];
    call.on("data", (message) => {
      received.push(message);
      if (received.length === messages) {
        call.cancel();
      }
    });
    call.on("error", (error) => resolve({ error, received }));
    call.on("end", () => resolve({ received }));
  });

let { error, answer } = await unary(orchestrator, "GetOrchestrator", {});
expect("GetOrchestrator", !error && answer.transcoder === uri, String(error));
expect("capability bits", answer?.capabilities?.bitstring?.length === 1, JSON.stringify(answer?.capabilities));
expect("model constraints", answer?.capabilities?.constraints?.PerCapability?.[30]?.models?.["framegrid/sr-2x"]?.warm);
expect("auth token", answer?.auth_token?.session_id === "session-1");
expect("prices of a full poll", answer?.capabilities_prices?.[0]?.constraint === "framegrid/sr-2x");

({ error, answer } = await unary(orchestrator, "GetOrchestrator", { capabilities: { bitstring: [4096] } }));
expect("GetOrchestrator with needs", !error && answer.capabilities_prices.length === 0, String(error));

({ error } = await unary(orchestrator, "GetOrchestrator", { address: Buffer.alloc(20, 1), sig: Buffer.alloc(65) }));
expect("bad signature", error?.code === grpc.status.UNKNOWN && error.details.startsWith("Invalid orchestrator request"));

({ error, answer } = await unary(orchestrator, "Ping", { value: Buffer.from([1, 2, 3]) }));
expect("Ping", !error && answer.value.equals(Buffer.from([3, 0x51])), String(error));

({ error, answer } = await unary(orchestrator, "Ping", { value: Buffer.alloc(1 << 20) }));
expect("Ping with 1 MiB", !error && answer.value.equals(Buffer.from([0, 0x51])), String(error));

({ error } = await unary(orchestrator, "Ping", { value: Buffer.alloc(5 << 20) }));
expect("5 MiB is refused", error?.code === grpc.status.RESOURCE_EXHAUSTED, String(error));

({ error } = await unary(orchestrator, "EndTranscodingSession", { auth_token: { session_id: "x" } }));
expect("Invalid auth token", error?.code === grpc.status.UNKNOWN && error.details === "Invalid auth token");

const many = await Promise.all(
  Array.from({ length: 200 }, (_, i) => unary(orchestrator, "Ping", { value: Buffer.alloc(i % 100) })),
);
expect("200 calls at once", many.every(({ error: e, answer: a }, i) => !e && a.value[0] === i % 100));

let result = await stream(transcoder, "RegisterTranscoder", { secret: "guess", capacity: 1 }, 1);
expect("invalid secret", result.error?.code === grpc.status.UNKNOWN && result.error.details === "invalid secret");
result = await stream(transcoder, "RegisterTranscoder", { secret: "s3cret", capacity: 0 }, 1);
expect("zero capacity", result.error?.details === "zero capacity");
result = await stream(ai, "RegisterAIWorker", { secret: "guess" }, 1);
expect("invalid secret of an AI worker", result.error?.details === "invalid secret");
result = await stream(transcoder, "RegisterTranscoder", { secret: "s3cret", capacity: 2 }, 1);
const task = result.received[0];
expect("a task arrives", task?.taskId === 7 && task.url.startsWith(uri + "/stream/"), JSON.stringify(task));
expect("with its profiles", task?.segData?.fullProfiles?.length === 2 && task.segData.fullProfiles[1].name === "p1");

const Unknown = grpc.makeGenericClientConstructor({
  Nothing: {
    path: "/net.Orchestrator/Nothing", requestStream: false, responseStream: false,
    requestSerialize: () => Buffer.alloc(0), responseDeserialize: (b) => b,
  },
});
({ error } = await unary(new Unknown(url.host, credentials), "Nothing", {}));
expect("unknown method", error?.code === grpc.status.UNIMPLEMENTED, String(error));

process.exit(checker.failures === 0 ? 0 : 1);
