"""The learner's own inference API: the protocol, with the real InferenceClient and curl"""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import torch
from conftest import run_here
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from loopback_tools import TOKEN, loopback_environment, make_gpt2
from shown import assert_shown
from transformers import GPT2LMHeadModel, pipeline

from course.gatekeeper import MAX_BYTES
from course.inference_api import make_app, serving
from course.text_models import Classifier, Generator, Token

PROMPT = "你好，我是一款语言模型，"
GPT, BERT = "someone/tiny-gpt", "tiny-bert"


@pytest.fixture(scope="module")
def mini_gpt2(tmp_path_factory):
    return make_gpt2(tmp_path_factory.mktemp("gpt2") / "mini")


@pytest.fixture(scope="module")
def models(mini_gpt2, mini_bert):
    return {GPT: Generator(mini_gpt2), BERT: Classifier(mini_bert)}


@pytest.fixture(scope="module")
def api(models):
    with serving(make_app(models)) as url:
        yield url


@pytest.fixture(scope="module")
def writer(api):
    return InferenceClient(model=f"{api}/models/{GPT}", token=None)


def ask(api, payload, name=GPT, **more):
    return requests.post(f"{api}/models/{name}", json=payload, timeout=30, **more)


def test_greedy_text_equals_transformers(writer, mini_gpt2, models):
    model = GPT2LMHeadModel.from_pretrained(mini_gpt2)
    ids = models[GPT].encode(PROMPT, 20)
    out = model.generate(
        torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids)),
        do_sample=False,
        max_new_tokens=20,
        suppress_tokens=models[GPT].never,
        pad_token_id=0,
    )
    expected = models[GPT].decode(out[0].tolist())
    given = writer.text_generation(PROMPT, do_sample=False, max_new_tokens=20)
    assert given.startswith(PROMPT) and given == expected and len(given) > len(PROMPT)


def test_streaming_gives_the_same_text_token_by_token(writer):
    options = {"do_sample": False, "max_new_tokens": 12, "return_full_text": False}
    whole = writer.text_generation(PROMPT, **options)
    pieces = list(writer.text_generation(PROMPT, stream=True, **options))
    assert "".join(pieces) == whole and 1 < len(pieces) <= 12


def test_stream_events_follow_the_protocol(api):
    payload = {"inputs": PROMPT, "parameters": {"max_new_tokens": 4, "seed": 1}, "stream": True}
    response = ask(api, payload)
    assert response.headers["Content-Type"].startswith("text/event-stream")
    lines = [line for line in response.content.decode().split("\n\n") if line]
    events = [json.loads(line.removeprefix("data:")) for line in lines]
    assert [event["index"] for event in events] == [1, 2, 3, 4]
    assert all({"id", "text", "logprob", "special"} == set(event["token"]) for event in events)
    assert all(event["token"]["logprob"] < 0 for event in events)
    text = PROMPT + "".join(event["token"]["text"] for event in events)
    assert [event["generated_text"] for event in events] == [None, None, None, text]


def test_parameters_are_honoured(writer, models):
    def write(**options):
        return writer.text_generation(PROMPT, max_new_tokens=10, **options)

    greedy = write(do_sample=False)
    assert write(temperature=0.001, seed=3) == greedy
    assert write(top_k=1, temperature=2.0, seed=3) == greedy
    assert write(top_p=0.00001, temperature=2.0, seed=3) == greedy
    assert write(temperature=1.5, seed=3) != greedy
    assert write(temperature=1.5, seed=3) == write(temperature=1.5, seed=3)
    assert write(temperature=1.5, seed=3) != write(temperature=1.5, seed=4)
    assert len({write(temperature=1.5) for _ in range(3)}) > 1  # no seed: a new roll every time
    assert not write(do_sample=False, return_full_text=False).startswith(PROMPT)
    encode = models[GPT].encode
    assert len(encode(write(top_k=1), 1)) <= len(encode(PROMPT, 1)) + 10


def test_classification_equals_transformers(api, models):
    client = InferenceClient(model=f"{api}/models/{BERT}", token=None)
    bert = models[BERT]
    reference = pipeline("text-classification", model=bert.model, tokenizer=bert.tokenizer)
    expected = {row["label"]: row["score"] for row in reference("房间很干净", top_k=None)}
    given = client.text_classification("房间很干净")
    assert {row.label: row.score for row in given} == pytest.approx(expected, abs=1e-5)
    assert given[0].score >= given[1].score
    assert len(client.text_classification("房间很干净", top_k=1)) == 1
    raw = client.text_classification("房间很干净", function_to_apply="none")
    logits = torch.tensor([row.score for row in raw])
    assert logits.softmax(0).tolist() == pytest.approx([row.score for row in given], abs=1e-5)


