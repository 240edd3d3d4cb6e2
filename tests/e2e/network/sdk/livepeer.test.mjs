// The network's own client against our gateway: every pipeline that is served, and a clear end for the others.
import assert from "node:assert/strict";
import test from "node:test";
import { Livepeer } from "@livepeer/ai";
import { SDKError } from "@livepeer/ai/models/errors/index.js";

const serverURL = process.env.FRAMEGRID_URL;
const httpBearer = process.env.FRAMEGRID_API_KEY;
const { generate } = new Livepeer({ serverURL, httpBearer });
const steps = { numInferenceSteps: 2 };

async function bytes(media) {
  assert.equal(typeof media.nsfw, "boolean");
  const answer = await fetch(media.url);
  assert.equal(answer.status, 200);
  return new Blob([await answer.arrayBuffer()], { type: "application/octet-stream" });
}

async function picture() {
  const answer = await generate.textToImage({ prompt: "a red circle", width: 128, height: 128, seed: 5, ...steps });
  return bytes(answer.imageResponse.images[0]);
}

async function kind(blob) {
  const head = Buffer.from(await blob.slice(0, 12).arrayBuffer());
  return head.subarray(1, 4).toString() === "PNG" ? "png" : head.subarray(4, 8).toString() === "ftyp" ? "mp4" : "?";
}

test("textToImage", async () => {
  const answer = await generate.textToImage({ prompt: "a red circle", numImagesPerPrompt: 2, seed: 9, ...steps });
  const { images } = answer.imageResponse;
  assert.deepEqual(images.map((image) => image.seed), [9, 10]);
  assert.equal(await kind(await bytes(images[1])), "png");
});

test("imageToImage", async () => {
  const answer = await generate.imageToImage({ prompt: "a blue circle", image: await picture(), ...steps });
  assert.equal(await kind(await bytes(answer.imageResponse.images[0])), "png");
});

test("upscale", async () => {
  const answer = await generate.upscale({ prompt: "", image: await picture() });
  assert.equal(await kind(await bytes(answer.imageResponse.images[0])), "png");
});

test("imageToVideo", async () => {
  const answer = await generate.imageToVideo({ image: await picture(), width: 96, height: 64, ...steps });
  assert.equal(await kind(await bytes(answer.videoResponse.images[0])), "mp4");
});

test("a wrong request is a typed error with its reason", async () => {
  const call = generate.textToImage({ prompt: "x", width: 33, ...steps });
  await assert.rejects(call, (error) => /width/.test(JSON.stringify(error)) && error.statusCode !== 404);
  const broken = generate.upscale({ prompt: "", image: new Blob(["no picture"]) });
  await assert.rejects(broken, (error) => /picture/i.test(JSON.stringify(error)));
});

test("a stranger is told so", async () => {
  const stranger = new Livepeer({ serverURL, httpBearer: "wrong" });
  await assert.rejects(stranger.generate.textToImage({ prompt: "x", ...steps }));
});

test("what has not arrived is a 404", async () => {
  const image = new Blob(["x"]);
  for (const call of [
    generate.audioToText({ audio: image }), generate.segmentAnything2({ image }), generate.imageToText({ image }),
    generate.llm({ messages: [{ role: "user", content: "hello" }] }), generate.textToSpeech({ text: "hello" })
  ]) {
    await assert.rejects(call, (error) => error instanceof SDKError && error.statusCode === 404);
  }
});
