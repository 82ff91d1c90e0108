"""07's API and clients of others: openai (Python), @huggingface/inference (node)

The node test needs the npm package: `npm install @huggingface/inference` in any folder, and that
folder in the environment variable COURSE_NODE; without it the test is skipped.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import make_bert
from loopback_tools import make_gpt2

from course.inference_api import make_app, serving
from course.text_models import Classifier, Generator

PROMPT = "你好，我是一款语言模型，"
GPT, BERT = "someone/tiny-gpt", "tiny-bert"


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients")
    tiny = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
    bert = make_bert(folder / "bert", vocab_size=21128, num_hidden_layers=2, **tiny)
    models = {GPT: Generator(make_gpt2(folder / "gpt")), BERT: Classifier(bert)}
    with serving(make_app(models)) as url:
        yield url


def test_openai(api):
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"{api}/v1", api_key="any", max_retries=0)
    asked = {"model": GPT, "max_tokens": 8, "temperature": 0}
    messages = [{"role": "user", "content": PROMPT}]
    chat = client.chat.completions.create(messages=messages, **asked)
    text = chat.choices[0].message.content
    assert text and chat.usage.completion_tokens == 8 and chat.choices[0].finish_reason == "length"
    stream = {"stream": True, "stream_options": {"include_usage": True}}
    *chunks, last = client.chat.completions.create(messages=messages, **stream, **asked)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text
    assert last.usage.total_tokens == chat.usage.total_tokens and last.choices == []
    plain = client.completions.create(prompt=PROMPT, **asked)
    assert plain.choices[0].text == text and plain.usage == chat.usage
    chunks = client.completions.create(prompt=PROMPT, stream=True, **asked)
    assert "".join(chunk.choices[0].text for chunk in chunks) == text
    cut = client.completions.create(prompt=PROMPT, stop=text[3:5], **asked)
    assert cut.choices[0].text == text[: text.index(text[3:5])]
    assert cut.choices[0].finish_reason == "stop"
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.chat.completions.create(messages=messages, tools=[], **asked)
    assert "tools：不认识的参数" in refused.value.response.json()["error"]
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(messages=messages, model="gpt-4")
    assert "没有模型 gpt-4" in refused.value.response.json()["error"]


SCRIPT = """
import { InferenceClient } from "@huggingface/inference";
const [api, gpt, bert, prompt] = process.argv.slice(2);
const at = (path) => new InferenceClient().endpoint(`${api}${path}`);
const refusal = (promise) =>
  promise.then(() => "answered", (error) => JSON.stringify(error.httpResponse));
const said = {};
const messages = [{ role: "user", content: prompt }];
const chat = { model: gpt, messages, max_tokens: 6, temperature: 0 };
said.chat = (await at("").chatCompletion(chat)).choices[0].message.content;
said.stream = "";
for await (const chunk of at("").chatCompletionStream(chat))
  said.stream += chunk.choices[0].delta.content ?? "";
const inputs = "很好";
said.labels = await at(`/models/${bert}`).textClassification({ inputs });
const path = `/models/${bert}/pipeline/`;
const features = await at(`${path}feature-extraction`).featureExtraction({ inputs });
said.features = [features.length, features[0].length, features[0][0].length];
said.mask = await refusal(at(`${path}fill-mask`).fillMask({ inputs: "很[MASK]" }));
const parameters = { do_sample: false };
said.write = await refusal(at("").textGeneration({ model: gpt, inputs: prompt, parameters }));
console.log(JSON.stringify(said));
"""


def test_huggingface_inference_of_node(api):
    node, folder = shutil.which("node"), Path(os.environ.get("COURSE_NODE", ""))
    if not node or not (folder / "node_modules/@huggingface/inference").is_dir():
        pytest.skip("needs node and @huggingface/inference (COURSE_NODE)")
    script = folder / "course_client.mjs"
    script.write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run(
        [node, str(script), api, GPT, BERT, PROMPT],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    script.unlink()
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["chat"] and said["stream"] == said["chat"]
    assert {row["label"] for row in said["labels"]} == {"LABEL_0", "LABEL_1"}
    assert said["features"] == [1, 4, 32]
    assert "不会 fill-mask" in said["mask"]
    assert (
        "do_sample：不认识的参数" in said["write"]
    )  # it sends HF's parameters to OpenAI's address
