"""第 2 课  带 token 访问推理 API：手写请求头，再用官方的 InferenceClient

教什么：访问 token（access token，也叫令牌；下面简称 token）是你的通行证，写在请求头里：
Authorization: Bearer …。它等于密码：不写进代码，不打印，不提交到 git。请求有两种格式：旧的
{"inputs": …}，和今天 Hub 的主路、OpenAI 的 {"messages": …}。两种都先手写，再用 InferenceClient 写。

怎么申请（网页在国外，打不开就先跳过，这一课照样跑得完）：
    1. 注册：https://huggingface.co/join ，邮箱加密码，QQ 邮箱也行；到邮箱里点验证的链接，再登录
    2. 新建：https://huggingface.co/settings/tokens → Create new token。有三种：
         Fine-grained  一项一项地勾权限，用哪样给哪样；调推理 API 就选它，勾上
                       Make calls to Inference Providers
         Read          能下载你看得到的一切，下载模型够用了
         Write         还能上传和改动，要发布自己的模型才用
    3. 复制：只显示这一次，关掉页面就再也看不到；丢了、泄露了，就在同一页删掉它，再建一个

怎么保存（任选一种，一行敲一条；Windows PowerShell 5.1 不认 &&）：
    登录一次，存在自己的电脑上   hf auth login
        可以选浏览器登录（存下的以 hf_oauth_ 开头，里面有点），也可以粘贴网页上建的那个
    只在这个窗口里有效
        cmd            set HF_TOKEN=hf_…        不加引号，等号两边没有空格
        PowerShell     $env:HF_TOKEN="hf_…"
        macOS、Linux   export HF_TOKEN=hf_…
    PyCharm   Run → Edit Configurations → Environment variables

怎么运行：python demo01_hf_basics/02_api_token.py
          python demo01_hf_basics/02_api_token.py --endpoint http://127.0.0.1:8000

会看到：没有 token 或连不上 Hub 时，同样的请求发给本机上自己的 API：
    ── 1. 取 token
    token：没有找到…
    …
    —— 本机 API：http://127.0.0.1:…（要 token，和 Hub 一样）
    ── 2. 旧的格式，手写
    POST http://127.0.0.1:…/models/uer/gpt2-chinese-cluecorpussmall
         Authorization: Bearer ***
         {"inputs": "你好，我是一款语言模型，", "parameters": {"max_new_tokens": 30, …}}
    状态码  200
    内容    [{"generated_text":"你好，我是一款语言模型，…
    ── 3. 旧的格式，官方的客户端
    结果    你好，我是一款语言模型，…
    ── 4. 今天的主路，手写
    POST http://127.0.0.1:…/v1/chat/completions
         Authorization: Bearer ***
         {"model": "uer/gpt2-chinese-cluecorpussmall", "messages": [{"role": "user", …
    状态码  200
    内容    {"id":"chatcmpl-…
    结果    …
    ── 5. 今天的主路，官方的客户端
    结果    …
    下一步：python …03_download_gpt2.py
"""

import json

import requests
from huggingface_hub import InferenceClient, get_token

from api_client import explain, one_line, servers
from course.cli import run, step

HUB = "https://router.huggingface.co/hf-inference"
HUB_CHAT = "https://router.huggingface.co/v1"
MODEL = "uer/gpt2-chinese-cluecorpussmall"
CHAT_MODEL = "Qwen/Qwen2.5-7B-Instruct"  # 有哪些：https://router.huggingface.co/v1/models
MADE_UP = "hf_only_for_this_lesson"  # 没有 token 时，带着它去问本机的 API

PROMPT = "你好，我是一款语言模型，"
PARAMETERS = {"max_new_tokens": 30, "temperature": 0.7, "top_k": 50, "top_p": 0.9}
MESSAGES = [{"role": "user", "content": PROMPT}]
MAX_TOKENS = 30
NEXT = "demo01_hf_basics/03_download_gpt2.py"  # 学完运行哪一个


