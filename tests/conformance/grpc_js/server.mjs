// Stock grpc-js server for `wire_peer call`: node server.mjs <livepeer.proto> [key.pem cert.pem]
// Prints "listening <uri>" and serves until standard input ends.
import { readFileSync } from "node:fs";
import grpc from "@grpc/grpc-js";
import { loadNet } from "./common.mjs";

const [protoFile, keyFile, certFile] = process.argv.slice(2);
const net = loadNet(protoFile);
let uri = "";

const server = new grpc.Server();
server.addService(net.Orchestrator.service, {
  GetOrchestrator(call, callback) {
    if (call.request.capabilities) {
      callback({ code: grpc.status.UNKNOWN, details: "OrchestratorCapped" });
    } else {
      callback(null, { transcoder: uri, auth_token: { token: Buffer.alloc(32), session_id: "js", expiration: 1 } });
    }
  },
  Ping(call, callback) {
    callback(null, { value: Buffer.from(call.request.value).reverse() });
  },
  EndTranscodingSession(call, callback) {
    callback({ code: grpc.status.UNKNOWN, details: "na\u00efve 100%" });
  },
});
server.addService(net.Transcoder.service, {
  RegisterTranscoder(call) {
    if (call.request.secret !== "s3cret") {
      call.emit("error", { code: grpc.status.UNKNOWN, details: "invalid secret" });
      return;
    }
    // As existing orchestrators do: nothing at all, not even the head, until there is work.
    const timer = setTimeout(() => {
      call.write({
        taskId: 42,
        url: `${uri}/stream/in.ts`,
        profiles: Buffer.from("invalid"),
        segData: { auth_token: { session_id: "js" }, duration: 2000 },
      });
      call.end();
    }, 2500);
    call.on("cancelled", () => clearTimeout(timer));
  },
});

const credentials = keyFile
  ? grpc.ServerCredentials.createSsl(null, [{ private_key: readFileSync(keyFile), cert_chain: readFileSync(certFile) }])
  : grpc.ServerCredentials.createInsecure();
server.bindAsync("127.0.0.1:0", credentials, (error, port) => {
  if (error) {
    throw error;
  }
  uri = `${keyFile ? "https" : "http"}://127.0.0.1:${port}`;
  console.log(`listening ${uri}`);
});
process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