SAID = [
    {"role": "system", "content": "你好，"},
    {"role": "user", "content": "我是一款"},
    {"role": "assistant", "content": "语言模型，"},
]


@pytest.fixture(scope="module")
def talker(api):
    return InferenceClient(base_url=f"{api}/v1", token=None)


def complete(api, path="chat/completions", **payload):
    payload = {"model": GPT, "messages": [{"role": "user", "content": PROMPT}]} | payload
    return requests.post(
        f"{api}/v1/{path}",
        data=json.dumps(payload),
        headers={"Content-Type": "application/json"},
        timeout=30,
    )


def test_chat_continues_the_joined_messages(talker, writer):
    answer = talker.chat_completion(SAID, model=GPT, max_tokens=12, temperature=0)
    greedy = {"do_sample": False, "max_new_tokens": 12, "return_full_text": False}
    choice = answer.choices[0]
    assert choice.message.role == "assistant" and answer.model == GPT
    assert choice.message.content == writer.text_generation(PROMPT, **greedy) != ""
    assert choice.finish_reason == "length"
    usage = answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (12, 12, 24)
    narrow = talker.chat_completion(SAID, model=GPT, max_tokens=12, temperature=2, top_p=0.00001)
    assert narrow.choices[0].message.content == choice.message.content
    with_seed = {"max_tokens": 12, "temperature": 1.5, "top_p": 0.9, "model": GPT}
    first, again = (talker.chat_completion(SAID, seed=3, **with_seed) for _ in range(2))
    other = talker.chat_completion(SAID, seed=4, **with_seed)
    same = writer.text_generation(
        PROMPT,
        **{"max_new_tokens": 12, "temperature": 1.5, "top_p": 0.9, "seed": 3},
        return_full_text=False,
    )
    contents = [answer.choices[0].message.content for answer in (first, again, other)]
    assert contents[0] == contents[1] == same != contents[2]


def test_chat_streams_the_same_text(talker, api):
    options = {"model": GPT, "max_tokens": 12, "temperature": 0}
    whole = talker.chat_completion(SAID, **options).choices[0].message.content
    chunks = list(talker.chat_completion(SAID, stream=True, **options))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole
    assert len(chunks) == 1 + 12 + 1 and len({chunk.id for chunk in chunks}) == 1
    reasons = [chunk.choices[0].finish_reason for chunk in chunks]
    assert reasons == [None] * 13 + ["length"]
    response = complete(api, stream=True, max_tokens=2, temperature=0)
    assert response.headers["Content-Type"].startswith("text/event-stream")
    *events, done = [part for part in response.content.decode().split("\n\n") if part]
    assert done == "data: [DONE]" and all(event.startswith("data: {") for event in events)
    assert json.loads(events[1][6:])["object"] == "chat.completion.chunk"