# 从下面的 main 读起：第 1 步在那里，2 到 5 步在这个函数里
def ask(endpoint: str, token: str, args) -> None:
    step("2. 旧的格式，手写")
    #    模型名在地址里，提示语在 inputs 里，怎么写在 parameters 里（04 细讲）
    #    GPT-2 是续写模型：它不回答问题，只顺着你的话往下写，所以提示语要写成一句话的开头
    #    比 01 多一样：请求头。headers= 的名字不能省，省了 token 就会被当成内容发出去
    url = f"{endpoint}/models/{args.model}"
    headers = {"Authorization": f"Bearer {token}"}
    payload = {"inputs": PROMPT, "parameters": PARAMETERS}
    print(f"POST {url}\n     Authorization: Bearer ***")  # token 不打印
    print(f"     {json.dumps(payload, ensure_ascii=False)}")
    response = requests.post(url, headers=headers, json=payload, timeout=args.timeout)
    print(f"状态码  {response.status_code}")
    print(f"内容    {one_line(response.text, token)}")  # 服务器把 token 抄在回答里的话，遮住它
    #    问 Hub 时这一步不成：它自己的推理服务 hf-inference 今天只有文本分类
    #    （text-classification）、完形填空（fill-mask）、句子变向量（feature-extraction）等，没有
    #    续写（text-generation）；GPT-2 只能下载下来自己跑（03、04、07）
    problem = explain(response, url, token)

    step("3. 旧的格式，官方的客户端")
    #    发的是同一个请求，请求头、JSON、取结果都替你写好了
    if problem:
        print(f"意思    {problem}\n同一个请求，换成客户端也不会成，跳过")
    else:
        client = InferenceClient(model=url, token=token, timeout=args.timeout)
        text = client.text_generation(PROMPT, **PARAMETERS)
        print(f"结果    {one_line(str(text), token)}")

    step("4. 今天的主路，手写")
    #    OpenAI 的格式：地址固定，模型名在 JSON 里，文字是一问一答的 messages
    #    本机这边只有 GPT-2，没学过一问一答：几句 messages 连成一段，接着往下写。Hub 那边是真的
    #    对话模型，会回答
    base_url, model = f"{endpoint}/v1", args.model
    if endpoint == HUB:
        base_url, model = HUB_CHAT, args.chat_model
    url = f"{base_url}/chat/completions"
    payload = {"model": model, "messages": MESSAGES, "max_tokens": MAX_TOKENS}
    print(f"POST {url}\n     Authorization: Bearer ***")
    print(f"     {json.dumps(payload, ensure_ascii=False)}")
    response = requests.post(url, headers=headers, json=payload, timeout=args.timeout)
    print(f"状态码  {response.status_code}")
    print(f"内容    {one_line(response.text, token)}")
    if problem := explain(response, url, token):
        raise problem
    said = response.json()["choices"][0]["message"]["content"]  # 上面只打印了前 200 个字
    print(f"结果    {one_line(said, token)}")

    step("5. 今天的主路，官方的客户端")
    #    同一个请求，同样从 choices[0].message.content 里取结果
    client = InferenceClient(base_url=base_url, token=token, timeout=args.timeout)
    answer = client.chat_completion(MESSAGES, model=model, max_tokens=MAX_TOKENS)
    print(f"结果    {one_line(str(answer.choices[0].message.content), token)}")


def main(args) -> None:
    step("1. 取 token")
    #    get_token：环境变量 HF_TOKEN，没有就用 hf auth login 存下的。只说长度，不显示
    token = get_token()
    if token:
        print(f"token：找到了，共 {len(token)} 个字符")
        hub = HUB
    else:
        print("token：没有找到，怎么申请见本文件开头。先用一个编的，问不了 Hub，问本机的 API")
        token, hub = MADE_UP, None
    for endpoint in servers(args, hub, token):
        try:
            ask(endpoint, token, args)
        except Exception as error:  # requests 和客户端的异常没有共同的类型，explain 变成一句话
            raise explain(error, endpoint, token) from None

    # 小结：Authorization: Bearer token；token 等于密码；手写的和 InferenceClient 发的是同一个请求
    #       得到 400 Model not supported by provider：没有服务商接这个模型，不是格式错
    #       Hub 的推理 API 现在按量收费，每月送的额度很少，用完是 402；忙的时候又慢又不稳，
    #       换个时间、换个模型再试。它只适合尝一尝，真要用就把模型部署在自己的机器上，见 07
    # 练习 1：把 PARAMETERS 的 temperature 改成 0，读一读 422 说了什么
    #         （用 --endpoint 问 07 的话，07 要带 --full，练习 2 也是）
    # 练习 2：给 chat_completion 加上 stream=True，再 for chunk in answer
    #         逐块打印 chunk.choices[0].delta.content，看它一个字一个字地来
    # 动手：python exercises/check.py demo01/02


if __name__ == "__main__":
    run(main, "endpoint", model=MODEL, chat_model=CHAT_MODEL, timeout=30, then=NEXT)
