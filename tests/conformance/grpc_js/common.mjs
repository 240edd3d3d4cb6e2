// What the client and the server script share.
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

export function loadNet(protoFile) {
  const definition = loader.loadSync(protoFile, { keepCase: true, longs: Number, defaults: true });
  return grpc.loadPackageDefinition(definition).net;
}

// Counts what does not hold.
export class Checker {
  failures = 0;
  check(what, holds, detail = "") {
    console.log(`${holds ? "ok  " : "FAIL"} ${what} ${holds ? "" : detail}`);
    this.failures += holds ? 0 : 1;
  }
}
