"""The learner's own inference API (course/api.py, lesson 07), asked by the real clients

docs/08-api.md says which calls work: each of its rows is asked here.
"""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import requests
import torch
from conftest import run_here
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from loopback_tools import TOKEN, loopback_environment, make_gpt2, run_loopback
from shown import assert_shown
from transformers import GPT2LMHeadModel, pipeline

from course.api import MAX_BYTES, make_app, serving
from course.errors import CourseError
from course.paths import ROOT
from course.text_models import Classifier, Generator, tidy

openai = pytest.importorskip("openai")
PROMPT = "你好，我是一款语言模型，"
GPT, BERT = "someone/tiny-gpt", "tiny-bert"
SAID = [
    {"role": "system", "content": "你好，"},
    {"role": "user", "content": "我是一款"},
    {"role": "assistant", "content": "语言模型，"},
]
CHAT = {"messages": SAID, "max_tokens": 8, "temperature": 0}
PLAIN = {"do_sample": False, "max_new_tokens": 8, "return_full_text": False}


@pytest.fixture(scope="module")
def mini_gpt2(tmp_path_factory):
    return make_gpt2(tmp_path_factory.mktemp("gpt2") / "mini", seed=1)  # writes Chinese characters


@pytest.fixture(scope="module")
def models(mini_gpt2, mini_bert):
    return {GPT: Generator(mini_gpt2), BERT: Classifier(mini_bert)}


@pytest.fixture(scope="module")
def api(models):
    with serving(make_app(models)) as url:
        yield url


@pytest.fixture(scope="module")
def greedy(mini_gpt2, models) -> str:
    """What transformers itself writes after PROMPT: eight tokens, the most probable ones"""
    tokenizer = models[GPT].tokenizer
    ids = tokenizer(PROMPT, add_special_tokens=False, return_tensors="pt")["input_ids"]
    never = [i for i in tokenizer.all_special_ids if i != tokenizer.sep_token_id]
    model = GPT2LMHeadModel.from_pretrained(mini_gpt2)
    options = {"do_sample": False, "suppress_tokens": never, "pad_token_id": 0}
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, **options)
    return tidy(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))


def post(api, path, payload, **more):
    """Bytes, so that what `requests` would refuse to write as JSON is sent, too"""
    headers = {"Content-Type": "application/json"} | more.pop("headers", {})
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return requests.post(f"{api}/{path}", data=body, headers=headers, timeout=30, **more)


def ask(api, payload, name=GPT, **more):
    return post(api, f"models/{name}", payload, **more)


def talk(api, path="v1/chat/completions", **payload):
    return post(api, path, {"model": GPT, "messages": SAID} | payload)


# what docs/08-api.md promises


def at(api, name):
    return InferenceClient(model=f"{api}/models/{name}", token=None)


def said(answer) -> str:
    return answer.choices[0].message.content


def joined(chunks) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def written(api) -> str:
    client = at(api, GPT)  # a client that is thrown away closes its stream
    return "".join(client.text_generation(PROMPT, stream=True, **PLAIN))


def chatted(api) -> str:
    client = at(api, GPT)
    return joined(client.chat_completion(**CHAT, stream=True))


def curl(api) -> str:
    body = json.dumps({"inputs": PROMPT, "parameters": PLAIN})
    line = ["curl", "-s", "--noproxy", "*", f"{api}/models/{GPT}", "-d", body]
    line += ["-H", "Content-Type: application/json"]
    return json.loads(subprocess.check_output(line, timeout=30))[0]["generated_text"]


def of_openai(api):
    return openai.OpenAI(base_url=f"{api}/v1", api_key="any", max_retries=0)


def create(api, **more):
    return of_openai(api).chat.completions.create(**({"model": GPT} | CHAT | more))


