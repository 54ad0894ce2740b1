"""Renders conversations by chat templates of the usual kinds with transformers' apply_chat_template, and writes chats.json.

python make_chats.py

In this folder; the tokenizer is one of those in ../tokenizers. The templates are written here, with what those of models make use of.
"""

import json
import shutil
import tempfile

from transformers import AutoTokenizer, PreTrainedTokenizerFast

TEMPLATES = {
    "chatml": """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nBe kind.<|im_end|>\\n' }}{% endif %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}""",
    "headers": """{%- if not date is defined %}
    {%- set date = strftime_now("%d %b %Y") if false else "26 Jul 2024" %}
{%- endif %}
{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = "" %}
{%- endif %}
{{- "<|system|>\\n\\nToday: " + date + "\\n" + system + "<|end|>" }}
{%- for message in messages %}
    {{- '<|' + message.role + '|>\\n\\n' + message.content | trim + '<|end|>' }}
{%- endfor %}
""",
    "turns": """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set first = messages[0]['content'] %}{% else %}{% set rest = messages %}{% set first = '' %}{% endif %}
{%- for message in rest -%}
  {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
    {{ raise_exception("Conversation roles must alternate") }}
  {%- endif -%}
  {%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
  <turn>{{ role }}
{{ (first + '\\n' if loop.first and first else '') + message['content'] | trim }}</turn>
{% endfor %}
""",
    "blocks": """{% set ns = namespace(users=0, last='') %}
{% for message in messages %}
    {% if message.role == 'user' %}
        {% set ns.users = ns.users + 1 %}
[{{ ns.users }}] {{ message.content }}
    {% elif message.role == 'assistant' and 'content' in message %}
-> {{ message.content | upper }}{{ eos_token }}
    {% else %}
({{ message.role }}: {{ message.content.split(' ') | join('_') | replace('.', '!') }})
    {% endif %}
    {% set ns.last = message.role %}
{% endfor %}
{{ ns.users }} {{ ns.last | length }} {{ 'many' if messages | length > 2 else 'few' }} {{ messages | map(attribute='role') | list | tojson }}
""",
    # What Python prints otherwise than JavaScript.
    "printed": """{{ messages | map(attribute='role') | list }} {{ messages[0] }} {{ true }} {{ none }} {{ nothing }} {{ messages | length > 2 }}
{{ 1.0 }} {{ 3 / 2 }} {{ 7 // 2 }} {{ [] }} {{ {} }} {{ [1, 2.5, none, true, "it's", 'a"b', "both ' and \\"", [nothing]] }} {{ (1, 'x') }}
{{ 'a' ~ true ~ none ~ 1.0 ~ [1] ~ nothing }} {{ false | string }} {{ (true | string).upper() }} {{ {'k': {'n': 'ü \\n \u200b'}} }}
{% set n = namespace(calls=0) %}
{% macro count() %}{% set n.calls = n.calls + 1 %}{{ n.calls }}{% endmacro %}
{{ count() }} {{ count() ~ count() }} {{ [count()] }}{{ loop is defined }}
{% for message in messages if message.role != 'system' %}{{ loop.first }}{{ loop.index }}{% else %}{{ messages is none }}{% endfor %}
""",
    "tools": """{% if tools is defined and documents is defined %}{{ tools }} {{ documents }}{% endif %}{% if tools is not none %}TOOLS{% endif %}{% if not tools %}none{% endif %}
{%- for message in messages %}{{ message.role }}: {% if message.role == 'assistant' %}{% generation %}{{ message.content }}{% endgeneration %}{% else %}{{ message.content }}{%- endif %}
{% endfor %}""",
}

# Where the special tokens come from: tokenizer_config.json, special_tokens_map.json.
SPECIALS = {
    "only in the map": ({}, {"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}}),
    "in both": ({"bos_token": "<a>", "pad_token": "<p>"}, {"bos_token": "<b>"}),
    "in both, added tokens listed": ({"bos_token": "<a>", "added_tokens_decoder": {}}, {"bos_token": "<b>", "eos_token": "<e>"}),
}
TOKENS = "{{ bos_token }}|{{ eos_token }}|{{ pad_token }}|{{ messages[0].content }}"

CHATS = {
    "plain": [("user", "Hi there."), ("assistant", "Hello!\nHow are you?"), ("user", "  Fine, thanks.  "), ("assistant", "Good.")],
    "with a system turn": [("system", "Answer in one word. "), ("user", "Is 🙂 an “emoji”?"), ("assistant", "Yes")],
    "with markup": [("user", "{{ not }} {% a %} template\n\n<b>&amp;</b>"), ("assistant", "```python\nprint('x')\n```\n")],
    "twice the user": [("user", "One"), ("user", "Two")],
}


def special(config, tokens):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy("../tokenizers/gpt2/tokenizer.json", folder)
        for name, value in [("tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **config}), ("special_tokens_map.json", tokens)]:
            with open(f"{folder}/{name}", "w") as file:
                json.dump(value, file)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        text = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], chat_template=TOKENS, tokenize=False)
    return {"config": config, "map": tokens, "template": TOKENS, "text": text}


def main():
    tokenizer = PreTrainedTokenizerFast(tokenizer_file="../tokenizers/gpt2/tokenizer.json", bos_token="<s>", eos_token="</s>")
    found = {"templates": TEMPLATES, "chats": {}, "rendered": {}}
    for chat, turns in CHATS.items():
        found["chats"][chat] = [{"role": role, "content": content} for role, content in turns]
    for name, template in TEMPLATES.items():
        found["rendered"][name] = {}
        for chat, messages in found["chats"].items():
            try:
                found["rendered"][name][chat] = tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False)
            except Exception as error:
                found["rendered"][name][chat] = None
                print(name, chat, error)
    found["specials"] = {name: special(config, tokens) for name, (config, tokens) in SPECIALS.items()}
    with open("chats.json", "w", encoding="utf-8") as file:
        json.dump(found, file, ensure_ascii=False, indent=1)


main()
