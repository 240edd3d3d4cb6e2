// OpenAI's own client against our gateway: every route that is served, with what the client sends by default.
import assert from "node:assert/strict";
import test from "node:test";
import OpenAI, { toFile } from "openai";

const base = process.env.FRAMEGRID_URL;
const apiKey = process.env.FRAMEGRID_API_KEY;
const client = new OpenAI({ baseURL: `${base}/v1`, apiKey, maxRetries: 0 });
const quick = { num_inference_steps: 2, seed: 7 };
const png = (text) => assert.equal(Buffer.from(text, "base64").subarray(1, 4).toString(), "PNG");

async function picture() {
  const answer = await client.images.generate({ prompt: "a red circle", response_format: "b64_json", ...quick });
  return Buffer.from(answer.data[0].b64_json, "base64");
}

async function finished(video) {
  for (let i = 0; i < 300 && !["completed", "failed"].includes(video.status); ++i) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    video = await client.videos.retrieve(video.id);
  }
  assert.equal(video.status, "completed", JSON.stringify(video));
  return video;
}

test("models", async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.ok(ids.includes("framegrid/scenes") && ids.includes("framegrid/motion"), ids);
  const model = await client.models.retrieve("framegrid/scenes");
  assert.deepEqual([model.id, model.object, model.owned_by], ["framegrid/scenes", "model", "framegrid"]);
  await assert.rejects(client.models.retrieve("acme/none"), { status: 404, code: "model_not_found", param: "model" });
});

test("images.generate", async () => {
  const both = await client.images.generate({ prompt: "a red circle", ...quick });
  assert.ok(both.created > 1.7e9);
  png(both.data[0].b64_json);
  const fetched = await fetch(both.data[0].url, { headers: { authorization: `Bearer ${apiKey}` } });
  assert.deepEqual(Buffer.from(await fetched.arrayBuffer()), Buffer.from(both.data[0].b64_json, "base64"));
  const several = await client.images.generate({
    prompt: "a red circle", model: "framegrid/scenes", n: 2, size: "64x64", response_format: "b64_json",
    output_format: "webp", quality: "high", user: "somebody", ...quick
  });
  assert.equal(several.data.length, 2);
  assert.equal(Buffer.from(several.data[0].b64_json, "base64").subarray(8, 12).toString(), "WEBP");
  assert.deepEqual(several.data.map((one) => [one.seed, one.url]), [[7, undefined], [8, undefined]]);
  const links = await client.images.generate({ prompt: "a ring", response_format: "url", ...quick });
  assert.equal(links.data[0].b64_json, undefined);
  assert.match(links.data[0].url, /\/v1\/artifacts\/art_/);
});

test("images.generate, streamed", async () => {
  const stream = await client.images.generate({
    prompt: "a green star", stream: true, partial_images: 2, seed: 3, num_inference_steps: 40, size: "128x128"
  });
  const events = [];
  for await (const event of stream) events.push(event);
  const last = events.pop();
  assert.equal(last.type, "image_generation.completed");
  assert.equal(last.output_format, "png");
  png(last.b64_json);
  assert.ok(events.length >= 1 && events.length <= 2, `${events.length} partial pictures`);
  events.forEach((event, i) => {
    assert.equal(event.type, "image_generation.partial_image");
    assert.equal(event.partial_image_index, i);
    assert.deepEqual([...Buffer.from(event.b64_json, "base64").subarray(0, 2)], [0xff, 0xd8]);
  });
});

test("images.edit", async () => {
  const image = await toFile(await picture(), "circle.png", { type: "image/png" });
  const changed = await client.images.edit({
    image, prompt: "a blue circle", response_format: "b64_json", strength: 0.5, ...quick
  });
  png(changed.data[0].b64_json);
  const mask = await toFile(await picture(), "mask.png", { type: "image/png" });
  const painted = await client.images.edit({ image: [image], mask, prompt: "a star", size: "auto", ...quick });
  png(painted.data[0].b64_json);
  const stream = await client.images.edit({ image, prompt: "a blue circle", stream: true, ...quick });
  const types = [];
  for await (const event of stream) types.push(event.type);
  assert.deepEqual(types, ["image_edit.completed"]);
  const again = { headers: { "Idempotency-Key": `edit-${Date.now()}` } };
  const one = await client.images.edit({ image, prompt: "a blue circle", ...quick }, again);
  const same = await client.images.edit({ image, prompt: "a blue circle", ...quick }, again);
  assert.equal(same.framegrid.job, one.framegrid.job);
  await assert.rejects(client.images.edit({ image, prompt: "another", ...quick }, again), OpenAI.ConflictError);
  const nothing = await toFile(Buffer.from("not a picture"), "a.png");
  await assert.rejects(client.images.edit({ image: nothing, prompt: "x" }), { status: 422, param: "image" });
});

