"""判题  第一个 demo 的第 1 课：真的在本机开一个服务器，把回答取回来给学员读"""

import requests
from judging import ask, exercise
from loopback import answering


@exercise(
    "build_request",
    "地址和内容",
    "endpoint.rstrip('/') 去掉末尾的 /；内容就是普通的字典，变成 JSON 是发送时的事",
)
def check_build_request(build_request):
    for endpoint in ("http://127.0.0.1:8000", "https://example.com/hf-inference/"):
        for model in ("gpt2", "uer/gpt2-chinese-cluecorpussmall"):
            url = f"{endpoint.rstrip('/')}/models/{model}"
            payload = {"inputs": "你好"}
            ask(
                build_request,
                *(endpoint, model, "你好"),
                want=(url, payload),
                usual=[
                    (
                        (f"{endpoint}/models/{model}", payload),
                        "endpoint 末尾已经有 /，又加了一个，成了两个 /",
                    ),
                    ((url, {"input": "你好"}), "键是 inputs，有 s；写错了服务器会说缺少 inputs"),
                    (
                        (url, '{"inputs": "你好"}'),
                        "内容给字典就行：requests 的 json= 会把它变成 JSON，变两次就成了一个字符串",
                    ),
                    (
                        (url.replace(model, model.replace("/", "%2F")), payload),
                        "模型名里的 / 是地址的一部分，不要转成 %2F",
                    ),
                    (
                        (f"{endpoint.rstrip('/')}/{model}", payload),
                        "endpoint 和模型名之间还有一段 /models/",
                    ),
                ],
            )


@exercise(
    "read_answer",
    "按顺序读回答",
    "三个 if 按顺序写：response.status_code，response.headers['Content-Type']，response.json()",
)
def check_read_answer(read_answer):
    plain, with_charset = "application/json", "application/json; charset=utf-8"
    good = '[{"generated_text": "你好，世界"}]'
    cases = [  # (状态码, 类型, 内容, 应该读成什么)
        (200, plain, good, "你好，世界"),
        (200, with_charset, good, "你好，世界"),
        (401, plain, '{"error": "要 token"}', "状态码 401"),
        (404, "text/html", "<!doctype html><title>Not Found</title>", "状态码 404"),
        (503, plain, "", "状态码 503"),
        (200, "text/html", "<!doctype html><title>登录校园网</title>", "不是 JSON"),
        (200, "", "ok", "不是 JSON"),
    ]
    with answering(*(case[:3] for case in cases)) as url:
        for i, (status, kind, body, want) in enumerate(cases):
            response = requests.get(f"{url}/{i}", timeout=5)
            shown = f"read_answer(回答：{status}，Content-Type {kind or '没有'}，内容 {body})"
            usual = [("不是 JSON", "先看状态码：不是 200 时，类型和内容都不用看了")]
            if want == "你好，世界":
                usual = [
                    (
                        "不是 JSON",
                        "类型后面可以跟着 ; charset=utf-8：用 startswith，不要用 ==",
                    ),
                    (response.json(), "再往里取两层：[0] 是列表的第一个，然后是 generated_text"),
                    (response.json()[0], "再往里取一层：['generated_text']"),
                    (good, "response.text 还是一串文字，response.json() 才变成列表和字典"),
                ]
            early = (
                "没看状态码和类型就取内容：不是 JSON 的内容，.json() 会崩；报错的内容，取不到文字"
            )
            ask(
                read_answer,
                response,
                want=want,
                usual=usual,
                errors={ValueError: early, LookupError: early, TypeError: early},
                shown=shown,
            )