def test_chat_stops_where_the_model_stops(models, monkeypatch, api):
    def two_pieces(ids, parameters):
        yield from [Token(id=1, text="好", logprob=-1), Token(id=2, text="的", logprob=-1)]

    monkeypatch.setattr(models[GPT], "write", two_pieces)
    choice = complete(api, max_tokens=9).json()["choices"][0]
    assert choice["message"]["content"] == "好的" and choice["finish_reason"] == "stop"
    assert '"finish_reason": "stop"' in complete(api, max_tokens=9, stream=True).text
    assert complete(api, max_tokens=2).json()["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize(
    "wrong, status, word",
    [
        ({"model": "someone/else"}, 404, f"没有模型 someone/else，这里有 {GPT}"),
        ({"model": BERT}, 404, "分类模型"),
        ({"messages": []}, 422, "messages：不能是空的"),
        ({"messages": [{"role": "user", "content": ""}]}, 422, "空"),
        ({"messages": [{"role": "user", "content": "长" * 200}]}, 422, "上限 128"),
        ({"messages": [{"role": "robot", "content": "好"}]}, 422, "messages.0.role"),
        ({"messages": "你好"}, 422, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, 422, "text：没有写"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, 422, "只认文字"),
        ({"max_tokens": 100000}, 422, "max_tokens：不能大于 256"),
        ({"temperature": 3}, 422, "temperature"),
        ({"top_p": 0}, 422, "top_p"),
        ({"tools": []}, 422, "tools：不认识的参数，或者这里没有实现"),
        ({"n": 2}, 422, "n：不能大于 1"),
        ({"stop": [5]}, 422, "stop"),
        ({"logprobs": True}, 422, "logprobs：不认识的参数"),
        ({"seed": 2**64}, 422, "seed"),
        ({"model": "\ud83d"}, 404, "没有模型 ?"),
        ({"\ud83d": 1}, 422, "坏掉的字符"),
        ({"messages": [{"role": "user", "content": "长" * MAX_BYTES}]}, 413, "请求最大"),
    ],
)
def test_bad_chats_are_refused_in_one_sentence(api, wrong, status, word):
    response = complete(api, **wrong)
    assert response.status_code == status and word in response.json()["error"]["message"]
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_a_task_that_the_model_does_not_have_is_refused(api, models):
    bert = InferenceClient(model=f"{api}/models/{BERT}/pipeline/feature-extraction", token=None)
    features = bert.feature_extraction("房间很干净")
    encoded = models[BERT].tokenizer("房间很干净", return_tensors="pt")
    expected = models[BERT].model.base_model(**encoded).last_hidden_state.detach().numpy()
    assert features.shape == (1, 7, 32) and abs(features - expected).max() < 1e-5
    for client, call in (
        (f"{BERT}/pipeline/fill-mask", lambda c: c.fill_mask("房间很[MASK]净")),
        (BERT, lambda c: c.fill_mask("房间很[MASK]净")),
        (f"{GPT}/pipeline/summarization", lambda c: c.summarization("房间很干净")),
        (f"{GPT}/pipeline/feature-extraction", lambda c: c.feature_extraction("好")),
        (BERT, lambda c: c.question_answering(question="谁", context="我")),
        (BERT, lambda c: c.zero_shot_classification("好", candidate_labels=["a", "b"])),
        (BERT, lambda c: c.sentence_similarity("好", ["坏"])),
    ):
        with pytest.raises(HfHubHTTPError) as refused:
            call(InferenceClient(model=f"{api}/models/{client}", token=None))
        assert refused.value.response.status_code in (400, 422)


def test_content_type_is_named_when_it_is_wrong(api):
    for kind in ("text/plain", "application/x-www-form-urlencoded", None):
        headers = {"Content-Type": kind} if kind else {}
        response = requests.post(
            f"{api}/models/{GPT}", data=b'{"inputs": "x"}', headers=headers, timeout=10
        )
        assert response.status_code == 415
        said = response.json()["error"]
        assert "application/json" in said and (kind or "没有写") in said


def test_token_is_required_when_set(models):
    with serving(make_app(models, TOKEN)) as url:
        assert complete(url).status_code == 401 and "error" in complete(url).json()
        talker = InferenceClient(base_url=f"{url}/v1", token=TOKEN)
        assert talker.chat_completion(SAID, model=GPT, max_tokens=2).usage.completion_tokens == 2
        for headers in ({}, {"Authorization": "Bearer hf_wrong"}, {"Authorization": TOKEN}):
            response = ask(url, {"inputs": PROMPT}, headers=headers)
            assert response.status_code == 401 and "error" in response.json()
        assert requests.get(f"{url}/health", timeout=10).status_code == 200
        good = InferenceClient(model=f"{url}/models/{GPT}", token=TOKEN)
        assert good.text_generation(PROMPT, max_new_tokens=2).startswith(PROMPT)
        with pytest.raises(HfHubHTTPError, match="401"):
            bad = InferenceClient(model=f"{url}/models/{GPT}", token="hf_wrong")
            bad.text_generation(PROMPT, max_new_tokens=2)
        # the token is asked for before the body is looked at
        refused = requests.post(f"{url}/models/{GPT}", data=b"x" * 2 * MAX_BYTES, timeout=10)
        assert refused.status_code == 401


def test_unknown_model_or_route_is_a_json_404(api):
    assert "someone/else" in ask(api, {"inputs": "x"}, name="someone/else").json()["error"]
    for path in ("/models/a/b/c", "/nothing", "/models/../etc"):
        response = requests.post(f"{api}{path}", json={"inputs": "x"}, timeout=10)
        assert response.status_code == 404 and "没有这个地址" in response.json()["error"]
    wrong = requests.get(f"{api}/models/{GPT}", timeout=10)
    assert wrong.status_code == 405 and "POST" in wrong.json()["error"]
    inside = complete(api, "../models/tiny-bert/v1/chat/completions").json()["error"]
    assert "分类模型" in inside["message"]


