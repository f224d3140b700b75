"""Sends a prompt with OpenAI's client, streamed and not, and prints both answers as JSON.

python ask_with_openai.py BASE_URL MODEL PROMPT
"""

import json
import sys

from openai import OpenAI

client = OpenAI(base_url=sys.argv[1], api_key="any", max_retries=0)
request = {
    "model": sys.argv[2],
    "messages": [{"role": "user", "content": sys.argv[3]}],
    "seed": 1,
}
whole = client.chat.completions.create(**request)
text, finish_reason, tokens = "", None, None
options = {"include_usage": True}
for chunk in client.chat.completions.create(**request, stream=True, stream_options=options):
    for choice in chunk.choices:
        text += choice.delta.content or ""
        finish_reason = choice.finish_reason or finish_reason
    if chunk.usage:
        tokens = chunk.usage.completion_tokens
results = {
    "models": [model.id for model in client.models.list()],
    "text": whole.choices[0].message.content,
    "finish_reason": whole.choices[0].finish_reason,
    "tokens": whole.usage.completion_tokens,
    "streamed": {"text": text, "finish_reason": finish_reason, "tokens": tokens},
}
sys.stdout.write(json.dumps(results))
