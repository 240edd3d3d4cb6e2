// Uploads FILE with the stock tus client, in pieces of CHUNK bytes (0: one request). Prints a line of JSON for what happens.
import fs from "node:fs";
import * as tus from "tus-js-client";

const [file, chunk] = process.argv.slice(2);
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const upload = new tus.Upload(fs.createReadStream(file), {
  endpoint: `${process.env.FRAMEGRID_URL}/v1/uploads`,
  headers: { Authorization: `Bearer ${process.env.FRAMEGRID_API_KEY}` },
  chunkSize: Number(chunk) || Infinity,
  uploadSize: fs.statSync(file).size,
  uploadDataDuringCreation: process.env.AT_CREATION === "1",
  metadata: { filename: "film.bin" },
  retryDelays: [0, 100, 200, 400, 800, 1600, 1600, 1600],
  onProgress: (sent, total) => say({ event: "progress", sent, total }),
  onAfterResponse: (request, response) =>
    say({
      event: "answer", method: request.getMethod(), status: response.getStatus(),
      offset: Number(response.getHeader("Upload-Offset")), artifact: response.getHeader("Framegrid-Artifact") ?? null,
    }),
  onError: (error) => {
    say({ event: "error", message: String(error) });
    process.exit(1);
  },
  onSuccess: () => say({ event: "done", url: upload.url }),
});
upload.start();
