"""A worker in the manner of RunPod's worker-vllm: `worker_openai.py MODE JOBS_AT_ONCE`. It answers as the server in
test/running/openai-answers.ts does, but a stream is text that is glued and cut anywhere, and an error is a yielded dict."""

import asyncio
import base64
import itertools
import json
import re
import struct
import sys

import runpod

import worker  # Its import ends this process, too, when the tests are gone.

MODEL = "tiny"
FAULTY = {"fails", "dies", "slow", "endless"}
SLOW_S = 1.5
EVENTS_BEFORE_DEATH = 3
# Borders in the middle of a line, of a word, between the two ends of a line, and behind several events.
PIECE_LENGTHS = (7, 1, 300, 61, 900, 2)


def tokens_of(text):
    return re.split(r"(?<= )", text)


def prompt_of(request):
    if "messages" in request:
        return request["messages"][-1]["content"]
    return request.get("prompt") or request.get("input") or ""


def usage_of(request):
    whole = prompt_of(request)
    if "messages" in request:
        whole = " ".join(message["content"] for message in request["messages"])
    prompt, completion = len(tokens_of(whole)), len(tokens_of(prompt_of(request)))
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def error(status, kind, message, param=None):
    return {"error": {"message": message, "type": kind, "param": param, "code": status}}


def with_usage_rule(request, chunks, head):
    if (request.get("stream_options") or {}).get("include_usage"):
        chunks = [{**chunk, "usage": None} for chunk in chunks]
        chunks.append({**head, "choices": [], "usage": usage_of(request)})
    return [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]


def chat(request):
    message = {"role": "assistant", "content": prompt_of(request), "tool_calls": []}
    choices = [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}]
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL}
    return {**head, "choices": choices, "usage": usage_of(request)}


def chat_events(request):
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in tokens_of(prompt_of(request)))]
    chunks = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return with_usage_rule(request, chunks, head)


def completion(request):
    head = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": MODEL}
    choices = [{"index": 0, "text": prompt_of(request), "logprobs": None, "finish_reason": "stop"}]
    return {**head, "choices": choices, "usage": usage_of(request)}


def completion_events(request):
    head = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": MODEL}
    words = tokens_of(prompt_of(request))
    ends = [None] * (len(words) - 1) + ["stop"]
    choices = [
        {"index": 0, "text": word, "logprobs": None, "finish_reason": end}
        for word, end in zip(words, ends, strict=True)
    ]
    return with_usage_rule(request, [{**head, "choices": [choice]} for choice in choices], head)


def response(request):
    usage = usage_of(request)
    content = [{"type": "output_text", "text": prompt_of(request), "annotations": []}]
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": MODEL,
        "status": "completed",
        "error": None,
        "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}],
        "usage": {
            "input_tokens": usage["prompt_tokens"],
            "output_tokens": usage["completion_tokens"],
            "total_tokens": usage["total_tokens"],
        },
    }


def response_events(request):
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    begun = {**response(request), "status": "in_progress", "output": [], "usage": None}
    words = [{"type": "response.output_text.delta", **place, "delta": w} for w in tokens_of(prompt_of(request))]
    events = [
        {"type": "response.created", "response": begun},
        *words,
        {"type": "response.output_text.done", **place, "text": prompt_of(request)},
        {"type": "response.completed", "response": response(request)},
    ]
    numbered = [{"sequence_number": number, **event} for number, event in enumerate(events)]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in numbered]


def embedding(text, as_base64):
    numbers = [len(text), len(tokens_of(text)), 0.5, -0.25]
    return base64.b64encode(struct.pack("<4f", *numbers)).decode() if as_base64 else numbers


def embeddings(request):
    inputs = request["input"] if isinstance(request["input"], list) else [request["input"]]
    as_base64 = request.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": embedding(text, as_base64)}
        for index, text in enumerate(inputs)
    ]
    count = len(tokens_of(" ".join(inputs)))
    usage = {"prompt_tokens": count, "total_tokens": count}
    return {"object": "list", "model": MODEL, "data": data, "usage": usage}


def models():
    model = {"id": MODEL, "object": "model", "created": 1, "owned_by": "vllm", "root": MODEL, "parent": None}
    return {"object": "list", "data": [model]}


ROUTES = {
    "/v1/chat/completions": (chat, chat_events),
    "/v1/completions": (completion, completion_events),
    "/v1/responses": (response, response_events),
    "/v1/embeddings": (embeddings, None),
}


def refusal_of(request):
    model, temperature = request.get("model"), request.get("temperature")
    if model == "fails":
        return error(500, "InternalServerError", "EngineCore encountered an issue.")
    if model != MODEL and model not in FAULTY:
        return error(404, "NotFoundError", f"The model `{model}` does not exist.", "model")
    if temperature is not None and not 0 <= temperature <= 2:
        return error(400, "BadRequestError", "temperature: must be between 0 and 2", "temperature")
    return None


def pieces(text):
    for length in itertools.cycle(PIECE_LENGTHS):
        if not text:
            return
        yield text[:length]
        text = text[length:]


async def endless(events):
    yield events[0]
    while True:
        yield events[1]
        await asyncio.sleep(0.02)


async def dying(events):
    following = events[EVENTS_BEFORE_DEATH]
    for piece in pieces("".join(events[:EVENTS_BEFORE_DEATH]) + following[: len(following) // 2]):
        yield piece
    await asyncio.sleep(0.3)
    raise RuntimeError("EngineCore died")


async def handler(job):
    route, request = job["input"]["openai_route"], job["input"].get("openai_input") or {}
    if route == "/v1/models":
        yield models()
        return
    refusal = refusal_of(request)
    if refusal is not None:
        yield refusal
        return
    if request["model"] == "slow":
        await asyncio.sleep(SLOW_S)
    body_of, events_of = ROUTES[route]
    if not request.get("stream"):
        yield body_of(request)
        return
    events = events_of(request)
    faulty = {"endless": endless, "dies": dying}.get(request["model"])
    if faulty is not None:
        async for piece in faulty(events):
            yield piece
        return
    for piece in pieces("".join(events)):
        yield piece
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    jobs_at_once = int(sys.argv[2])
    runpod.serverless.start(
        {"handler": handler, "return_aggregate_stream": True, "concurrency_modifier": lambda _: jobs_at_once}
    )