@pytest.mark.parametrize(
    "payload, word",
    [
        ({"inputs": PROMPT, "parameters": {"temperature": 0}}, "temperature：要大于 0"),
        ({"inputs": PROMPT, "parameters": {"temperature": float("inf")}}, "temperature"),
        ({"inputs": PROMPT, "parameters": {"top_p": 1.5}}, "top_p"),
        ({"inputs": PROMPT, "parameters": {"top_k": -1}}, "top_k"),
        ({"inputs": PROMPT, "parameters": {"max_new_tokens": 100000}}, "max_new_tokens"),
        ({"inputs": PROMPT, "parameters": {"max_new_tokens": "many"}}, "max_new_tokens"),
        ({"inputs": PROMPT, "parameters": {"temprature": 1}}, "不认识的参数"),
        ({"inputs": PROMPT, "parameter": {}}, "不认识的参数"),
        ({"inputs": ""}, "空"),
        ({"inputs": "好\ud83d"}, "半个 emoji"),
        ({"inputs": "长" * 200}, "上限 128"),
        ({"inputs": ["a", 5]}, "inputs：要是一段文字，或 1 到 32 段文字的列表"),
        ({"inputs": []}, "inputs：要是一段文字"),
        ({"inputs": ["a"] * 33}, "inputs：要是一段文字"),
        ({"inputs": ["a"], "stream": True}, "不能是列表"),
        ({"inputs": PROMPT, "options": {"use_gpu": True}}, "options.use_gpu：不认识的参数"),
        ({"inputs": PROMPT, "parameters": {"watermark": True}}, "watermark：不认识的参数"),
        ({"inputs": PROMPT, "parameters": {"seed": 2**64}}, "seed：要小于"),
        ({"text": PROMPT}, "inputs"),
        ([PROMPT], "请求体"),
    ],
)
def test_bad_requests_are_json_422(api, payload, word):
    response = requests.post(
        f"{api}/models/{GPT}",
        data=json.dumps(payload),
        headers={"Content-Type": "application/json"},
        timeout=10,
    )
    assert response.status_code == 422 and word in response.json()["error"]


def test_broken_json_and_too_long_a_review(api):
    broken = requests.post(
        f"{api}/models/{GPT}",
        data=b'{"inputs": ',
        headers={"Content-Type": "application/json"},
        timeout=10,
    )
    assert broken.status_code == 422 and "JSON 写错了" in broken.json()["error"]
    for text, word in (("长" * 600, "上限 512"), ("好\ud83d", "半个 emoji")):
        response = ask(api, {"inputs": text}, name=BERT)
        assert response.status_code == 422 and word in response.json()["error"]


def test_a_foreign_host_name_is_refused(api):
    response = requests.get(f"{api}/health", headers={"Host": "evil.example"}, timeout=10)
    assert response.status_code == 400


def test_requests_at_the_same_time_do_not_mix(writer):
    prompts = [f"第{i}家店的{word}" for i in range(4) for word in ("服务", "价格")]

    def write(i):
        options = {"seed": i, "temperature": 1.5, "max_new_tokens": 15}
        if i % 2:
            pieces = writer.text_generation(prompts[i], stream=True, **options)
            return prompts[i] + "".join(pieces)
        return writer.text_generation(prompts[i], **options)

    alone = [write(i) for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(write, list(range(8)) * 3))
    assert together == alone * 3


def test_a_client_that_leaves_stops_the_writing(api, models, monkeypatch):
    steps = []
    turn = models[GPT].turn

    class SlowTurn:
        """The turn of each step, counted and made 20 ms long: 120 steps would last 2.4 s"""

        def __enter__(self):
            steps.append(1)
            time.sleep(0.02)
            return turn.__enter__()

        def __exit__(self, *error):
            return turn.__exit__(*error)

    monkeypatch.setattr(models[GPT], "turn", SlowTurn())
    payload = {"inputs": "好", "parameters": {"max_new_tokens": 120}, "stream": True}
    response = ask(api, payload, stream=True)
    next(response.iter_lines())
    response.close()
    time.sleep(3.5)
    assert 0 < len(steps) < 60
    assert ask(api, {"inputs": "好", "parameters": {"max_new_tokens": 1}}).status_code == 200


