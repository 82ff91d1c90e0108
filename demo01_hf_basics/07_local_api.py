"""第 7 课  私有化部署：自己的推理 API

教什么：别人的 API 会限流、会下线、内容要经过别人的服务器；把模型放在自己的机器上，用同样的协议
对外服务，叫私有化部署。这里的 API 和 Hugging Face 的说同一种话，所以 01、02 和官方的
InferenceClient 只换一个地址就能用。

怎么运行：python demo01_hf_basics/07_local_api.py          一直服务，直到按 Ctrl-C
          python demo01_hf_basics/07_local_api.py --token-env MY_TOKEN    要求带上这个变量里的 token

会看到：
    推理 API：http://127.0.0.1:8000   （不要 token，Ctrl-C 停止）
        POST http://127.0.0.1:8000/models/uer/gpt2-chinese-cluecorpussmall   text-generation
        POST http://127.0.0.1:8000/models/bert-base-chinese   text-classification
        …
        浏览器打开 http://127.0.0.1:8000/docs   可以直接点着试的文档，不用联网

另开一个终端试试（一行）：
    python demo01_hf_basics/01_api_anonymous.py --endpoint http://127.0.0.1:8000
"""

import os

from course.cli import Parser, number, run
from course.errors import CourseError
from course.inference_api import MAX_BYTES, make_app, serve_until_stopped
from course.models import find_model
from course.text_models import MAX_NEW_TOKENS, Classifier, Generator

PORT = 8000
GPT = "uer/gpt2-chinese-cluecorpussmall"
BERT = "bert-base-chinese"


def read_secret(variable: str | None) -> str | None:
    """环境变量 variable 里的 token；没要求就是 None

    token 不直接写在命令行上：命令行会留在历史记录里，同一台机器上的别人也看得见。
    """
    if variable is None:
        return None
    token = os.environ.get(variable, "").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise CourseError(
            f"环境变量 {variable} 里没有能用的 token（要一串没有空格的英文字母、数字）",
            "cmd：set 变量=token    PowerShell：$env:变量='token'    其他：export 变量=token",
        )
    return token


def main() -> None:
    parser = Parser(__doc__)
    port = number(int, 0)
    parser.add_argument("--port", type=port, default=PORT, help=f"默认 {PORT}，0 自动挑")
    parser.add_argument("--gpt", default=GPT, help=f"续写模型的名字或文件夹，默认 {GPT}")
    parser.add_argument("--bert", default=BERT, help=f"分类模型的名字或文件夹，默认 {BERT}")
    parser.add_argument("--token-env", default=None, help="环境变量的名字，里面是要求的 token")
    args = parser.parse_args()
    token = read_secret(args.token_env)

    # 1. 装载模型：只在启动时做一次，之后的每个请求直接用
    generator = Generator(find_model(args.gpt))
    classifier = Classifier(find_model(args.bert))

    # 2. 名字 → 模型。bert-base-chinese 有两个名字，指向同一个
    models = {GPT: generator, BERT: classifier, f"google-bert/{BERT}": classifier}

    # 3. FastAPI 应用：协议、token、大小限制都在 course/inference_api.py，读一读，不长
    app = make_app(models, token)

    # 4. uvicorn 把它跑起来。只听 127.0.0.1：别的机器访问不到
    def announce(url: str) -> None:
        bearer = " -H 'Authorization: Bearer …'" if token else ""
        print(f"\n推理 API：{url}   （{'要 token' if token else '不要 token'}，Ctrl-C 停止）")
        for name, model in models.items():
            print(f"    POST {url}/models/{name}   {model.task}")
        print(f"    GET  {url}/health   活着吗")
        print(f"    浏览器打开 {url}/docs   可以直接点着试的文档，不用联网")
        print(f"    请求最大 {MAX_BYTES // 1024} KB，一次最多续写 {MAX_NEW_TOKENS} 个 token")
        print("macOS / Linux 里用 curl 试（一行）：")
        print(
            f"    curl -s {url}/models/{GPT}{bearer} -H 'Content-Type: application/json'"
            """ -d '{"inputs": "今天天气", "parameters": {"max_new_tokens": 20}}'""",
            flush=True,
        )

    serve_until_stopped(app, args.port, announce)

    # 小结：协议相同，客户端就不用改；只听本机、要 token、限大小、限长度，是对外服务的起码要求
    # 练习：设好 token 再启动，用 01 访问看它怎么拒绝；再设 HF_TOKEN，用 02 --endpoint 访问


if __name__ == "__main__":
    run(main)
