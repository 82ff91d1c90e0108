"""第 1 课  匿名访问推理 API：发一个请求，学会读回答

教什么：不下载模型，把文字发给别人的服务器，让它上面的模型来算，这就是"调 API"。一个请求由地址和
内容组成，一个回答由状态码、类型、内容组成；先看状态码再读内容，不然报错会把你带偏。

先认几个词：
    Hub      huggingface.co，放模型和数据集的网站，好比放代码的 GitHub
    API      程序之间的约定：往哪个地址发什么，会收到什么
    推理     inference，用训练好的模型算答案；推理 API 就是替你做这件事的服务
    POST     HTTP 请求的一种，带着内容去；浏览器打开网页用的是 GET，空着手去取
    JSON     请求和回答的写法，样子像 Python 的字典和列表
    状态码   回答开头的三位数：2xx 成了，4xx 请求有问题，5xx 服务器有问题
    token    有三个意思：一是模型读写文字的最小一块，一个汉字常常就是一个 token；二是访问 token
             （access token），证明你是谁的一串密码（见 02）；三是有的代码把分词器也叫
             token，这门课的代码里分词器一律叫 tokenizer

怎么运行：python demo01_hf_basics/01_api_anonymous.py
          python demo01_hf_basics/01_api_anonymous.py --endpoint http://127.0.0.1:8000
          （第二行问你自己的 API：先在另一个终端运行 07_local_api.py）

网络：国内直连 Hub 常常连不上，推理 API 也没有国内镜像，得自己有能访问国外网站的网络。没有也不耽误：
先探路 5 秒，连不上就在本机开一个一模一样的 API。

会看到：连不上 Hub 时，同一个请求发给本机上自己的两个 API，所以第 2 到 4 步走两遍：
    ── 1. 向谁提问
    先探一下 https://router.huggingface.co/hf-inference，最多 5 秒 …
    Hub 连不上：…。改用本机的 API，请求一个字不变
    …
    —— 本机 API：http://127.0.0.1:…（要 token，和 Hub 一样）
    ── 2. 请求：地址 + JSON
    POST http://127.0.0.1:…/models/uer/gpt2-chinese-cluecorpussmall
         {"inputs": "今天天气很好，"}
    ── 3. 回答：状态码、类型、内容
    状态码  401
    类型    application/json
    内容    {"error":"要 token：请求头 Authorization: Bearer …"}
    ── 4. 状态码是 200，才用 .json()
    意思    401：没有带 token，匿名的请求不受理，服务器说：要 token：请求头 Authorization: Bearer …
    下一步：python …02_api_token.py（里面说明怎么申请和保存 token）
    …
    —— 本机 API：http://127.0.0.1:…（不要 token）
    ── 2. 请求：地址 + JSON
    POST http://127.0.0.1:…/models/uer/gpt2-chinese-cluecorpussmall
    …
    ── 3. 回答：状态码、类型、内容
    状态码  200
    类型    application/json
    内容    [{"generated_text":"今天天气很好，…
    ── 4. 状态码是 200，才用 .json()
    结果    [{'generated_text': '今天天气很好，…
    ── 5. 不看状态码，直接 .json() 会怎样
    JSONDecodeError: Expecting value: line 1 column 1 (char 0)
    下一步：python …02_api_token.py

PyCharm 里的红字不一定是报错：凡是写到"标准错误"的都是红的，警告和进度条也在其中。真出错了，最后
几行是 Traceback 和 …Error（或者这门课的"出错了：…"），再下面是 exit code 1；
exit code 0 就是顺利跑完，红字读一遍即可。
"""

import json

import requests

from api_client import explain, servers
from course.cli import run, step

HUB = "https://router.huggingface.co/hf-inference"  # 旧地址 api-inference.huggingface.co 已停用
MODEL = "uer/gpt2-chinese-cluecorpussmall"  # 完整的 组织/名字
LOCAL_TOKEN = "hf_only_for_this_lesson"  # 本机 API 要的 token，这一课故意不带，看它怎么拒绝
# 换成「你好，Hugging Face」试试：这个模型读的全是中文，不认得大写的英文单词（为什么，第二个 demo
# 的第 1 课讲），小模型常常一个字也接不下去，回答就只剩你的原话
INPUTS = "今天天气很好，"
NEXT = "demo01_hf_basics/02_api_token.py --endpoint"  # 学完运行哪一个


