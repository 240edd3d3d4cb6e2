"""Real-ESRGAN's generator at its real size, with random weights: exported as a model, and timed in PyTorch.

usage: python3 esrgan.py MODELS_DIRECTORY   (PyTorch with CUDA; writes acme/esrgan-x4 and acme/esrgan-x4-half)
"""
import pathlib
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "hub"))
sys.modules.setdefault("transformers", type(sys)("transformers"))
import networks  # noqa: E402


def export(path, model, example):
    path.mkdir(parents=True, exist_ok=True)
    axes = {0: "n", 2: "h", 3: "w"}
    torch.onnx.export(model, (example,), str(path / "RealESRGAN_x4plus.onnx"), input_names=["input"],
                      output_names=["output"], opset_version=17, dynamo=False,
                      dynamic_axes={"input": axes, "output": axes})


def time_of(model, picture, runs=5):
    with torch.inference_mode():
        model(picture)
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(runs):
            model(picture).cpu()
        return (time.perf_counter() - began) / runs * 1000


def main():
    folder = pathlib.Path(sys.argv[1])
    model = networks.seeded(lambda: networks.EsrganLike(4, 64, 32, 23), 50, gain=0.5)
    example = torch.rand(1, 3, 32, 32)
    export(folder / "acme" / "esrgan-x4", model, example)
    model = model.cuda()
    for size in (128, 512):
        picture = torch.rand(1, 3, size, size, device="cuda")
        for tf32 in (False, True):
            torch.backends.cuda.matmul.allow_tf32 = tf32
            torch.backends.cudnn.allow_tf32 = tf32
            print(f"PyTorch {torch.__version__}, {size}x{size} to 4x, tf32={tf32}: {time_of(model, picture):.1f} ms")


main()