def test_docs_need_no_network(api):
    page = requests.get(f"{api}/docs", timeout=10).text
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert links and all(link.startswith("/") for link in links)
    for link in links:
        assert requests.get(f"{api}{link}", timeout=10).status_code == 200
    paths = requests.get(f"{api}/openapi.json", timeout=10).json()["paths"]
    assert {"/models/{name}", "/models/{org}/{name}", "/health"} <= set(paths)
    assert "/v1/chat/completions" in paths


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl on this machine")
def test_curl(api):
    done = subprocess.run(
        [
            *("curl", "-s", "--noproxy", "*", f"{api}/models/{GPT}"),
            *("-H", "Content-Type: application/json"),
            *("-d", json.dumps({"inputs": "今天天气", "parameters": {"max_new_tokens": 5}})),
        ],
        capture_output=True,
        encoding="utf-8",
        timeout=30,
    )
    assert json.loads(done.stdout)[0]["generated_text"].startswith("今天天气")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
def test_07_serves_until_it_is_stopped(repo, mini_gpt2, mini_bert):
    script = repo / "demo01_hf_basics/07_local_api.py"
    server = subprocess.Popen(
        [
            *(sys.executable, str(script), "--port", "0"),
            *("--gpt", str(mini_gpt2), "--bert", str(mini_bert)),
        ],
        env=loopback_environment(repo),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    out, line = "", ""
    try:
        while not line.startswith("    curl"):
            line = server.stdout.readline()
            assert line, out
            out += line
        url = re.search(r"http://127\.0\.0\.1:\d+", out)[0]
        health = requests.get(f"{url}/health", timeout=10).json()
        assert health["models"]["uer/gpt2-chinese-cluecorpussmall"] == "text-generation"
        assert health["models"]["google-bert/bert-base-chinese"] == "text-classification"
        name = "uer/gpt2-chinese-cluecorpussmall"
        assert ask(url, {"inputs": "好"}, name=name).status_code == 200
        if shutil.which("curl"):  # the very line that was printed
            curl = line.replace("-s", "-s --noproxy '*'")
            answer = json.loads(subprocess.check_output(curl, shell=True, timeout=30))
            assert answer[0]["generated_text"].startswith("今天天气")
        server.send_signal(signal.SIGINT)
        out += server.communicate(timeout=30)[0]
    finally:
        server.kill()
    assert server.returncode == 0 and "已停止" in out
    assert "Traceback" not in out
    assert_shown(script, out.replace(url, "http://127.0.0.1:8000"))
    port = int(url.rsplit(":", 1)[1])
    with socket.create_server(("127.0.0.1", port)):  # the port is free again
        pass


def test_the_smallest_server_of_07_runs_as_it_stands_there(repo, tmp_path):
    lesson = (repo / "demo01_hf_basics/07_local_api.py").read_text(encoding="utf-8")
    block = re.search(r"(?:    #        .*\n|    #\n)+", lesson)[0]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    code = textwrap.dedent(re.sub(r"^    #", "", block, flags=re.MULTILINE))
    script = tmp_path / "smallest.py"
    script.write_text(code.replace("8000", str(port)), encoding="utf-8")
    server = subprocess.Popen(
        [sys.executable, str(script)],
        cwd=repo,
        env=loopback_environment(repo),
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        said = ""
        while "Uvicorn running" not in said:
            line = server.stderr.readline()
            assert line, said
            said += line
        client = InferenceClient(model=f"http://127.0.0.1:{port}/models/gpt", token=None)
        assert client.text_generation("今天天气").startswith("今天天气")
    finally:
        server.kill()
        server.communicate()


def test_07_says_what_is_wrong(monkeypatch, capsys, mini_gpt2, mini_bert):
    script, small = "demo01_hf_basics/07_local_api.py", ("--gpt", mini_gpt2, "--bert", mini_bert)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _ = run_here(monkeypatch, capsys, script, "--port", port, *small)
    assert f"端口 {port} 用不了" in str(code)
    monkeypatch.setenv("MY_TOKEN", f"{TOKEN}，")
    code, said = run_here(monkeypatch, capsys, script, "--token-env", "MY_TOKEN")
    assert "环境变量 MY_TOKEN" in str(code) and TOKEN not in said
