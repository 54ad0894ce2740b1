"""Renders conversations by chat templates of the usual kinds with transformers' apply_chat_template, and writes chats.json.

python make_chats.py

In this folder; the tokenizer is one of those in ../tokenizers. The templates are written here, with what those of models make use of.
"""

import json

from transformers import PreTrainedTokenizerFast

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
}

CHATS = {
    "plain": [("user", "Hi there."), ("assistant", "Hello!\nHow are you?"), ("user", "  Fine, thanks.  "), ("assistant", "Good.")],
    "with a system turn": [("system", "Answer in one word. "), ("user", "Is 🙂 an “emoji”?"), ("assistant", "Yes")],
    "with markup": [("user", "{{ not }} {% a %} template\n\n<b>&amp;</b>"), ("assistant", "```python\nprint('x')\n```\n")],
    "twice the user": [("user", "One"), ("user", "Two")],
}


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
    with open("chats.json", "w", encoding="utf-8") as file:
        json.dump(found, file, ensure_ascii=False, indent=1)


main()