ROWS = {
    "write": lambda a: at(a, GPT).text_generation(PROMPT, **PLAIN),
    "write-stream": written,
    "chat": lambda a: said(at(a, GPT).chat_completion(**CHAT)),
    "chat-stream": chatted,
    "chat-base": lambda a: said(
        InferenceClient(base_url=f"{a}/v1", token=None).chat_completion(model=GPT, **CHAT)
    ),
    "classify": lambda a: at(a, BERT).text_classification("房间很干净")[0].score > 0.5,
    "openai-chat": lambda a: said(create(a)),
    "openai-stream": lambda a: joined(create(a, stream=True)),
    "openai-models": lambda a: [model.id for model in of_openai(a).models.list()] == [GPT],
    "curl": curl,
}


def test_every_row_of_the_page_is_asked():
    page = (ROOT / "docs/08-api.md").read_text(encoding="utf-8")
    assert re.findall(r"<!-- (\S+) -->", page) == list(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_real_clients(row, api, greedy):
    if row == "curl" and not shutil.which("curl"):
        pytest.skip("no curl on this machine")
    assert ROWS[row](api) in (greedy, True) and len(greedy) > 4


def test_streams_come_piece_by_piece_and_say_how_they_ended(api, greedy):
    response = ask(api, {"inputs": PROMPT, "parameters": PLAIN, "stream": True})
    assert response.headers["Content-Type"].startswith("text/event-stream")
    lines = [line for line in response.content.decode().split("\n\n") if line]
    *events, last = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert len(events) > 2 and "".join(event["token"]["text"] for event in events) == greedy
    assert last["generated_text"] == greedy and last["details"]["finish_reason"] == "length"
    *chunks, end = create(api, stream=True, stream_options={"include_usage": True})
    assert len(chunks) > 2 and {chunk.choices[0].finish_reason for chunk in chunks} == {None}
    assert end.choices[0].finish_reason == "length"
    usage = (end.usage.prompt_tokens, end.usage.completion_tokens, end.usage.total_tokens)
    assert usage == (12, 8, 20) and create(api).usage == end.usage
    assert talk(api, stream=True).text.endswith("data: [DONE]\n\n")


def test_parameters_are_honoured(api):
    def write(**options):
        return at(api, GPT).text_generation(PROMPT, max_new_tokens=10, **options)

    greedy = write(do_sample=False)
    assert greedy.startswith(PROMPT) and greedy == write(temperature=1e-40, seed=3)
    assert greedy == write(top_k=1, temperature=2.0) == write(top_p=1e-5, temperature=2.0)
    assert write(temperature=1.5, seed=3) == write(temperature=1.5, seed=3) != greedy
    assert write(temperature=1.5, seed=3) != write(temperature=1.5, seed=4)
    assert len({write(temperature=1.5) for _ in range(3)}) > 1  # no seed: a new roll every time
    two = ask(api, {"inputs": [PROMPT, "好"], "parameters": PLAIN, "options": None}).json()
    assert [len(one) for one in two] == [1, 1]


def test_classification_equals_transformers(api, models):
    bert = models[BERT]
    reference = pipeline("text-classification", model=bert.model, tokenizer=bert.tokenizer)
    expected = {row["label"]: row["score"] for row in reference("房间很干净", top_k=None)}
    given = at(api, BERT).text_classification("房间很干净")
    assert {row.label: row.score for row in given} == pytest.approx(expected, abs=1e-5)
    assert len(at(api, BERT).text_classification("房间很干净", top_k=1)) == 1
    assert "没有 stream" in ask(api, {"inputs": "好", "stream": True}, name=BERT).text
    raw = at(api, BERT).text_classification("房间很干净", function_to_apply="none")
    logits = torch.tensor([row.score for row in raw])
    assert logits.softmax(0).tolist() == pytest.approx([row.score for row in given], abs=1e-5)


def test_requests_at_the_same_time_do_not_mix(api):
    """Each has its own seed; every other one is a stream"""

    def write(i):
        options = {"seed": i, "temperature": 1.5, "max_new_tokens": 15, "return_full_text": False}
        client = at(api, GPT)
        return "".join(client.text_generation(f"第{i}家店的", stream=bool(i % 2), **options))

    alone = [write(i) for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(write, list(range(8)) * 3)) == alone * 3


@pytest.mark.parametrize("streamed", [True, False])
def test_a_client_that_leaves_stops_the_writing(api, models, monkeypatch, streamed):
    steps, model = [], models[GPT].model
    plain = model.forward

    def slow(*args, **options):  # 120 steps of 20 ms would last 2.4 s
        steps.append(1)
        time.sleep(0.02)
        return plain(*args, **options)

    monkeypatch.setattr(model, "forward", slow)
    payload = {"inputs": "好", "parameters": {"max_new_tokens": 120}, "stream": streamed}
    if streamed:
        response = ask(api, payload, stream=True)
        next(response.iter_lines())
        response.close()
    else:
        with pytest.raises(requests.Timeout):
            requests.post(f"{api}/models/{GPT}", json=payload, timeout=0.3)
    time.sleep(3)
    assert 0 < len(steps) < 60
    assert ask(api, {"inputs": "好", "parameters": {"max_new_tokens": 1}}).status_code == 200


def test_a_failure_while_writing_is_an_answer(api, models, monkeypatch):
    """Not a client that waits for ever"""

    def broken(*args, **options):
        raise RuntimeError("out of order")

    monkeypatch.setattr(models[GPT].model, "forward", broken)
    refused = ask(api, {"inputs": "好"})
    assert refused.status_code == 500 and "RuntimeError" in refused.json()["error"]
    monkeypatch.undo()
    assert ask(api, {"inputs": "好"}).status_code == 200


# refusals: one sentence each, in the form that the client reads


@pytest.mark.parametrize(
    "payload, status, word",
    [
        ({"inputs": "好", "parameters": {"temperature": 0}}, 422, "temperature：要大于 0"),
        ({"inputs": "好", "parameters": {"max_new_tokens": 100000}}, 422, "不能大于 256"),
        ({"inputs": "好", "parameters": {"max_new_tokens": "many"}}, 422, "要是整数"),
        ({"inputs": "好", "parameters": {"temprature": 1}}, 422, "temprature：不认识的参数"),
        ({"inputs": "好", "parameter": {}}, 422, "parameter：不认识的参数"),
        ({"inputs": ""}, 422, "空"),
        ({"inputs": "好\ud83d"}, 422, "坏掉的字符"),
        ({"inputs": "\u200b"}, 422, "这里有 0 个"),  # nothing that can be seen, nor a token
        ({"inputs": "长" * 200}, 422, "最多 78 个 token，这里有 200 个"),
        ({"inputs": ["a", "b"], "stream": True}, 422, "不能是列表"),
        ({"inputs": []}, 422, "不能是空的"),
        ({"text": PROMPT}, 422, "inputs：没有写"),
        ([PROMPT], 422, "请求体：要是一个 JSON 对象"),
        ({"inputs": 5}, 422, "inputs：要是一段文字"),
        (b'{"inputs": ', 422, "请求体：JSON 写错了"),
        ('{"inputs": "你好"}'.encode("gbk"), 400, "GBK"),
        ({"inputs": "长" * MAX_BYTES}, 413, "Content Too Large"),
    ],
)
def test_bad_requests_are_refused_in_one_sentence(api, payload, status, word):
    response = ask(api, payload)
    assert response.status_code == status
    said = response.text if status == 413 else response.json()["error"]
    assert word in said


@pytest.mark.parametrize(
    "wrong, status, word",
    [
        ({"model": "someone/else"}, 404, f"没有模型 someone/else，这里有 {GPT}"),
        ({"model": BERT}, 404, "分类模型"),
        ({"messages": []}, 422, "messages：不能是空的"),
        ({"messages": [{"role": "user", "content": "长" * 200}]}, 422, "最多 78 个"),
        ({"messages": [{"role": "robot", "content": "好"}]}, 422, "messages.0.role：只能是"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, 422, "要是一段文字"),
        ({"tools": []}, 422, "tools：不认识的参数，或者这里没有实现"),
        ({"n": 2}, 422, "n：只能是 1"),
        ({"max_completion_tokens": 0}, 422, "不能小于 1"),
        ({"model": "\ud83d"}, 404, "没有模型 ?"),
    ],
)
def test_bad_chats_are_refused_in_the_form_of_openai(api, wrong, status, word):
    response = talk(api, **wrong)
    assert response.status_code == status and word in response.json()["error"]["message"]
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_content_type_is_named_when_it_is_wrong(api):
    for kind in ("text/plain", "application/x-www-form-urlencoded"):  # the second is curl's own
        response = ask(api, b'{"inputs": "x"}', headers={"Content-Type": kind})
        assert response.status_code == 415 and kind in response.json()["error"]


def test_unknown_models_and_routes(api):
    assert "没有模型 a/b/c" in ask(api, {"inputs": "x"}, name="a/b/c").json()["error"]
    for path in ("nothing", "v1/embeddings"):
        assert "没有这个地址" in post(api, path, {}).text
    wrong = requests.get(f"{api}/models/{GPT}", timeout=10)
    assert wrong.status_code == 405 and "POST" in wrong.json()["error"]


def test_token_is_required_when_set(models):
    with serving(make_app(models, TOKEN)) as url:
        for headers in ({}, {"Authorization": "Bearer 错"}, {"Authorization": TOKEN}):
            headers = {name: value.encode() for name, value in headers.items()}
            response = ask(url, {"inputs": PROMPT}, headers=headers)
            assert response.status_code == 401 and "token" in response.json()["error"]
        good = InferenceClient(model=f"{url}/models/{GPT}", token=TOKEN)
        assert good.text_generation(PROMPT, max_new_tokens=2).startswith(PROMPT)
        with pytest.raises(HfHubHTTPError, match="token 不对"):
            InferenceClient(base_url=f"{url}/v1", token="x").chat_completion(SAID, model=GPT)
        with pytest.raises(openai.AuthenticationError, match="token 不对"):
            create(url)
        assert requests.get(f"{url}/health", timeout=10).status_code == 200


def test_only_this_machine_and_the_address_that_was_allowed(api, models):
    """DNS rebinding is refused and the sentence names the flag; behind nginx under /nlp it works"""

    def get(url, host, path="/health"):
        return requests.get(f"{url}{path}", headers={"Host": host}, timeout=10)

    refused = get(api, "evil.example")
    assert refused.status_code == 400
    assert "--public-url http://evil.example" in refused.json()["error"]
    for host in ("localhost:9000", "LOCALHOST", "[::1]:80", "127.0.0.1"):
        assert get(api, host).status_code == 200
    for wrong in ("example.com/nlp", "ftp://x", "http://[::1", "http://"):
        with pytest.raises(CourseError, match="不是一个网址"):
            make_app(models, public=wrong)
    with serving(make_app(models, public="https://例子.com")) as url:
        assert get(url, "xn--fsqu00a.com").status_code == 200  # what a browser sends
    with serving(make_app(models, public="https://example.com/nlp")) as url:
        assert get(url, "example.com").status_code == 200
        assert get(url, "evil.example").status_code == 400
        links = re.findall(r'(?:src|href)="([^"]+)"', get(url, "example.com", "/docs").text)
        assert links and all(link.startswith("/nlp/") for link in links)
        for link in links:  # nginx takes the prefix away
            assert get(url, "example.com", link.removeprefix("/nlp")).status_code == 200


def test_too_many_at_once_are_told_so(models, monkeypatch):
    monkeypatch.setattr("course.api.MAX_REQUESTS", 3)
    with serving(make_app(models)) as url:
        port = int(url.rsplit(":", 1)[1])
        waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        time.sleep(0.2)
        assert requests.get(f"{url}/health", timeout=10).status_code == 503
        for each in waiting:
            each.close()
        time.sleep(0.2)
        assert requests.get(f"{url}/health", timeout=10).status_code == 200


# lesson 07


def start(repo, *options):
    line = [sys.executable, repo / "demo01_hf_basics/07_local_api.py", "--port", "0", *options]
    server = subprocess.Popen(
        list(map(str, line)),
        cwd=repo,
        env=loopback_environment(repo),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    out = ""
    while not out.rpartition("\n")[0].rpartition("\n")[2].startswith("    curl"):
        line = server.stdout.readline()
        assert line, out
        out += line
    return server, out, re.search(r"http://127\.0\.0\.1:\d+", out)[0]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("full", [False, True])
def test_07_answers_01_02_and_the_printed_curl(repo, mini_gpt2, mini_bert, full):
    server, out, url = start(
        repo, "--gpt", mini_gpt2, "--bert", mini_bert, *(["--full"] if full else [])
    )
    try:
        if shutil.which("curl"):  # the very line that was printed
            line = out.splitlines()[-1].replace("-s", "-s --noproxy '*'")
            for _ in range(50):
                done = subprocess.run(line, shell=True, capture_output=True, timeout=30)
                if done.returncode == 0:
                    break
                time.sleep(0.1)
            assert json.loads(done.stdout)[0]["generated_text"].startswith("今天天气")
        labels = ask(url, {"inputs": "很好"}, name="google-bert/bert-base-chinese").json()
        assert {row["label"] for row in labels[0]} == {"LABEL_0", "LABEL_1"}
        for script in ("01_api_anonymous.py", "02_api_token.py"):
            done = run_loopback(repo, f"demo01_hf_basics/{script}", "--endpoint", url)
            assert done.returncode == 0, done.stdout + done.stderr
            assert "状态码  200" in done.stdout and "结果    " in done.stdout
        assert ask(url, {"inputs": "x"}, name="nobody").status_code == 404
        server.send_signal(signal.SIGINT)
        out += server.communicate(timeout=30)[0]
    finally:
        server.kill()
    assert server.returncode == 0 and "Traceback" not in out
    if not full:
        assert_shown(
            repo / "demo01_hf_basics/07_local_api.py", out.replace(url, "http://127.0.0.1:8000")
        )
    with socket.create_server(("127.0.0.1", int(url.rsplit(":", 1)[1]))):  # free again
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_with_25_requests_in_flight_ends_within_four_seconds(repo, mini_gpt2, mini_bert):
    server, _, url = start(repo, "--full", "--gpt", mini_gpt2, "--bert", mini_bert)

    def client():
        with suppress(requests.RequestException):
            ask(url, {"inputs": ["好"] * 32, "parameters": {"max_new_tokens": 120}})

    try:
        clients = [threading.Thread(target=client) for _ in range(25)]
        for each in clients:
            each.start()
        time.sleep(1.5)
        started = time.monotonic()
        server.send_signal(signal.SIGINT)
        out = server.communicate(timeout=30)[0]
        took = time.monotonic() - started
        for each in clients:
            each.join()
    finally:
        server.kill()
    assert server.returncode == 0 and "已停止" in out and "Traceback" not in out and took < 4


def test_07_says_what_is_wrong(monkeypatch, capsys, mini_gpt2, mini_bert):
    script, small = "demo01_hf_basics/07_local_api.py", ("--gpt", mini_gpt2, "--bert", mini_bert)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for full in ([], ["--full"]):
            code, _ = run_here(monkeypatch, capsys, script, "--port", port, *small, *full)
            assert f"端口 {port} 用不了" in str(code)
    monkeypatch.setenv("MY_TOKEN", f"{TOKEN}，")
    code, said = run_here(monkeypatch, capsys, script, "--token-env", "MY_TOKEN", *small)
    assert "环境变量 MY_TOKEN" in str(code) and TOKEN not in said


def test_docs_need_no_network(api):
    page = requests.get(f"{api}/docs", timeout=10).text
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert links and all(link.startswith("/") for link in links)
    paths = requests.get(f"{api}/openapi.json", timeout=10).json()["paths"]
    assert {"/models/{name}", "/v1/chat/completions", "/v1/models", "/health"} <= set(paths)
