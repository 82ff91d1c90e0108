"""判题  第一个 demo 的第 2 课：看服务器真的收到了什么"""

import json

import requests
from judging import Wrong, ask, exercise, require
from loopback import recording

TOKEN = "hf_ForThisExercise0000"


@exercise(
    "bearer_headers",
    "环境变量 → 请求头",
    "environ.get('HF_TOKEN', '') 在没有这个变量时给空字符串；.strip() 去掉空格和换行",
)
def check_bearer_headers(bearer_headers):
    want = {"Authorization": f"Bearer {TOKEN}"}
    usual = [
        ({"Authorization": TOKEN}, "token 前面要有 Bearer 和一个空格"),
        ({"Authorization": f"Bearer{TOKEN}"}, "Bearer 和 token 之间要有一个空格"),
        ({"Authorization": f"bearer {TOKEN}"}, "照规矩写成 Bearer，B 大写"),
        ({"Authorization": f"Token {TOKEN}"}, "Hugging Face 用的是 Bearer"),
    ]
    ask(bearer_headers, {"HF_TOKEN": TOKEN}, want=want, usual=usual)
    for dirty in (f" {TOKEN}\n", f"{TOKEN}\r\n"):
        untouched = {"Authorization": f"Bearer {dirty}"}
        why = "换行和空格还在里面：复制粘贴时常常带上，请求会发不出去"
        ask(bearer_headers, {"HF_TOKEN": dirty}, want=want, usual=[(untouched, why)])
    missing = "没有这个变量时 [] 会抛 KeyError，用 .get()"
    for environ in ({}, {"HF_TOKEN": ""}, {"HF_TOKEN": "  \n"}):
        ask(
            bearer_headers,
            environ,
            want={},
            usual=[
                ({"Authorization": "Bearer None"}, "没有 token 时把 None 拼进去了"),
                ({"Authorization": "Bearer "}, "空的 token 也拼进去了；先去空格，再看是不是空的"),
                (None, "没有 token 时要返回空字典 {}，不是 None"),
            ],
            errors={
                KeyError: missing,
                AttributeError: "没有变量时 .get() 给的是 None，不能 .strip()",
            },
        )


@exercise("redact", "把 token 遮住", "str.replace；先想一想 token 是空字符串时 replace 会做什么")
def check_redact(redact):
    said = f"401：{TOKEN} 已作废（{TOKEN}）"
    ask(
        redact,
        *(said, TOKEN),
        want="401：*** 已作废（***）",
        usual=[
            (said.replace(TOKEN, "***", 1), "只换了第一个，后面的还露在外面"),
            (said.replace(TOKEN, TOKEN[:3] + "***"), "开头几个字符也不要留，整个换成 ***"),
            (said, "字符串不会自己变：replace 返回的是新的字符串，要把它 return 出去"),
        ],
    )
    ask(redact, "没有提到", TOKEN, want="没有提到")
    empty = [("abc".replace("", "***"), "空字符串到处都是，replace 会插进每个缝里：先判断")]
    ask(redact, "abc", "", want="abc", usual=empty)
    none = {TypeError: "token 是 None 时不能 replace，先判断"}
    ask(redact, "abc", None, want="abc", errors=none)


@exercise("ask", "发出去", "requests.post(url, headers=…, json=…, timeout=…)：每个参数都写上名字")
def check_ask(answer):
    headers, payload = {"Authorization": f"Bearer {TOKEN}"}, {"inputs": "你好", "stream": False}
    with recording() as server:
        response = answer(server.url, headers, payload, 5)
        require(bool(server.received), "服务器没有收到 POST 请求：要用 requests.post")
        got = server.received[0]
        body = got.body.decode("utf-8")
        require(
            TOKEN not in body,
            "token 跑到请求的内容里去了\n多半是：headers 没有写名字。requests.post(url, headers)"
            " 的第二个位置是 data，也就是表单，要写 headers=headers",
        )
        require(
            got.headers.get("Authorization") == headers["Authorization"],
            "服务器没有收到请求头 Authorization：headers=headers 写了吗",
        )
        try:
            received = json.loads(body)
        except ValueError:
            raise Wrong(
                f"服务器收到的内容不是 JSON：{body[:80]}\n多半是：data= 发的是表单，json= 才是 JSON"
            ) from None
        require(
            received == payload,
            f"服务器收到的是 {body[:80]}\n多半是：自己 json.dumps 过了，json= 又变了一次",
        )
        kind = got.headers.get("Content-Type", "")
        require("json" in kind, f"请求的 Content-Type 是 {kind or '空的'}：用 json=，它会替你写好")
        require(isinstance(response, requests.Response), "要返回 requests.post 给的回答")
    with recording(delay=1) as slow:
        try:
            answer(slow.url, headers, payload, 0.2)
        except requests.Timeout:
            return
        raise Wrong("服务器 1 秒不答，timeout 是 0.2，却等到了底\n多半是：没有写 timeout=timeout")