test("videos", async () => {
  const made = await client.videos.create({ prompt: "a red ball rolls left", seconds: "1", size: "96x64", ...quick });
  assert.equal(made.object, "video");
  assert.deepEqual([made.seconds, made.size, made.error], ["1", "96x64", null]);
  const video = await finished(made);
  assert.equal(video.progress, 100);
  assert.ok(video.completed_at >= video.created_at && video.expires_at > video.completed_at);
  const bytes = Buffer.from(await (await client.videos.downloadContent(video.id)).arrayBuffer());
  assert.equal(bytes.subarray(4, 8).toString(), "ftyp");

  const input_reference = await toFile(await picture(), "first.png", { type: "image/png" });
  const moved = await client.videos.create({ prompt: "it moves", input_reference, num_frames: 8, fps: 8, ...quick });
  const stored = await client.files.create({ file: input_reference, purpose: "vision" });
  const again = await client.videos.create({
    prompt: "it moves", input_reference: { file_id: stored.id }, num_frames: 8, fps: 8, ...quick
  });
  await finished(moved);
  await finished(again);

  const ids = [];
  for await (const one of client.videos.list({ limit: 2 })) ids.push(one.id);
  assert.deepEqual(ids.slice(0, 3), [again.id, moved.id, video.id]);
  assert.deepEqual(await client.videos.delete(video.id), { id: video.id, object: "video.deleted", deleted: true });
  await assert.rejects(client.videos.retrieve(video.id), OpenAI.NotFoundError);

  const long = await client.videos.create({ prompt: "a red ball", num_inference_steps: 1000, num_frames: 100 });
  await client.videos.delete(long.id);
  await assert.rejects(client.videos.downloadContent(long.id), OpenAI.NotFoundError);
});

test("files", async () => {
  const data = Buffer.from("some bytes");
  const file = await client.files.create({ file: await toFile(data, "notes.txt"), purpose: "user_data" });
  assert.deepEqual([file.object, file.filename, file.bytes, file.status], ["file", "notes.txt", 10, "processed"]);
  assert.equal((await client.files.retrieve(file.id)).id, file.id);
  assert.equal(await (await client.files.content(file.id)).text(), "some bytes");
  const other = await client.files.create({ file: await toFile(data, "other.txt"), purpose: "user_data" });
  const ids = [];
  for await (const one of client.files.list({ limit: 1 })) ids.push(one.id);
  assert.deepEqual(ids.slice(0, 2), [other.id, file.id]);
  assert.equal((await client.files.delete(file.id)).deleted, true);
  await assert.rejects(client.files.retrieve(file.id), OpenAI.NotFoundError);
});

test("errors", async () => {
  const generate = (body) => client.images.generate({ prompt: "a red circle", ...body });
  await assert.rejects(generate({ n: 99 }), { name: "Error", status: 400, param: "n", code: "invalid_argument" });
  await assert.rejects(generate({ size: "33x33" }), OpenAI.BadRequestError);
  await assert.rejects(generate({ model: "gpt-image-1" }), OpenAI.NotFoundError);
  const stranger = new OpenAI({ baseURL: `${base}/v1`, apiKey: "wrong", maxRetries: 0 });
  await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
  await assert.rejects(
    client.chat.completions.create({ model: "x", messages: [{ role: "user", content: "hello" }] }),
    (error) => error instanceof OpenAI.NotFoundError && /not arrived/.test(error.message)
  );
  await assert.rejects(client.audio.speech.create({ model: "x", voice: "alloy", input: "hello" }), OpenAI.NotFoundError);
  const file = await toFile(Buffer.from("x"), "a.wav");
  await assert.rejects(client.audio.transcriptions.create({ model: "x", file }), OpenAI.NotFoundError);
});
