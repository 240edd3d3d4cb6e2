// A picture while it is being made, and a video of it, with OpenAI's client (npm install openai).
//   FRAMEGRID_URL=http://127.0.0.1:9935 FRAMEGRID_API_KEY=none node pictures.js "a red circle"
import { writeFile } from "node:fs/promises";
import OpenAI, { toFile } from "openai";

const client = new OpenAI({
  baseURL: `${process.env.FRAMEGRID_URL ?? "http://127.0.0.1:9935"}/v1`,
  apiKey: process.env.FRAMEGRID_API_KEY ?? "none",
});
const prompt = process.argv[2] ?? "a red circle";

const events = await client.images.generate({ prompt, stream: true, partial_images: 2 });
let picture: Buffer | undefined;
for await (const event of events) {
  console.log(event.type);
  if (event.type === "image_generation.completed") {
    picture = Buffer.from(event.b64_json, "base64");
    await writeFile("picture.png", picture);
  }
}
if (!picture) throw new Error("the stream ended early");

let video = await client.videos.create({
  prompt,
  input_reference: await toFile(picture, "picture.png", { type: "image/png" }),
});
while (video.status === "queued" || video.status === "in_progress") {
  await new Promise((resolve) => setTimeout(resolve, 500));
  video = await client.videos.retrieve(video.id);
  console.log(video.status, video.progress);
}
if (video.error) throw new Error(video.error.message);
const content = await client.videos.downloadContent(video.id);
await writeFile("video.mp4", Buffer.from(await content.arrayBuffer()));