def main(args) -> None:
    step("1. 向谁提问")
    #    给了 --endpoint 就是它；没有就先探一下 Hub，连得上就问 Hub；连不上，就在本机开两个
    #    一样的 API，先问要 token 的，再问不要的。servers 一次给一个地址，for 就把它们问一遍
    #    这一课里我们自己的只有四样：run、step（运行、打印标题），servers、explain（api_client.py，
    #    第一遍不用读）；别的都是 requests 和 Python 自己的，抄走就能用
    for endpoint in servers(args, HUB, LOCAL_TOKEN, None):
        step("2. 请求：地址 + JSON")
        #    地址 = 服务器 + /models/ + 模型的全名：组织/名字，少一半都找不到，
        #    到模型页上点名字旁边的复制按钮最稳妥
        url = f"{endpoint}/models/{args.model}"
        print(f"POST {url}\n     {json.dumps({'inputs': INPUTS}, ensure_ascii=False)}")
        #    匿名：没有请求头 headers，只有 JSON。timeout 一定要写：不写，对方不答话就永远等下去
        #    json= 替你做了两件事：把字典写成 JSON，再说明"这是 JSON"（Content-Type）；写成 data=，
        #    发出去的就是网页表单的格式，这样的服务器读不懂
        try:
            response = requests.post(url, json={"inputs": INPUTS}, timeout=args.timeout)
        except requests.RequestException as error:  # 没有回答：连不上，或等了 timeout 秒
            raise explain(error, url) from None

        step("3. 回答：状态码、类型、内容")
        #    先看状态码和类型，再看内容；内容可能很长，只打印前 200 个字，放在一行里
        print(f"状态码  {response.status_code}")
        print(f"类型    {response.headers.get('Content-Type')}")
        print(f"内容    {' '.join(response.text.split())[:200]}")

        step("4. 状态码是 200，才用 .json()")
        #    内容是好的 JSON，.json() 就把它变成 Python 的列表和字典：你的原话 + 接着写的
        #    你的结果和这里不一样是正常的：下一个字是按概率抽的，每次运行都不同（怎么抽见 04）
        #    不是 200 就别碰 .json()：explain 把状态码和服务器的话变成一句中文和下一步
        #    这句"下一步"是对这个请求说的，课还没完
        problem = explain(response, url)
        print(f"意思    {problem}" if problem else f"结果    {response.json()}")

    step("5. 不看状态码，直接 .json() 会怎样")
    #    回答不是 JSON（一张网页、一句 Not Found）时，它只会说这一句，
    #    意思是"第一个字就不像 JSON"。很多人看到它，就去找 JSON 里的错别字
    #    看着像 JSON 写错了，其实是根本没拿到 JSON；状态码才说明原因
    try:
        json.loads("<!doctype html><title>Not Found</title>")
    except json.JSONDecodeError as error:
        print(f"JSONDecodeError: {error}")

    # 用过 OpenAI 的 API？那边是
    #    POST https://api.openai.com/v1/chat/completions
    #    {"model": "模型名", "messages": [{"role": "user", "content": "你好"}]}
    #    一样的：POST 一段 JSON，请求头里带 token，先看状态码
    #    不一样：那边模型名写在 JSON 里，这边写在地址里；那边是一问一答的 messages，回答在
    #    choices[0].message.content，这边是一段 inputs，回答在 [0]["generated_text"]
    #    今天 Hub 的对话模型用的正是那种格式，02 里两种都发一遍

    # 小结：请求 = 地址 + JSON；回答 = 状态码 + 类型 + 内容，按这个顺序读
    #       匿名请求得到 401：从前可以匿名，现在 API 要知道你是谁，下一课带上 token
    # 练习 1：--model 换成一个不存在的名字，第二遍的状态码变成多少？--timeout 0.001 呢，还有吗？
    # 练习 2：INPUTS 换成「你好，Hugging Face」和「酒店的房间」，各跑三次，哪个接得下去？
    # 动手：python exercises/check.py demo01/01


if __name__ == "__main__":
    run(main, "endpoint", model=MODEL, timeout=30, then=NEXT)
