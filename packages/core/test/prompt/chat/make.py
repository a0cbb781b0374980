"""Writes golden.jsonl: chat templates in the shapes of the families, rendered by Python's jinja2 as transformers does."""
import json
from pathlib import Path

from jinja2.sandbox import ImmutableSandboxedEnvironment

templates = {
    "chatml": """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You help.<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}""",
    "headers": """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\nToday: " + date_string + "\\n\\n<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    "inst": """{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'].strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}""",
    "thinker": """{%- set ns = namespace(last=messages|length - 1) %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if message.role == "assistant" and '</think>' in content %}
        {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
""",
    "opener": """{{ bos_token }}{% for message in messages %}{% if message.role == 'user' %}<|User|>{{ message.content }}{% else %}<|Assistant|>{{ message.content }}{{ eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %}<|Assistant|><think>
{% endif %}""",
}
contexts = ["It was a dark and", "  indented\n\n", "", "ends with two\n\n", "<|im_end|> is text & \"so\" is {{ this }}", "日本語 e\u0301 \u0000"]
question = (
    "\n\n### Task\nThe text above breaks off. Think step by step about what comes next, and end your thoughts with </think>. "
    "Then write the next token or tokens, exactly as they stand in the text, inside \\boxed{}."
)
named = {"bos_token": "<s>", "eos_token": "</s>"}

def refuse(message):
    raise ValueError(message)

environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
environment.globals["raise_exception"] = refuse

lines = []
for name, source in templates.items():
    template = environment.from_string(source)
    for context in contexts:
        messages = [{"role": "user", "content": f"### Text\n{context}{question}"}]
        rendered = template.render(messages=messages, tools=None, documents=None, add_generation_prompt=True, **named)
        lines.append({"name": name, "source": source, "context": context, "rendered": rendered})
Path(__file__).with_name("golden.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
