"""第 7 课  私有化部署：自己的推理 API

教什么：别人的 API 会限流、会收费、会下线，内容还要经过别人的服务器；把模型放在自己的机器上，用
同样的协议对外服务，叫私有化部署。协议相同，01、02 和官方的 InferenceClient 只换一个地址就能用。
一个能用的服务只要二十几行 FastAPI，都在这个文件里；真的要给人用，还差什么，看第 1 步的注释。

怎么运行：python demo01_hf_basics/07_local_api.py
          一直服务，直到按 Ctrl-C（PyCharm 里点红色方块）
          python demo01_hf_basics/07_local_api.py --full                       什么都有的那一个
          python demo01_hf_basics/07_local_api.py --token-env MY_TOKEN         再要一个访问 token

运行第三行之前，先在同一个窗口里设好这个变量（随便编一串英文字母和数字）：
    cmd            set MY_TOKEN=abc123
    PowerShell     $env:MY_TOKEN="abc123"
    macOS、Linux   export MY_TOKEN=abc123

会看到：
    ── 1. 装载模型
    …
    续写：…
    分类：…
    ── 2. 应用：一个地址配一个函数
    /models/{name}
    /v1/chat/completions
    ── 3. 服务器
    推理 API：http://127.0.0.1:8000   （Ctrl-C 停止）
        POST http://127.0.0.1:8000/models/uer/gpt2-chinese-cluecorpussmall
        POST http://127.0.0.1:8000/models/bert-base-chinese
        POST http://127.0.0.1:8000/models/google-bert/bert-base-chinese
        POST http://127.0.0.1:8000/v1/chat/completions   OpenAI 的格式，模型名写在 JSON 里
        浏览器打开 http://127.0.0.1:8000/docs   可以直接点着试的文档，不用联网
    …
    下一步：先读 demo02_sentiment/README.md，再 python …00_one_file.py

下一步要按了 Ctrl-C 才打印。启动时先有四行英文的 INFO，不是错误。--full、--token-env 的只打印第 1 步
的标题，后面直接是"推理 API：…"。

另开一个终端，用前两课来问它（一行一条）：
    python demo01_hf_basics/01_api_anonymous.py --endpoint http://127.0.0.1:8000
    python demo01_hf_basics/02_api_token.py --endpoint http://127.0.0.1:8000
"""

import json

import uvicorn
from fastapi import HTTPException
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from transformers import pipeline
from transformers.utils import logging

from api_client import serve_full
from course.api import free_port
from course.cli import run, step
from course.models import find_model

PORT = 8000
GPT = "uer/gpt2-chinese-cluecorpussmall"
BERT = "bert-base-chinese"
NAMES = (GPT, BERT, f"google-bert/{BERT}")  # 客户在地址里写的名字；bert-base-chinese 有两个
NEXT = "demo02_sentiment/README.md demo02_sentiment/00_one_file.py"  # 学完运行哪一个


# 请求里有什么：FastAPI 照着检查，少一个字段、类型不对，都替你答 422，说是哪里不对；
# parameters 里面的它不查，写错了是 500（--full 的会查）
class Question(BaseModel):  # Hugging Face 的格式：{"inputs": "今天天气", "parameters": {…}}
    inputs: str
    parameters: dict = {}


class Chat(BaseModel):  # OpenAI 的格式：模型名在 JSON 里，文字是一问一答的 messages
    model: str
    messages: list[dict]
    max_tokens: int = 50


