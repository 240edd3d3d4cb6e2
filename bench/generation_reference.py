"""The Python side of bench/generation.py: makes the model in both forms, and runs it with diffusers and PyTorch.

    generation_reference.py make FOLDER          FOLDER/torch for diffusers, FOLDER/models/bench/sd for Framegrid
    generation_reference.py serve FOLDER THREADS  reads "SEED" lines, answers "done MS RSS_MB" after each picture

Needs diffusers, transformers, torch and onnx (tests/fixtures/diffusion/requirements.txt).
"""
import json
import pathlib
import resource
import shutil
import sys
import time

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "tests/fixtures/diffusion"
SIDE, STEPS, GUIDANCE = 128, 10, 7.5
PROMPT = "a small red boat on a quiet lake, oil painting"


def make(folder):
    sys.path.insert(0, str(FIXTURES))
    import diffusers
    import torch
    from transformers import CLIPTokenizer

    import export_onnx as export
    import tiny_models as tiny

    vocab = json.loads((FIXTURES / "tokenizer/vocab.json").read_text(encoding="utf-8"))
    tokenizer = CLIPTokenizer(str(FIXTURES / "tokenizer/vocab.json"), str(FIXTURES / "tokenizer/merges.txt"),
                              model_max_length=77)
    text = tiny.text_encoder(vocab, 1, width=128, layers=4)
    torch.manual_seed(2)
    unet = diffusers.UNet2DConditionModel(
        sample_size=SIDE // 8, in_channels=4, out_channels=4, layers_per_block=2, block_out_channels=(64, 128, 192),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"), cross_attention_dim=128,
        attention_head_dim=4, norm_num_groups=16).eval().requires_grad_(False)
    vae = diffusers.AutoencoderKL(
        block_out_channels=(16, 32, 64, 64), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=4, norm_num_groups=8, sample_size=SIDE,
        layers_per_block=1).eval().requires_grad_(False)
    scheduler = diffusers.EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    pipe = diffusers.StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=tokenizer, unet=unet, scheduler=scheduler, safety_checker=None,
        feature_extractor=None, requires_safety_checker=False)
    pipe.save_pretrained(folder / "torch")

    out = folder / "models/bench/sd"
    with torch.no_grad():
        export.export_text(out / "text_encoder/model.onnx", text)
        export.export_unet(out / "unet/model.onnx", unet, torch.tensor([1.0, 1.0]))
        export.export_vae(out, "vae", vae)
    for part in ("decoder", "encoder"):
        (out / f"vae_{part}").mkdir(exist_ok=True)
        (out / f"vae_{part}.onnx").rename(out / f"vae_{part}/model.onnx")
        shutil.copy(folder / "torch/vae/config.json", out / f"vae_{part}/config.json")
    shutil.copy(folder / "torch/model_index.json", out / "model_index.json")
    for name in ("tokenizer", "scheduler"):
        shutil.copytree(folder / "torch" / name, out / name)
    for name in ("unet", "text_encoder"):
        shutil.copy(folder / "torch" / name / "config.json", out / name / "config.json")


def serve(folder, threads):
    import torch
    from diffusers import StableDiffusionPipeline

    torch.set_num_threads(threads)
    pipe = StableDiffusionPipeline.from_pretrained(str(folder / "torch"), safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    print("ready", flush=True)
    for line in sys.stdin:
        begin = time.monotonic()
        image = pipe(PROMPT, num_inference_steps=STEPS, guidance_scale=GUIDANCE, height=SIDE, width=SIDE,
                     generator=torch.Generator().manual_seed(int(line))).images[0]
        image.save(folder / "reference.png")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"done {(time.monotonic() - begin) * 1000:.1f} {peak:.1f}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(pathlib.Path(sys.argv[2]))
    else:
        serve(pathlib.Path(sys.argv[2]), int(sys.argv[3]))
