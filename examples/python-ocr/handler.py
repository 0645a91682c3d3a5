"""A RunPod handler that reads the text in a picture.

The model comes with the wheel of rapidocr-onnxruntime, so nothing is downloaded when the worker starts. It runs unchanged
on RunPod Serverless and behind Waybill: only the environment differs.
"""

import base64
import binascii

import cv2
import numpy
import runpod
from rapidocr_onnxruntime import RapidOCR

# Once a process: a worker keeps its model over all its jobs.
ENGINE = RapidOCR()


def read_picture(job_input):
    """The picture of `input.image` (base64 of a PNG or JPEG) as pixels. Raises ValueError with one sentence."""
    image = job_input.get("image")
    if not isinstance(image, str):
        raise ValueError("input.image must be a picture in base64")
    try:
        raw = base64.b64decode(image, validate=True)
    except binascii.Error as error:
        raise ValueError("input.image is not valid base64") from error
    pixels = cv2.imdecode(numpy.frombuffer(raw, dtype=numpy.uint8), cv2.IMREAD_COLOR) if raw else None
    if pixels is None:
        raise ValueError("input.image is neither a PNG nor a JPEG")
    return pixels


def handler(job):
    """One picture in, its lines out: {"text", "lines": [{"text", "confidence"}]}."""
    try:
        pixels = read_picture(job["input"])
    except ValueError as error:
        return {"error": str(error)}
    found, _ = ENGINE(pixels)
    lines = [{"text": text, "confidence": round(float(score), 3)} for _, text, score in found or []]
    return {"text": "\n".join(line["text"] for line in lines), "lines": lines}


if __name__ == "__main__":
    runpod.serverless.start({"handler": handler})
