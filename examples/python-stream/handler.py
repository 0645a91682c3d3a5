"""A RunPod handler that streams: it counts the words of a text, one chunk a word.

Each `yield` reaches clients of /stream at once; `return_aggregate_stream` makes the list of all chunks the job's output.
"""

import asyncio

import runpod

WORDS_MAX = 10_000


async def handler(job):
    """`input.text` in; a chunk {"word", "count"} for each word, `input.pause_ms` apart."""
    text = job["input"].get("text")
    pause_ms = job["input"].get("pause_ms", 0)
    if not isinstance(text, str) or len(text.split()) > WORDS_MAX:
        yield {"error": f"input.text must be a text of at most {WORDS_MAX} words"}
        return
    if not isinstance(pause_ms, int) or not 0 <= pause_ms <= 10_000:
        yield {"error": "input.pause_ms must be a whole number from 0 to 10000"}
        return
    counts = {}
    for word in text.split():
        counts[word] = counts.get(word, 0) + 1
        # A real model computes here. The event loop stays free, so that a cancel reaches this handler.
        await asyncio.sleep(pause_ms / 1000)
        yield {"word": word, "count": counts[word]}


if __name__ == "__main__":
    runpod.serverless.start({"handler": handler, "return_aggregate_stream": True})
