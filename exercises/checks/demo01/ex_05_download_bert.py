"""判题  第一个 demo 的第 5 课"""

import hashlib
import tempfile
import tracemalloc
from pathlib import Path

from judging import Wrong, ask, exercise

SHARED = [".gitattributes", "README.md", "config.json"]
TEXTS = ["tokenizer.json", "tokenizer_config.json", "vocab.txt"]


@exercise(
    "files_to_download",
    "下哪些文件",
    "先决定权重要哪一个，再从头到尾走一遍 names；'…'.endswith(('.json', '.txt')) 可以一次问两个",
)
def check_files_to_download(files_to_download):
    both = [*SHARED, "flax_model.msgpack", "model.safetensors", "pytorch_model.bin", "tf_model.h5"]
    for names, weights in (
        (both + TEXTS, "model.safetensors"),
        ([*SHARED, "pytorch_model.bin", *TEXTS], "pytorch_model.bin"),
        ([*TEXTS, "model.safetensors", "config.json"], "model.safetensors"),
        ([*TEXTS, "pytorch_model.bin", "model.safetensors"], "model.safetensors"),
    ):
        want = [n for n in names if n.endswith((".json", ".txt")) or n == weights]
        kinds = (".json", ".txt", ".safetensors", ".bin")
        ask(
            files_to_download,
            list(names),
            want=want,
            usual=[
                ([n for n in names if n.endswith(kinds)], "两种权重都下了，白下几百 MB"),
                (list(names), "全都下了：别的框架的权重（.h5、.msgpack）用不上"),
                (sorted(want), "按原来的顺序，不要排序"),
                ([n for n in want if not n.endswith(".txt")], "漏了 vocab.txt，那是字典"),
                ([n for n in want if n != weights], f"漏了权重：这里有的是 {weights}"),
            ],
        )


@exercise(
    "sha256_of",
    "核对 SHA-256",
    "path.open('rb')；循环里 file.read(1024 * 1024)，读到空的就停；每块 digest.update(块)",
)
def check_sha256_of(sha256_of):
    one = 1024 * 1024
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "model.safetensors"
        for content in (b"", b"bert", bytes(range(256)) * 40, b"7" * one, b"ab" * one * 8 + b"c"):
            path.write_bytes(content)
            digest = hashlib.sha256(content)
            tracemalloc.start()
            try:
                ask(
                    sha256_of,
                    path,
                    want=digest.hexdigest(),
                    usual=[
                        (digest.digest(), "这是 32 个字节；要十六进制的文字，用 hexdigest()"),
                        (digest.hexdigest().upper(), "要小写的"),
                        (
                            hashlib.sha256(content[:one]).hexdigest(),
                            "只算了开头的 1 MB，后面的没有读",
                        ),
                        (
                            hashlib.sha256(content[len(content) // one * one :]).hexdigest(),
                            "每块都新建了一个 sha256()，只剩下最后一块：要在循环外面建一次",
                        ),
                        (
                            hashlib.sha256(str(path).encode()).hexdigest(),
                            "算的是路径，不是文件的内容",
                        ),
                        (hashlib.md5(content).hexdigest(), "这是 MD5，要的是 SHA-256"),
                    ],
                    errors={
                        UnicodeDecodeError: "权重不是文字，要用 'rb' 打开",
                        TypeError: "读出来的是文字不是字节：用 'rb' 打开",
                    },
                    shown=f"sha256_of({len(content)} 个字节的文件)",
                )
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            if peak > 8 * one:
                raise Wrong(
                    f"结果对了，但读 {len(content) // one} MB 的文件用了 {peak // one} MB 内存"
                    "\n多半是：一次读了整个文件；一块一块地读，几百 MB 的权重也不怕"
                )