def main(args) -> None:
    step("1. 装载模型")
    #    只在启动时做一次，要几秒；之后的每个请求直接用。要是每个请求都重新装载，每个人都得先等
    #    这几秒
    gpt, bert = find_model(args.gpt), find_model(args.bert)
    print(f"续写：{gpt}\n分类：{bert}")
    #    真的要给人用，还差这些，都在 course/api.py；加上 --full 就有，用法不变：
    #      访问 token  谁都能用，还是要带它（--token-env）
    #      边写边给    "stream": true，一个字一个字地送；对方走了，就不再往下写
    #      限制        一个请求最多多大、写多长，同时最多几个；参数写错了，用中文说是哪个
    #      轮流        随机种子是整个进程共用的，两个请求一起写会互相打乱
    #      Host        请求头里的 Host 不是本机的地址，就是别的网页在借你的浏览器，拒绝它
    if args.full or args.token_env or args.public_url:
        serve_full(args, gpt, bert, NAMES, announce)
    logging.set_verbosity_error()  # BERT 没有训练过的分类头，是随机的（见 06），要警告一声
    logging.disable_progress_bar()
    #    提示语不加 [SEP]（见 04）；请求没说写多长，就写 50 个 token
    plain = {"add_special_tokens": False, "max_new_tokens": 50}
    write = pipeline("text-generation", str(gpt), **plain)
    classify = pipeline("text-classification", str(bert), top_k=None)
    models = dict(zip(NAMES, (write, classify, classify), strict=True))

    step("2. 应用：一个地址配一个函数")
    #    FastAPI 自带的 /docs 要从国外取脚本，FastAPIOffline 自己带着
    app = FastAPIOffline(title="我的推理 API")

    @app.post("/models/{name:path}")  # 路由：有人 POST 这样的地址，就调用下面的函数
    def infer(name: str, question: Question):
        if name not in models:
            raise HTTPException(404, f"没有模型 {name}")
        answers = models[name](question.inputs, **question.parameters)  # pipeline 答什么，就送什么
        for answer in answers:
            if "generated_text" in answer:  # 去掉汉字之间的空格（英文单词之间的也没了）
                answer["generated_text"] = answer["generated_text"].replace(" ", "")
        return answers  # 列表和字典自动写成 JSON

    @app.post("/v1/chat/completions")  # 同一个模型，另一种格式：几句话连成一段，接着往下写
    def chat(question: Chat):
        prompt = "".join(message["content"] for message in question.messages)
        parameters = {"max_new_tokens": question.max_tokens, "return_full_text": False}
        written = infer(question.model, Question(inputs=prompt, parameters=parameters))
        said = {"role": "assistant", "content": written[0]["generated_text"]}
        return {"model": question.model, "choices": [{"index": 0, "message": said}]}

    print("\n".join(app.openapi()["paths"]))  # FastAPI 记着的地址，/docs 就照着它写

    step("3. 服务器")
    #    uvicorn 守着端口，来一个请求交给应用一个。只听 127.0.0.1：别的机器访问不到
    #    端口已经有人用了，free_port 就说一声；0 是自动挑一个空的
    #    INFO:     127.0.0.1:… - "POST /models/… HTTP/1.1" 200 OK    一个请求一行
    port = free_port(args.port)
    announce(f"http://127.0.0.1:{port}")
    uvicorn.run(app, host="127.0.0.1", port=port)

    # 小结：装载一次，一个地址配一个函数，用大家都认的协议回答；协议相同，客户端就不用改
    #       哪些客户端的哪些问法能用，见 docs/08-api.md 的表
    # 练习 1：设好 MY_TOKEN，用 --token-env MY_TOKEN 启动（就是 --full），用 01 --endpoint 问，看它
    #         怎么拒绝；再把 HF_TOKEN 设成一样的，用 02 --endpoint 访问
    # 练习 2：照着 infer 加一个地址 GET /health，答 {"status": "ok"}；浏览器打开它看看
    # 动手：python exercises/check.py demo01/07


def announce(url: str, token: bool = False, public: str = "") -> None:
    """服务开始了，打印怎么访问；token 是要不要带，public 是放在 nginx 后面时别人敲的地址"""
    print(f"推理 API：{url}   （{'要 token，' if token else ''}Ctrl-C 停止）")
    for name in NAMES:
        print(f"    POST {url}/models/{name}")
    print(f"    POST {url}/v1/chat/completions   OpenAI 的格式，模型名写在 JSON 里")
    print(f"    浏览器打开 {public or url}/docs   可以直接点着试的文档，不用联网")
    body = json.dumps({"inputs": "今天天气"})  # 汉字成了 \u4eca…：cmd 直接发汉字，服务器读不懂
    quoted = body.replace('"', r"\"")
    print("另开一个终端试试，一行一条（Windows 上回答里的汉字可能显示成乱码，/docs 里看得清楚）")
    print("PowerShell：")
    print(
        f"    Invoke-RestMethod {url}/models/{GPT} -Method Post -ContentType application/json",
        end="",
    )
    print(" -Headers @{Authorization='Bearer …'}" if token else "", f"-Body '{body}'")
    print("cmd、macOS、Linux 用 curl：")
    print(f'    curl -s {url}/models/{GPT} -H "Content-Type: application/json"', end="")
    print(' -H "Authorization: Bearer …"' if token else "", f'-d "{quoted}"', flush=True)


if __name__ == "__main__":
    flags = {"port": PORT, "gpt": GPT, "bert": BERT, "full": False}
    run(main, "token_env", "public_url", **flags, then=NEXT)
