"""第 7 课  私有化部署：自己的推理 API

教什么：别人的 API 会限流、会收费、会下线，内容还要经过别人的服务器；把模型放在自己的机器上，用
同样的协议对外服务，叫私有化部署。协议相同，01、02 和官方的 InferenceClient 只换一个地址就能用。

怎么运行：python demo01_hf_basics/07_local_api.py
          一直服务，直到按 Ctrl-C（PyCharm 里点红色方块）
          python demo01_hf_basics/07_local_api.py --token-env MY_TOKEN    要求带上这个变量里的 token

运行第二行之前，先在同一个窗口里设好这个变量（随便编一串英文字母和数字）：
    cmd            set MY_TOKEN=abc123
    PowerShell     $env:MY_TOKEN="abc123"
    macOS、Linux   export MY_TOKEN=abc123

会看到：
    推理 API：http://127.0.0.1:8000   （不要 token，Ctrl-C 停止）
        POST http://127.0.0.1:8000/models/uer/gpt2-chinese-cluecorpussmall   text-generation
        POST http://127.0.0.1:8000/models/bert-base-chinese   text-classification
        POST http://127.0.0.1:8000/models/google-bert/bert-base-chinese   text-classification
        POST http://127.0.0.1:8000/v1/chat/completions   OpenAI 的格式，模型名写在 JSON 里
        GET  http://127.0.0.1:8000/health   活着吗
        浏览器打开 http://127.0.0.1:8000/docs   可以直接点着试的文档，不用联网
    …

另开一个终端，用前两课来问它（一行一条）：
    python demo01_hf_basics/01_api_anonymous.py --endpoint http://127.0.0.1:8000
    python demo01_hf_basics/02_api_token.py --endpoint http://127.0.0.1:8000
"""

import json

from api_client import read_secret
from course.cli import Parser, at_least, run
from course.gatekeeper import MAX_BYTES
from course.inference_api import make_app, serve_until_stopped
from course.models import find_model
from course.text_models import MAX_NEW_TOKENS, Classifier, Generator

PORT = 8000
GPT = "uer/gpt2-chinese-cluecorpussmall"
BERT = "bert-base-chinese"


def main() -> None:
    args = parse_arguments()

    # 1. 装载模型：只在启动时做一次，要几秒；之后的每个请求直接用。要是每个请求都重新装载，
    #    每个人都得先等这几秒
    generator = Generator(find_model(args.gpt))
    classifier = Classifier(find_model(args.bert))

    # 2. 名字 → 模型。客户在地址里写名字；bert-base-chinese 有两个名字，指向同一个
    models = {GPT: generator, BERT: classifier, f"google-bert/{BERT}": classifier}

    # 3. 应用：收到请求，按名字找到模型，把它的话写成 JSON 答回去。用 FastAPI 写，最小的只有几行，
    #    存成一个文件就能跑，InferenceClient(model="http://127.0.0.1:8000/models/gpt") 就能问它：
    #        import uvicorn
    #        from fastapi import FastAPI
    #        from transformers import pipeline
    #
    #        write = pipeline("text-generation", "models/tiny-gpt2-chinese")
    #        app = FastAPI()
    #
    #        @app.post("/models/gpt")            # 路由：有人 POST 这个地址，就调用下面的函数
    #        def answer(question: dict):         # 请求里的 JSON 成了字典：{"inputs": "今天天气"}
    #            return write(question["inputs"])     # [{"generated_text": …}] 自动写成 JSON
    #
    #        uvicorn.run(app, host="127.0.0.1", port=8000)
    #    对外服务还要看 token 对不对、太大没有、写错了怎么说，所以课上的长得多：应用在
    #    course/inference_api.py，门卫在 course/gatekeeper.py；请求和回答的格式在
    #    course/answers.py，OpenAI 的两种 /v1/chat/completions、/v1/completions 也在那里
    token = read_secret(args.token_env)
    app = make_app(models, token)

    # 4. 服务器：uvicorn 守着端口，来一个请求交给应用一个。只听 127.0.0.1：别的机器访问不到
    #    推理 API：http://127.0.0.1:8000   （不要 token，Ctrl-C 停止）
    serve_until_stopped(app, args.port, lambda url: announce(url, models, token))

    # 小结：装载一次，一个地址配一个函数，用大家都认的协议回答；协议相同，客户端就不用改
    #       哪些客户端的哪些问法能用、哪些会被拒绝，见 docs/08-api.md 的表，每一行都试过
    #       只听本机、要 token、限大小、限长度，是对外服务的起码要求
    # 练习 1：设好 MY_TOKEN 再启动，用 01 --endpoint 访问，看它怎么拒绝；再把 HF_TOKEN 设成一样的，
    #         用 02 --endpoint 访问
    # 练习 2：在 models 里给 generator 再加一个你起的名字，用 01 --model 那个名字来问
    # 动手：python exercises/check.py demo01/07


def parse_arguments():
    parser = Parser(__doc__)
    port = at_least(0)
    parser.add_argument("--port", type=port, default=PORT, help=f"默认 {PORT}，0 自动挑")
    parser.add_argument("--gpt", default=GPT, help=f"续写模型的名字或文件夹，默认 {GPT}")
    parser.add_argument("--bert", default=BERT, help=f"分类模型的名字或文件夹，默认 {BERT}")
    parser.add_argument("--token-env", default=None, help="环境变量的名字，里面是要求的 token")
    return parser.parse_args()


def announce(url: str, models: dict, token: str | None) -> None:
    """服务开始了，打印怎么访问"""
    print(f"\n推理 API：{url}   （{'要 token' if token else '不要 token'}，Ctrl-C 停止）")
    for name, model in models.items():
        print(f"    POST {url}/models/{name}   {model.task}")
    print(f"    POST {url}/v1/chat/completions   OpenAI 的格式，模型名写在 JSON 里")
    print(f"    GET  {url}/health   活着吗")
    print(f"    浏览器打开 {url}/docs   可以直接点着试的文档，不用联网")
    print(f"    请求最大 {MAX_BYTES // 1024} KB，一次最多续写 {MAX_NEW_TOKENS} 个 token")
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
    run(main)
